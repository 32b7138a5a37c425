//! Bit streams, most significant bit first.
//!
//! A writer hands out whole 8-byte words and keeps the unfinished one to itself, so
//! finished words never change and may live in any [`WordSink`]: a vector, or cells of a slab.
//!
//! [`Reader`] does not fail while it reads: beyond the end it gives zero bits and remembers. A
//! decoder asks [`Reader::is_overrun`] once per sample, which keeps the hot loop free of branches.

use crate::window::Window;
use crate::xor;

/// Takes whole words of a bit stream.
pub trait WordSink {
    /// Appends a word; its first bit in the stream is the most significant one.
    fn push_word(&mut self, word: u64);
}

impl WordSink for Vec<u8> {
    #[inline]
    fn push_word(&mut self, word: u64) {
        self.extend_from_slice(&word.to_be_bytes());
    }
}

/// The unfinished word of a stream: `used` bits from the top, the rest zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) word: u64,
    pub(crate) used: u32,
}

impl Tail {
    /// Appends the low `n` bits of `value`; 0 < `n` ≤ 64 and the other bits of `value` are zero.
    #[inline(always)]
    pub(crate) fn put(&mut self, sink: &mut impl WordSink, value: u64, n: u32) {
        debug_assert!(0 < n && n <= 64 && (n == 64 || value >> n == 0));
        let free = 64 - self.used;
        if n < free {
            self.word |= value << (free - n);
            self.used += n;
        } else {
            let left = n - free;
            sink.push_word(self.word | (value >> left));
            // Two shifts: `left` may be 0.
            self.word = (value << 1) << (63 - left);
            self.used = left;
        }
    }

    /// Bytes the unfinished word fills, the last one padded.
    pub(crate) fn len(self) -> usize {
        self.used.div_ceil(8) as usize
    }
}

/// Writes a bit stream to a vector.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    words: Vec<u8>,
    tail: Tail,
}

impl Writer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the low `n` bits of `value`; 0 < `n` ≤ 64 and the other bits of `value` must be zero.
    #[inline]
    pub fn put(&mut self, value: u64, n: u32) {
        self.tail.put(&mut self.words, value, n);
    }

    /// Appends the step to a value that differs from the previous one by `xor`.
    pub(crate) fn put_xor(&mut self, window: &mut Window, xor: u64) {
        window.put(&mut self.tail, &mut self.words, xor);
    }

    /// Appends LEB128, not aligned to bytes.
    pub(crate) fn put_uvarint(&mut self, x: u64) {
        xor::put_uvarint(&mut self.tail, &mut self.words, x);
    }

    /// Bytes written, the last one padded.
    pub fn len(&self) -> usize {
        self.words.len() + self.tail.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the stream to `out`, the last byte padded with zero bits.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.words);
        out.extend_from_slice(&self.tail.word.to_be_bytes()[..self.tail.len()]);
    }
}

/// Reads a bit stream. Beyond its end every bit is zero; see [`Reader::is_overrun`].
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Byte from which the next refill takes its word.
    pos: usize,
    /// Next bits of the stream, left aligned.
    buf: u64,
    /// How many bits of `buf` count, below 64. The others may hold later bits of the stream.
    have: u32,
}

impl<'a> Reader<'a> {
    /// Most bits that [`Reader::bits`] gives after one [`Reader::refill`].
    pub const REFILL: u32 = 56;

    /// Reads `bytes` from the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, buf: 0, have: 0 }
    }

    /// Makes at least [`Reader::REFILL`] bits available.
    #[inline(always)]
    pub fn refill(&mut self) {
        let word = match self.bytes.get(self.pos..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => self.last_word(),
        };
        self.buf |= word >> self.have;
        self.pos += ((63 - self.have) >> 3) as usize;
        self.have |= Self::REFILL;
    }

    #[cold]
    fn last_word(&self) -> u64 {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(word)
    }

    /// The available bits, left aligned.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        self.buf
    }

    /// Drops `n` bits, which must be available.
    #[inline(always)]
    pub fn skip(&mut self, n: u32) {
        debug_assert!(n <= self.have);
        self.buf <<= n;
        self.have -= n;
    }

    /// Takes `n` available bits.
    #[inline(always)]
    pub fn bits(&mut self, n: u32) -> u64 {
        // Two shifts: `n` may be 0.
        let value = (self.buf >> 1) >> (63 - n);
        self.skip(n);
        value
    }

    /// Refills and takes up to 64 bits.
    #[inline(always)]
    pub fn take(&mut self, n: u32) -> u64 {
        self.refill();
        if n <= Self::REFILL {
            return self.bits(n);
        }
        let high = self.bits(32);
        self.refill();
        high << (n - 32) | self.bits(n - 32)
    }

    /// Bits taken so far.
    pub fn position(&self) -> usize {
        self.pos * 8 - self.have as usize
    }

    /// Whether more bits were taken than there are.
    #[inline(always)]
    pub fn is_overrun(&self) -> bool {
        self.position() > self.bytes.len() * 8
    }

    /// Bits not taken yet.
    pub fn remaining(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.position())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn low(value: u64, n: u32) -> u64 {
        if n == 64 { value } else { value & ((1 << n) - 1) }
    }

    proptest! {
        #[test]
        fn round_trips(fields in prop::collection::vec((any::<u64>(), 1u32..=64), 0..200)) {
            let mut writer = Writer::new();
            let mut total = 0;
            for &(value, n) in &fields {
                writer.put(low(value, n), n);
                total += n as usize;
            }
            let mut bytes = Vec::new();
            writer.copy_to(&mut bytes);
            prop_assert_eq!(bytes.len(), total.div_ceil(8));
            prop_assert_eq!(bytes.len(), writer.len());
            let mut reader = Reader::new(&bytes);
            for &(value, n) in &fields {
                prop_assert_eq!(reader.take(n), low(value, n));
            }
            prop_assert_eq!(reader.position(), total);
            prop_assert!(!reader.is_overrun());
            reader.take(8);
            prop_assert!(reader.is_overrun());
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
