//! Float chunks, encoding 4 (XOR2), which may hold start timestamps.
//!
//! - [`OpenChunk`] appends.
//! - [`decode`] and [`decode_with_starts`] append the samples of a chunk to columns.
//! - [`iter`] gives them one by one.

use norn_model::Millis;
use norn_model::sample::STALE_NAN_BITS;

use crate::DecodeError;
use crate::bits::{Reader, Writer};
use crate::starts::{StartReader, StartWriter};
use crate::varint::{unzigzag, zigzag};
use crate::window::Window;
use crate::xor::{Full, sample_count, take_uvarint};

const HEADER_LEN: usize = 3;

/// A chunk that grows.
#[derive(Clone, Debug, Default)]
pub struct OpenChunk {
    writer: Writer,
    count: u16,
    t: Millis,
    delta: u64,
    /// Bits of the last value that was not the stale marker.
    value: u64,
    window: Window,
    starts: StartWriter,
}

impl OpenChunk {
    /// An empty chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples in the chunk.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Timestamp of the last sample; 0 when there is none.
    pub fn last_timestamp(&self) -> Millis {
        self.t
    }

    /// Bytes the chunk has when finished.
    pub fn size_bytes(&self) -> usize {
        HEADER_LEN + self.writer.len()
    }

    /// Appends a sample of a series that began at `start`, 0 = not known.
    ///
    /// Timestamps should rise; nothing here depends on it.
    pub fn append(&mut self, t: Millis, value: f64, start: Millis) -> Result<(), Full> {
        if self.count == u16::MAX {
            return Err(Full);
        }
        let bits = value.to_bits();
        let delta = t.wrapping_sub(self.t) as u64;
        match self.count {
            0 => {
                self.writer.put_uvarint(zigzag(t));
                self.writer.put(bits, 64);
            }
            1 => {
                self.writer.put_uvarint(delta);
                self.put_value(bits);
            }
            _ => self.put_later(delta.wrapping_sub(self.delta) as i64, bits),
        }
        // The first sample has no delta.
        self.delta = if self.count == 0 { 0 } else { delta };
        self.starts.put(&mut self.writer, self.count, self.t, t, start);
        self.t = t;
        if bits != STALE_NAN_BITS {
            self.value = bits;
        }
        self.count += 1;
        Ok(())
    }

    /// Appends the chunk's bytes to `out`. The chunk can go on growing.
    pub fn finish(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_be_bytes());
        out.push(self.starts.header());
        self.writer.copy_to(out);
    }

    /// Writes time and value of a sample after the second.
    fn put_later(&mut self, dod: i64, bits: u64) {
        if dod == 0 {
            if bits == STALE_NAN_BITS {
                self.writer.put(0b11111, 5);
            } else if bits == self.value {
                self.writer.put(0, 1);
            } else {
                self.writer.put(0b10, 2);
                self.window.put_changed(&mut self.writer, (0b1, 1), bits ^ self.value);
            }
            return;
        }
        if (-1 << 12..1 << 12).contains(&dod) {
            self.writer.put(0b110 << 13 | (dod as u64 & 0x1fff), 16);
        } else if (-1 << 19..1 << 19).contains(&dod) {
            self.writer.put(0b1110 << 20 | (dod as u64 & 0xf_ffff), 24);
        } else {
            self.writer.put(0b11110, 5);
            self.writer.put(dod as u64, 64);
        }
        self.put_value(bits);
    }

    /// Writes a value with its own control bits: unchanged, changed or stale.
    fn put_value(&mut self, bits: u64) {
        if bits == STALE_NAN_BITS {
            self.writer.put(0b111, 3);
        } else if bits == self.value {
            self.writer.put(0, 1);
        } else {
            self.writer.put(1, 1);
            self.window.put_changed(&mut self.writer, (0b10, 2), bits ^ self.value);
        }
    }
}

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
    fill(bytes, (mint, maxt), timestamps, values, |_| {})
}

/// As [`decode`], with the start of each sample in the column `starts`; 0 where it is not known.
pub fn decode_with_starts(
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    values: &mut Vec<f64>,
    starts: &mut Vec<Millis>,
) -> Result<(), DecodeError> {
    let len = starts.len();
    let result = fill(bytes, (mint, maxt), timestamps, values, |start| starts.push(start));
    if result.is_err() {
        starts.truncate(len);
    }
    result
}

