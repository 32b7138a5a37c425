//! Identities of series: the numbers of their label pairs in the order of label names.
//!
//! A pair's number already implies its tenant, so equal bytes mean equal series and nothing else
//! does: hashes only find candidates. An identity is its pair numbers, all LEB128.
//!
//! Series of one target differ in a pair or two, so most identities are kept as what differs from
//! one nearby that is kept whole, in the same slab. That one's bytes stay as long as the slab, be
//! its series there or not.
//!
//! ```text
//! length << 1, LEB128 | bytes                                             whole
//! length << 1 | 1, LEB128 | position of a whole one, u16 | head, u8 | tail, u8 | bytes
//!          the first `head` bytes of the whole one, these bytes, its last `tail` bytes
//! ```

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use norn_codec::varint;

use crate::paged::Paged;
use crate::slab::{self, Slabs};
use crate::table::Table;

const LEN_BYTES: usize = 3;
/// Position, head and tail.
const SHARED_BYTES: usize = 4;
/// What sharing must save; the other's bytes cost a look.
const WORTH: usize = 3;
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

/// An identity where it is kept, in pieces that are whole pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity<'a> {
    head: &'a [u8],
    own: &'a [u8],
    tail: &'a [u8],
}

impl Identity<'_> {
    /// Whether there is no pair, which is so for series that do not exist.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.head.is_empty() && self.tail.is_empty()
    }

    fn copy_to(&self, out: &mut Vec<u8>) {
        [self.head, self.own, self.tail].into_iter().for_each(|piece| out.extend_from_slice(piece));
    }

    /// The hash of the bytes in one piece.
    fn hash(&self, hasher: &RandomState) -> u64 {
        if self.own.is_empty() || self.head.len() + self.tail.len() > 0 {
            let mut bytes = Vec::with_capacity(self.head.len() + self.own.len() + self.tail.len());
            self.copy_to(&mut bytes);
            return hasher.hash_one(bytes.as_slice());
        }
        hasher.hash_one(self.own)
    }
}

impl PartialEq<[u8]> for Identity<'_> {
    #[inline]
    fn eq(&self, bytes: &[u8]) -> bool {
        // Comparing empty slices is slow where memcmp loads under a mask: they lie nowhere.
        if self.head.is_empty() && self.tail.is_empty() {
            return self.own == bytes;
        }
        let same = |piece: &[u8], other: &[u8]| piece.is_empty() || piece == other;
        let Some((head, rest)) = bytes.split_at_checked(self.head.len()) else { return false };
        let Some((own, tail)) = rest.split_at_checked(self.own.len()) else { return false };
        tail.len() == self.tail.len() && same(self.tail, tail) && same(self.own, own) && same(self.head, head)
    }
}

impl<'a> From<&'a [u8]> for Identity<'a> {
    fn from(own: &'a [u8]) -> Self {
        Self { own, ..Self::default() }
    }
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    slabs: Slabs<Vec<u8>>,
    at: Paged<u32>,
    table: Table,
    hasher: RandomState,
    /// Address of the last one that was kept whole.
    whole: Option<u32>,
}

