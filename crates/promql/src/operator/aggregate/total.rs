//! `sum` and `avg`, of floats and of histograms.

use std::collections::HashMap;
use std::sync::Arc;

use norn_model::histogram::{FloatHistogram, ResetHint};

use crate::annotation::NoteKind;
use crate::block::{Row, RowMut, is_set, set};
use crate::histogram::accumulate::{Accumulator as HistogramSum, Mean as HistogramMean};
use crate::histogram::arithmetic::{Incompatible, Notes};
use crate::numeric::sum::{Mean, kahan_add};
use crate::operator::aggregate::{Accumulator, GroupNotes};

/// A running total of histograms.
trait Total {
    fn start(first: &FloatHistogram) -> Self;
    fn include(&mut self, h: &FloatHistogram) -> Result<Notes, Incompatible>;
    fn value(self) -> FloatHistogram;
}

impl Total for HistogramSum {
    fn start(first: &FloatHistogram) -> Self {
        Self::new(first.clone())
    }

    fn include(&mut self, h: &FloatHistogram) -> Result<Notes, Incompatible> {
        self.add(h)
    }

    fn value(self) -> FloatHistogram {
        self.finish()
    }
}

impl Total for HistogramMean {
    fn start(first: &FloatHistogram) -> Self {
        Self::new(first.clone())
    }

    fn include(&mut self, h: &FloatHistogram) -> Result<Notes, Incompatible> {
        self.add(h)
    }

    fn value(self) -> FloatHistogram {
        self.finish()
    }
}

/// Histogram side of one cell.
struct Cell<T> {
    /// Missing where a float came first: the cell is invalid anyway.
    total: Option<T>,
    incompatible: bool,
    resets: bool,
    not_resets: bool,
}

/// Histogram sides of all cells that met one.
struct Histograms<T> {
    cells: HashMap<usize, Cell<T>>,
    bytes: usize,
}

impl<T: Total> Histograms<T> {
    fn new() -> Self {
        Self { cells: HashMap::new(), bytes: 0 }
    }

    /// Whether the cell takes nothing more.
    fn is_closed(&self, cell: usize) -> bool {
        self.cells.get(&cell).is_some_and(|c| c.incompatible)
    }

    fn add(&mut self, cell: usize, h: &FloatHistogram, has_float: bool, notes: &GroupNotes<'_>) {
        let state = self.cells.entry(cell).or_insert_with(|| {
            self.bytes += 2 * h.positive_buckets.len().max(h.negative_buckets.len()) * 16 + 256;
            Cell { total: None, incompatible: false, resets: false, not_resets: false }
        });
        if state.incompatible {
            return;
        }
        state.resets |= h.reset_hint == ResetHint::Reset;
        state.not_resets |= h.reset_hint == ResetHint::NotReset;
        match &mut state.total {
            None if has_float => {}
            None => state.total = Some(T::start(h)),
            Some(total) => match total.include(h) {
                Ok(added) if added.bounds_reconciled => notes.add(NoteKind::ReconciledBounds, "aggregation"),
                Ok(_) => {}
                Err(_) => {
                    state.incompatible = true;
                    state.total = None;
                    notes.add(NoteKind::MixedSchemas, notes.metric);
                }
            },
        }
    }

    /// Whether the cell is without a float result, and its histogram.
    fn finish(
        &mut self,
        cell: usize,
        has_float: bool,
        notes: &GroupNotes<'_>,
    ) -> Option<Option<FloatHistogram>> {
        let state = self.cells.remove(&cell)?;
        if has_float {
            notes.add(NoteKind::MixedGroup, "");
            return Some(None);
        }
        if state.resets && state.not_resets {
            notes.add(NoteKind::ConflictingResets, "aggregation");
        }
        Some(state.total.map(T::value))
    }
}

/// `sum`.
pub(super) struct Sums {
    steps: usize,
    sums: Vec<f64>,
    compensations: Vec<f64>,
    seen: Vec<u64>,
    histograms: Histograms<HistogramSum>,
}

impl Sums {
    pub(super) fn new(cells: usize, steps: usize) -> Self {
        Self {
            steps,
            sums: vec![0.0; cells],
            compensations: vec![0.0; cells],
            seen: vec![0; cells.div_ceil(64)],
            histograms: Histograms::new(),
        }
    }
}

impl Accumulator for Sums {
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>) {
        let first = group * self.steps;
        for k in row.float_steps() {
            let cell = first + k;
            if !self.histograms.cells.is_empty() && self.histograms.is_closed(cell) {
                continue;
            }
            // Starting at zero gives the same bits as starting at the first value: what differs is the
            // sign of a zero, which the final addition of the compensation removes.
            (self.sums[cell], self.compensations[cell]) =
                kahan_add(row.values[k], self.sums[cell], self.compensations[cell]);
            set(&mut self.seen, cell);
        }
        for (k, h) in row.histograms {
            let cell = first + *k as usize;
            self.histograms.add(cell, h, is_set(&self.seen, cell), notes);
        }
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, notes: &GroupNotes<'_>) {
        for k in 0..self.steps {
            let cell = group * self.steps + k;
            let seen = is_set(&self.seen, cell);
            match self.histograms.finish(cell, seen, notes) {
                Some(Some(h)) => out.push(k, Arc::new(h)),
                Some(None) => {}
                None if seen => out.set(k, self.sums[cell] + self.compensations[cell]),
                None => {}
            }
        }
    }

    fn extra_bytes(&self) -> usize {
        self.histograms.bytes
    }
}

/// `avg`.
pub(super) struct Means {
    steps: usize,
    means: Vec<Option<Mean>>,
    histograms: Histograms<HistogramMean>,
}

impl Means {
    pub(super) fn new(cells: usize, steps: usize) -> Self {
        Self { steps, means: vec![None; cells], histograms: Histograms::new() }
    }
}

impl Accumulator for Means {
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>) {
        let first = group * self.steps;
        for k in row.float_steps() {
            let cell = first + k;
            if !self.histograms.cells.is_empty() && self.histograms.is_closed(cell) {
                continue;
            }
            match &mut self.means[cell] {
                Some(mean) => mean.add(row.values[k]),
                mean @ None => *mean = Some(Mean::new(row.values[k])),
            }
        }
        for (k, h) in row.histograms {
            let cell = first + *k as usize;
            self.histograms.add(cell, h, self.means[cell].is_some(), notes);
        }
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, notes: &GroupNotes<'_>) {
        for k in 0..self.steps {
            let cell = group * self.steps + k;
            let mean = self.means[cell];
            match (self.histograms.finish(cell, mean.is_some(), notes), mean) {
                (Some(Some(h)), _) => out.push(k, Arc::new(h)),
                (None, Some(mean)) => out.set(k, mean.value()),
                _ => {}
            }
        }
    }

    fn extra_bytes(&self) -> usize {
        self.histograms.bytes
    }
}
