//! The head as a file, so that a start need not fold the whole log: `docs/formats/snapshot.md`.
//!
//! The writer copies rows of some pages at a time, between records ([`capture`]); somebody else
//! turns them into bytes ([`Encoder`]) and a start turns those into a head again ([`load`]). Pages
//! are copied in their order, so rows copied later have seen more records, and rows that have seen
//! a record already are those from one series on. That is all a replay has to know.
//!
//! A snapshot is a cache of the log: whoever finds it damaged leaves it and folds the log.

pub(crate) mod capture;
mod encode;
mod fields;
mod load;

use norn_codec::DecodeError;

pub use self::capture::Piece;
pub use self::encode::Encoder;
pub(crate) use self::encode::{Base, TenantImage};
pub use self::load::load;

/// First bytes of the file, and its last.
const MAGIC: &[u8; 8] = b"NORNSNAP";
const END_MAGIC: &[u8; 8] = b"NORNSNPE";
const VERSION: u32 = 1;
/// Magic, version, four bytes of zero.
const HEADER: usize = 16;
/// Where the last frame begins, and the magic.
const TRAILER: usize = 16;
/// Kind, length, checksum.
const FRAME_HEADER: usize = 12;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Base = 1,
    Series = 2,
    Beside = 3,
    Windows = 4,
}

/// A snapshot that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It can not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is damaged, or of another version.
    #[error("snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// It was made by a head with other options.
    #[error("snapshot was made with another {0}")]
    Other(&'static str),
    /// It holds more than a head has room for.
    #[error("snapshot does not fit into a head")]
    Full,
}

impl From<DecodeError> for SnapshotError {
    fn from(e: DecodeError) -> Self {
        Self::Damaged(match e {
            DecodeError::Truncated => "a part ends early",
            DecodeError::Invalid(text) => text,
        })
    }
}
