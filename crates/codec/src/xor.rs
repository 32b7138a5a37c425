//! Float chunks, encoding 1 (XOR).
//!
//! - [`XorState`] appends. It is a 40-byte value that its owner keeps wherever it likes, the
//!   finished words go to a [`WordSink`], and [`XorState::finish`] makes chunk bytes of both at any
//!   time without disturbing the state.
//! - [`decode`] appends the samples of a chunk to two columns: the query path.
//! - [`iter`] gives them one by one.

use norn_model::Millis;

use crate::DecodeError;
use crate::bits::{Reader, Tail, WordSink};
use crate::varbit::{fits, narrow, widen};
use crate::varint::{self, zigzag};
use crate::window::Window;

/// Most samples a chunk can hold.
pub const MAX_SAMPLES: usize = u16::MAX as usize;

const COUNT_LEN: usize = 2;
const COUNT_BITS: u32 = 16;

/// The chunk holds [`MAX_SAMPLES`] samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk is full")]
pub struct Full;

/// An open chunk without its finished words.
///
/// The words pushed into the sink, in order, are the chunk's bytes from the first one on; the two
/// bytes of the sample count are zero in them until [`XorState::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XorState {
    t: Millis,
    delta: u64,
    value: u64,
    tail: u64,
    count: u16,
    used: u8,
    window: Window,
}

impl Default for XorState {
    fn default() -> Self {
        Self::new()
    }
}

impl XorState {
    /// An empty chunk.
    pub const fn new() -> Self {
        Self {
            t: 0,
            delta: 0,
            value: 0,
            tail: 0,
            count: 0,
            used: COUNT_BITS as u8,
            window: Window { size: 0, trail: 0 },
        }
    }

    /// An empty chunk that gives `t` and `value` as its last timestamp and value. The first sample
    /// appended does not depend on them.
    pub const fn after(t: Millis, value: f64) -> Self {
        Self { t, value: value.to_bits(), ..Self::new() }
    }

    /// Samples in the chunk.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Timestamp of the last sample; 0 when there is none.
    pub fn last_timestamp(&self) -> Millis {
        self.t
    }

    /// The last value; +0.0 when there is none.
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// Bytes the chunk has beyond its finished words.
    pub fn tail_len(&self) -> usize {
        self.tail().len()
    }

    fn tail(&self) -> Tail {
        Tail { word: self.tail, used: u32::from(self.used) }
    }

    /// Appends a sample and pushes at most two words.
    ///
    /// Timestamps should rise; nothing here depends on it.
    #[inline]
    pub fn append(&mut self, sink: &mut impl WordSink, t: Millis, value: f64) -> Result<(), Full> {
        if self.count as usize == MAX_SAMPLES {
            return Err(Full);
        }
        let mut tail = self.tail();
        let bits = value.to_bits();
        let delta = t.wrapping_sub(self.t) as u64;
        if self.count >= 2 {
            let dod = delta.wrapping_sub(self.delta) as i64;
            let xor = bits ^ self.value;
            if dod == 0 && xor == 0 {
                tail.put(sink, 0, 2);
            } else {
                put_dod(&mut tail, sink, dod);
                self.window.put(&mut tail, sink, xor);
            }
            self.delta = delta;
        } else if self.count == 1 {
            put_uvarint(&mut tail, sink, delta);
            self.window.put(&mut tail, sink, bits ^ self.value);
            self.delta = delta;
        } else {
            put_uvarint(&mut tail, sink, zigzag(t));
            tail.put(sink, bits, 64);
        }
        (self.tail, self.used) = (tail.word, tail.used as u8);
        (self.t, self.value) = (t, bits);
        self.count += 1;
        Ok(())
    }

