//! Identities of series: the numbers of their label pairs in the order of label names.
//!
//! A pair's number already implies its tenant, so equal bytes mean equal series and nothing else
//! does: hashes only find candidates. An identity is its length and the pair numbers, all LEB128,
//! in 64 KiB slabs that never move.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use norn_codec::varint;

use crate::paged::Paged;
use crate::table::Table;

const SLAB: usize = 1 << 16;
const LEN_BYTES: usize = 3;
/// Longest identity in bytes.
pub(crate) const MAX_LEN: usize = SLAB - LEN_BYTES;

/// Longest LEB128 form of a pair's number.
const PAIR_BYTES: usize = 5;

/// An identity that is being put together. Reused it allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Key {
    bytes: Vec<u8>,
    len: usize,
}

impl Key {
    /// Starts an empty identity with room for `pairs` numbers.
    pub(crate) fn start(&mut self, pairs: usize) {
        self.len = 0;
        if self.bytes.len() < pairs * PAIR_BYTES {
            self.bytes.resize(pairs * PAIR_BYTES, 0);
        }
    }

    /// Appends a pair. Numbers beyond the room that was asked for are dropped.
    #[inline]
    pub(crate) fn push(&mut self, mut pair: u32) {
        let Some(room) = self.bytes.get_mut(self.len..) else { return };
        for (i, byte) in room.iter_mut().take(PAIR_BYTES).enumerate() {
            if pair < 0x80 {
                *byte = pair as u8;
                self.len += i + 1;
                return;
            }
            *byte = pair as u8 | 0x80;
            pair >>= 7;
        }
    }

    /// The identity so far.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Number of a series in its partition, given in log order.
pub(crate) type SeriesRef = u32;

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    slabs: Vec<Vec<u8>>,
    at: Paged<u32>,
    table: Table,
    hasher: RandomState,
}

impl Identities {
    /// The identity of `series`; empty for a series that does not exist.
    #[inline]
    pub(crate) fn get(&self, series: SeriesRef) -> &[u8] {
        self.at.get(series).and_then(|&at| read(&self.slabs, at)).unwrap_or_default()
    }

    /// The series with this identity.
    #[inline]
    pub(crate) fn find(&self, identity: &[u8]) -> Option<SeriesRef> {
        self.table.find(self.hasher.hash_one(identity), |series| self.get(series) == identity)
    }

    /// Adds a series that is not there yet; `None` when it does not fit or 4 GiB are used.
    pub(crate) fn insert(&mut self, identity: &[u8]) -> Option<SeriesRef> {
        if identity.len() > MAX_LEN {
            return None;
        }
        let need = identity.len() + LEN_BYTES;
        if self.slabs.last().is_none_or(|slab| slab.len() + need > SLAB) {
            if self.slabs.len() == 1 << 16 {
                return None;
            }
            let capacity = if self.slabs.is_empty() { 0 } else { SLAB };
            self.slabs.push(Vec::with_capacity(capacity));
        }
        let number = self.slabs.len() - 1;
        let slab = &mut self.slabs[number];
        let series = self.at.push(((number << 16) | slab.len()) as u32)?;
        varint::put_uvarint(slab, identity.len() as u64);
        slab.extend_from_slice(identity);
        let (slabs, at, hasher) = (&self.slabs, &self.at, &self.hasher);
        let rehash = |s| hasher.hash_one(at.get(s).and_then(|&at| read(slabs, at)).unwrap_or_default());
        self.table.insert(hasher.hash_one(identity), series, rehash);
        Some(series)
    }

    /// Bytes of heap: the identities, and the table that finds them.
    pub(crate) fn size_bytes(&self) -> (usize, usize) {
        let slabs: usize = self.slabs.iter().map(Vec::capacity).sum();
        (slabs + self.at.size_bytes(), self.table.size_bytes())
    }
}

#[inline]
fn read(slabs: &[Vec<u8>], at: u32) -> Option<&[u8]> {
    let mut rest = slabs.get((at >> 16) as usize)?.get((at & 0xffff) as usize..)?;
    let len = take(&mut rest)?;
    rest.get(..len as usize)
}

/// The numbers in an identity.
pub(crate) fn pairs(mut identity: &[u8]) -> impl Iterator<Item = u32> + '_ {
    std::iter::from_fn(move || take(&mut identity))
}

#[inline]
fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_bytes() {
        let (mut identities, mut key) = (Identities::default(), Key::default());
        for i in 0..30_000u32 {
            key.start(4);
            [1, 200, i, u32::MAX].into_iter().for_each(|pair| key.push(pair));
            let bytes = key.as_bytes();
            assert_eq!(identities.find(bytes), None);
            assert_eq!(identities.insert(bytes), Some(i));
            assert_eq!(identities.find(bytes), Some(i));
            assert_eq!(pairs(identities.get(i)).collect::<Vec<_>>(), [1, 200, i, u32::MAX]);
        }
        assert_eq!(identities.insert(&vec![1; MAX_LEN + 1]), None);
        assert_eq!(identities.get(30_000), b"");
    }
}
