//! The ingest log: the write-ahead log of the whole system.
//!
//! A log has partitions; a partition is a sequence of records with dense offsets from 0. A
//! record is acknowledged when it is durable. State (the heads) is a fold over records, so a
//! log gives back exactly the bytes it was given, in order, until they are trimmed.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use norn_model::Millis;
use norn_model::tenant::Tenant;

/// Position of a record in its partition; dense, from 0.
pub type Offset = u64;
/// Number of a partition.
pub type Partition = u32;

/// What a record's value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A `cortexpb.WriteRequest` of this record version (0, 1 or 2; see
    /// `docs/formats/record.md`). In Kafka the header `Version`.
    Write(u8),
    /// Settings that decide how later records of the tenant are folded
    /// (`docs/formats/settings.md`). Only logs that belong to Norn alone carry them.
    Settings,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is. In Kafka the key.
    pub tenant: Tenant,
    /// What `value` holds.
    pub kind: RecordKind,
    /// When it was handed in, by the writer's clock.
    pub timestamp: Millis,
    /// The content.
    pub value: Bytes,
}

/// A log that can not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Full, slow or shutting down: the client should come again.
    #[error("ingest log is unavailable: {0}")]
    Unavailable(String),
    /// One record above the log's limit.
    #[error("record of {size} bytes exceeds the log's limit of {limit} bytes")]
    TooLarge {
        /// Size of the record.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The offset was trimmed or was never written.
    #[error("offset {offset} of partition {partition} is outside of {first}..{next}")]
    OutOfRange {
        /// Partition asked for.
        partition: Partition,
        /// Offset asked for.
        offset: Offset,
        /// First offset that is kept.
        first: Offset,
        /// Offset of the next record to be written.
        next: Offset,
    },
    /// The disk or the system failed a read; what was written may still be whole.
    #[error("ingest log can not be read: {0}")]
    Unreadable(String),
    /// Bytes that were durable can not be read back. Names file, position and remedy.
    #[error("ingest log is corrupt: {0}")]
    Corrupt(String),
}

/// A log.
///
/// It refuses to judge or change records, to reorder them, and to acknowledge what a power cut could
/// still take away.
pub trait IngestLog: Send + Sync {
    /// Partitions that take new records: `0..writable()`.
    fn writable(&self) -> Partition;

    /// Partitions that hold records, `0..known()`; more than [`IngestLog::writable`] after their
    /// number was lowered.
    fn known(&self) -> Partition;

    /// Appends a record. Resolves to its offset when it is durable. Records of one partition get
    /// offsets in the order of these calls.
    fn append(&self, partition: Partition, record: Record) -> BoxFuture<'static, Result<Offset, LogError>>;

    /// First offset kept and the offset after the last durable record.
    fn range(&self, partition: Partition) -> std::ops::Range<Offset>;

    /// A reader that starts at `from`. Readers see durable records only.
    fn read(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError>;

    /// Lets records below `before` go. They may be kept longer.
    fn trim(&self, partition: Partition, before: Offset) -> Result<(), LogError>;
}

/// Reads one partition in order. Used from a thread of its own: calls block.
pub trait LogReader: Send {
    /// Waits up to `wait` for records and appends what is there to `out` (about 1 MiB at most,
    /// at least one). Appends nothing when the time is over; [`LogError::Unavailable`] after the
    /// log was closed and everything was read.
    fn next(&mut self, out: &mut Vec<(Offset, Record)>, wait: Duration) -> Result<(), LogError>;
}