    /// Completes the chunk whose finished words are `out[start..]`: appends the unfinished one and
    /// writes the sample count. The state can go on appending to the words it had.
    pub fn finish(&self, out: &mut Vec<u8>, start: usize) {
        let tail = self.tail();
        out.extend_from_slice(&tail.word.to_be_bytes()[..tail.len()]);
        out[start..start + COUNT_LEN].copy_from_slice(&self.count.to_be_bytes());
    }

    /// The state as five words, in the layout of `docs/formats/chunks.md`.
    pub fn to_words(self) -> [u64; 5] {
        let small = u64::from(self.used)
            | u64::from(self.window.size) << 8
            | u64::from(self.window.trail) << 16
            | u64::from(self.count) << 32;
        [self.t as u64, self.delta, self.value, self.tail, small]
    }

    /// The state that [`XorState::to_words`] gave. Fails where a field has an impossible value.
    pub fn from_words([t, delta, value, tail, small]: [u64; 5]) -> Result<Self, DecodeError> {
        let state = Self {
            t: t as i64,
            delta,
            value,
            tail,
            count: (small >> 32) as u16,
            used: small as u8,
            window: Window { size: (small >> 8) as u8, trail: (small >> 16) as u8 },
        };
        let Window { size, trail } = state.window;
        let window = size.checked_add(trail).is_some_and(|n| n <= 64);
        let clean = state.used < 64 && (state.tail << state.used) == 0;
        if window && clean && state.to_words()[4] == small {
            Ok(state)
        } else {
            Err(DecodeError::Invalid("state of an open chunk is impossible"))
        }
    }

    /// Opens a finished chunk again: pushes its whole words, with a count of zero, and gives the
    /// state after its last sample.
    pub fn resume(bytes: &[u8], sink: &mut impl WordSink) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes)?;
        while cursor.advance()?.is_some() {}
        let mut state = Self {
            t: cursor.t,
            delta: cursor.delta,
            value: cursor.value,
            count: cursor.count as u16,
            window: cursor.window,
            ..Self::new()
        };
        let end = if cursor.count == 0 {
            COUNT_BITS as usize
        } else {
            cursor.reader.position() + COUNT_BITS as usize
        };
        let mut words = Reader::new(bytes);
        let mut mask = u64::MAX >> COUNT_BITS;
        for _ in 0..end / 64 {
            sink.push_word(words.take(64) & mask);
            mask = u64::MAX;
        }
        let used = (end % 64) as u32;
        state.tail = (words.take(used) << 1 << (63 - used)) & mask;
        state.used = used as u8;
        Ok(state)
    }
}

fn put_dod(tail: &mut Tail, sink: &mut impl WordSink, dod: i64) {
    if dod == 0 {
        tail.put(sink, 0, 1);
    } else if fits(dod, 14) {
        tail.put(sink, 0b10 << 14 | narrow(dod, 14), 16);
    } else if fits(dod, 17) {
        tail.put(sink, 0b110 << 17 | narrow(dod, 17), 20);
    } else if fits(dod, 20) {
        tail.put(sink, 0b1110 << 20 | narrow(dod, 20), 24);
    } else {
        tail.put(sink, 0b1111, 4);
        tail.put(sink, dod as u64, 64);
    }
}

pub(crate) fn put_uvarint(tail: &mut Tail, sink: &mut impl WordSink, mut x: u64) {
    while x >= 0x80 {
        tail.put(sink, x & 0x7f | 0x80, 8);
        x >>= 7;
    }
    tail.put(sink, x, 8);
}

/// The samples of a chunk in order.
pub fn iter(bytes: &[u8]) -> Result<Iter<'_>, DecodeError> {
    Ok(Iter { cursor: Cursor::new(bytes)?, failed: false })
}

/// Iterator over the samples of a chunk; ends after the first error.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<(Millis, f64), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let sample = self.cursor.advance().transpose()?;
        self.failed = sample.is_err();
        Some(sample)
    }
}

