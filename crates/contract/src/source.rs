//! Series by matchers and time: what PromQL reads.
//!
//! A source knows nothing of PromQL: lookback, `@`, `offset` and steps become plain time ranges
//! before they reach it. A handle is already narrowed to one tenant.
//!
//! Reading has two phases. [`SeriesSource::select`] may do I/O and gives the labels of every
//! series in order; [`SeriesData::read`] gives the chunks of one series, blocks at most for bytes
//! that were already asked for, and is called from the CPU pool.

use std::sync::Arc;

use futures::future::BoxFuture;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::metadata::Metadata;
use norn_model::sample::Exemplar;
use norn_model::tenant::Tenant;

/// What is asked of a source.
#[derive(Clone, Debug)]
pub struct SelectRequest {
    /// All must pass. At least one does not match the empty string.
    pub matchers: Arc<[Matcher]>,
    /// First millisecond wanted.
    pub mint: Millis,
    /// Last millisecond wanted.
    pub maxt: Millis,
    /// What will be read of the series.
    pub need: Need,
    /// Fail with [`SourceError::TooManySeries`] above this number; 0 = no limit.
    pub max_series: usize,
}

/// How deep a selection will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Labels alone; `read` is not called.
    Labels,
    /// Samples too.
    Samples,
}

/// The series that match.
pub struct Selection {
    /// Label sets in label order, each once. A series without samples in the range may be among
    /// them.
    pub labels: Vec<Labels>,
    /// Their samples, by index into `labels`.
    pub data: Arc<dyn SeriesData>,
    /// Times for which the source is complete.
    pub coverage: Coverage,
}

impl Selection {
    /// No series, at no time.
    pub fn empty() -> Self {
        struct Empty;
        impl SeriesData for Empty {
            fn read(&self, _: usize, _: &mut ChunkBuf) -> Result<(), SourceError> {
                Ok(())
            }
        }
        Self { labels: Vec::new(), data: Arc::new(Empty), coverage: Coverage::ALL }
    }
}

/// The time range a source answers for. The querier asks the next source for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// First millisecond that is complete.
    pub mint: Millis,
    /// Last millisecond that is complete.
    pub maxt: Millis,
}

impl Coverage {
    /// Complete for all times.
    pub const ALL: Self = Self { mint: Millis::MIN, maxt: Millis::MAX };
}

/// Chunk bytes of a selection.
pub trait SeriesData: Send + Sync {
    /// Appends to `out` the chunks of series `index` that overlap the requested range, ordered by
    /// first timestamp. Chunks may overlap each other; of equal timestamps the sample of the
    /// earlier chunk in this order counts. Chunks may reach beyond the range.
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError>;
}

/// Chunks of one series, in a buffer that is reused from series to series.
#[derive(Clone, Debug, Default)]
pub struct ChunkBuf {
    /// Bytes of all chunks.
    pub bytes: Vec<u8>,
    /// The chunks, in the order of [`SeriesData::read`].
    pub chunks: Vec<ChunkSlice>,
}

/// Where a chunk lies in [`ChunkBuf::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSlice {
    /// How its bytes are encoded.
    pub encoding: ChunkEncoding,
    /// Timestamp of its first sample.
    pub mint: Millis,
    /// Timestamp of its last sample.
    pub maxt: Millis,
    /// First byte.
    pub start: usize,
    /// Number of bytes.
    pub len: usize,
}

impl ChunkBuf {
    /// Forgets the chunks and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
    }

    /// Appends a chunk.
    pub fn push(&mut self, encoding: ChunkEncoding, mint: Millis, maxt: Millis, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.chunks.push(ChunkSlice { encoding, mint, maxt, start, len: bytes.len() });
    }

    /// Drops chunks that are equal to the one before, as when a source and the one it moves its
    /// samples to both have them.
    pub fn drop_repeated(&mut self) {
        let bytes = &self.bytes;
        let bytes = |c: &ChunkSlice| &bytes[c.start..c.start + c.len];
        self.chunks.dedup_by(|next, kept| {
            (next.mint, next.maxt, next.encoding) == (kept.mint, kept.maxt, kept.encoding)
                && bytes(next) == bytes(kept)
        });
    }

    /// The bytes of `chunk`.
    pub fn slice(&self, chunk: &ChunkSlice) -> &[u8] {
        &self.bytes[chunk.start..chunk.start + chunk.len]
    }
}

/// What is asked for names and values of labels.
#[derive(Clone, Debug)]
pub struct LabelsRequest {
    /// Sets of matchers; a series counts when any set passes. Empty: every series.
    pub matchers: Vec<Arc<[Matcher]>>,
    /// First millisecond.
    pub mint: Millis,
    /// Last millisecond.
    pub maxt: Millis,
    /// At most this many, in order; 0 = all.
    pub limit: usize,
}

/// What is asked for metadata.
#[derive(Clone, Debug, Default)]
pub struct MetadataRequest {
    /// Only this metric.
    pub metric: Option<String>,
    /// At most this many metrics; `None` = all.
    pub limit: Option<usize>,
    /// At most this many entries a metric; `None` = all.
    pub limit_per_metric: Option<usize>,
}

/// What is asked for exemplars.
#[derive(Clone, Debug)]
pub struct ExemplarsRequest {
    /// Sets of matchers; a series counts when any set passes.
    pub matchers: Vec<Arc<[Matcher]>>,
    /// First millisecond.
    pub mint: Millis,
    /// Last millisecond.
    pub maxt: Millis,
}

/// A series and its exemplars, sorted by time, each once.
pub type SeriesExemplars = (Labels, Vec<Exemplar>);

/// A metric's name and what was said of it.
pub type MetricMetadata = (String, Vec<Metadata>);

/// Why a source could not answer in full.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SourceError {
    /// More series than the request allows.
    #[error("the query matches more than {limit} series")]
    TooManySeries {
        /// The limit.
        limit: usize,
    },
    /// A limit of the tenant forbids the answer; the text names it.
    #[error("{0}")]
    Limit(String),
    /// A chunk can not be decoded.
    #[error("chunk is corrupt: {0}")]
    Corrupt(String),
    /// A part could not be reached; answering without it would be a silent gap.
    #[error("{0}")]
    Unavailable(String),
}

/// Series of one tenant.
///
/// It refuses to evaluate, to reorder, to drop series for being empty, and to answer in part
/// without an error.
pub trait SeriesSource: Send + Sync {
    /// Finds series.
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>>;

    /// Names of labels, sorted.
    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>>;

    /// Values of one label, sorted.
    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>>;

    /// Metadata of metrics, sorted by name.
    fn metadata(&self, request: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>>;

    /// Exemplars, by series in label order; series without any are left out.
    fn exemplars(
        &self,
        request: ExemplarsRequest,
    ) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>>;
}

/// Gives handles narrowed to one tenant.
pub trait TenantSources: Send + Sync {
    /// The series of `tenant`; an empty source where nothing was ever written.
    fn tenant(&self, tenant: &Tenant) -> Arc<dyn SeriesSource>;
}
