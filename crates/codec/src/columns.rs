//! Columns of integers, packed: `docs/formats/columns.md`.
//!
//! For tables of our own that are written once and read whole. A column is a run, the integers as
//! they are, or what tsz-compress makes of them or of their differences, whichever is shortest. Its
//! frame has a checksum, which is verified before anything is unpacked: tsz-compress trusts its
//! input.

use crate::DecodeError;
use crate::crc::crc32c;

/// Most integers of a column.
pub const MAX_ROWS: usize = 1 << 24;

/// Bytes before the payload: kind, rows, length of the payload.
const HEADER: usize = 9;
const CRC: usize = 4;

const RUN: u8 = 0;
const PLAIN: u8 = 1;
const DELTAS: u8 = 2;
const DELTAS_OF_DIFFERENCES: u8 = 3;

/// What the derived packer and unpacker are made for.
mod row {
    // In the code that is derived: it reads options it has just filled.
    #![allow(unsafe_code, missing_docs, unused_imports, clippy::all)]
    use tsz_compress::prelude::*;

    #[derive(Copy, Clone, CompressV2, DecompressV2)]
    pub struct Row {
        pub value: i64,
    }

    pub use compress::RowCompressorImpl as Packer;
    pub use decompress::RowDecompressorImpl as Unpacker;
}

/// Packs columns. Keeps its memory from one to the next.
#[derive(Default)]
pub struct Encoder {
    packed: Vec<u8>,
    other: Vec<u8>,
    differences: Vec<i64>,
}

impl Encoder {
    /// Appends the frame of a column to `out`. At most [`MAX_ROWS`] integers.
    pub fn put(&mut self, values: &[i64], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if values.len() > MAX_ROWS {
            return Err(DecodeError::Invalid("column is too long"));
        }
        let start = out.len();
        let kind = self.pack(values);
        out.push(kind);
        out.extend_from_slice(&(values.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.packed.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.packed);
        let crc = crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Fills `packed` and says how.
    fn pack(&mut self, values: &[i64]) -> u8 {
        self.packed.clear();
        if let Some((first, step)) = run(values) {
            self.packed.extend_from_slice(&first.to_le_bytes());
            self.packed.extend_from_slice(&step.to_le_bytes());
            return RUN;
        }
        let mut kind = PLAIN;
        if steps_fit(values, 2) {
            tsz(values, &mut self.packed);
            kind = DELTAS;
            if steps_fit(values, 3) {
                differences(values, &mut self.differences);
                self.other.clear();
                tsz(&self.differences, &mut self.other);
                if self.other.len() < self.packed.len() {
                    std::mem::swap(&mut self.packed, &mut self.other);
                    kind = DELTAS_OF_DIFFERENCES;
                }
            }
        }
        if kind == PLAIN || self.packed.len() >= 8 * values.len() {
            self.packed.clear();
            self.packed.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            kind = PLAIN;
        }
        kind
    }
}

/// First value and step, where every step is the same. Steps wrap around.
fn run(values: &[i64]) -> Option<(i64, i64)> {
    let (&first, rest) = values.split_first().unwrap_or((&0, &[]));
    let step = rest.first().map_or(0, |second| second.wrapping_sub(first));
    values.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step).then_some((first, step))
}

/// Whether the steps between neighbours, the steps between those, and so on for `orders`, all fit:
/// tsz-compress takes two orders of them and does not look. Zeros come before the first value.
fn steps_fit(values: &[i64], orders: usize) -> bool {
    let mut last = [0i64; 3];
    values.iter().all(|&value| {
        let mut next = value;
        last.iter_mut().take(orders).all(|last| match next.checked_sub(*last) {
            Some(step) => {
                (*last, next) = (next, step);
                true
            }
            None => false,
        })
    })
}

/// The first value, then the steps.
fn differences(values: &[i64], out: &mut Vec<i64>) {
    out.clear();
    out.extend(values.first());
    out.extend(values.windows(2).map(|w| w[1].wrapping_sub(w[0])));
}

/// Most bytes of a packed integer: 64 bits and what introduces them, with room to spare.
const WORST: usize = 16;

fn tsz(values: &[i64], out: &mut Vec<u8>) {
    use tsz_compress::prelude::*;
    // Version 1.1.6 asks for too little room behind what a vector has already, and then writes
    // without looking: it must find the room there.
    out.reserve(WORST * (values.len() + 4));
    let mut packer = row::Packer::new(values.len());
    for &value in values {
        packer.compress(row::Row { value });
    }
    packer.finish_into(out);
}

/// Takes the frame of a column off `bytes` and appends its integers to `out`; refuses more than
/// `max_rows` of them.
pub fn take(bytes: &mut &[u8], max_rows: usize, out: &mut Vec<i64>) -> Result<(), DecodeError> {
    let (Frame { kind, rows, payload }, rest) = frame(bytes)?;
    if rows > max_rows.min(MAX_ROWS) {
        return Err(DecodeError::Invalid("column is longer than expected"));
    }
    let start = out.len();
    match kind {
        RUN => unpack_run(payload, rows, out)?,
        PLAIN => {
            let integers =
                payload.chunks_exact(8).filter_map(|c| Some(i64::from_le_bytes(*c.first_chunk()?)));
            out.extend(integers.take(rows));
        }
        DELTAS | DELTAS_OF_DIFFERENCES => untsz(payload, rows, out)?,
        _ => return Err(DecodeError::Invalid("unknown kind of column")),
    }
    if out.len() - start != rows {
        out.truncate(start);
        return Err(DecodeError::Invalid("column has another number of rows than it says"));
    }
    if kind == DELTAS_OF_DIFFERENCES {
        let mut last = 0i64;
        for value in &mut out[start..] {
            last = last.wrapping_add(*value);
            *value = last;
        }
    }
    *bytes = rest;
    Ok(())
}

/// A frame whose checksum is right.
struct Frame<'a> {
    kind: u8,
    rows: usize,
    payload: &'a [u8],
}