/// Number of samples a chunk says it has.
pub fn sample_count(bytes: &[u8]) -> Result<u16, DecodeError> {
    bytes.first_chunk().map(|b| u16::from_be_bytes(*b)).ok_or(DecodeError::Truncated)
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
    let mut cursor = Cursor::new(bytes)?;
    let (t_len, v_len) = (timestamps.len(), values.len());
    timestamps.resize(t_len + cursor.count, 0);
    values.resize(v_len + cursor.count, 0.0);
    let filled = fill(&mut cursor, mint, maxt, &mut timestamps[t_len..], &mut values[v_len..]);
    let n = *filled.as_ref().unwrap_or(&0);
    timestamps.truncate(t_len + n);
    values.truncate(v_len + n);
    filled.map(drop)
}

/// Writes samples to slices that hold the whole chunk; says how many were in the range.
fn fill(
    cursor: &mut Cursor<'_>,
    mint: Millis,
    maxt: Millis,
    timestamps: &mut [Millis],
    values: &mut [f64],
) -> Result<usize, DecodeError> {
    let mut n = 0;
    for _ in 0..cursor.count.min(2) {
        let Some((t, v)) = cursor.advance()? else { break };
        if t > maxt {
            return Ok(n);
        }
        (timestamps[n], values[n]) = (t, v);
        n += usize::from(t >= mint);
    }
    let mut left = cursor.count - cursor.index;
    while left > 0 {
        cursor.reader.refill();
        // A sample whose delta and value repeat is two zero bits: take a run of them at once.
        let run = (cursor.reader.peek().leading_zeros().min(Reader::REFILL) / 2).min(left as u32);
        if run > 0 {
            for _ in 0..run {
                cursor.t = cursor.t.wrapping_add(cursor.delta as i64);
                if cursor.t > maxt {
                    return Ok(n);
                }
                (timestamps[n], values[n]) = (cursor.t, f64::from_bits(cursor.value));
                n += usize::from(cursor.t >= mint);
            }
            cursor.reader.skip(run * 2);
            left -= run as usize;
            if left == 0 {
                break;
            }
            cursor.reader.refill();
        }
        let (t, v) = cursor.later()?;
        if cursor.reader.is_overrun() {
            return Err(DecodeError::Truncated);
        }
        left -= 1;
        if t > maxt {
            return Ok(n);
        }
        (timestamps[n], values[n]) = (t, v);
        n += usize::from(t >= mint);
    }
    if cursor.reader.is_overrun() { Err(DecodeError::Truncated) } else { Ok(n) }
}

/// Reads one sample after the other.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    reader: Reader<'a>,
    count: usize,
    index: usize,
    t: Millis,
    delta: u64,
    value: u64,
    window: Window,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let count = usize::from(sample_count(bytes)?);
        let reader = Reader::new(&bytes[COUNT_LEN..]);
        // The first sample takes at least 72 bits, the second 9, each other 2.
        let least = match count {
            0 => 0,
            1 => 72,
            n => 72 + 9 + (n - 2) * 2,
        };
        if reader.remaining() < least {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { reader, count, index: 0, t: 0, delta: 0, value: 0, window: Window::default() })
    }

    /// The next sample, or `None` after the last.
    fn advance(&mut self) -> Result<Option<(Millis, f64)>, DecodeError> {
        if self.index == self.count {
            return Ok(None);
        }
        let sample = match self.index {
            0 => self.first()?,
            1 => self.second()?,
            _ => {
                self.reader.refill();
                self.later()?
            }
        };
        if self.reader.is_overrun() {
            return Err(DecodeError::Truncated);
        }
        self.index += 1;
        Ok(Some(sample))
    }

    fn first(&mut self) -> Result<(Millis, f64), DecodeError> {
        self.t = varint::unzigzag(take_uvarint(&mut self.reader)?);
        self.value = self.reader.take(64);
        Ok((self.t, f64::from_bits(self.value)))
    }

    fn second(&mut self) -> Result<(Millis, f64), DecodeError> {
        self.delta = take_uvarint(&mut self.reader)?;
        self.t = self.t.wrapping_add(self.delta as i64);
        self.value ^= self.window.take(&mut self.reader)?;
        Ok((self.t, f64::from_bits(self.value)))
    }

    /// A sample after the second, where [`Reader::REFILL`] bits are available.
    #[inline(always)]
    fn later(&mut self) -> Result<(Millis, f64), DecodeError> {
        let dod = match self.reader.peek().leading_ones() {
            0 => {
                self.reader.skip(1);
                0
            }
            1 => widen(self.reader.bits(16) & 0x3fff, 14),
            2 => widen(self.reader.bits(20) & 0x1_ffff, 17),
            3 => widen(self.reader.bits(24) & 0xf_ffff, 20),
            _ => {
                self.reader.skip(4);
                let dod = self.reader.take(64) as i64;
                self.reader.refill();
                dod
            }
        };
        self.delta = self.delta.wrapping_add(dod as u64);
        self.t = self.t.wrapping_add(self.delta as i64);
        self.value ^= self.window.take_available(&mut self.reader)?;
        Ok((self.t, f64::from_bits(self.value)))
    }
}

