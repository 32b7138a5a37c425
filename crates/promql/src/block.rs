//! Columns of results: rows are series, columns are steps.
//!
//! Presence of a float is a bit, never a NaN: NaN is data. Histograms are sparse, a sorted list
//! of `(step, histogram)` per row. A cell holds a float or a histogram or nothing.

use std::sync::Arc;

use norn_model::histogram::FloatHistogram;

use crate::histogram::text::size_samples;

/// A histogram shared between cells; copied on write.
pub type Histogram = Arc<FloatHistogram>;

/// Consecutive rows with the same number of steps. Memory is kept from use to use.
#[derive(Clone, Debug, Default)]
pub struct Block {
    rows: usize,
    steps: usize,
    words: usize,
    values: Vec<f64>,
    live: Vec<u64>,
    histograms: Vec<Vec<(u32, Histogram)>>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Floats; meaningful where `live` says so.
    pub values: &'a [f64],
    /// Which steps hold a float.
    pub live: &'a [u64],
    /// The steps that hold a histogram, in order.
    pub histograms: &'a [(u32, Histogram)],
}

/// One row, to be written.
#[derive(Debug)]
pub struct RowMut<'a> {
    /// Floats; meaningful where `live` says so.
    pub values: &'a mut [f64],
    /// Which steps hold a float.
    pub live: &'a mut [u64],
    /// The steps that hold a histogram, in order.
    pub histograms: &'a mut Vec<(u32, Histogram)>,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(&'a Histogram),
}

impl Block {
    /// A block of empty rows.
    pub fn new(rows: usize, steps: usize) -> Self {
        let mut block = Self::default();
        block.reset(rows, steps);
        block
    }

    /// Makes all of `rows × steps` cells empty.
    pub fn reset(&mut self, rows: usize, steps: usize) {
        self.rows = rows;
        self.steps = steps;
        self.words = steps.div_ceil(64);
        self.values.resize(rows * steps, 0.0);
        self.live.clear();
        self.live.resize(rows * self.words, 0);
        self.histograms.resize_with(rows, Vec::new);
        self.histograms.iter_mut().for_each(Vec::clear);
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// A row to read.
    pub fn row(&self, i: usize) -> Row<'_> {
        Row {
            values: &self.values[i * self.steps..(i + 1) * self.steps],
            live: &self.live[i * self.words..(i + 1) * self.words],
            histograms: &self.histograms[i],
        }
    }

    /// A row to write.
    pub fn row_mut(&mut self, i: usize) -> RowMut<'_> {
        RowMut {
            values: &mut self.values[i * self.steps..(i + 1) * self.steps],
            live: &mut self.live[i * self.words..(i + 1) * self.words],
            histograms: &mut self.histograms[i],
        }
    }

    /// Appends a copy of `row`.
    pub fn push(&mut self, row: &Row<'_>) {
        self.values.extend_from_slice(row.values);
        self.live.extend_from_slice(row.live);
        self.histograms.push(row.histograms.to_vec());
        self.rows += 1;
    }

    /// Bytes its buffers hold, histograms counted as pointers.
    pub fn size_bytes(&self) -> usize {
        let sparse: usize = self.histograms.iter().map(|h| h.len() * size_of::<(u32, Histogram)>()).sum();
        self.values.len() * 8 + self.live.len() * 8 + self.rows * size_of::<Vec<(u32, Histogram)>>() + sparse
    }
}