impl Identities {
    /// The identity of `series`; empty for a series that does not exist.
    #[inline]
    pub(crate) fn get(&self, series: SeriesRef) -> Identity<'_> {
        get(&self.slabs, &self.at, series)
    }

    /// The series with this identity.
    #[inline]
    pub(crate) fn find(&self, identity: &[u8]) -> Option<SeriesRef> {
        self.table.find(self.hasher.hash_one(identity), |series| self.get(series) == *identity)
    }

    /// Adds a series that is not there yet; `None` when it does not fit or 4 GiB are used.
    pub(crate) fn insert(&mut self, identity: &[u8]) -> Option<SeriesRef> {
        let address = self.keep(identity)?;
        let series = self.at.push(address)?;
        let (slabs, at, hasher) = (&self.slabs, &self.at, &self.hasher);
        let rehash = |series| get(slabs, at, series).hash(hasher);
        self.table.insert(hasher.hash_one(identity), series, rehash);
        Some(series)
    }

    /// Appends an identity and gives its address.
    fn keep(&mut self, identity: &[u8]) -> Option<u32> {
        let (address, slab) = self.slabs.room(identity.len() + LEN_BYTES)?;
        let whole = self.whole.filter(|whole| whole >> 16 == address >> 16).map(|whole| whole as u16);
        let shared = whole.and_then(|at| Some((at, shared(read_whole(slab, at)?, identity))));
        match shared {
            Some((at, (head, tail))) if usize::from(head) + usize::from(tail) >= SHARED_BYTES + WORTH => {
                let own = identity.get(usize::from(head)..identity.len() - usize::from(tail))?;
                varint::put_uvarint(slab, (own.len() as u64) << 1 | 1);
                slab.extend_from_slice(&at.to_le_bytes());
                slab.extend_from_slice(&[head, tail]);
                slab.extend_from_slice(own);
            }
            _ => {
                varint::put_uvarint(slab, (identity.len() as u64) << 1);
                slab.extend_from_slice(identity);
                self.whole = Some(address);
            }
        }
        Some(address)
    }

    /// Takes a series out: from now on it has no identity, and its identity no series.
    pub(crate) fn remove(&mut self, series: SeriesRef) {
        let Some(&address) = self.at.get(series) else { return };
        self.table.remove(self.get(series).hash(&self.hasher), series);
        self.release(address);
        self.at.remove(series);
    }

    fn release(&mut self, address: u32) {
        let len = read(&self.slabs, address).map_or(0, |(_, len)| len);
        if self.slabs.release(address, len) {
            // It may have been in that slab.
            self.whole = None;
        }
    }

    /// As [`Table::shrink`].
    pub(crate) fn shrink_table(&mut self, part: u32) -> bool {
        let (slabs, at, hasher) = (&self.slabs, &self.at, &self.hasher);
        self.table.shrink(part, |series| get(slabs, at, series).hash(hasher))
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
                self.get(next).copy_to(&mut identity);
                *self.at.get_mut(next)? = self.keep(&identity)?;
                self.release(address);
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

/// Bytes of whole pairs that two identities have in common at their beginnings and their ends.
fn shared(whole: &[u8], identity: &[u8]) -> (u8, u8) {
    const MOST: usize = u8::MAX as usize;
    let same = |(a, b): &(&u8, &u8)| a == b;
    let mut head = whole.iter().zip(identity).take(MOST).take_while(same).count();
    while head > 0 && identity[head - 1] >= 0x80 {
        head -= 1;
    }
    let most = (whole.len().min(identity.len()) - head).min(MOST);
    let ends = whole.iter().rev().zip(identity.iter().rev());
    let mut tail = ends.take(most).take_while(same).count();
    let begins = |bytes: &[u8], tail| bytes.len() == tail || bytes[bytes.len() - tail - 1] < 0x80;
    while tail > 0 && !(begins(whole, tail) && begins(identity, tail)) {
        tail -= 1;
    }
    (head as u8, tail as u8)
}

#[inline]
fn get<'a>(slabs: &'a Slabs<Vec<u8>>, at: &Paged<u32>, series: SeriesRef) -> Identity<'a> {
    at.get(series).and_then(|&at| read(slabs, at)).map_or(Identity::default(), |(identity, _)| identity)
}

