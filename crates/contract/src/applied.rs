//! What a consumed record's content was refused for.

use std::sync::Arc;

use futures::future::BoxFuture;
use norn_model::rejection::Refused;

use crate::log::{Offset, Partition};

/// Why it can not be told what became of a durable record. Never a reason to call it stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppliedError {
    /// The partition stopped before it came to the record.
    #[error("the write is in the log, but its partition stopped before it became visible")]
    Stopped,
    /// Too many other records were refused since: the answer is gone.
    #[error("the write is in the log, but it is not known any more whether all of it was taken")]
    Forgotten,
    /// The record can not be decoded: a fault of ours.
    #[error("the write is in the log, but its record can not be decoded")]
    Undecodable,
}

/// What a record's content was refused for; `None` = all of it was taken.
pub type Outcome = Result<Option<Arc<Refused>>, AppliedError>;

/// Tells the writer when a record is visible to queries and what the head refused of it.
///
/// Only where writer and consumer share a process; with Kafka the client hears the log's
/// acknowledgement alone. Refuses to keep outcomes for ever: ask within a minute.
pub trait AppliedRecords: Send + Sync {
    /// Resolves when the record at `offset` has been applied, or will never be.
    fn applied(&self, partition: Partition, offset: Offset) -> BoxFuture<'static, Outcome>;
}
