//! Disk access, so that tests can own it: crashes, torn writes, failing syncs, full disks.

use std::io::{IoSlice, Result};
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file, for reading and writing; it must not exist.
    Create,
}

/// A directory tree.
///
/// It refuses to make anything durable by itself: bytes need [`File::sync_data`], names need
/// [`FileSystem::sync_dir`].
pub trait FileSystem: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>>;

    /// Makes a directory and its parents; one that exists is fine.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// Names of the files in `dir`, in no order.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Names of the directories in `dir`, in no order.
    fn list_dirs(&self, dir: &Path) -> Result<Vec<String>>;

    /// Renames a file over whatever has the new name, or a directory to a new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file. Files that are open stay readable.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory. Nothing to do where directories are but parts of names.
    fn remove_dir(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }

    /// Makes names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes an exclusive lock on `path`, which is created if need be.
    /// [`std::io::ErrorKind::WouldBlock`] when another holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>>;
}

/// A lock that ends when it is dropped, or with the process.
pub trait FileLock: Send + Sync {}

/// An open file. Reads may run beside each other and beside one writer; it refuses to order
/// two writers.
pub trait File: Send + Sync {
    /// Reads into `buf` from `offset` and says how many bytes; fewer than asked at the end of
    /// the file only.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes all of `bufs`, one behind the other, from `offset`. The slices are used up.
    fn write_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> Result<()>;

    /// Makes bytes and length durable. After an error nothing is known of what was written
    /// since the last success, and asking again proves nothing.
    fn sync_data(&self) -> Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Length in bytes.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}
