//! Bit streams and chunk encodings of the Prometheus TSDB, checksums.
//!
//! Formats are drawn in `docs/formats/chunks.md`. Every decoder here takes hostile bytes: it
//! answers with a [`DecodeError`], bounded work and bounded memory.
//!
//! | module | subject |
//! |---|---|
//! | [`bits`] | bit writer and reader, most significant bit first |
//! | [`varint`] | LEB128 and zigzag integers on bytes |
//! | [`varbit`] | prefix-coded integers inside bit streams |
//! | [`xor`] | float chunks, encoding 1: append, resume, decode |
//! | [`xor2`] | float chunks, encoding 4: append, decode |
//! | [`histogram`] | histogram chunks, encodings 2, 3, 5 and 6: append, resume, decode |
//! | [`columns`] | columns of integers, packed |
//! | [`crc`] | CRC32C |

// For code that is derived in `columns`.
extern crate alloc;

pub mod bits;
pub mod columns;
pub mod crc;
pub mod histogram;
mod starts;
pub mod varbit;
pub mod varint;
mod window;
pub mod xor;
pub mod xor2;

use norn_model::chunk::ChunkEncoding;

/// Number of samples a chunk of any encoding says it has.
pub fn sample_count(encoding: ChunkEncoding, bytes: &[u8]) -> Result<u16, DecodeError> {
    let count = xor::sample_count(bytes)?;
    Ok(match encoding {
        ChunkEncoding::HistogramStarts | ChunkEncoding::FloatHistogramStarts => {
            count & histogram::MAX_STARTED_SAMPLES
        }
        _ => count,
    })
}

/// Bytes that are not a valid encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends before its content does.
    #[error("ends early")]
    Truncated,
    /// A field has a value the format does not allow.
    #[error("{0}")]
    Invalid(&'static str),
}
