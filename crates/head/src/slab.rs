//! Bytes of many small things in slabs of 64 KiB that never move.
//!
//! An address is a slab's number in the upper half and a position in the lower. Only one slab is
//! written to. Each knows how much of it is dead; one that is dead as a whole is freed and its
//! number used again, so addresses are for one owner alone, who can correct them: he moves what
//! lives out of slabs that are mostly dead.

use crate::paged::Entry;

const SLAB: usize = 1 << 16;
/// No address: the last byte of a slab is left free.
pub(crate) const NOWHERE: u32 = <u32 as Entry>::HOLE;
/// Longest thing that fits into a slab.
pub(crate) const MAX_LEN: usize = SLAB - 1;

/// What a slab is made of.
pub(crate) trait Buffer {
    /// An empty one with room for `bytes`.
    fn with_capacity(bytes: usize) -> Self;
    /// Bytes in it.
    fn len(&self) -> usize;
    /// Bytes it has room for.
    fn capacity(&self) -> usize;
}

impl Buffer for Vec<u8> {
    fn with_capacity(bytes: usize) -> Self {
        Self::with_capacity(bytes)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }
}

impl Buffer for String {
    fn with_capacity(bytes: usize) -> Self {
        Self::with_capacity(bytes)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }
}

#[derive(Debug)]
struct Slab<B> {
    bytes: B,
    dead: usize,
    /// Its owner is moving out of it.
    leaving: bool,
}

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Slabs<B> {
    slabs: Vec<Slab<B>>,
    /// Numbers of slabs that were freed.
    free: Vec<u16>,
    /// The one that is written to.
    current: usize,
}

impl<B> Default for Slabs<B> {
    fn default() -> Self {
        Self { slabs: Vec::new(), free: Vec::new(), current: 0 }
    }
}

impl<B: Buffer> Slabs<B> {
    /// Room for a thing of at most `len` bytes: its address, and the buffer it is appended to.
    /// `None` when it is longer than [`MAX_LEN`] or 4 GiB are used.
    pub(crate) fn room(&mut self, len: usize) -> Option<(u32, &mut B)> {
        if len > MAX_LEN {
            return None;
        }
        if self.slabs.get(self.current).is_none_or(|slab| slab.bytes.len() + len > MAX_LEN) {
            self.open()?;
        }
        let slab = self.slabs.get_mut(self.current)?;
        Some(((self.current << 16 | slab.bytes.len()) as u32, &mut slab.bytes))
    }

    fn open(&mut self) -> Option<()> {
        let is_first = self.slabs.is_empty();
        let slab = Slab { bytes: B::with_capacity(if is_first { 0 } else { SLAB }), dead: 0, leaving: false };
        if let Some(number) = self.free.pop() {
            self.current = number as usize;
            *self.slabs.get_mut(self.current)? = slab;
        } else if self.slabs.len() < 1 << 16 {
            self.current = self.slabs.len();
            self.slabs.push(slab);
        } else {
            return None;
        }
        Some(())
    }

    /// The slab of an address, and the position in it.
    #[inline]
    pub(crate) fn at(&self, address: u32) -> Option<(&B, usize)> {
        Some((&self.slabs.get((address >> 16) as usize)?.bytes, (address & 0xffff) as usize))
    }

    /// Says that the thing of `len` bytes at `address` is dead. True: so was the rest of its slab,
    /// which is empty now.
    pub(crate) fn release(&mut self, address: u32, len: usize) -> bool {
        let number = (address >> 16) as usize;
        let Some(slab) = self.slabs.get_mut(number) else { return false };
        slab.dead += len;
        if slab.dead < slab.bytes.len() {
            return false;
        }
        let is_current = number == self.current;
        let capacity = if is_current { slab.bytes.capacity() } else { 0 };
        *slab = Slab { bytes: B::with_capacity(capacity), dead: 0, leaving: false };
        if !is_current {
            self.free.push(number as u16);
        }
        true
    }

    /// Marks slabs of which more than half is dead; says whether there are any.
    pub(crate) fn mark(&mut self) -> bool {
        let mut any = false;
        for (number, slab) in self.slabs.iter_mut().enumerate() {
            slab.leaving = number != self.current && slab.dead * 2 > slab.bytes.len();
            any |= slab.leaving;
        }
        any
    }

    /// Whether the thing at `address` lies in a marked slab.
    #[inline]
    pub(crate) fn is_leaving(&self, address: u32) -> bool {
        self.slabs.get((address >> 16) as usize).is_some_and(|slab| slab.leaving)
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        let bytes: usize = self.slabs.iter().map(|slab| slab.bytes.capacity()).sum();
        bytes + self.slabs.capacity() * size_of::<Slab<B>>() + self.free.capacity() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(slabs: &mut Slabs<Vec<u8>>, len: usize, byte: u8) -> u32 {
        let (at, bytes) = slabs.room(len).expect("room");
        bytes.resize(bytes.len() + len, byte);
        at
    }

    #[test]
    fn dead_slabs_are_used_again() {
        let mut slabs = Slabs::default();
        let all: Vec<u32> = (0..100).map(|i| push(&mut slabs, 10_000, i)).collect();
        let full = slabs.size_bytes();
        assert!(slabs.room(MAX_LEN + 1).is_none());
        assert!(!slabs.mark());
        // Two of six things of each slab stay.
        for (i, &at) in all.iter().enumerate().filter(|(i, _)| i % 3 > 0) {
            assert_eq!(slabs.at(at).map(|(b, p)| b[p]), Some(i as u8));
            slabs.release(at, 10_000);
        }
        assert!(slabs.mark());
        for (i, &at) in all.iter().enumerate().filter(|(i, _)| i % 3 == 0) {
            if !slabs.is_leaving(at) {
                continue;
            }
            let moved = push(&mut slabs, 10_000, i as u8);
            assert_eq!(slabs.at(moved).map(|(b, p)| b[p]), Some(i as u8));
            slabs.release(at, 10_000);
        }
        assert!(slabs.size_bytes() < full / 2);
        let numbers = slabs.slabs.len();
        (0..50).for_each(|_| _ = push(&mut slabs, 10_000, 1));
        assert_eq!(slabs.slabs.len(), numbers);
    }

    #[test]
    fn the_slab_that_is_written_to_starts_again_when_all_of_it_is_dead() {
        let mut slabs = Slabs::default();
        for _ in 0..100 {
            let at = push(&mut slabs, 50_000, 1);
            assert_eq!(at, 0);
            slabs.release(at, 50_000);
        }
        assert!(!slabs.mark());
    }
}
