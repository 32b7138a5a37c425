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
//! Only the last slab is written to. A lock on a slab is held for the copy of one chunk. Slabs before
//! the last one may lie in a file: a chunk is read from there by itself, with its header.

use std::io::Result;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use norn_codec::varint;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use parking_lot::RwLock;

use crate::files::ChunkFile;

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

/// What is read at once: the header and most chunks.
const READ: usize = 1024;

/// Some chunks, one behind the other.
#[derive(Clone, Debug)]
enum Slab {
    Memory(Arc<RwLock<Vec<u8>>>),
    File { at: u64, len: usize },
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    slabs: RwLock<Vec<Slab>>,
    file: OnceLock<ChunkFile>,
    /// Slabs that are full and in memory; they lie before the last one.
    full: AtomicUsize,
}

impl Chunks {
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
    fn slab(&self, need: usize) -> Option<(usize, Arc<RwLock<Vec<u8>>>)> {
        let slabs = self.slabs.read();
        if let Some(Slab::Memory(last)) = slabs.last() {
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
        if let Some(Slab::Memory(_)) = slabs.last() {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
        let slab = Arc::new(RwLock::new(Vec::with_capacity(need.max(SLAB))));
        slabs.push(Slab::Memory(Arc::clone(&slab)));
        Some((slabs.len() - 1, slab))
    }

    /// Slabs that can be written to a file.
    pub(crate) fn full(&self) -> usize {
        self.full.load(Ordering::Relaxed)
    }

    /// Writes the oldest full slab to the file that `create` makes if there is none yet. Called by the
    /// writer alone.
    pub(crate) fn write_one(&self, create: impl FnOnce() -> Result<ChunkFile>) -> Result<()> {
        let oldest = {
            let slabs = self.slabs.read();
            let before_last = slabs.len().saturating_sub(1);
            let mut full = slabs.iter().take(before_last).enumerate();
            full.find_map(|(number, slab)| match slab {
                Slab::Memory(bytes) => Some((number, Arc::clone(bytes))),
                Slab::File { .. } => None,
            })
        };
        let Some((number, bytes)) = oldest else { return Ok(()) };
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = create()?;
                self.file.get_or_init(|| file)
            }
        };
        let bytes = bytes.read();
        let written = Slab::File { at: file.append(&bytes)?, len: bytes.len() };
        if let Some(slab) = self.slabs.write().get_mut(number) {
            *slab = written;
            self.full.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives the chunk at `at` to `f`; `None` where there is none, or the file can not be read.
    pub(crate) fn read<R>(&self, at: Address, f: impl FnOnce(&Header, &[u8]) -> R) -> Option<R> {
        let slab = self.slabs.read().get((at >> UNIT_BITS) as usize)?.clone();
        let start = (at & ((1 << UNIT_BITS) - 1)) as usize * UNIT;
        match slab {
            Slab::Memory(bytes) => {
                let bytes = bytes.read();
                let (header, range) = parse(bytes.get(start..)?)?;
                let chunk = bytes.get(start..)?.get(range)?;
                Some(f(&header.of(chunk)?, chunk))
            }
            Slab::File { at, len } => self.read_file(at + start as u64, len.checked_sub(start)?, f),
        }
    }

    /// As [`Chunks::read`] for a chunk at `at` of the file, in a slab that ends `left` bytes later.
    fn read_file<R>(&self, at: u64, left: usize, f: impl FnOnce(&Header, &[u8]) -> R) -> Option<R> {
        let file = self.file.get()?;
        let mut first = [0; READ];
        let ask = left.min(READ);
        let got = file.read(at, first.get_mut(..ask)?)?;
        let bytes = first.get(..got)?;
        let (header, range) = parse(bytes)?;
        if let Some(chunk) = bytes.get(range.clone()) {
            return Some(f(&header.of(chunk)?, chunk));
        }
        if range.end > left {
            return None;
        }
        let mut whole = vec![0; range.len()];
        let known = bytes.get(range.start..)?;
        whole.get_mut(..known.len())?.copy_from_slice(known);
        let rest = whole.get_mut(known.len()..)?;
        let wanted = rest.len();
        if file.read(at + got as u64, rest)? != wanted {
            return None;
        }
        Some(f(&header.of(&whole)?, &whole))
    }

    /// Bytes of heap, and bytes in the file.
    pub(crate) fn size_bytes(&self) -> (usize, u64) {
        let (mut heap, mut file) = (0, 0);
        for slab in self.slabs.read().iter() {
            match slab {
                Slab::Memory(bytes) => heap += bytes.read().len(),
                Slab::File { len, .. } => file += *len as u64,
            }
        }
        (heap, file)
    }
}

/// A header whose first timestamp may be in the chunk.
struct Parsed {
    previous: Address,
    encoding: ChunkEncoding,
    late: bool,
    mint: Option<Millis>,
    span: i64,
}

impl Parsed {
    fn of(&self, chunk: &[u8]) -> Option<Header> {
        let Self { previous, encoding, late, .. } = *self;
        let mint = self.mint.or_else(|| first_timestamp(chunk))?;
        Some(Header { previous, encoding, late, mint, maxt: mint.wrapping_add(self.span) })
    }
}

/// The header at the beginning of `bytes`, and where its chunk lies in them.
fn parse(bytes: &[u8]) -> Option<(Parsed, Range<usize>)> {
    let mut rest = bytes;
    let previous = Address::from_le_bytes(*rest.split_off(..UNIT)?.first_chunk()?);
    let kind = varint::take_uvarint(&mut rest).ok()?;
    let encoding = ChunkEncoding::from_number((kind & 7) as u8)?;
    let span = varint::take_uvarint(&mut rest).ok()? as i64;
    let mint = match encoding {
        ChunkEncoding::Xor => None,
        _ => Some(varint::take_varint(&mut rest).ok()?),
    };
    let start = bytes.len() - rest.len();
    let end = start.checked_add((kind >> 4) as usize)?;
    Some((Parsed { previous, encoding, late: kind & 8 != 0, mint, span }, start..end))
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
        let chunks_of = Chunks::default();
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
            previous = chunks_of.push(&header, &bytes).expect("room");
            chunks.push((previous, header, bytes));
        }
        let big = vec![1; 3 * SLAB];
        let big_len = big.len();
        let header = Header {
            previous,
            encoding: ChunkEncoding::FloatHistogram,
            late: false,
            mint: i64::MIN,
            maxt: i64::MAX,
        };
        chunks.push((chunks_of.push(&header, &big).expect("room"), header, big));
        for (at, header, bytes) in &chunks {
            let same = chunks_of.read(*at, |h, b| h == header && b == bytes);
            assert_eq!(same, Some(true));
        }
        assert_eq!(chunks_of.read(NOWHERE, |_, _| ()), None);
        chunks_of.push(&chunks[0].1, &vec![2; SLAB]).expect("room");
        let fs = std::sync::Arc::new(norn_log::memory::MemoryFs::default());
        let storage = crate::options::Storage { fs, dir: "/".into(), keep_slabs: 0 };
        let mut files = crate::files::Files::new(storage, 0);
        while chunks_of.full() > 0 {
            chunks_of.write_one(|| files.create(0)).expect("written");
        }
        assert!(chunks_of.size_bytes().1 as usize > big_len);
        for (at, header, bytes) in &chunks {
            let same = chunks_of.read(*at, |h, b| h == header && b == bytes);
            assert_eq!(same, Some(true), "{header:?}");
        }
    }

    #[test]
    fn finds_the_first_timestamp_in_the_chunk() {
        let chunks_of = Chunks::default();
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
        let at = chunks_of.push(&header, &bytes).expect("room");
        assert_eq!(chunks_of.read(at, |h, b| *h == header && b == bytes), Some(true));
    }
}
