//! Compensated sums and means of histograms.

use norn_model::histogram::FloatHistogram;

use super::arithmetic::{
    Incompatible, Notes, add, custom_side, cut_bounds, div, exponential_side, has_overflow, merge, mul,
    prepare,
};
use super::layout::{SideBuilder, compact, reduced_index};
use super::{buckets::indexed, zero};
use crate::numeric::sum::{Sum, kahan_add};

/// A sum of histograms with a compensation for each field and bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulator {
    sum: FloatHistogram,
    /// Laid out as `sum`.
    compensation: FloatHistogram,
}

impl Accumulator {
    /// A sum that starts at its first value.
    pub fn new(first: FloatHistogram) -> Self {
        let compensation = FloatHistogram {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive_buckets: vec![0.0; first.positive_buckets.len()],
            negative_buckets: vec![0.0; first.negative_buckets.len()],
            ..first.clone()
        };
        Self { sum: first, compensation }
    }

    /// Adds `other`. Nothing is changed by an error.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Notes, Incompatible> {
        let mut notes = prepare(&mut self.sum, other)?;
        if self.sum.has_custom_buckets() {
            if self.sum.custom_values != other.custom_values {
                notes.bounds_reconciled = true;
                cut_bounds(&mut self.sum, Some(&mut self.compensation), &other.custom_values);
            }
            self.add_totals(other, other.zero_count);
            let common = std::mem::take(&mut self.sum.custom_values);
            self.add_positive(custom_side(other, &common));
            self.sum.custom_values = common;
        } else {
            let other_zero = zero::reconcile(&mut self.sum, Some(&mut self.compensation), other);
            self.add_totals(other, other_zero);
            self.reduce_schema(other.schema);
            let (schema, threshold) = (self.sum.schema, self.sum.zero_threshold);
            let (spans, counts) = (&other.positive_spans, &other.positive_buckets);
            self.add_positive(exponential_side(spans, counts, other, schema, threshold));
            let (spans, counts) = (&other.negative_spans, &other.negative_buckets);
            self.add_negative(exponential_side(spans, counts, other, schema, threshold));
        }
        Ok(notes)
    }

    fn add_totals(&mut self, other: &FloatHistogram, other_zero: f64) {
        let (sum, c) = (&mut self.sum, &mut self.compensation);
        (sum.zero_count, c.zero_count) = kahan_add(other_zero, sum.zero_count, c.zero_count);
        (sum.count, c.count) = kahan_add(other.count, sum.count, c.count);
        (sum.sum, c.sum) = kahan_add(other.sum, sum.sum, c.sum);
    }

    fn add_positive(&mut self, theirs: impl Iterator<Item = (i32, f64)>) {
        let columns = &mut [&mut self.sum.positive_buckets, &mut self.compensation.positive_buckets];
        merge(&mut self.sum.positive_spans, columns, theirs, add_cell);
        self.compensation.positive_spans.clone_from(&self.sum.positive_spans);
    }

    fn add_negative(&mut self, theirs: impl Iterator<Item = (i32, f64)>) {
        let columns = &mut [&mut self.sum.negative_buckets, &mut self.compensation.negative_buckets];
        merge(&mut self.sum.negative_spans, columns, theirs, add_cell);
        self.compensation.negative_spans.clone_from(&self.sum.negative_spans);
    }

    fn reduce_schema(&mut self, schema: i32) {
        let by = self.sum.schema.saturating_sub(schema);
        if by <= 0 {
            return;
        }
        let (sum, c) = (&mut self.sum, &mut self.compensation);
        for (spans, counts, compensations) in [
            (&mut sum.positive_spans, &mut sum.positive_buckets, &mut c.positive_buckets),
            (&mut sum.negative_spans, &mut sum.negative_buckets, &mut c.negative_buckets),
        ] {
            let mut side = SideBuilder::default();
            let mut reduced: Vec<f64> = Vec::new();
            let mut last = None;
            for ((index, count), compensation) in indexed(spans, counts).zip(&*compensations) {
                let index = reduced_index(index, by);
                match (side.counts.last_mut(), reduced.last_mut()) {
                    (Some(sum), Some(c)) if last == Some(index) => {
                        (*sum, *c) = kahan_add(count, *sum, *c + compensation);
                    }
                    _ => {
                        side.push(index, count);
                        reduced.push(*compensation);
                    }
                }
                last = Some(index);
            }
            (*spans, *counts, *compensations) = (side.spans, side.counts, reduced);
        }
        c.positive_spans.clone_from(&sum.positive_spans);
        c.negative_spans.clone_from(&sum.negative_spans);
        (sum.schema, c.schema) = (schema, schema);
    }

    fn scale(&mut self, f: impl Fn(&mut FloatHistogram)) {
        f(&mut self.sum);
        f(&mut self.compensation);
    }

    /// The sum with its compensation, compacted.
    pub fn finish(mut self) -> FloatHistogram {
        self.compensation.reset_hint = self.sum.reset_hint;
        // Both are laid out alike and of one kind.
        let combined = add(&mut self.sum, &self.compensation);
        debug_assert!(combined.is_ok());
        compact(&mut self.sum);
        self.sum
    }
}

