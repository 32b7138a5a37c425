//! Histogram chunks, encodings 2 (integer counts) and 3 (float counts), and the same with start
//! timestamps, 5 and 6.
//!
//! - [`OpenChunk`] appends: [`OpenChunk::begin`] a chunk, [`OpenChunk::append`] until it answers
//!   [`AppendError::NewChunk`], [`OpenChunk::finish`] at any time. [`OpenChunk::begin_with_start`]
//!   begins one that holds start timestamps.
//! - [`Iter`] reads, as exact histograms or as float ones; [`decode`] and [`decode_float`] append
//!   whole chunks to columns, [`decode_with_starts`] and [`decode_float_with_starts`] also their
//!   starts.
//!
//! The encodings are one algorithm over streams of numbers; [`Kind`] says which streams.
//!
//! | module | subject |
//! |---|---|
//! | `kind` | the number streams of the two encodings |
//! | `layout` | schema, spans and bounds: encoding, covering, moving values between layouts |
//! | `sample` | the state of a chunk after a sample, for writing and reading |
//! | `open` | which histogram fits into which chunk |
//! | `read` | iterators and hints |

use norn_model::histogram::ResetHint;

mod kind;
mod layout;
mod open;
mod read;
mod sample;

pub use kind::{Floats, Integers, Kind};
pub use open::{AppendError, OpenChunk};
pub use read::{Iter, decode, decode_float, decode_float_with_starts, decode_with_starts};

/// Most buckets of one sign that a chunk may have.
pub const MAX_BUCKETS: usize = 1 << 16;

/// Most samples that a chunk with start timestamps can hold.
pub const MAX_STARTED_SAMPLES: u16 = 0x3fff;

/// Bytes before the bit stream: sample count and flags, or both in 16 bits and what is known of starts.
const HEADER_LEN: usize = 3;

/// What the flag byte says of a counter reset.
fn from_flags(flags: u8) -> ResetHint {
    match flags >> 6 {
        0b00 => ResetHint::Unknown,
        0b01 => ResetHint::NotReset,
        0b10 => ResetHint::Reset,
        _ => ResetHint::Gauge,
    }
}

fn to_flags(header: ResetHint) -> u8 {
    match header {
        ResetHint::Unknown => 0,
        ResetHint::NotReset => 0b01 << 6,
        ResetHint::Reset => 0b10 << 6,
        ResetHint::Gauge => 0b11 << 6,
    }
}
