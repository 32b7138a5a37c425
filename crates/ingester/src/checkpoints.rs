//! Files that say where a start begins to read: `<dir>/partition-<n>.checkpoint`, as
//! `docs/formats/checkpoint.md` draws them.

use std::io::{ErrorKind, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use norn_contract::fs::{FileSystem, OpenMode};
use norn_contract::log::{Offset, Partition};
use norn_head::Checkpoint;

/// Most bytes that are read.
const MAX_BYTES: u64 = 256 << 20;

/// A checkpoint that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system failed.
    #[error("checkpoint {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// It is not there although the log begins later, it is damaged, or it is of another log.
    #[error(
        "checkpoint {path}: {reason}. Put the file back. Without it nothing that was acknowledged is \
         missing from the log and the blocks together, but the settings that decided about late samples and \
         limits are: to start all the same, put an empty file in its place; what the log holds is then \
         judged by default settings"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is of a log that is not there any more.
    #[error(
        "checkpoint {path} is of offset {offset}, the log ends at {next}: put the log back, or remove the \
         file if the log was removed on purpose"
    )]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// Offset it names.
        offset: Offset,
        /// Where the log ends.
        next: Offset,
    },
}

/// The checkpoints of all partitions.
pub struct Checkpoints {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
}

impl Checkpoints {
    /// Those in `dir`, which is made if need be.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub fn open(fs: Arc<dyn FileSystem>, dir: PathBuf) -> Result<Self, CheckpointError> {
        match fs.create_dir_all(&dir) {
            Ok(()) => Ok(Self { fs, dir }),
            Err(error) => Err(CheckpointError::Io { path: dir, error }),
        }
    }

    fn path(&self, partition: Partition) -> PathBuf {
        self.dir.join(format!("partition-{partition}.checkpoint"))
    }

    /// What a start of `partition` begins with, where the log has the records of `range`; `None`:
    /// with the first record.
    ///
    /// # Errors
    ///
    /// Where beginning with the first record would not give back what was there.
    pub fn load(
        &self,
        partition: Partition,
        range: &Range<Offset>,
    ) -> Result<Option<Checkpoint>, CheckpointError> {
        let path = self.path(partition);
        let unusable = |reason: String| CheckpointError::Unusable { path: path.clone(), reason };
        let bytes = match self.read(partition) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound && range.start == 0 => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(unusable(format!("is missing, and the log begins at offset {}", range.start)));
            }
            Err(error) => return Err(CheckpointError::Io { path, error }),
        };
        if bytes.is_empty() {
            tracing::warn!(partition, path = %path.display(), "empty checkpoint: beginning with the first record of the log and default settings");
            return Ok(None);
        }
        let checkpoint = Checkpoint::decode(&bytes).map_err(|e| unusable(e.to_string()))?;
        let offset = checkpoint.offset;
        if offset > range.end {
            return Err(CheckpointError::OtherLog { path, offset, next: range.end });
        }
        if offset < range.start {
            return Err(unusable(format!("is of offset {offset}, and the log begins at {}", range.start)));
        }
        Ok(Some(checkpoint))
    }

    fn read(&self, partition: Partition) -> std::io::Result<Vec<u8>> {
        let file = self.fs.open(&self.path(partition), OpenMode::Read)?;
        let len = file.len()?;
        if len > MAX_BYTES {
            return Err(std::io::Error::new(ErrorKind::InvalidData, format!("{len} bytes are too many")));
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Makes `checkpoint` the one that the next start begins with.
    ///
    /// # Errors
    ///
    /// When the file system fails; then the one before holds.
    pub fn save(&self, partition: Partition, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let path = self.path(partition);
        let unfinished = path.with_added_extension("tmp");
        match self.fs.remove(&unfinished) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.fs.open(&unfinished, OpenMode::Create)?;
        file.write_at(&mut [IoSlice::new(&checkpoint.encode())], 0)?;
        file.sync_data()?;
        self.fs.rename(&unfinished, &path)?;
        self.fs.sync_dir(&self.dir)
    }
}
