//! Prefix-coded integers inside bit streams.
//!
//! A prefix of ones says how many bits follow; signed payloads are asymmetric, see
//! `docs/formats/chunks.md`.

use crate::bits::{Reader, Writer};

/// Payload bits by number of leading ones in the prefix.
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Whether `x` is an `n`-bit integer of the asymmetric kind.
#[inline(always)]
pub(crate) fn fits(x: i64, n: u32) -> bool {
    // -(2^(n-1)-1) ..= 2^(n-1), as one unsigned comparison.
    (x.wrapping_add((1 << (n - 1)) - 1) as u64) < 1 << n
}

/// The asymmetric integer with bits `u`, 0 < `n` < 64.
#[inline(always)]
pub(crate) fn widen(u: u64, n: u32) -> i64 {
    u as i64 - if u > 1 << (n - 1) { 1 << n } else { 0 }
}

/// The low `n` bits of `x`, `n` < 64.
#[inline(always)]
pub(crate) fn narrow(x: i64, n: u32) -> u64 {
    x as u64 & ((1 << n) - 1)
}

/// Appends a signed integer.
pub fn put_int(writer: &mut Writer, x: i64) {
    match x {
        0 => writer.put(0, 1),
        _ => match WIDTHS[1..8].iter().position(|&n| fits(x, n)) {
            Some(i) => put(writer, i as u32 + 1, narrow(x, WIDTHS[i + 1])),
            None => put(writer, 8, x as u64),
        },
    }
}

/// Appends an unsigned integer.
pub fn put_uint(writer: &mut Writer, x: u64) {
    match x {
        0 => writer.put(0, 1),
        _ => put(writer, WIDTHS[1..8].iter().position(|&n| x >> n == 0).map_or(8, |i| i as u32 + 1), x),
    }
}

fn put(writer: &mut Writer, ones: u32, payload: u64) {
    // `ones` ones and, below 8, a zero.
    let (prefix, len) = if ones == 8 { (0xff, 8) } else { ((2 << ones) - 2, ones + 1) };
    writer.put(prefix, len);
    writer.put(payload, WIDTHS[ones as usize]);
}

/// Takes a signed integer; 0 beyond the end of the stream.
#[inline]
pub fn take_int(reader: &mut Reader<'_>) -> i64 {
    match take_width(reader) {
        0 => 0,
        64 => reader.take(64) as i64,
        n => widen(reader.take(n), n),
    }
}

/// Takes an unsigned integer; 0 beyond the end of the stream.
#[inline]
pub fn take_uint(reader: &mut Reader<'_>) -> u64 {
    let n = take_width(reader);
    reader.take(n)
}

#[inline]
fn take_width(reader: &mut Reader<'_>) -> u32 {
    reader.refill();
    let ones = reader.peek().leading_ones().min(8);
    reader.skip((ones + 1).min(8));
    WIDTHS[ones as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits_of(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        let mut bytes = Vec::new();
        writer.copy_to(&mut bytes);
        bytes
    }

    #[test]
    fn ranges_are_asymmetric() {
        for (i, &n) in WIDTHS[1..8].iter().enumerate() {
            let high = 1i64 << (n - 1);
            for (x, same) in [(high, true), (high + 1, false), (1 - high, true), (-high, false)] {
                let bytes = bits_of(|w| put_int(w, x));
                assert_eq!(bytes[0].leading_ones() == i as u32 + 1, same, "{x} in {n} bits");
                assert_eq!(take_int(&mut Reader::new(&bytes)), x);
            }
        }
    }

    proptest! {
        #[test]
        fn round_trips(x: u64, shift in 0u32..64) {
            let x = x >> shift;
            let bytes = bits_of(|w| put_uint(w, x));
            prop_assert_eq!(take_uint(&mut Reader::new(&bytes)), x);
            for x in [x as i64, (x as i64).wrapping_neg()] {
                let bytes = bits_of(|w| put_int(w, x));
                prop_assert_eq!(take_int(&mut Reader::new(&bytes)), x);
            }
        }
    }
}
