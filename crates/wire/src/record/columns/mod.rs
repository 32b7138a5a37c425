//! The columns of a version 2 record: equal things side by side, so that they compress well.
//!
//! A record says the same in every series: label names, the time, the high bytes of values.
//! [`Splitter`] takes it apart into streams, and [`join`] puts the same bytes together again. What
//! is not written as the record's builder writes it is kept as it is, so any bytes come back.
//! Nothing outlives a record. The streams are drawn in `docs/formats/log.md`.

mod join;
mod model;
mod split;
#[cfg(test)]
mod tests;

pub use join::join;
pub use split::Splitter;

/// Numbers at the start of the columns.
const HEADER_NUMBERS: usize = 8;

/// Columns that no splitter made, or of another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("columns do not make a record")]
pub struct ColumnsError;