impl<'a> Row<'a> {
    /// Whether no step holds anything.
    pub fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.live.iter().all(|w| *w == 0)
    }

    /// What step `k` holds.
    pub fn cell(&self, k: usize) -> Option<Cell<'a>> {
        if is_set(self.live, k) {
            return Some(Cell::Float(self.values[k]));
        }
        let i = self.histograms.binary_search_by_key(&(k as u32), |(step, _)| *step).ok()?;
        Some(Cell::Histogram(&self.histograms[i].1))
    }

    /// The float at step `k`.
    pub fn float(&self, k: usize) -> Option<f64> {
        is_set(self.live, k).then(|| self.values[k])
    }

    /// Whether step `k` holds anything.
    pub fn has(&self, k: usize) -> bool {
        self.cell(k).is_some()
    }

    /// Steps that hold a float, in order.
    pub fn float_steps(&self) -> Ones<'a> {
        ones(self.live)
    }

    /// Steps that hold anything, in order, with what they hold.
    pub fn cells(&self) -> impl Iterator<Item = (usize, Cell<'a>)> + 'a {
        let row = *self;
        let mut floats = self.float_steps().peekable();
        let mut histograms = self.histograms.iter().peekable();
        std::iter::from_fn(move || match (floats.peek(), histograms.peek()) {
            (Some(k), Some((h, _))) if *k > *h as usize => {
                histograms.next().map(|(k, h)| (*k as usize, Cell::Histogram(h)))
            }
            (None, Some(_)) => histograms.next().map(|(k, h)| (*k as usize, Cell::Histogram(h))),
            (Some(_), _) => floats.next().map(|k| (k, Cell::Float(row.values[k]))),
            (None, None) => None,
        })
    }

    /// Number of cells that hold something.
    pub fn count(&self) -> usize {
        self.floats() + self.histograms.len()
    }

    /// What its cells weigh in the limit of samples held.
    pub fn weight(&self) -> u64 {
        let histograms: usize = self.histograms.iter().map(|(_, h)| size_samples(h)).sum();
        (self.floats() + histograms) as u64
    }

    /// Bytes of its histograms, each counted as if nobody shared it.
    pub fn histogram_bytes(&self) -> usize {
        self.histograms.iter().map(|(_, h)| size_samples(h) * 16).sum()
    }

    fn floats(&self) -> usize {
        self.live.iter().map(|w| w.count_ones() as usize).sum()
    }
}

impl RowMut<'_> {
    /// Makes every cell empty.
    pub fn clear(&mut self) {
        self.live.fill(0);
        self.histograms.clear();
    }

    /// Puts a float at step `k`, which holds no histogram.
    pub fn set(&mut self, k: usize, value: f64) {
        self.values[k] = value;
        set(self.live, k);
    }

    /// Puts a histogram at step `k`, which is behind all other histograms and holds no float.
    pub fn push(&mut self, k: usize, histogram: Histogram) {
        self.histograms.push((k as u32, histogram));
    }

    /// Puts `cell` at step `k`, under the conditions of [`RowMut::set`] and [`RowMut::push`].
    pub fn put(&mut self, k: usize, cell: Cell<'_>) {
        match cell {
            Cell::Float(value) => self.set(k, value),
            Cell::Histogram(h) => self.push(k, h.clone()),
        }
    }

    /// Copies all of `row`.
    pub fn copy(&mut self, row: &Row<'_>) {
        self.values.copy_from_slice(row.values);
        self.live.copy_from_slice(row.live);
        self.histograms.clear();
        self.histograms.extend_from_slice(row.histograms);
    }

    /// The row as it is now.
    pub fn as_row(&self) -> Row<'_> {
        Row { values: self.values, live: self.live, histograms: self.histograms }
    }
}

/// Whether bit `k` is set.
pub fn is_set(bits: &[u64], k: usize) -> bool {
    bits[k / 64] >> (k % 64) & 1 == 1
}

/// Sets bit `k`.
pub fn set(bits: &mut [u64], k: usize) {
    bits[k / 64] |= 1 << (k % 64);
}

/// Clears bit `k`.
pub fn unset(bits: &mut [u64], k: usize) {
    bits[k / 64] &= !(1 << (k % 64));
}

/// Positions of the set bits, in order.
pub fn ones(bits: &[u64]) -> Ones<'_> {
    Ones { bits, word: 0, rest: bits.first().copied().unwrap_or(0) }
}

/// Iterator of [`ones`].
#[derive(Clone, Debug)]
pub struct Ones<'a> {
    bits: &'a [u64],
    word: usize,
    rest: u64,
}

impl Iterator for Ones<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.rest == 0 {
            self.word += 1;
            self.rest = *self.bits.get(self.word)?;
        }
        let bit = self.rest.trailing_zeros() as usize;
        self.rest &= self.rest - 1;
        Some(self.word * 64 + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_in_step_order() {
        let mut block = Block::new(1, 130);
        let mut row = block.row_mut(0);
        row.set(0, 1.0);
        row.push(3, Histogram::default());
        row.set(129, f64::NAN);
        let steps: Vec<_> = block.row(0).cells().map(|(k, c)| (k, matches!(c, Cell::Float(_)))).collect();
        assert_eq!(steps, [(0, true), (3, false), (129, true)]);
        assert_eq!(block.row(0).count(), 3);
        assert!(block.row(0).has(3) && !block.row(0).has(4));
    }

    #[test]
    fn a_reset_block_is_empty() {
        let mut block = Block::new(2, 3);
        block.row_mut(1).set(2, 5.0);
        block.reset(1, 70);
        assert!(block.row(0).is_empty());
    }
}