/// The frame `bytes` begin with, and what follows.
fn frame(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), DecodeError> {
    let header: &[u8; HEADER] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
    let [kind, rows @ .., _, _, _, _] = header;
    let [_, _, _, _, _, len @ ..] = header;
    let (rows, len) = (u32::from_le_bytes(*rows) as usize, u32::from_le_bytes(*len) as usize);
    let (framed, rest) = bytes.split_at_checked(HEADER + len).ok_or(DecodeError::Truncated)?;
    let (crc, rest) = rest.split_first_chunk::<CRC>().ok_or(DecodeError::Truncated)?;
    if crc32c(framed) != u32::from_le_bytes(*crc) {
        return Err(DecodeError::Invalid("checksum of a column does not fit"));
    }
    Ok((Frame { kind: *kind, rows, payload: &framed[HEADER..] }, rest))
}

fn unpack_run(payload: &[u8], rows: usize, out: &mut Vec<i64>) -> Result<(), DecodeError> {
    let (first, step) = payload.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    let step = i64::from_le_bytes(*step.first_chunk().ok_or(DecodeError::Truncated)?);
    let mut next = i64::from_le_bytes(*first);
    out.extend((0..rows).map(|_| {
        let value = next;
        next = next.wrapping_add(step);
        value
    }));
    Ok(())
}

