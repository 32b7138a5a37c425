//! Counts for metrics and for people.

use norn_model::Millis;

use crate::shared::Shared;
use crate::tenant::TenantState;

/// What a tenant has in the head of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantStats {
    /// Series.
    pub series: u64,
    /// Float samples taken since the start; a repeat of a stored sample counts.
    pub samples: u64,
    /// Histograms taken since the start; a repeat counts.
    pub histograms: u64,
    /// First and last timestamp; `None` before the first sample.
    pub range: Option<(Millis, Millis)>,
}

/// Bytes of heap of one partition, by part. Allocator overhead is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Texts of labels, names and pairs.
    pub labels: usize,
    /// Identities of series.
    pub identities: usize,
    /// Hash tables of pairs and series.
    pub tables: usize,
    /// Which series have a label pair.
    pub postings: usize,
    /// Newest samples and what leads to chunks.
    pub rows: usize,
    /// Open float chunks.
    pub open_chunks: usize,
    /// Sealed chunks.
    pub sealed_chunks: usize,
    /// Sealed chunks in files; not in [`MemoryStats::total`].
    pub chunk_files: u64,
}

impl MemoryStats {
    /// All parts together.
    pub fn total(&self) -> usize {
        self.labels
            + self.identities
            + self.tables
            + self.postings
            + self.rows
            + self.open_chunks
            + self.sealed_chunks
    }
}

pub(crate) fn tenant(shared: &Shared, state: &TenantState) -> TenantStats {
    let (samples, histograms) = state.taken();
    let series = u64::from(shared.catalog.read().tenant_series_count(state.number));
    TenantStats { series, samples, histograms, range: state.range() }
}

pub(crate) fn memory(shared: &Shared) -> MemoryStats {
    let catalog = shared.catalog.read().size_bytes();
    let mut stats = MemoryStats {
        labels: catalog.texts,
        identities: catalog.identities,
        tables: catalog.tables,
        postings: catalog.postings,
        ..MemoryStats::default()
    };
    let pages = shared.pages.read().clone();
    for page in pages {
        let (rows, open_chunks) = page.lock().size_bytes();
        stats.rows += rows;
        stats.open_chunks += open_chunks;
    }
    for window in shared.windows.read().iter() {
        let (chunks, heads, file) = window.size_bytes();
        stats.chunk_files += file;
        stats.sealed_chunks += chunks;
        stats.rows += heads;
    }
    stats
}
