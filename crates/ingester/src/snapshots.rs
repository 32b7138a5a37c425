//! Files that make a start fast: `<dir>/partition-<n>.snapshot`, as `docs/formats/snapshot.md` draws
//! them.
//!
//! They are a cache of the log: one that does not fit is left aside with a warning, and the start
//! reads more records.

use std::io::{ErrorKind, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use norn_contract::fs::{File, FileSystem, OpenMode};
use norn_contract::log::{Offset, Partition};
use norn_head::{Checkpoint, Reader, SnapshotEncoder, SnapshotError, SnapshotPiece, Writer};

/// The snapshots of all partitions.
#[derive(Clone)]
pub struct Snapshots {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
}

/// A snapshot that is being written.
pub(crate) struct Unfinished {
    snapshots: Snapshots,
    partition: Partition,
    encoder: SnapshotEncoder,
    file: Box<dyn File>,
    position: u64,
}

impl Snapshots {
    /// Those in `dir`, which exists.
    pub fn new(fs: Arc<dyn FileSystem>, dir: PathBuf) -> Self {
        Self { fs, dir }
    }

    fn path(&self, partition: Partition, suffix: &str) -> PathBuf {
        self.dir.join(format!("partition-{partition}.{suffix}"))
    }

    /// The head of a partition as its snapshot kept it, if that fits what the log still has and
    /// what was cut since.
    pub(crate) fn load(
        &self,
        options: &norn_head::Options,
        range: &Range<Offset>,
        checkpoint: Option<&Checkpoint>,
    ) -> Option<(Writer, Arc<Reader>)> {
        let partition = options.partition;
        self.remove(partition, "snapshot.tmp");
        let path = self.path(partition, "snapshot");
        let file = match self.fs.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(partition, path = %path.display(), %error, "snapshot can not be opened: reading the log instead");
                return None;
            }
        };
        let loaded = norn_head::load(options.clone(), &*file).map_err(|e| e.to_string());
        let fitting = loaded.and_then(|(mut writer, reader)| {
            fits(&mut writer, range, checkpoint)?;
            Ok((writer, reader))
        });
        match fitting {
            Ok(head) => Some(head),
            Err(reason) => {
                tracing::warn!(partition, path = %path.display(), reason, "snapshot is left aside: reading the log instead");
                self.remove(partition, "snapshot");
                None
            }
        }
    }

    fn remove(&self, partition: Partition, suffix: &str) {
        let path = self.path(partition, suffix);
        match self.fs.remove(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "file can not be removed"),
        }
    }

    /// Begins the file of a snapshot.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub(crate) fn begin(
        &self,
        partition: Partition,
        encoder: SnapshotEncoder,
    ) -> Result<Unfinished, SnapshotError> {
        self.remove(partition, "snapshot.tmp");
        let file = self.fs.open(&self.path(partition, "snapshot.tmp"), OpenMode::Create)?;
        Ok(Unfinished { snapshots: self.clone(), partition, encoder, file, position: 0 })
    }

    /// Writes a snapshot of a head that takes no records any more.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub(crate) fn save(&self, partition: Partition, head: &mut Writer) -> Result<(), SnapshotError> {
        let Some(encoder) = head.begin_snapshot() else { return Ok(()) };
        let mut unfinished = self.begin(partition, encoder)?;
        while let Some(piece) = head.next_piece() {
            unfinished.add(&piece)?;
        }
        unfinished.finish()
    }
}

impl Unfinished {
    /// Appends a piece.
    ///
    /// # Errors
    ///
    /// When the file system fails or the head's chunks can not be read.
    pub(crate) fn add(&mut self, piece: &SnapshotPiece) -> Result<(), SnapshotError> {
        let bytes = self.encoder.encode(piece)?;
        self.file.write_at(&mut [IoSlice::new(bytes)], self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Puts the complete file in the place of the last one.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub(crate) fn finish(self) -> Result<(), SnapshotError> {
        let Self { snapshots, partition, encoder, file, position } = self;
        file.sync_data()?;
        let from = snapshots.path(partition, "snapshot.tmp");
        snapshots.fs.rename(&from, &snapshots.path(partition, "snapshot"))?;
        snapshots.fs.sync_dir(&snapshots.dir)?;
        let offset = encoder.next_offset();
        tracing::debug!(partition, offset, bytes = position, "snapshot of the head written");
        Ok(())
    }
}

/// Whether the log has what came after the snapshot, and nothing was cut since.
fn fits(writer: &mut Writer, range: &Range<Offset>, checkpoint: Option<&Checkpoint>) -> Result<(), String> {
    let next = writer.next_offset();
    if !(range.start..=range.end).contains(&next) {
        return Err(format!("it goes on at offset {next}, the log has {}..{}", range.start, range.end));
    }
    let Some(checkpoint) = checkpoint else { return Ok(()) };
    if !writer.is_cut_as(checkpoint) {
        return Err("blocks were cut after it".to_owned());
    }
    writer.adopt(checkpoint);
    Ok(())
}
