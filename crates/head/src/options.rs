//! How a head is set up.

use norn_contract::log::Partition;
use norn_model::Millis;

use crate::cells;

/// How a head is set up. The same for every start of a partition, or replays differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The partition; for messages.
    pub partition: Partition,
    /// Samples a float chunk is cut at, 1–480. The first chunk of each series is shorter, by a
    /// hash of its labels, so that not all series seal with the same scrape.
    pub samples_per_chunk: u16,
    /// Chunks do not cross multiples of this many milliseconds, at least 1.
    pub chunk_range: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self { partition: 0, samples_per_chunk: 120, chunk_range: 2 * 60 * 60 * 1000 }
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
