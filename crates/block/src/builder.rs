//! Writes a block.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_contract::fs::FileSystem;
use norn_contract::source::ChunkBuf;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;

use crate::file::write_all;
use crate::index::ChunkMeta;
use crate::meta::{BlockFile, Compaction, Meta, Stats, Thanos};
use crate::splice::{count, fits, splice};
use crate::ulid::Ulid;
use crate::{Error, chunks, index, meta, tombstones};

/// Suffix of a directory that is not a block yet.
pub const UNFINISHED: &str = ".tmp-for-creation";
/// Suffix of a directory that is no block any more.
pub const REMOVED: &str = ".tmp-for-deletion";

/// What a block shall be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its id.
    pub ulid: Ulid,
    /// Its time range; samples beside it are left out.
    pub range: Range<Millis>,
    /// Where it comes from; `None`: from a head, as a block of level 1.
    pub compaction: Option<Compaction>,
    /// Mimir's part of `meta.json`; its lists of files are filled in.
    pub thanos: Option<Thanos>,
    /// Most bytes of a chunk file, [`chunks::MAX_FILE_LEN`] by default.
    pub max_chunk_file_len: u64,
}

impl Options {
    /// A block cut from a head.
    pub fn new(ulid: Ulid, range: Range<Millis>) -> Self {
        Self { ulid, range, compaction: None, thanos: None, max_chunk_file_len: chunks::MAX_FILE_LEN }
    }
}

/// Writes the series of one time range into a directory that becomes a block when all is durable.
///
/// Dropped unfinished, it takes its files away again. Memory: see [`index::Writer`], and the
/// chunks of one series.
pub struct Builder {
    directory: Directory,
    options: Options,
    chunks: chunks::Writer,
    index: index::Writer,
    stats: Stats,
    spliced: ChunkBuf,
    metas: Vec<ChunkMeta>,
}

/// The unfinished directory; removed when dropped.
struct Directory {
    fs: Arc<dyn FileSystem>,
    parent: PathBuf,
    path: PathBuf,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing is there after success. After a failure that failure is what counts, and the
        // name tells that the rest is no block.
        let _ = remove_files(&*self.fs, &self.path);
    }
}

impl Builder {
    /// Begins a block in the directory `parent`, which exists.
    pub fn create(fs: Arc<dyn FileSystem>, parent: &Path, options: Options) -> Result<Self, Error> {
        if options.range.is_empty() {
            return Err(Error::Invalid("the range of a block is empty".into()));
        }
        let path = parent.join(format!("{}{UNFINISHED}", options.ulid));
        let chunk_dir = path.join(chunks::DIR_NAME);
        fs.create_dir_all(&chunk_dir)?;
        let directory = Directory { fs: Arc::clone(&fs), parent: parent.to_owned(), path };
        let index = index::Writer::create(Arc::clone(&fs), &directory.path.join(index::FILE_NAME))?;
        let chunks = chunks::Writer::new(fs, &chunk_dir, options.max_chunk_file_len);
        Ok(Self {
            directory,
            options,
            chunks,
            index,
            stats: Stats::default(),
            spliced: ChunkBuf::default(),
            metas: Vec::new(),
        })
    }

    /// Adds a series behind the one before in label order, with chunks ordered by first timestamp.
    /// Those that overlap or reach beyond the range are merged and cut; a series without samples
    /// in the range is left out.
    pub fn add(&mut self, labels: &Labels, chunks: &ChunkBuf) -> Result<(), Error> {
        self.add_series(labels, chunks).map_err(|e| e.within(&format!("series {labels}")))
    }

    fn add_series(&mut self, labels: &Labels, input: &ChunkBuf) -> Result<(), Error> {
        let mut spliced = std::mem::take(&mut self.spliced);
        let chunks = if fits(input, &self.options.range) {
            input
        } else {
            spliced.clear();
            splice(input, &self.options.range, &mut spliced)?;
            &spliced
        };
        self.metas.clear();
        for chunk in &chunks.chunks {
            let at = self.chunks.add(chunk.encoding, chunks.slice(chunk))?;
            self.metas.push(ChunkMeta { mint: chunk.mint, maxt: chunk.maxt, at });
            self.count(chunk.encoding, count(chunks, chunk));
        }
        self.spliced = spliced;
        if self.metas.is_empty() {
            return Ok(());
        }
        self.stats.num_series += 1;
        self.index.add(labels, &self.metas)
    }

