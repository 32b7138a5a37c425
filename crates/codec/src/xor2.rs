//! Float chunks, encoding 4 (XOR2): decoding. Start timestamps are skipped.

use norn_model::Millis;
use norn_model::sample::STALE_NAN_BITS;

use crate::DecodeError;
use crate::bits::Reader;
use crate::varbit;
use crate::varint::unzigzag;
use crate::window::Window;
use crate::xor::{sample_count, take_uvarint};

const HEADER_LEN: usize = 3;
const FIRST_HAS_START: u8 = 0x80;

/// Appends the samples with `mint <= t <= maxt` to the columns `timestamps` and `values`.
///
/// Stops at the first sample beyond `maxt`. After an error the columns are as they were.
pub fn decode(
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    values: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    let (t_len, v_len) = (timestamps.len(), values.len());
    let mut samples = iter(bytes)?;
    timestamps.reserve(samples.count);
    values.reserve(samples.count);
    loop {
        match samples.advance() {
            Ok(Some((t, _))) if t < mint => {}
            Ok(Some((t, v))) if t <= maxt => {
                timestamps.push(t);
                values.push(v);
            }
            Ok(_) => return Ok(()),
            Err(e) => {
                timestamps.truncate(t_len);
                values.truncate(v_len);
                return Err(e);
            }
        }
    }
}

/// The samples of a chunk in order.
pub fn iter(bytes: &[u8]) -> Result<Iter<'_>, DecodeError> {
    let count = usize::from(sample_count(bytes)?);
    let header = *bytes.get(HEADER_LEN - 1).ok_or(DecodeError::Truncated)?;
    let reader = Reader::new(&bytes[HEADER_LEN..]);
    // The first sample takes at least 72 bits, the second 9, each other 1.
    let least = match count {
        0 => 0,
        1 => 72,
        n => 72 + 9 + (n - 2),
    };
    if reader.remaining() < least {
        return Err(DecodeError::Truncated);
    }
    Ok(Iter {
        reader,
        count,
        index: 0,
        first_has_start: header & FIRST_HAS_START != 0,
        starts_from: usize::from(header & !FIRST_HAS_START),
        t: 0,
        delta: 0,
        value: 0,
        window: Window::default(),
        failed: false,
    })
}

/// Iterator over the samples of a chunk; ends after the first error.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    reader: Reader<'a>,
    count: usize,
    index: usize,
    first_has_start: bool,
    /// Index of the first sample that carries a start timestamp; 0 = none.
    starts_from: usize,
    t: Millis,
    delta: u64,
    /// Bits of the last value that was not the stale marker.
    value: u64,
    window: Window,
    failed: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<(Millis, f64), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let sample = self.advance().transpose()?;
        self.failed = sample.is_err();
        Some(sample)
    }
}

impl Iter<'_> {
    fn advance(&mut self) -> Result<Option<(Millis, f64)>, DecodeError> {
        if self.index == self.count {
            return Ok(None);
        }
        let bits = match self.index {
            0 => self.first()?,
            1 => self.second()?,
            _ => self.later()?,
        };
        if self.starts_from > 0 && self.index >= self.starts_from {
            varbit::take_int(&mut self.reader);
        }
        if self.reader.is_overrun() {
            return Err(DecodeError::Truncated);
        }
        self.index += 1;
        Ok(Some((self.t, f64::from_bits(bits))))
    }

    fn first(&mut self) -> Result<u64, DecodeError> {
        self.t = unzigzag(take_uvarint(&mut self.reader)?);
        let bits = self.reader.take(64);
        if self.first_has_start {
            take_uvarint(&mut self.reader)?;
        }
        if bits != STALE_NAN_BITS {
            self.value = bits;
        }
        Ok(bits)
    }

    fn second(&mut self) -> Result<u64, DecodeError> {
        self.delta = take_uvarint(&mut self.reader)?;
        self.t = self.t.wrapping_add(self.delta as i64);
        self.delta_value()
    }

    fn later(&mut self) -> Result<u64, DecodeError> {
        self.reader.refill();
        let ones = self.reader.peek().leading_ones().min(5);
        self.reader.skip((ones + 1).min(5));
        let dod = match ones {
            2 => sign_extend(self.reader.take(13), 13),
            3 => sign_extend(self.reader.take(20), 20),
            4 => self.reader.take(64) as i64,
            _ => 0,
        };
        self.delta = self.delta.wrapping_add(dod as u64);
        self.t = self.t.wrapping_add(self.delta as i64);
        match ones {
            0 => Ok(self.value),
            1 => self.changed_value(),
            5 => Ok(STALE_NAN_BITS),
            _ => self.delta_value(),
        }
    }

    /// A value after its own control bits: unchanged, changed or stale.
    fn delta_value(&mut self) -> Result<u64, DecodeError> {
        self.reader.refill();
        if self.reader.bits(1) == 0 {
            return Ok(self.value);
        }
        if self.reader.peek().leading_ones() >= 2 {
            self.reader.skip(2);
            return Ok(STALE_NAN_BITS);
        }
        // `0` or `10`: the control of a changed value is `0` or `1`, so the window is told here.
        if self.reader.peek() >> 63 == 1 {
            self.reader.skip(2);
            self.value ^= self.window.take_new(&mut self.reader)?;
        } else {
            self.reader.skip(1);
            self.value ^= self.window.take_reused(&mut self.reader)?;
        }
        Ok(self.value)
    }

    /// A value that is known to have changed.
    fn changed_value(&mut self) -> Result<u64, DecodeError> {
        self.reader.refill();
        self.value ^= self.window.take_changed(&mut self.reader)?;
        Ok(self.value)
    }
}

fn sign_extend(u: u64, n: u32) -> i64 {
    ((u << (64 - n)) as i64) >> (64 - n)
}
