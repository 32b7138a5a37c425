//! What the log, its readers and its threads have in common.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use norn_contract::log::{Offset, Partition};
use parking_lot::Mutex;

use crate::queue::Queue;
use crate::segments::Segments;
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
    pub counters: Counters,
    pub failed: AtomicBool,
}

impl Shared {
    /// Offsets of a partition that are kept.
    pub fn range(&self, partition: Partition) -> Range<Offset> {
        let next = self.tails.get(partition as usize).map_or(0, Tail::next);
        self.segments.first(partition).min(next)..next
    }
}
