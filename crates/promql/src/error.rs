//! Why a query has no result.

use norn_contract::source::SourceError;

/// A failed query. The variants are Prometheus' error types.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not PromQL: `bad_data`.
    #[error("{0}")]
    Parse(norn_promql_syntax::ParseError),
    /// A parameter makes no sense for the expression: `bad_data`.
    #[error("{0}")]
    BadData(String),
    /// Evaluation failed or a limit was met: `execution`.
    #[error("{0}")]
    Execution(String),
    /// The client went away: `canceled`.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// It took too long: `timeout`.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Series could not be read: `internal`, or `execution` for limits of the source.
    #[error("expanding series: {0}")]
    Storage(SourceError),
    /// It would hold more memory than it may: `execution`.
    #[error(
        "the query needs more memory than a single query may hold (limit: {limit} bytes) \
         (err-mimir-max-estimated-memory-consumption-per-query). Narrow the time range or the selectors of the \
         query. To adjust the related per-tenant limit, configure \
         -querier.max-estimated-memory-consumption-per-query, or contact your service administrator."
    )]
    TooMuchMemory {
        /// Bytes.
        limit: u64,
    },
    /// A fault of ours: `internal`.
    #[error("unexpected error: {0}")]
    Internal(String),
}

impl QueryError {
    /// An evaluation error.
    pub fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }

    /// Prometheus' `errorType`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::BadData(_) => "bad_data",
            Self::Execution(_) | Self::TooMuchMemory { .. } => "execution",
            Self::Storage(SourceError::TooManySeries { .. } | SourceError::Limit(_)) => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Storage(_) | Self::Internal(_) => "internal",
        }
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> Self {
        Self::Storage(error)
    }
}

/// Two series that end up with equal labels at one time.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// The sample limit was met.
pub(crate) fn too_many_samples() -> QueryError {
    QueryError::execution("query processing would load too many samples into memory in query execution")
}