    fn count(&mut self, encoding: ChunkEncoding, samples: u16) {
        let samples = u64::from(samples);
        self.stats.num_chunks += 1;
        self.stats.num_samples += samples;
        if matches!(encoding, ChunkEncoding::Xor | ChunkEncoding::Xor2) {
            self.stats.num_float_samples += samples;
        } else {
            self.stats.num_histogram_samples += samples;
        }
    }

    /// Makes everything durable and then visible under its name. `None`, and no directory, where
    /// there was no sample.
    pub fn finish(self) -> Result<Option<Meta>, Error> {
        let Directory { fs, parent, path } = &self.directory;
        if self.stats.num_samples == 0 {
            return Ok(None);
        }
        let files = self.chunks.finish()?;
        fs.sync_dir(&path.join(chunks::DIR_NAME))?;
        let index = self.index.finish()?;
        write_all(&**fs, &path.join(tombstones::FILE_NAME), &tombstones::encode(&[]))?;
        let meta = describe(self.options, self.stats, &files, index.bytes);
        write_all(&**fs, &path.join(meta::FILE_NAME), &meta.encode()?)?;
        fs.sync_dir(path)?;
        fs.rename(path, &parent.join(meta.ulid.to_string()))?;
        fs.sync_dir(parent)?;
        Ok(Some(meta))
    }
}

fn describe(options: Options, stats: Stats, chunk_files: &[u64], index_bytes: u64) -> Meta {
    let ulid = options.ulid;
    let head = || Compaction { level: 1, sources: vec![ulid], ..Compaction::default() };
    let names: Vec<String> = (0..chunk_files.len()).map(|i| format!("{:06}", i + 1)).collect();
    let thanos = options.thanos.map(|mut thanos| {
        let file = |rel_path: &str, size_bytes| BlockFile { rel_path: rel_path.to_owned(), size_bytes };
        let chunk = |(name, bytes): (&String, &u64)| file(&format!("{}/{name}", chunks::DIR_NAME), *bytes);
        thanos.files = names.iter().zip(chunk_files).map(chunk).collect();
        thanos.files.push(file(index::FILE_NAME, index_bytes));
        thanos.files.push(file(meta::FILE_NAME, 0));
        thanos.segment_files = names;
        thanos
    });
    Meta {
        ulid,
        min_time: options.range.start,
        max_time: options.range.end,
        stats,
        compaction: options.compaction.unwrap_or_else(head),
        version: meta::VERSION,
        thanos,
        ..Meta::default()
    }
}

/// Removes the block in `dir`. It is no block any more from the first moment on; a part that a
/// crash leaves has a name with the suffix [`REMOVED`].
pub fn remove(fs: &dyn FileSystem, dir: &Path) -> Result<(), Error> {
    let doomed = dir.with_added_extension(&REMOVED[1..]);
    fs.rename(dir, &doomed)?;
    if let Some(parent) = dir.parent() {
        fs.sync_dir(parent)?;
    }
    remove_files(fs, &doomed)
}

/// Whether the name of a directory says that it is what a crash left of a block.
pub fn is_leftover(name: &str) -> bool {
    name.ends_with(UNFINISHED) || name.ends_with(REMOVED)
}

/// Removes what a crash left of a block, whatever is missing of it.
pub fn remove_leftover(fs: &dyn FileSystem, dir: &Path) -> Result<(), Error> {
    let named = |e: Error| e.within(&format!("cannot remove {}", dir.display()));
    remove_files(fs, dir).map_err(named)
}

fn remove_files(fs: &dyn FileSystem, dir: &Path) -> Result<(), Error> {
    for dir in [&dir.join(chunks::DIR_NAME), dir] {
        let names = match fs.list(dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            names => names?,
        };
        for name in names {
            fs.remove(&dir.join(name))?;
        }
        fs.remove_dir(dir)?;
    }
    Ok(())
}
