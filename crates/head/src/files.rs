//! Files of sealed chunks: a cache of the log, without which a head would keep them in memory.
//!
//! One file a window, written by its end alone, a slab at a time, and never synced. Its name is
//! `<partition>-<number of the window>-<serial>.chunks`. It is removed when nobody reads the window
//! any more; what an earlier process left is removed at the start.

use std::fmt;
use std::io::{IoSlice, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use norn_contract::fs::{File, FileSystem, OpenMode};
use norn_contract::log::Partition;

use crate::options::Storage;
use crate::window::WindowNo;

const SUFFIX: &str = ".chunks";

/// Where the files of a partition are.
#[derive(Debug)]
pub(crate) struct Files {
    storage: Storage,
    partition: Partition,
    /// Files that were created.
    serial: u64,
    /// Full slabs there were when writing failed; it is tried again when there are more.
    failed_at: Option<usize>,
}

impl Files {
    /// Removes what an earlier process left. What can not be removed only takes room.
    pub(crate) fn new(storage: Storage, partition: Partition) -> Self {
        let prefix = format!("{partition}-");
        for name in storage.fs.list(&storage.dir).unwrap_or_default() {
            if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
                let _ = storage.fs.remove(&storage.dir.join(name));
            }
        }
        Self { storage, partition, serial: 0, failed_at: None }
    }

    /// Whether slabs should be written when so many are full.
    pub(crate) fn is_due(&self, full: usize) -> bool {
        full > self.storage.keep_slabs && self.failed_at.is_none_or(|failed| full > failed)
    }

    /// Says how it went with one of `full` slabs. The first failure in a row is told to people.
    pub(crate) fn wrote(&mut self, outcome: Result<()>, full: usize) {
        match outcome {
            Ok(()) => self.failed_at = None,
            Err(error) => {
                if self.failed_at.replace(full).is_none() {
                    let (partition, dir) = (self.partition, self.storage.dir.display());
                    tracing::warn!(partition, %dir, %error, "sealed chunks stay in memory: they can not be written");
                }
            }
        }
    }

    /// A new file for a window.
    pub(crate) fn create(&mut self, window: WindowNo) -> Result<ChunkFile> {
        let Storage { fs, dir, .. } = &self.storage;
        fs.create_dir_all(dir)?;
        let path = dir.join(format!("{}-{window}-{}{SUFFIX}", self.partition, self.serial));
        self.serial += 1;
        let file = fs.open(&path, OpenMode::Create)?;
        Ok(ChunkFile { fs: Arc::clone(fs), path, file, len: AtomicU64::new(0) })
    }
}

/// The chunks of one window.
pub(crate) struct ChunkFile {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    file: Box<dyn File>,
    len: AtomicU64,
}

impl ChunkFile {
    /// Appends bytes and says where they are. Called by the writer alone.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<u64> {
        let at = self.len.load(Ordering::Relaxed);
        self.file.write_at(&mut [IoSlice::new(bytes)], at)?;
        self.len.store(at + bytes.len() as u64, Ordering::Relaxed);
        Ok(at)
    }

    /// Fills `buf` from `at`, as far as there are bytes; says how many.
    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        self.file.read_at(buf, at).ok()
    }
}

impl fmt::Debug for ChunkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for ChunkFile {
    fn drop(&mut self) {
        // The next start tries again.
        let _ = self.fs.remove(&self.path);
    }
}
