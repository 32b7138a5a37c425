//! The door of the write road.

use bytes::Bytes;
use futures::future::BoxFuture;
use norn_model::rejection::{Refused, Rejection};
use norn_model::tenant::Tenant;

/// Which message a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`.
    RemoteWrite1,
    /// `io.prometheus.write.v2.Request`.
    RemoteWrite2,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Snappy block format.
    Snappy,
    /// Zstandard; an extension, no specification of remote write names it.
    Zstd,
    /// As it is; used inside the process.
    None,
}

/// One remote-write request as it came off the wire.
#[derive(Clone, Debug)]
pub struct Push {
    /// Message type.
    pub protocol: Protocol,
    /// Compression of `body`.
    pub compression: Compression,
    /// The body.
    pub body: Bytes,
}

/// What was stored of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples stored.
    pub samples: u32,
    /// Histograms stored.
    pub histograms: u32,
    /// Exemplars stored.
    pub exemplars: u32,
    /// What was refused while the rest was stored. Not empty: answer 400 with the first text.
    pub refused: Refused,
}

/// Why nothing, or not everything that could be, was stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The body can not be read as what it claims to be: 400.
    #[error("{0}")]
    Malformed(String),
    /// Bigger than allowed: 400 with Mimir's id.
    #[error("{0}")]
    TooLarge(Rejection),
    /// A rate limit of the tenant: 429.
    #[error("{0}")]
    RateLimited(Rejection),
    /// This server can not take it now: 503 with `Retry-After`.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours: 500.
    #[error("{0}")]
    Internal(String),
}

/// Takes remote-write requests. The future resolves when what was stored is durable and visible
/// to queries. It refuses to retry: the sender does that.
pub trait Appender: Send + Sync {
    /// Stores what is valid of `push` for `tenant`.
    fn push(&self, tenant: Tenant, push: Push) -> BoxFuture<'_, Result<Written, AppendError>>;
}