fn untsz(payload: &[u8], rows: usize, out: &mut Vec<i64>) -> Result<(), DecodeError> {
    use tsz_compress::prelude::*;
    // No packing has more than 20 integers in eight bytes.
    if rows > payload.len().saturating_mul(3) {
        return Err(DecodeError::Invalid("column has more rows than fit"));
    }
    let mut unpacker = row::Unpacker::new();
    unpacker.decompress(payload).map_err(|_| DecodeError::Invalid("column can not be unpacked"))?;
    out.extend_from_slice(unpacker.col_value());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> Vec<u8> {
        let mut out = vec![7];
        Encoder::default().put(values, &mut out).expect("fits");
        out.push(9);
        let (mut rest, mut read) = (&out[1..], vec![1, 2]);
        take(&mut rest, values.len(), &mut read).expect("reads");
        assert_eq!(rest, [9]);
        assert_eq!(read[2..], *values);
        out[1..out.len() - 1].to_vec()
    }

    #[test]
    fn packs_what_tables_hold() {
        assert_eq!(round_trip(&[]).len(), HEADER + 16 + CRC);
        let timestamps: Vec<i64> = (0..10_000).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        assert_eq!(round_trip(&timestamps).len(), HEADER + 16 + CRC);
        let jitter: Vec<i64> = timestamps.iter().map(|t| t + t * 7919 / 15_000 % 3).collect();
        assert!(round_trip(&jitter).len() < 10_000);
        let gaps: Vec<i64> = (0..10_000i64)
            .scan(0, |at, i| {
                *at += 1 + i * i % 10;
                Some(*at)
            })
            .collect();
        assert!(round_trip(&gaps).len() < 11_000);
        let any: Vec<i64> =
            (1..=1000u64).map(|i| (i * i).wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64).collect();
        assert_eq!(round_trip(&any).len(), HEADER + 8000 + CRC);
        round_trip(&[i64::MIN, i64::MAX, 0, i64::MIN, -1, i64::MAX]);
        round_trip(&[i64::MAX - 2, i64::MAX, i64::MIN / 2 + 5]);
    }

    #[test]
    fn packing_stays_within_the_room_it_finds() {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        for rows in [1, 2, 3, 10, 100, 1000, 17] {
            // Nothing with wider steps is packed.
            let widest: Vec<i64> = (0..rows).map(|i| if i % 2 == 0 { 0 } else { i64::MAX / 8 - i }).collect();
            let wide: Vec<i64> = (0..rows).map(|i| i * i * i * 0x1234_5678).collect();
            for values in [widest, wide] {
                assert!(steps_fit(&values, 3));
                let mut packed = Vec::new();
                tsz(&values, &mut packed);
                assert!(packed.len() <= WORST * values.len(), "{} of {rows}", packed.len());
                out.clear();
                encoder.put(&values, &mut out).expect("fits");
                let mut read = Vec::new();
                take(&mut &out[..], values.len(), &mut read).expect("reads");
                assert_eq!(read, values);
            }
        }
    }

    #[test]
    fn refuses_damage() {
        let good = round_trip(&[1, 5, 9, 200, -7, 3]);
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let mut out = Vec::new();
            assert!(take(&mut &bad[..], 100, &mut out).is_err());
            assert!(out.is_empty());
        }
        for len in 0..good.len() {
            assert_eq!(take(&mut &good[..len], 100, &mut Vec::new()), Err(DecodeError::Truncated));
        }
        assert!(take(&mut &good[..], 5, &mut Vec::new()).is_err());
    }

    /// Frames as version 1 wrote them.
    #[test]
    fn reads_frames_that_were_written_before() {
        let cases: [(&str, &[i64]); 4] = [
            (RUN_FRAME, &[10, 15, 20]),
            (PLAIN_FRAME, &[i64::MAX, i64::MIN / 2, 3]),
            (DELTAS_FRAME, &[100, 101, 107, 105, 90, 91, 92, 93, 99, 100, 101]),
            (DIFFERENCES_FRAME, &[1_000_000, 2_000_000, 3_000_001, 4_000_001, 5_000_000, 6_000_000]),
        ];
        for (hex, values) in cases {
            assert_eq!(to_hex(&round_trip(values)), hex);
        }
    }

    const RUN_FRAME: &str = "0003000000100000000a00000000000000050000000000000040d3b6ac";
    const PLAIN_FRAME: &str = "010300000018000000ffffffffffffff7f00000000000000c00300000000000000141f486d";
    const DELTAS_FRAME: &str = "020b000000270000000000000b960000000000000064600000000000000000000000000000001e0c0dd082c020c020294b491b44";
    const DIFFERENCES_FRAME: &str =
        "030600000022000000000000069600000000000f4240600000000000000000000000000000000c020101028a5f2d66";

    fn to_hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    proptest! {
        #[test]
        fn gives_back_any_column(values in prop::collection::vec(any::<i64>(), 0..200)) {
            round_trip(&values);
        }

        #[test]
        fn gives_back_small_steps(steps in prop::collection::vec((-3i64..40, 0u32..63), 0..300)) {
            let values: Vec<i64> = steps.iter().scan(0i64, |at, (step, shift)| {
                *at = at.wrapping_add(step.wrapping_shl(*shift));
                Some(*at)
            }).collect();
            round_trip(&values);
        }
    }
}
