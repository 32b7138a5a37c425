//! Takes series in label order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_codec::varint::{put_uvarint, put_varint};
use norn_contract::fs::FileSystem;
use norn_model::labels::Labels;

use super::assemble::Assembly;
use super::intern::Interner;
use super::{ChunkMeta, spool};
use crate::Error;
use crate::file::Output;

/// Postings that are held in memory at once: 64 MiB.
const MAX_POSTINGS: usize = 16 << 20;

/// Writes an index of version 2.
///
/// Memory: texts of all symbols, about 20 bytes a symbol, 40 a label pair, 4 a series, and at most
/// 64 MiB of postings (a longer list is taken whole). Series themselves wait in a file beside the
/// index.
pub struct Writer {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    interner: Interner,
    spool: spool::Writer,
    series: u32,
    last: Option<Labels>,
    last_chunk: Option<ChunkMeta>,
    pairs: Vec<u32>,
    chunks: Vec<u8>,
    max_postings: usize,
}

/// What an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Series.
    pub series: u32,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Writer {
    /// Will write the file at `path`; uses `<path>.spool` until then.
    pub fn create(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self, Error> {
        let spool_path = path.with_added_extension("spool");
        let spool = spool::Writer::create(Arc::clone(&fs), &spool_path)?;
        let mut interner = Interner::default();
        // Prometheus names the list of all series so, and has the text among its symbols.
        interner.intern("")?;
        Ok(Self {
            fs,
            path: path.to_owned(),
            interner,
            spool,
            series: 0,
            last: None,
            last_chunk: None,
            pairs: Vec::new(),
            chunks: Vec::new(),
            max_postings: MAX_POSTINGS,
        })
    }

    #[cfg(test)]
    pub(super) fn with_max_postings(mut self, n: usize) -> Self {
        self.max_postings = n;
        self
    }

    /// Adds a series behind the one before, with its chunks in time order.
    pub fn add(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), Error> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(Error::Invalid(format!("series {labels} does not come behind the one before")));
        }
        self.encode_chunks(chunks).map_err(|e| e.within(&format!("series {labels}")))?;
        self.series = self.series.checked_add(1).ok_or(Error::TooLarge("the number of series"))?;
        self.pairs.clear();
        for (name, value) in labels {
            self.pairs.push(self.interner.count_pair(name, value)?);
        }
        self.spool.add(&self.pairs, &self.chunks)?;
        self.last = Some(labels.clone());
        Ok(())
    }

    fn encode_chunks(&mut self, chunks: &[ChunkMeta]) -> Result<(), Error> {
        self.chunks.clear();
        self.last_chunk = None;
        put_uvarint(&mut self.chunks, chunks.len() as u64);
        for chunk in chunks {
            if chunk.maxt < chunk.mint {
                return Err(Error::Invalid("a chunk ends before it begins".into()));
            }
            let length = chunk.maxt.wrapping_sub(chunk.mint) as u64;
            match self.last_chunk {
                None => {
                    put_varint(&mut self.chunks, chunk.mint);
                    put_uvarint(&mut self.chunks, length);
                    put_uvarint(&mut self.chunks, chunk.at);
                }
                Some(last) if chunk.mint > last.maxt && chunk.at >= last.at => {
                    let gap = chunk.mint.wrapping_sub(last.maxt) as u64;
                    put_uvarint(&mut self.chunks, gap);
                    put_uvarint(&mut self.chunks, length);
                    put_varint(&mut self.chunks, (chunk.at - last.at) as i64);
                }
                Some(_) => return Err(Error::Invalid("chunks overlap or are in no order".into())),
            }
            self.last_chunk = Some(*chunk);
        }
        Ok(())
    }

    /// Writes the index and makes its bytes durable.
    pub fn finish(self) -> Result<Written, Error> {
        let spool = self.spool.finish()?;
        let output = Output::create(&*self.fs, &self.path)?;
        let assembly = Assembly::new(self.interner, &spool, output, self.max_postings);
        let bytes = assembly.write()?;
        spool.remove()?;
        Ok(Written { series: self.series, bytes })
    }
}
