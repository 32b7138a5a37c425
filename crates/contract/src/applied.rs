//! What a consumed record's content was refused for.

use std::sync::Arc;

use futures::future::BoxFuture;
use norn_model::rejection::Refused;

use crate::log::{Offset, Partition};

/// Tells the writer when a record is visible to queries and what the head refused of it.
///
/// Only where writer and consumer share a process; with Kafka the client hears the log's
/// acknowledgement alone. Refuses to keep outcomes for ever: ask within a minute.
pub trait AppliedRecords: Send + Sync {
    /// Resolves when the record at `offset` has been applied; `None` when all of it was taken.
    fn applied(&self, partition: Partition, offset: Offset) -> BoxFuture<'static, Option<Arc<Refused>>>;
}
