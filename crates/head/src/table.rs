//! A hash table of 32-bit numbers whose keys live elsewhere.
//!
//! Four to eleven bytes an entry. The caller hashes and compares; a hit on the hash alone is never
//! a hit. 64 parts keep the pause for growing one of them below a millisecond at a million entries.

use hashbrown::HashTable;

const PARTS: usize = 64;

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

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.parts.iter().map(HashTable::allocation_size).sum()
    }
}
