//! Sealed chunks of a window: written once, in slabs of a mebibyte that never move.
//!
//! A chunk names the one its series sealed before it in the window. An address counts units of four
//! bytes: slab in the upper 14 bits, unit in the lower 18.
//!
//! ```text
//! previous chunk's address, u32 | length << 4 | late << 3 | encoding, LEB128 | maxt − mint, LEB128
//! mint, zigzag LEB128: not for XOR, whose bytes begin with it | bytes
//! ```
//!
//! Only the last slab is written to. A lock on a slab is held for the copy of one chunk.

use std::sync::Arc;

use norn_codec::varint;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use parking_lot::RwLock;

const UNIT: usize = 4;
const UNIT_BITS: u32 = 18;
const SLAB: usize = UNIT << UNIT_BITS;
const MAX_SLABS: usize = 1 << (32 - UNIT_BITS);
const MAX_HEADER: usize = 4 + 3 * varint::MAX_LEN;

/// Where a chunk lies.
pub(crate) type Address = u32;

/// No chunk. Not a real address: a chunk does not fit the last unit of a slab.
pub(crate) const NOWHERE: Address = u32::MAX;

/// What is written in front of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The chunk the series sealed before, or [`NOWHERE`].
    pub(crate) previous: Address,
    pub(crate) encoding: ChunkEncoding,
    /// Whether its samples came out of order.
    pub(crate) late: bool,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
}

type Slab = Arc<RwLock<Vec<u8>>>;

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    slabs: RwLock<Vec<Slab>>,
}

impl Storage {
    /// Keeps a chunk; `None` when 16 GiB are used. Called by the writer alone.
    pub(crate) fn push(&self, header: &Header, bytes: &[u8]) -> Option<Address> {
        let need = bytes.len() + MAX_HEADER + UNIT;
        let (number, slab) = self.slab(need)?;
        let mut slab = slab.write();
        while slab.len() % UNIT != 0 {
            slab.push(0);
        }
        let at = ((number as u32) << UNIT_BITS) | (slab.len() / UNIT) as u32;
        slab.extend_from_slice(&header.previous.to_le_bytes());
        let kind = (bytes.len() as u64) << 4 | u64::from(header.late) << 3 | header.encoding as u64;
        varint::put_uvarint(&mut slab, kind);
        varint::put_uvarint(&mut slab, header.maxt.wrapping_sub(header.mint) as u64);
        if header.encoding != ChunkEncoding::Xor {
            varint::put_varint(&mut slab, header.mint);
        }
        slab.extend_from_slice(bytes);
        Some(at)
    }

    /// The last slab if `need` bytes fit, else a new one, larger than others if it must.
    fn slab(&self, need: usize) -> Option<(usize, Slab)> {
        let slabs = self.slabs.read();
        if let Some(last) = slabs.last() {
            let used = last.read().len();
            if used + need <= SLAB {
                return Some((slabs.len() - 1, Arc::clone(last)));
            }
        }
        drop(slabs);
        let mut slabs = self.slabs.write();
        if slabs.len() == MAX_SLABS {
            return None;
        }
        let slab = Arc::new(RwLock::new(Vec::with_capacity(need.max(SLAB))));
        slabs.push(Arc::clone(&slab));
        Some((slabs.len() - 1, slab))
    }

    /// Gives the chunk at `at` to `f`; `None` where there is none.
    pub(crate) fn read<R>(&self, at: Address, f: impl FnOnce(&Header, &[u8]) -> R) -> Option<R> {
        let slab = Arc::clone(self.slabs.read().get((at >> UNIT_BITS) as usize)?);
        let slab = slab.read();
        let start = (at & ((1 << UNIT_BITS) - 1)) as usize * UNIT;
        let mut rest = slab.get(start..)?;
        let previous = Address::from_le_bytes(*rest.split_off(..UNIT)?.first_chunk()?);
        let kind = varint::take_uvarint(&mut rest).ok()?;
        let encoding = ChunkEncoding::from_number((kind & 7) as u8)?;
        let span = varint::take_uvarint(&mut rest).ok()? as i64;
        let mint = match encoding {
            ChunkEncoding::Xor => None,
            _ => Some(varint::take_varint(&mut rest).ok()?),
        };
        let bytes = rest.get(..(kind >> 4) as usize)?;
        let mint = mint.or_else(|| first_timestamp(bytes))?;
        let (late, maxt) = (kind & 8 != 0, mint.wrapping_add(span));
        Some(f(&Header { previous, encoding, late, mint, maxt }, bytes))
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.slabs.read().iter().map(|slab| slab.read().len()).sum()
    }
}

/// First timestamp of an XOR chunk that has a sample.
pub(crate) fn first_timestamp(xor: &[u8]) -> Option<Millis> {
    varint::take_varint(&mut xor.get(2..)?).ok()
}

#[cfg(test)]
mod tests {
    use norn_codec::xor::XorState;

    use super::*;

    #[test]
    fn gives_back_chunks_of_every_size() {
        let storage = Storage::default();
        let mut chunks = Vec::new();
        let mut previous = NOWHERE;
        for i in 0..300i64 {
            let bytes = vec![i as u8; (i * i * 37 % 30_011) as usize];
            let header = Header {
                previous,
                encoding: ChunkEncoding::Histogram,
                late: i % 3 == 0,
                mint: -i,
                maxt: i * 1_000_000,
            };
            previous = storage.push(&header, &bytes).expect("room");
            chunks.push((previous, header, bytes));
        }
        let big = vec![1; 3 * SLAB];
        let header = Header {
            previous,
            encoding: ChunkEncoding::FloatHistogram,
            late: false,
            mint: i64::MIN,
            maxt: i64::MAX,
        };
        chunks.push((storage.push(&header, &big).expect("room"), header, big));
        for (at, header, bytes) in &chunks {
            let same = storage.read(*at, |h, b| h == header && b == bytes);
            assert_eq!(same, Some(true));
        }
        assert_eq!(storage.read(NOWHERE, |_, _| ()), None);
    }

    #[test]
    fn finds_the_first_timestamp_in_the_chunk() {
        let storage = Storage::default();
        let (mut state, mut bytes) = (XorState::new(), Vec::new());
        for t in [1_700_000_000_123, 1_700_000_015_123, 1_700_000_030_123] {
            state.append(&mut bytes, t, 1.5).expect("room");
        }
        state.finish(&mut bytes, 0);
        let header = Header {
            previous: NOWHERE,
            encoding: ChunkEncoding::Xor,
            late: false,
            mint: 1_700_000_000_123,
            maxt: 1_700_000_030_123,
        };
        let at = storage.push(&header, &bytes).expect("room");
        assert_eq!(storage.read(at, |h, b| *h == header && b == bytes), Some(true));
    }
}