#[inline(always)]
fn fill(
    bytes: &[u8],
    (mint, maxt): (Millis, Millis),
    timestamps: &mut Vec<Millis>,
    values: &mut Vec<f64>,
    mut push_start: impl FnMut(Millis),
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
                push_start(samples.start());
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
        starts: StartReader::new(header),
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
    starts: StartReader,
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
    /// The start of the sample that was given last; 0 where it is not known.
    pub fn start(&self) -> Millis {
        self.starts.start()
    }

    fn advance(&mut self) -> Result<Option<(Millis, f64)>, DecodeError> {
        if self.index == self.count {
            return Ok(None);
        }
        let previous = self.t;
        let bits = match self.index {
            0 => self.first()?,
            1 => self.second()?,
            _ => self.later()?,
        };
        self.starts.take(&mut self.reader, self.index, previous, self.t)?;
        if self.reader.is_overrun() {
            return Err(DecodeError::Truncated);
        }
        self.index += 1;
        Ok(Some((self.t, f64::from_bits(bits))))
    }

    fn first(&mut self) -> Result<u64, DecodeError> {
        self.t = unzigzag(take_uvarint(&mut self.reader)?);
        let bits = self.reader.take(64);
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

#[cfg(test)]
mod tests {
    use norn_model::sample::stale_nan;
    use proptest::prelude::*;

    use super::*;

    type Samples = Vec<(Millis, u64, Millis)>;

    fn encode(samples: &[(Millis, u64, Millis)]) -> Vec<u8> {
        let (mut open, mut out) = (OpenChunk::new(), Vec::new());
        for &(t, bits, start) in samples {
            open.append(t, f64::from_bits(bits), start).expect("not full");
        }
        open.finish(&mut out);
        out
    }

    fn columns(bytes: &[u8], mint: Millis, maxt: Millis) -> Result<Samples, DecodeError> {
        let (mut t, mut v, mut s) = (vec![7], vec![7.0f64], vec![7]);
        let result = decode_with_starts(bytes, mint, maxt, &mut t, &mut v, &mut s);
        assert_eq!((t.len(), t.len()), (v.len(), s.len()));
        assert!(result.is_ok() || t.len() == 1, "an error leaves the columns alone");
        result.map(|()| t.into_iter().zip(v).zip(s).map(|((t, v), s)| (t, v.to_bits(), s)).skip(1).collect())
    }

    /// Starts that stay, follow the samples, come and go, or are anything.
    fn samples() -> impl Strategy<Value = Samples> {
        let delta = prop_oneof![8 => Just(15_000i64), 4 => 14_990..15_010i64, 1 => any::<i64>()];
        let value = prop_oneof![
            6 => Just(None),
            4 => (-3i32..4).prop_map(|d| Some(f64::from(d).to_bits())),
            1 => any::<u64>().prop_map(Some),
            1 => Just(Some(stale_nan().to_bits())),
        ];
        let start = prop_oneof![20 => Just(None), 1 => Just(Some(0)), 1 => (-9i64..0).prop_map(Some), 1 => any::<i64>().prop_map(Some)];
        (any::<i64>(), prop::collection::vec((delta, value, start), 0..300)).prop_map(|(first, steps)| {
            let (mut t, mut bits, mut start) = (first, 0, 0);
            let sample = |(delta, new, began): (i64, Option<u64>, Option<i64>)| {
                let before = t;
                (t, bits) = (t.wrapping_add(delta), new.unwrap_or(bits));
                start = match began {
                    Some(offset @ -9..0) => before.wrapping_add(offset),
                    Some(began) => began,
                    None => start,
                };
                (t, bits, start)
            };
            steps.into_iter().map(sample).collect()
        })
    }

    proptest! {
        #[test]
        fn round_trips(samples in samples(), mint in any::<i64>(), maxt in any::<i64>()) {
            let bytes = encode(&samples);
            prop_assert_eq!(columns(&bytes, Millis::MIN, Millis::MAX), Ok(samples.clone()));
            let end = samples.iter().position(|s| s.0 > maxt).unwrap_or(samples.len());
            let some: Samples = samples[..end].iter().filter(|s| s.0 >= mint).copied().collect();
            prop_assert_eq!(columns(&bytes, mint, maxt), Ok(some));
        }

        #[test]
        fn hostile_bytes_fail_or_end(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = columns(&bytes, Millis::MIN, Millis::MAX);
            if let Some(count) = bytes.first_mut() {
                *count = 0;
            }
            let few = columns(&bytes, Millis::MIN, Millis::MAX);
            for samples in [read, few].into_iter().flatten() {
                prop_assert_eq!(columns(&encode(&samples), Millis::MIN, Millis::MAX), Ok(samples));
            }
        }
    }

    #[test]
    fn a_full_chunk_says_so() {
        let mut open = OpenChunk::new();
        for i in 0..i64::from(u16::MAX) {
            open.append(i, 1.0, i / 1000).expect("not full");
        }
        assert_eq!(open.append(1 << 20, 1.0, 0), Err(Full));
        let mut bytes = Vec::new();
        open.finish(&mut bytes);
        assert_eq!(iter(&bytes).expect("chunk").count(), usize::from(u16::MAX));
    }
}
