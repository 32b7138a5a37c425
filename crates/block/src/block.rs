//! An open block.

use std::path::Path;
use std::sync::Arc;

use norn_contract::fs::FileSystem;
use norn_model::Millis;

use crate::file::{Input, read_all};
use crate::meta::Meta;
use crate::{Error, chunks, index, meta, tombstones};

/// Most bytes of a tombstones file.
const MAX_TOMBSTONES: u64 = 16 << 20;

/// A block whose files are open. Cloning copies a pointer.
///
/// Its files may be removed while it is read. Memory: see [`index::Reader`].
#[derive(Clone)]
pub struct Block {
    pub(crate) parts: Arc<Parts>,
}

pub(crate) struct Parts {
    pub(crate) meta: Meta,
    pub(crate) index: index::Reader,
    pub(crate) chunks: chunks::Reader,
}

impl Block {
    /// Opens the block in `dir`. Refuses blocks with deletions.
    pub fn open(fs: &dyn FileSystem, dir: &Path) -> Result<Self, Error> {
        Self::open_parts(fs, dir).map_err(|e| e.within(&format!("block {}", dir.display())))
    }

    fn open_parts(fs: &dyn FileSystem, dir: &Path) -> Result<Self, Error> {
        let meta = Meta::decode(&read_all(fs, &dir.join(meta::FILE_NAME), meta::MAX_BYTES)?)?;
        refuse_deletions(fs, &dir.join(tombstones::FILE_NAME))?;
        let index = index::Reader::open(Box::new(Input::open(fs, &dir.join(index::FILE_NAME))?))?;
        let chunks = chunks::Reader::open(fs, &dir.join(chunks::DIR_NAME))?;
        Ok(Self { parts: Arc::new(Parts { meta, index, chunks }) })
    }

    /// What the block is.
    pub fn meta(&self) -> &Meta {
        &self.parts.meta
    }

    /// Its index.
    pub fn index(&self) -> &index::Reader {
        &self.parts.index
    }

    /// Its chunk files.
    pub fn chunks(&self) -> &chunks::Reader {
        &self.parts.chunks
    }

    /// Whether the block has a part of `mint..=maxt`.
    pub fn overlaps(&self, mint: Millis, maxt: Millis) -> bool {
        self.meta().min_time <= maxt && mint < self.meta().max_time
    }
}

/// Blocks in a bucket have no such file.
fn refuse_deletions(fs: &dyn FileSystem, path: &Path) -> Result<(), Error> {
    let bytes = match read_all(fs, path, MAX_TOMBSTONES) {
        Err(Error::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match tombstones::decode(&bytes)?.len() {
        0 => Ok(()),
        n => Err(Error::Unsupported(format!("{n} deletions: rewrite the block without them first"))),
    }
}
