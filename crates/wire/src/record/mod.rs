//! Records of the ingest log: what the distributor writes and the head folds.
//!
//! [`Builder`] makes version 2 records; [`View`] reads versions 0, 1 and 2 into one flat shape
//! whose labels are symbol references. Both keep their memory from record to record. The format
//! is drawn in `docs/formats/record.md`.

mod builder;
pub mod columns;
mod symbols;
#[cfg(test)]
mod tests;
mod view;

pub use builder::{Builder, SeriesBuilder};
pub use symbols::{FIRST_OWN_SYMBOL, FIXED_SYMBOLS};
pub use view::{Exemplar, FamilyMetadata, Series, View};

use crate::protobuf::FormError;

/// The version that is written.
pub const VERSION: u8 = 2;

/// A record that can not be read. It came from a writer that had checked it: this is corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the message it should be.
    #[error("record is malformed: {0}")]
    Malformed(#[from] FormError),
    /// A version that is not known; a newer writer was there.
    #[error("record version {0} is not known")]
    BadVersion(u8),
    /// A symbol reference that is reserved or out of range.
    #[error("symbol reference {0} is reserved or out of range")]
    BadReference(u32),
    /// A label name without a value.
    #[error("odd number of label references")]
    OddReferences,
    /// A name, value, help or unit that is not UTF-8.
    #[error("a text of the record is not UTF-8")]
    NotUtf8,
}
