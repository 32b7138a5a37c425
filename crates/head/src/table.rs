//! A hash table of 32-bit numbers whose keys live elsewhere.
//!
//! Four to eleven bytes an entry. The caller hashes and compares; a hit on the hash alone is never
//! a hit. 256 parts keep the pause for growing or shrinking one of them below half a millisecond at
//! a million entries.

use hashbrown::HashTable;

const PARTS: usize = 256;

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Table {
    parts: [HashTable<u32>; PARTS],
}

impl Default for Table {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| HashTable::new()) }
    }
}

/// Bits in the middle: the table itself uses the top ones and the bottom ones.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Table {
    /// The number with this hash for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.parts[part(hash)].find(hash, |&n| is(n)).copied()
    }

    /// Adds a number that is not in the table. `rehash` gives the hash of any number in it.
    pub(crate) fn insert(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        self.parts[part(hash)].insert_unique(hash, number, |&n| rehash(n));
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, hash: u64, number: u32) {
        if let Ok(entry) = self.parts[part(hash)].find_entry(hash, |&n| n == number) {
            entry.remove();
        }
    }

    /// Makes a part smaller that is mostly empty. False: there is no such part.
    pub(crate) fn shrink(&mut self, part: u32, rehash: impl Fn(u32) -> u64) -> bool {
        let Some(part) = self.parts.get_mut(part as usize) else { return false };
        if part.len() < part.num_buckets() / 4 {
            // Half empty after it, so that the next entries do not make it grow again.
            part.shrink_to(part.len() * 3 / 2, |&n| rehash(n));
        }
        true
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.parts.iter().map(HashTable::allocation_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    const ALL: u32 = 100_000;

    #[test]
    fn shrinks_when_most_have_gone() {
        let hasher = foldhash::fast::FixedState::with_seed(3);
        let hash = |n: u32| hasher.hash_one(n);
        let mut table = Table::default();
        for n in 0..ALL {
            table.insert(hash(n), n, hash);
        }
        let full = table.size_bytes();
        for n in 0..ALL * 9 / 10 {
            table.remove(hash(n), n);
            assert_eq!(table.find(hash(n), |m| m == n), None);
        }
        table.remove(hash(7), 7);
        assert_eq!((0..).take_while(|&part| table.shrink(part, hash)).count(), PARTS);
        assert!(table.size_bytes() * 3 < full, "{} of {full}", table.size_bytes());
        assert!((ALL * 9 / 10..ALL).all(|n| table.find(hash(n), |m| m == n) == Some(n)));
        (ALL * 9 / 10..ALL).for_each(|n| table.remove(hash(n), n));
        assert!((0..PARTS as u32).all(|part| table.shrink(part, hash)));
        assert_eq!(table.size_bytes(), 0);
    }
}
