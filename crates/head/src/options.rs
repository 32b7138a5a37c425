//! How a head is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use norn_contract::fs::FileSystem;
use norn_contract::log::Partition;
use norn_model::Millis;

use crate::cells;

/// How a head is set up. The same for every start of a partition, or replays differ.
#[derive(Clone, Debug)]
pub struct Options {
    /// The partition; for messages.
    pub partition: Partition,
    /// Samples a float chunk is cut at, 1–480. The first chunk of each series is shorter, by a
    /// hash of its labels, so that not all series seal with the same scrape.
    pub samples_per_chunk: u16,
    /// Chunks do not cross multiples of this many milliseconds, at least 1.
    pub chunk_range: Millis,
    /// Where sealed chunks go; without it they stay in memory. This may change between starts.
    pub storage: Option<Storage>,
}

/// Where files of sealed chunks go. They are a cache of the log: nothing in there is needed after a
/// restart, and what an earlier process left there is removed.
#[derive(Clone)]
pub struct Storage {
    /// The file system.
    pub fs: Arc<dyn FileSystem>,
    /// A directory. Partitions may share it.
    pub dir: PathBuf,
    /// Mebibytes of chunks, beside those that are being filled, that stay in memory; the oldest go
    /// to files first.
    pub keep_slabs: usize,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { partition: 0, samples_per_chunk: 120, chunk_range: 2 * 60 * 60 * 1000, storage: None }
    }
}

impl Options {
    /// With values outside of their bounds brought to the nearest bound.
    pub(crate) fn clamped(mut self) -> Self {
        self.samples_per_chunk = self.samples_per_chunk.clamp(1, cells::MAX_SAMPLES);
        self.chunk_range = self.chunk_range.max(1);
        self
    }
}
