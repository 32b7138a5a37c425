//! Bytes of a file: what the cache holds, what the disk has, and what lies between.

use std::collections::BTreeMap;

use super::Dice;

/// What the disk writes whole, or tears.
pub(super) const SECTOR: usize = 512;

/// States of a sector that are remembered besides the durable one.
const VERSIONS: usize = 4;

/// How much of what was not synced a power cut leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    Everything,
    ByDice,
}

impl Cut {
    /// How many of `count` states passed, 0 to `count`.
    pub(super) fn of(self, count: usize, dice: &mut Dice) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Everything => count,
            Self::ByDice => dice.below(count as u64 + 1) as usize,
        }
    }
}

/// A file.
#[derive(Default)]
pub(super) struct Inode {
    pub(super) cache: Vec<u8>,
    durable: Vec<u8>,
    /// What a sector held after each write since the last sync, oldest first.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Lengths the file had since the last sync.
    lengths: Vec<usize>,
}

fn range_of(sector: usize, len: usize) -> std::ops::Range<usize> {
    (sector * SECTOR).min(len)..((sector + 1) * SECTOR).min(len)
}

impl Inode {
    /// A file that the disk has.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), cache: bytes, ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
            self.lengths.push(end);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        self.soil(offset / SECTOR..end.div_ceil(SECTOR));
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.cache.len();
        self.cache.resize(len, 0);
        self.lengths.push(len);
        self.soil(old.min(len) / SECTOR..old.max(len).div_ceil(SECTOR));
    }

    fn soil(&mut self, sectors: std::ops::Range<usize>) {
        for sector in sectors {
            let mut state = self.cache[range_of(sector, self.cache.len())].to_vec();
            state.resize(SECTOR, 0);
            let states = self.dirty.entry(sector).or_default();
            if states.len() == VERSIONS {
                states.remove(0);
            }
            states.push(state);
        }
    }

    /// Writes `bytes` of a sector to the disk, as far as the file reaches there.
    fn store(&mut self, sector: usize, bytes: &[u8]) {
        let range = range_of(sector, self.durable.len());
        let len = range.len().min(bytes.len());
        self.durable[range.start..range.start + len].copy_from_slice(&bytes[..len]);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cache.len(), 0);
        self.lengths.clear();
        for (sector, states) in std::mem::take(&mut self.dirty) {
            states.last().inspect(|state| self.store(sector, state));
        }
    }

    /// A sync that writes some sectors and forgets that the others were to be written.
    pub(super) fn fail_sync(&mut self, dice: &mut Dice) {
        if dice.below(2) == 0 {
            self.durable.resize(self.cache.len(), 0);
        }
        for (sector, states) in std::mem::take(&mut self.dirty) {
            if dice.below(2) == 0 {
                states.last().inspect(|state| self.store(sector, state));
            }
        }
    }

    pub(super) fn crash(&mut self, cut: Cut, dice: &mut Dice) {
        let lengths = std::mem::take(&mut self.lengths);
        if let Some(i) = cut.of(lengths.len(), dice).checked_sub(1) {
            self.durable.resize(lengths[i], 0);
        }
        for (sector, states) in std::mem::take(&mut self.dirty) {
            if let Some(i) = cut.of(states.len(), dice).checked_sub(1) {
                let torn = cut == Cut::ByDice && dice.below(8) == 0;
                let len = if torn { dice.below(SECTOR as u64) as usize } else { SECTOR };
                self.store(sector, &states[i][..len]);
            }
        }
        self.cache.clone_from(&self.durable);
    }
}
