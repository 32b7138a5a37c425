//! How a log is opened.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use norn_contract::log::LogError;

use crate::format::{ALIGN, FRAME_HEADER, MAX_PARTITIONS, MAX_VALUE, SegmentHeader};

/// How values are kept on disk. Whoever appends does the work; all forms are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// zstd level 1, where that makes a value smaller.
    Zstd,
    /// Records of version 2 as columns, where that makes them smaller.
    #[default]
    Columns,
}

/// How long trimmed segments are kept as history. What may not be trimmed stays in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments whose newest record is younger stay, by the time of the newest record of all.
    /// Zero: age does not matter.
    pub period: Duration,
    /// Oldest segments go while the log is larger than this many bytes. 0: size does not matter.
    pub bytes: u64,
}

/// Told once when the log can not go on.
pub type OnFatal = Arc<dyn Fn(&LogError) + Send + Sync>;

/// How a log is opened.
#[derive(Clone)]
pub struct Options {
    /// The log's directory; made if need be.
    pub dir: PathBuf,
    /// Partitions that take records, 1 to 4096.
    pub partitions: u32,
    /// Size of a segment in bytes, 64 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// Largest value in bytes; up to 256 MiB, and it must fit into a segment.
    pub max_record_bytes: usize,
    /// Values that may wait to become durable, in bytes.
    pub max_queued_bytes: usize,
    /// Values that are kept in memory for readers that follow closely, in bytes.
    pub memory_bytes: usize,
    /// Files kept ready to become segments, zero-filled in the background. Without a spare a file
    /// grows as it is written, which doubles the time of a sync.
    pub spare_segments: usize,
    /// Trimmed segments that are kept besides, to be used again without being filled.
    pub recycled_segments: usize,
    /// How long trimmed segments are kept as history: not at all by default, when both are zero.
    pub retention: Retention,
    /// How values are kept on disk.
    pub compression: Compression,
    /// Salt of the first segment of a new log; random by default.
    pub salt: u32,
    /// Called once, from the log's own thread, when a write or sync failed. The kernel may have
    /// dropped what it could not write, so the process should end and open the log again.
    pub on_fatal: Option<OnFatal>,
}

impl Options {
    /// One partition in `dir`, and the defaults.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            partitions: 1,
            segment_bytes: 128 << 20,
            max_record_bytes: 16_000_000,
            max_queued_bytes: 64 << 20,
            memory_bytes: 64 << 20,
            spare_segments: 1,
            recycled_segments: 4,
            retention: Retention::default(),
            compression: Compression::default(),
            salt: RandomState::new().hash_one(0) as u32,
            on_fatal: None,
        }
    }

    /// Largest value that fits into segments of `segment_bytes`, and into a log at all.
    pub fn largest_record(segment_bytes: u64) -> usize {
        let header = SegmentHeader::len_for(MAX_PARTITIONS as usize);
        let frame = FRAME_HEADER + usize::from(u8::MAX) + ALIGN;
        (segment_bytes as usize).saturating_sub(header + frame).min(MAX_VALUE)
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let refuse = |text: String| Err(LogError::Unavailable(text));
        if self.partitions == 0 || self.partitions > MAX_PARTITIONS {
            return refuse(format!("{} partitions: 1 to {MAX_PARTITIONS} are possible", self.partitions));
        }
        if !(64 << 10..=2 << 30).contains(&self.segment_bytes) {
            return refuse(format!("segments of {} bytes: 64 KiB to 2 GiB are possible", self.segment_bytes));
        }
        let room = Self::largest_record(self.segment_bytes);
        if self.max_record_bytes > room {
            return refuse(format!(
                "records of {} bytes: {room} fit into segments of {} bytes",
                self.max_record_bytes, self.segment_bytes
            ));
        }
        Ok(())
    }
}