/// The identity at an address, and how many bytes it takes there.
#[inline]
fn read(slabs: &Slabs<Vec<u8>>, address: u32) -> Option<(Identity<'_>, usize)> {
    let (slab, position) = slabs.at(address)?;
    let from = slab.get(position..)?;
    let mut rest = from;
    let head = take(&mut rest)?;
    let own_len = (head >> 1) as usize;
    if head & 1 == 0 {
        let own = rest.get(..own_len)?;
        return Some((own.into(), from.len() - rest.len() + own_len));
    }
    let (&[low, high, head, tail], rest) = rest.split_first_chunk::<SHARED_BYTES>()?;
    let whole = read_whole(slab, u16::from_le_bytes([low, high]))?;
    let own = rest.get(..own_len)?;
    let tail = whole.get(whole.len().checked_sub(usize::from(tail))?..)?;
    let identity = Identity { head: whole.get(..usize::from(head))?, own, tail };
    Some((identity, from.len() - rest.len() + own_len))
}

/// An identity that is kept whole.
#[inline]
fn read_whole(slab: &[u8], position: u16) -> Option<&[u8]> {
    let mut rest = slab.get(usize::from(position)..)?;
    let head = take(&mut rest).filter(|head| head & 1 == 0)?;
    rest.get(..(head >> 1) as usize)
}

/// The numbers in an identity.
pub(crate) fn pairs<'a>(identity: impl Into<Identity<'a>>) -> impl Iterator<Item = u32> + Clone + 'a {
    let Identity { head, own, tail } = identity.into();
    let (mut piece, mut rest) = (head, [own, tail].into_iter());
    std::iter::from_fn(move || {
        while piece.is_empty() {
            piece = rest.next()?;
        }
        take(&mut piece)
    })
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
    use proptest::prelude::*;

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
        assert!(identities.get(30_000).is_empty());
    }

    proptest! {
        #[test]
        fn identities_are_kept_beside_others_that_go(
            all in prop::collection::btree_set(prop::collection::vec(number(), 1..9), 1..120),
            order in any::<u64>(),
            every in 1usize..4,
        ) {
            let mut all: Vec<Vec<u32>> = all.into_iter().collect();
            let len = all.len();
            all.rotate_left((order % len as u64) as usize);
            let (mut identities, mut key) = (Identities::default(), Key::default());
            let mut bytes = |pairs: &[u32]| {
                key.start(pairs.len());
                pairs.iter().for_each(|pair| key.push(*pair));
                key.as_bytes().to_vec()
            };
            for (series, list) in all.iter().enumerate() {
                prop_assert_eq!(identities.insert(&bytes(list)), Some(series as u32));
            }
            // Those they are kept beside go too.
            for series in (0..len as u32).step_by(every) {
                identities.remove(series);
            }
            for (series, list) in all.iter().enumerate() {
                let (series, is_gone) = (series as u32, series % every == 0);
                let bytes = bytes(list);
                prop_assert_eq!(identities.find(&bytes), Some(series).filter(|_| !is_gone));
                let found: Vec<u32> = pairs(identities.get(series)).collect();
                prop_assert_eq!(&found, if is_gone { &[][..] } else { &list[..] });
                prop_assert_eq!(identities.get(series) == *bytes, !is_gone);
                if is_gone {
                    prop_assert!(identities.insert(&bytes).is_some());
                    prop_assert!(identities.find(&bytes).is_some_and(|again| again >= len as u32));
                }
            }
        }
    }

    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![0u32..3, 120u32..135, 16_380u32..16_386, any::<u32>()]
    }

    #[test]
    fn neighbours_share_their_bytes() {
        let (mut identities, mut key) = (Identities::default(), Key::default());
        for series in 0..10_000u32 {
            key.start(20);
            key.push(series % 100);
            (0..19).for_each(|i| key.push(1000 + series / 100 * 20 + i));
            identities.insert(key.as_bytes());
        }
        let bytes = identities.size_bytes().0 - identities.at.size_bytes();
        assert!(bytes < 10_000 * 8 + (2 << 16), "{bytes}");
        let found: Vec<u32> = pairs(identities.get(9_999)).collect();
        assert!(found[0] == 99 && found[1..].iter().copied().eq(2980..2999));
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
            assert!(identities.get(i).is_empty());
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
