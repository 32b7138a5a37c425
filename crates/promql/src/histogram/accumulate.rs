//! Compensated sums and means of histograms.

use norn_model::histogram::{FloatHistogram, Span};

use super::arithmetic::{
    Incompatible, Notes, add, common_bounds, common_index, div, has_overflow, merge, mul, prepare,
};
use super::buckets::indexed;
use super::layout::{SideBuilder, compact, reduced_compensated};
use super::{bounds, zero};
use crate::numeric::sum::{Sum, kahan_add};

/// A sum of histograms with a compensation for each field and bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulator {
    sum: FloatHistogram,
    /// Laid out as `sum`.
    compensation: FloatHistogram,
    /// Whether nothing was added: then there is no compensation, and a −0 stays one.
    single: bool,
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
        Self { sum: first, compensation, single: true }
    }

    /// Adds `other`. Nothing is changed by an error.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Notes, Incompatible> {
        let mut notes = prepare(&mut self.sum, other)?;
        self.single = false;
        if self.sum.has_custom_buckets() {
            self.add_totals(other, Sum::new(other.zero_count));
            if self.sum.custom_values != other.custom_values {
                notes.bounds_reconciled = true;
                self.add_cut(other);
            } else {
                self.add_positive(reduced_compensated(
                    &other.positive_spans,
                    &other.positive_buckets,
                    None,
                    0,
                ));
            }
            return Ok(notes);
        }
        let other_zero = zero::reconcile(&mut self.sum, Some(&mut self.compensation), other);
        self.add_totals(other, other_zero);
        self.reduce_schema(other.schema);
        let (schema, threshold) = (self.sum.schema, self.sum.zero_threshold);
        let by = other.schema.saturating_sub(schema);
        let inside = |(index, _): &(i32, _)| bounds::exponential(schema, *index) <= threshold;
        let positive = reduced_compensated(&other.positive_spans, &other.positive_buckets, None, by);
        self.add_positive(positive.skip_while(inside));
        let negative = reduced_compensated(&other.negative_spans, &other.negative_buckets, None, by);
        self.add_negative(negative.skip_while(inside));
        Ok(notes)
    }

    fn add_totals(&mut self, other: &FloatHistogram, other_zero: Sum) {
        let (sum, c) = (&mut self.sum, &mut self.compensation);
        (sum.zero_count, c.zero_count) = kahan_add(other_zero.sum, sum.zero_count, c.zero_count);
        (sum.zero_count, c.zero_count) = kahan_add(other_zero.compensation, sum.zero_count, c.zero_count);
        (sum.count, c.count) = kahan_add(other.count, sum.count, c.count);
        (sum.sum, c.sum) = kahan_add(other.sum, sum.sum, c.sum);
    }

    fn add_positive(&mut self, theirs: impl Iterator<Item = (i32, [f64; 2])>) {
        let columns = [&mut self.sum.positive_buckets, &mut self.compensation.positive_buckets];
        merge(&mut self.sum.positive_spans, columns, theirs, add_cell);
        self.compensation.positive_spans.clone_from(&self.sum.positive_spans);
    }

    fn add_negative(&mut self, theirs: impl Iterator<Item = (i32, [f64; 2])>) {
        let columns = [&mut self.sum.negative_buckets, &mut self.compensation.negative_buckets];
        merge(&mut self.sum.negative_spans, columns, theirs, add_cell);
        self.compensation.negative_spans.clone_from(&self.sum.negative_spans);
    }

    /// Adds custom buckets with different bounds on those that both have.
    fn add_cut(&mut self, other: &FloatHistogram) {
        let (h, c) = (&mut self.sum, &mut self.compensation);
        let common = common_bounds(&h.custom_values, &other.custom_values);
        let mut sums = vec![Sum::default(); common.len() + 1];
        let ours = indexed(&h.positive_spans, &h.positive_buckets).zip(&c.positive_buckets);
        for ((index, count), compensation) in ours {
            let sum = &mut sums[common_index(&h.custom_values, index, &common)];
            sum.add(count);
            sum.add(*compensation);
        }
        for (index, count) in indexed(&other.positive_spans, &other.positive_buckets) {
            sums[common_index(&other.custom_values, index, &common)].add(count);
        }
        h.positive_buckets = sums.iter().map(|s| s.sum).collect();
        c.positive_buckets = sums.iter().map(|s| s.compensation).collect();
        for h in [h, c] {
            h.positive_spans = vec![Span { offset: 0, length: sums.len() as u32 }];
            h.custom_values.clone_from(&common);
        }
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
            let mut reduced = Vec::new();
            for (index, [count, compensation]) in reduced_compensated(spans, counts, Some(compensations), by)
            {
                side.push(index, count);
                reduced.push(compensation);
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
        if !self.single {
            // Both are laid out alike and of one kind.
            let combined = add(&mut self.sum, &self.compensation);
            debug_assert!(combined.is_ok());
        }
        compact(&mut self.sum);
        self.sum
    }
}

fn add_cell(cell: &mut [f64; 2], [count, compensation]: [f64; 2]) {
    let mut sum = Sum { sum: cell[0], compensation: cell[1] };
    sum.add(count);
    if compensation != 0.0 {
        sum.add(compensation);
    }
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
