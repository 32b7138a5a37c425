//! Finished words of open chunks, in chains of 48-byte cells.
//!
//! A page of rows owns one pool. Most chunks are constant and fit one cell, some take a kilobyte:
//! cells follow both without doubling. Cells of sealed chunks go to a free list.

use norn_codec::bits::WordSink;

use crate::page::ROWS;

const WORD: usize = 8;
const WORDS: usize = 6;
const NONE: u16 = u16::MAX;

/// Most samples an open chunk may hold, so that 16 bits number every cell of a page.
pub(crate) const MAX_SAMPLES: u16 = 480;

/// Bits of the worst sample: 4 + 64 of time, 13 + 64 of value; the first one has 160.
const WORST_CHUNK_CELLS: usize = (MAX_SAMPLES as usize * 145 + 160).div_ceil(64 * WORDS) + 1;
const _: () = assert!(ROWS * WORST_CHUNK_CELLS < NONE as usize);

#[derive(Clone, Copy, Debug)]
struct Cell {
    bytes: [u8; WORD * WORDS],
    next: u16,
}

/// The cells of one chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u16,
    last: u16,
    words: u16,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, words: 0 }
    }
}

impl Chain {
    /// Bytes in the chain.
    pub(crate) fn len(self) -> usize {
        self.words as usize * WORD
    }
}

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Cells {
    cells: Vec<Cell>,
    free: u16,
}

impl Default for Cells {
    fn default() -> Self {
        Self { cells: Vec::new(), free: NONE }
    }
}

impl Cells {
    /// A sink that appends to `chain`.
    pub(crate) fn sink<'a>(&'a mut self, chain: &'a mut Chain) -> Sink<'a> {
        Sink { cells: self, chain }
    }

    fn push(&mut self, chain: &mut Chain, word: u64) {
        let at = chain.words as usize % WORDS;
        if at == 0 {
            let cell = self.take();
            if chain.words == 0 {
                chain.first = cell;
            } else {
                self.cells[chain.last as usize].next = cell;
            }
            chain.last = cell;
        }
        let cell = &mut self.cells[chain.last as usize];
        cell.bytes[at * WORD..(at + 1) * WORD].copy_from_slice(&word.to_be_bytes());
        chain.words += 1;
    }

    fn take(&mut self) -> u16 {
        if self.free != NONE {
            let cell = self.free;
            self.free = self.cells[cell as usize].next;
            self.cells[cell as usize].next = NONE;
            return cell;
        }
        if self.cells.len() == self.cells.capacity() {
            self.cells.reserve_exact((self.cells.len() / 8).max(16));
        }
        self.cells.push(Cell { bytes: [0; WORD * WORDS], next: NONE });
        (self.cells.len() - 1) as u16
    }

    /// Appends the bytes of `chain` to `out`.
    pub(crate) fn copy(&self, chain: Chain, out: &mut Vec<u8>) {
        let (mut left, mut at) = (chain.len(), chain.first);
        while let (1.., Some(cell)) = (left, self.cells.get(at as usize)) {
            let take = left.min(cell.bytes.len());
            out.extend_from_slice(&cell.bytes[..take]);
            left -= take;
            at = cell.next;
        }
    }

    /// Empties `chain`.
    pub(crate) fn release(&mut self, chain: &mut Chain) {
        if let Some(last) = self.cells.get_mut(chain.last as usize) {
            last.next = self.free;
            self.free = chain.first;
        }
        *chain = Chain::default();
    }

    /// Gives memory back when more than half of it is free: `chains` are all there are.
    pub(crate) fn compact<'a>(&mut self, chains: impl Iterator<Item = &'a mut Chain>) {
        let chains: Vec<&mut Chain> = chains.filter(|chain| chain.words > 0).collect();
        let used: usize = chains.iter().map(|chain| (chain.words as usize).div_ceil(WORDS)).sum();
        if used * 2 >= self.cells.capacity() {
            return;
        }
        let mut packed = Vec::with_capacity(used);
        for chain in chains {
            let (mut at, first) = (chain.first, packed.len());
            for _ in 0..(chain.words as usize).div_ceil(WORDS) {
                let Some(cell) = self.cells.get(at as usize) else { break };
                packed.push(Cell { bytes: cell.bytes, next: packed.len() as u16 + 1 });
                at = cell.next;
            }
            (chain.first, chain.last) = (first as u16, (packed.len() - 1) as u16);
            if let Some(last) = packed.last_mut() {
                last.next = NONE;
            }
        }
        *self = Self { cells: packed, free: NONE };
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }
}

/// Appends words to one chain.
pub(crate) struct Sink<'a> {
    cells: &'a mut Cells,
    chain: &'a mut Chain,
}

impl WordSink for Sink<'_> {
    #[inline]
    fn push_word(&mut self, word: u64) {
        self.cells.push(self.chain, word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_grow_side_by_side_and_cells_come_back() {
        let mut cells = Cells::default();
        let mut chains = [Chain::default(); 3];
        for word in 0..40u64 {
            for (i, chain) in chains.iter_mut().enumerate() {
                cells.sink(chain).push_word(word + i as u64 * 1000);
            }
        }
        let bytes = |cells: &Cells, chain: Chain| {
            let mut out = Vec::new();
            cells.copy(chain, &mut out);
            out
        };
        let want = |base: u64| (0..40).flat_map(|w| (w + base).to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(bytes(&cells, chains[1]), want(1000));
        let before = cells.cells.len();
        cells.compact(chains.iter_mut());
        assert_eq!(cells.cells.len(), before);
        cells.release(&mut chains[1]);
        assert_eq!(bytes(&cells, chains[1]), b"");
        let mut again = Chain::default();
        for word in 0..40u64 {
            cells.sink(&mut again).push_word(word + 7);
        }
        assert_eq!(cells.cells.len(), before);
        assert_eq!(bytes(&cells, again), want(7));
        assert_eq!(bytes(&cells, chains[0]), want(0));
        assert_eq!(bytes(&cells, chains[2]), want(2000));
        cells.release(&mut again);
        cells.release(&mut chains[0]);
        cells.compact(chains.iter_mut());
        assert_eq!(cells.cells.len(), before / 3);
        assert_eq!(bytes(&cells, chains[2]), want(2000));
        cells.sink(&mut chains[2]).push_word(2040);
        assert_eq!(bytes(&cells, chains[2]).len(), 41 * WORD);
    }
}
