//! Aggregations whose state is a few floats.

use crate::annotation::NoteKind;
use crate::block::{Row, RowMut, is_set, set};
use crate::numeric::quantile::quantile;
use crate::numeric::sum::Variance;
use crate::operator::aggregate::{Accumulator, GroupNotes};
use crate::operator::scalar::Scalar;

/// `count` and `group`.
pub(super) struct Counts {
    steps: usize,
    counts: Vec<u32>,
    one: bool,
}

impl Counts {
    pub(super) fn new(cells: usize, steps: usize, one: bool) -> Self {
        Self { steps, counts: vec![0; cells], one }
    }
}

impl Accumulator for Counts {
    fn add(&mut self, group: usize, row: &Row<'_>, _: &GroupNotes<'_>) {
        let counts = &mut self.counts[group * self.steps..(group + 1) * self.steps];
        row.float_steps().for_each(|k| counts[k] += 1);
        row.histograms.iter().for_each(|(k, _)| counts[*k as usize] += 1);
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, _: &GroupNotes<'_>) {
        for (k, count) in self.counts[group * self.steps..(group + 1) * self.steps].iter().enumerate() {
            if *count > 0 {
                out.set(k, if self.one { 1.0 } else { f64::from(*count) });
            }
        }
    }
}

/// `min` and `max`.
pub(super) struct Extremes {
    steps: usize,
    values: Vec<f64>,
    seen: Vec<u64>,
    name: &'static str,
    better: fn(f64, f64) -> bool,
}

impl Extremes {
    pub(super) fn new(cells: usize, steps: usize, name: &'static str, better: fn(f64, f64) -> bool) -> Self {
        Self { steps, values: vec![f64::NAN; cells], seen: vec![0; cells.div_ceil(64)], name, better }
    }
}

impl Accumulator for Extremes {
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>) {
        for k in row.float_steps() {
            let cell = group * self.steps + k;
            let (new, old) = (row.values[k], self.values[cell]);
            if old.is_nan() || (self.better)(new, old) {
                self.values[cell] = new;
            }
            set(&mut self.seen, cell);
        }
        note_ignored(row, self.name, notes);
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, _: &GroupNotes<'_>) {
        for k in 0..self.steps {
            let cell = group * self.steps + k;
            if is_set(&self.seen, cell) {
                out.set(k, self.values[cell]);
            }
        }
    }
}

/// `stddev` and `stdvar`.
pub(super) struct Variances {
    steps: usize,
    states: Vec<Option<Variance>>,
    root: bool,
}

impl Variances {
    pub(super) fn new(cells: usize, steps: usize, root: bool) -> Self {
        Self { steps, states: vec![None; cells], root }
    }
}

impl Accumulator for Variances {
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>) {
        for k in row.float_steps() {
            match &mut self.states[group * self.steps + k] {
                Some(state) => state.add(row.values[k]),
                state @ None => *state = Some(Variance::new(row.values[k])),
            }
        }
        note_ignored(row, if self.root { "stddev" } else { "stdvar" }, notes);
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, _: &GroupNotes<'_>) {
        for k in 0..self.steps {
            if let Some(state) = self.states[group * self.steps + k] {
                out.set(k, if self.root { state.value().sqrt() } else { state.value() });
            }
        }
    }
}

/// `quantile`.
pub(super) struct Quantiles {
    steps: usize,
    values: Vec<Vec<f64>>,
    param: Scalar,
    bytes: usize,
}

impl Quantiles {
    pub(super) fn new(cells: usize, steps: usize, param: Scalar) -> Self {
        Self { steps, values: vec![Vec::new(); cells], param, bytes: 0 }
    }
}

impl Accumulator for Quantiles {
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>) {
        for k in row.float_steps() {
            self.values[group * self.steps + k].push(row.values[k]);
            self.bytes += 8;
        }
        note_ignored(row, "quantile", notes);
    }

    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, _: &GroupNotes<'_>) {
        for k in 0..self.steps {
            let values = &mut self.values[group * self.steps + k];
            if !values.is_empty() {
                out.set(k, quantile(self.param.at(k), values));
            }
        }
    }

    fn extra_bytes(&self) -> usize {
        self.bytes
    }
}

fn note_ignored(row: &Row<'_>, name: &str, notes: &GroupNotes<'_>) {
    if !row.histograms.is_empty() {
        notes.add(NoteKind::IgnoredInGroup, name);
    }
}