fn add_cell(cell: &mut [f64; 2], value: f64) {
    let mut sum = Sum { sum: cell[0], compensation: cell[1] };
    sum.add(value);
    *cell = [sum.sum, sum.compensation];
}

/// A compensated mean of histograms that survives a sum beyond the range of floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// The sum, or once it overflowed the mean itself.
    total: Accumulator,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one histogram.
    pub fn new(first: FloatHistogram) -> Self {
        Self { total: Accumulator::new(first), count: 1.0, incremental: false }
    }

    /// Takes in `other`.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Notes, Incompatible> {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.total.clone();
            let notes = sum.add(other)?;
            if !has_overflow(&sum.sum) {
                self.total = sum;
                return Ok(notes);
            }
            self.incremental = true;
            let n = self.count - 1.0;
            self.total.scale(|h| div(h, n));
        }
        let kept = (self.count - 1.0) / self.count;
        self.total.scale(|h| mul(h, kept));
        let mut part = other.clone();
        div(&mut part, self.count);
        self.total.add(&part)
    }

    /// The mean, compacted.
    pub fn finish(mut self) -> FloatHistogram {
        if !self.incremental {
            let n = self.count;
            self.total.scale(|h| div(h, n));
        }
        self.total.finish()
    }
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::Span;

    use super::*;

    fn histogram(schema: i32, count: f64) -> FloatHistogram {
        FloatHistogram {
            schema,
            count,
            sum: count,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn keeps_what_plain_addition_loses() {
        let mut total = Accumulator::new(histogram(0, 1e100));
        for count in [1.0, 1.0, -1e100] {
            total.add(&histogram(0, count)).expect("same kind");
        }
        assert_eq!(total.finish(), histogram(0, 2.0));
    }

    #[test]
    fn compensation_survives_a_change_of_schema() {
        let mut total = Accumulator::new(histogram(2, 1e100));
        for (schema, count) in [(2, 1.0), (1, 1.0), (0, -1e100)] {
            total.add(&histogram(schema, count)).expect("same kind");
        }
        assert_eq!(total.finish(), histogram(0, 2.0));
    }

    #[test]
    fn mean_survives_overflow() {
        let mut mean = Mean::new(histogram(0, 1e308));
        for _ in 0..3 {
            mean.add(&histogram(0, 1e308)).expect("same kind");
        }
        assert_eq!(mean.finish(), histogram(0, 1e308));
        let mut mean = Mean::new(histogram(0, 1.0));
        mean.add(&histogram(0, 2.0)).expect("same kind");
        assert_eq!(mean.finish(), histogram(0, 1.5));
    }
}
