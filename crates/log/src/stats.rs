//! Figures of a log, for whoever exports them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use norn_contract::log::Offset;

/// Upper bounds of the sync latency buckets in seconds; one more bucket takes the rest.
pub const SYNC_BOUNDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// A snapshot. Counts are since the log was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Records that became durable.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Bytes written for them, headers included.
    pub written_bytes: u64,
    /// Write and sync rounds.
    pub syncs: u64,
    /// Seconds spent in them.
    pub sync_seconds: f64,
    /// Rounds by duration, not cumulative; bounds are [`SYNC_BOUNDS`].
    pub sync_buckets: [u64; SYNC_BOUNDS.len() + 1],
    /// Records that wait to become durable.
    pub queued_records: usize,
    /// Bytes of their values.
    pub queued_bytes: usize,
    /// How many may wait.
    pub max_queued_bytes: usize,
    /// Segments that are kept.
    pub segments: usize,
    /// Bytes in use in them.
    pub segment_bytes: u64,
    /// Per partition the offsets that are kept.
    pub partitions: Vec<Range<Offset>>,
    /// Whether a write or sync failed and the log takes nothing any more.
    pub failed: bool,
}

/// What the writer counts.
#[derive(Default)]
pub struct Counters {
    /// Records that became durable.
    pub records: AtomicU64,
    /// Bytes of their values.
    pub value_bytes: AtomicU64,
    /// Bytes written for them.
    pub written_bytes: AtomicU64,
    sync_nanos: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BOUNDS.len() + 1],
}

impl Counters {
    /// Counts a round.
    pub fn synced(&self, took: Duration, written: u64) {
        let bucket = SYNC_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.sync_buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        self.written_bytes.fetch_add(written, Ordering::Relaxed);
    }

    /// Seconds spent in rounds.
    pub fn sync_seconds(&self) -> f64 {
        Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Rounds by duration.
    pub fn sync_buckets(&self) -> [u64; SYNC_BOUNDS.len() + 1] {
        self.sync_buckets.each_ref().map(|b| b.load(Ordering::Relaxed))
    }
}