/// Takes LEB128 through the bit stream.
pub(crate) fn take_uvarint(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let mut decoder = varint::Decoder::default();
    loop {
        if let Some(x) = decoder.push(reader.take(8) as u8)? {
            return Ok(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use norn_model::sample::stale_nan;
    use proptest::prelude::*;

    use super::*;

    type Samples = Vec<(Millis, f64)>;

    fn encode(samples: &[(Millis, f64)]) -> Vec<u8> {
        let (mut state, mut out) = (XorState::new(), Vec::new());
        for &(t, v) in samples {
            state.append(&mut out, t, v).expect("not full");
        }
        state.finish(&mut out, 0);
        out
    }

    fn bits(samples: impl IntoIterator<Item = (Millis, f64)>) -> Vec<(Millis, u64)> {
        samples.into_iter().map(|(t, v)| (t, v.to_bits())).collect()
    }

    fn columns(bytes: &[u8], mint: Millis, maxt: Millis) -> Result<Vec<(Millis, u64)>, DecodeError> {
        let (mut t, mut v) = (vec![7], vec![7.0]);
        let result = decode(bytes, mint, maxt, &mut t, &mut v);
        assert_eq!((t.len(), t[0], v[0]), (v.len(), 7, 7.0));
        assert!(result.is_ok() || t.len() == 1, "an error leaves the columns alone");
        result.map(|()| bits(t.into_iter().zip(v).skip(1)))
    }

    /// Timestamps near a regular interval with jumps; values that repeat, walk, or are anything.
    fn samples() -> impl Strategy<Value = Samples> {
        let delta = prop_oneof![8 => Just(15_000i64), 4 => 14_990..15_010i64, 1 => -40_000..1_000_000i64, 1 => any::<i64>()];
        let value = prop_oneof![
            6 => Just(None),
            4 => (-3i32..4).prop_map(|d| Some(f64::from(d))),
            1 => any::<u64>().prop_map(|b| Some(f64::from_bits(b))),
            1 => Just(Some(stale_nan())),
        ];
        (any::<i64>(), prop::collection::vec((delta, value), 0..300)).prop_map(|(start, steps)| {
            let (mut t, mut v) = (start, 0.0);
            let mut next = |(dt, dv): (i64, Option<f64>)| {
                t = t.wrapping_add(dt);
                v = match dv {
                    None => v,
                    Some(d) if d.abs() < 4.0 => v + d,
                    Some(x) => x,
                };
                (t, v)
            };
            steps.into_iter().map(&mut next).collect()
        })
    }

    proptest! {
        #[test]
        fn round_trips(samples in samples()) {
            let bytes = encode(&samples);
            let read: Result<Samples, _> = iter(&bytes).expect("header").collect();
            prop_assert_eq!(bits(read.expect("valid")), bits(samples.clone()));
            // The column decoder stops at the first sample beyond the range.
            for (mint, maxt) in [(Millis::MIN, Millis::MAX), (0, Millis::MAX), (Millis::MIN, 0)] {
                let wanted = samples.iter().copied().take_while(|s| s.0 <= maxt).filter(|s| s.0 >= mint);
                prop_assert_eq!(columns(&bytes, mint, maxt).expect("valid"), bits(wanted));
            }
        }

        #[test]
        fn resumes_anywhere(samples in samples(), cut in 0usize..300) {
            let cut = cut.min(samples.len());
            let mut out = Vec::new();
            let mut state = XorState::resume(&encode(&samples[..cut]), &mut out).expect("valid");
            prop_assert_eq!(XorState::from_words(state.to_words()), Ok(state));
            prop_assert!(out.iter().take(2).all(|b| *b == 0));
            for &(t, v) in &samples[cut..] {
                state.append(&mut out, t, v).expect("not full");
            }
            state.finish(&mut out, 0);
            prop_assert_eq!(out, encode(&samples));
        }

        #[test]
        fn survives_mutation(samples in samples(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut bytes = encode(&samples);
            let i = at.index(bytes.len());
            bytes[i] = byte;
            bytes.truncate(cut.index(bytes.len() * 4));
            let all = columns(&bytes, Millis::MIN, Millis::MAX);
            let one_by_one = iter(&bytes).and_then(Iterator::collect::<Result<Samples, _>>).map(bits);
            prop_assert_eq!(all, one_by_one);
            let _ = XorState::resume(&bytes, &mut Vec::new());
        }

        #[test]
        fn survives_garbage(bytes in prop::collection::vec(any::<u8>(), 0..600), words: [u64; 5]) {
            let _ = columns(&bytes, 0, Millis::MAX);
            if let Ok(mut state) = XorState::from_words(words) {
                let _ = state.append(&mut Vec::new(), 1, 2.0);
            }
        }
    }

    #[test]
    fn a_chunk_cut_anywhere_is_an_error() {
        let samples: Samples = (0..50).map(|i| (i * 1000, (i * i) as f64 / 3.0)).collect();
        let bytes = encode(&samples);
        for len in 0..bytes.len() {
            assert_eq!(
                columns(&bytes[..len], Millis::MIN, Millis::MAX),
                Err(DecodeError::Truncated),
                "{len}"
            );
        }
        // Old writers left a spare byte.
        let padded = [&bytes[..], &[0]].concat();
        assert_eq!(columns(&padded, Millis::MIN, Millis::MAX), Ok(bits(samples)));
    }

    #[test]
    fn a_count_that_can_not_be_true_costs_no_memory() {
        let (mut t, mut v) = (Vec::new(), Vec::new());
        let bytes = [&[0xff, 0xff][..], &[0; 40]].concat();
        assert_eq!(decode(&bytes, 0, 0, &mut t, &mut v), Err(DecodeError::Truncated));
        assert_eq!((t.capacity(), v.capacity()), (0, 0));
    }

    #[test]
    fn holds_as_many_samples_as_the_count_can_say() {
        let (mut state, mut out) = (XorState::new(), Vec::new());
        for t in 0..MAX_SAMPLES as i64 {
            state.append(&mut out, t, 1.0).expect("not full");
        }
        assert_eq!(state.append(&mut out, 1 << 20, 1.0), Err(Full));
        state.finish(&mut out, 0);
        assert_eq!(columns(&out, Millis::MIN, Millis::MAX).expect("valid").len(), MAX_SAMPLES);
    }

    #[test]
    fn a_state_is_forty_bytes() {
        assert_eq!(size_of::<XorState>(), 40);
        let mut words = XorState::new().to_words();
        words[4] |= 0xff;
        assert!(XorState::from_words(words).is_err());
    }
}
