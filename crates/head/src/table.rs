//! A hash table of 32-bit numbers whose keys live elsewhere.
//!
//! Four to eleven bytes an entry. The caller hashes and compares; a hit on the hash alone is never
//! a hit. 64 parts keep the pause for growing or shrinking one of them below a millisecond at a
//! million entries.

use hashbrown::HashTable;

const PARTS: usize = 64;

/// A part this small is not made smaller.
const KEEP: usize = 16;

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

    /// Takes a number out. `rehash` gives the hash of any other number in the table.
    pub(crate) fn remove(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        let part = &mut self.parts[part(hash)];
        if let Ok(entry) = part.find_entry(hash, |&n| n == number) {
            entry.remove();
        }
        // Half empty after it, so that the next entries do not make it grow again.
        if part.num_buckets() > KEEP && part.len() < part.num_buckets() / 4 {
            part.shrink_to(part.len() * 3 / 2, |&n| rehash(n));
        }
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

    #[test]
    fn shrinks_when_most_have_gone() {
        let hasher = foldhash::fast::FixedState::with_seed(3);
        let hash = |n: u32| hasher.hash_one(n);
        let mut table = Table::default();
        let mut sizes = Vec::new();
        for n in 0..50_000 {
            table.insert(hash(n), n, hash);
        }
        for n in 0..50_000 {
            if n % 5_000 == 0 {
                sizes.push(table.size_bytes());
            }
            table.remove(hash(n), n, hash);
            assert_eq!(table.find(hash(n), |m| m == n), None);
            assert_eq!(table.find(hash(49_999), |m| m == 49_999), Some(49_999).filter(|_| n < 49_999));
        }
        assert!(sizes[9] * 3 < sizes[0], "{sizes:?}");
        assert!(table.size_bytes() * 40 < sizes[0]);
        table.remove(hash(7), 7, hash);
    }
}
