//! The index of a block: series, their labels and chunks, and who has which label.
//!
//! | module | subject |
//! |---|---|
//! | `writer` | takes series in order, keeps them in a spool |
//! | `intern` | texts and label pairs by number |
//! | `spool` | series waiting for the symbol table |
//! | `assemble` | spool → index file |
//! | `toc` | where the sections are |
//! | `symbols`, `table` | the two tables a reader keeps in memory |
//! | `reader` | opening, lists |
//! | `select` | matchers → series |
//! | `series` | one series entry |

mod assemble;
mod intern;
mod reader;
mod select;
mod series;
mod spool;
mod symbols;
mod table;
#[cfg(test)]
mod tests;
mod toc;
mod writer;

use norn_model::Millis;

use crate::chunks::ChunkRef;

pub use reader::Reader;
pub use series::{Chunks, Series, SeriesCursor};
pub use writer::{Writer, Written};

/// The file's name.
pub const FILE_NAME: &str = "index";

const MAGIC: [u8; 4] = 0xbaaa_d700_u32.to_be_bytes();
const HEADER_LEN: u64 = 5;
const CRC_LEN: u64 = 4;
/// Series entries begin at multiples of this from version 2 on.
const SERIES_ALIGNMENT: u64 = 16;
const LIST_ALIGNMENT: u64 = 4;

/// Id of a series in its index; ids ascend in label order.
pub type SeriesRef = u32;

/// A chunk of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Timestamp of its first sample.
    pub mint: Millis,
    /// Timestamp of its last sample.
    pub maxt: Millis,
    /// Where its bytes are.
    pub at: ChunkRef,
}
