//! Identities of series: the numbers of their label pairs in the order of label names.
//!
//! A pair's number already implies its tenant, so equal bytes mean equal series and nothing else
//! does: hashes only find candidates. An identity is its length and the pair numbers, all LEB128.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use norn_codec::varint;

use crate::paged::Paged;
use crate::slab::{self, Slabs};
use crate::table::Table;

const LEN_BYTES: usize = 3;
/// Longest identity in bytes.
pub(crate) const MAX_LEN: usize = slab::MAX_LEN - LEN_BYTES;

/// Identities that are moved at once.
const MOVES: usize = 512;
/// Series that are looked at at once for identities to move.
const LOOKS: u32 = 16_384;

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
    slabs: Slabs<Vec<u8>>,
    at: Paged<u32>,
    table: Table,
    hasher: RandomState,
}

impl Identities {
    /// The identity of `series`; empty for a series that does not exist.
    #[inline]
    pub(crate) fn get(&self, series: SeriesRef) -> &[u8] {
        get(&self.slabs, &self.at, series)
    }

    /// The series with this identity.
    #[inline]
    pub(crate) fn find(&self, identity: &[u8]) -> Option<SeriesRef> {
        self.table.find(self.hasher.hash_one(identity), |series| self.get(series) == identity)
    }

    /// Adds a series that is not there yet; `None` when it does not fit or 4 GiB are used.
    pub(crate) fn insert(&mut self, identity: &[u8]) -> Option<SeriesRef> {
        let (address, slab) = self.slabs.room(stored_len(identity))?;
        let series = self.at.push(address)?;
        push(slab, identity);
        let (slabs, at, hasher) = (&self.slabs, &self.at, &self.hasher);
        let rehash = |series| hasher.hash_one(get(slabs, at, series));
        self.table.insert(hasher.hash_one(identity), series, rehash);
        Some(series)
    }

    /// Takes a series out: from now on it has no identity, and its identity no series.
    pub(crate) fn remove(&mut self, series: SeriesRef) {
        let Some(&address) = self.at.get(series) else { return };
        let identity = get(&self.slabs, &self.at, series);
        self.table.remove(self.hasher.hash_one(identity), series);
        let len = stored_len(identity);
        self.slabs.release(address, len);
        self.at.remove(series);
    }

    /// As [`Table::shrink`].
    pub(crate) fn shrink_table(&mut self, part: u32) -> bool {
        let (slabs, at, hasher) = (&self.slabs, &self.at, &self.hasher);
        self.table.shrink(part, |series| hasher.hash_one(get(slabs, at, series)))
    }

    /// Marks slabs that are mostly dead; says whether there are any.
    pub(crate) fn mark(&mut self) -> bool {
        self.slabs.mark()
    }

    /// Moves some identities out of marked slabs, from series `from` on. Gives the series to go
    /// on with, `None` at the end.
    pub(crate) fn evacuate(&mut self, from: SeriesRef) -> Option<SeriesRef> {
        let (mut next, mut moves, mut identity) = (from, MOVES, Vec::new());
        let end = from.saturating_add(LOOKS);
        while moves > 0 && next < end {
            next = self.at.next(next)?;
            let address = *self.at.get(next)?;
            if self.slabs.is_leaving(address) {
                identity.clear();
                identity.extend_from_slice(self.get(next));
                let len = stored_len(&identity);
                let (at, slab) = self.slabs.room(len)?;
                push(slab, &identity);
                self.slabs.release(address, len);
                *self.at.get_mut(next)? = at;
                moves -= 1;
            }
            next += 1;
        }
        Some(next)
    }

    /// Bytes of heap: the identities, and the table that finds them.
    pub(crate) fn size_bytes(&self) -> (usize, usize) {
        (self.slabs.size_bytes() + self.at.size_bytes(), self.table.size_bytes())
    }
}

fn stored_len(identity: &[u8]) -> usize {
    let len_bytes = match identity.len() {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => LEN_BYTES,
    };
    len_bytes + identity.len()
}

fn push(slab: &mut Vec<u8>, identity: &[u8]) {
    varint::put_uvarint(slab, identity.len() as u64);
    slab.extend_from_slice(identity);
}

#[inline]
fn get<'a>(slabs: &'a Slabs<Vec<u8>>, at: &Paged<u32>, series: SeriesRef) -> &'a [u8] {
    at.get(series).and_then(|&at| read(slabs, at)).unwrap_or_default()
}

#[inline]
fn read(slabs: &Slabs<Vec<u8>>, address: u32) -> Option<&[u8]> {
    let (slab, position) = slabs.at(address)?;
    let mut rest = slab.get(position..)?;
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

    #[test]
    fn series_go_and_the_rest_moves_together() {
        let (mut identities, mut key) = (Identities::default(), Key::default());
        let bytes = |key: &mut Key, i: u32| {
            key.start(4);
            [1, 200, i, u32::MAX].into_iter().for_each(|pair| key.push(pair));
            key.as_bytes().to_vec()
        };
        for i in 0..30_000 {
            identities.insert(&bytes(&mut key, i));
        }
        let full = identities.size_bytes();
        for i in (0..30_000).filter(|i| i % 9 > 0) {
            identities.remove(i);
            identities.remove(i);
            assert_eq!(identities.get(i), b"");
        }
        assert!(identities.mark());
        let mut next = Some(0);
        while let Some(from) = next {
            next = identities.evacuate(from);
        }
        assert!((0..).any(|part| !identities.shrink_table(part)));
        let left = identities.size_bytes();
        assert!(left.0 * 2 < full.0 && left.1 * 4 < full.1, "{left:?} of {full:?}");
        for i in 0..30_000 {
            let bytes = bytes(&mut key, i);
            assert_eq!(identities.find(&bytes), Some(i).filter(|i| i % 9 == 0));
        }
        assert_eq!(identities.insert(&bytes(&mut key, 1)), Some(30_000));
    }
}
