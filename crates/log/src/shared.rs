//! What the log, its readers and its threads have in common.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use norn_contract::log::{Offset, Partition};
use parking_lot::Mutex;

use crate::options::Retention;
use crate::queue::Queue;
use crate::segments::{Segments, seconds};
use crate::spares::Spares;
use crate::stats::Counters;
use crate::tail::Tail;

/// What the log, its readers and its threads have in common.
pub struct Shared {
    pub dir: PathBuf,
    pub segment_bytes: u64,
    pub memory_bytes: usize,
    pub queue: Queue,
    /// One per known partition.
    pub tails: Vec<Tail>,
    pub segments: Segments,
    pub spares: Spares,
    /// Per partition the offset below which records may go.
    pub keep: Mutex<Vec<Offset>>,
    /// What is kept of them all the same.
    pub retention: Retention,
    /// Newest time of a record since the log was opened; 0 = none yet.
    pub newest: AtomicI64,
    pub counters: Counters,
    pub failed: AtomicBool,
}

impl Shared {
    /// Offsets of a partition that are kept.
    pub fn range(&self, partition: Partition) -> Range<Offset> {
        let next = self.tails.get(partition as usize).map_or(0, Tail::next);
        self.segments.first(partition).min(next)..next
    }

    /// Lets segments go that may, and that are not kept as history.
    pub fn let_go(&self) {
        let keep = self.keep.lock();
        let newest = seconds(self.newest.load(Ordering::Relaxed));
        for segment in self.segments.trim(&keep, &self.retention, newest) {
            self.spares.retire(segment);
        }
    }
}
