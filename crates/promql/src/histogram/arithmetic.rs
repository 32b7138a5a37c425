//! Adding, subtracting and scaling histograms.

use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, ResetHint, Span};

use super::buckets::indexed;
use super::layout::{SideBuilder, reduce_schema, reduced};
use super::{bounds, zero};

/// Exponential and custom buckets do not mix.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("histograms with exponential and custom buckets can not be combined")]
pub struct Incompatible;

/// What the user should know about a combination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// One side says there was a reset, the other that there was none.
    pub reset_collision: bool,
    /// Custom bounds differed and were cut down to the common ones.
    pub bounds_reconciled: bool,
}

impl std::ops::BitOrAssign for Notes {
    fn bitor_assign(&mut self, other: Self) {
        self.reset_collision |= other.reset_collision;
        self.bounds_reconciled |= other.bounds_reconciled;
    }
}

/// `h += other`, without compensation and without compacting.
pub fn add(h: &mut FloatHistogram, other: &FloatHistogram) -> Result<Notes, Incompatible> {
    combine(h, other, 1.0)
}

/// `h -= other`, without compensation and without compacting.
pub fn sub(h: &mut FloatHistogram, other: &FloatHistogram) -> Result<Notes, Incompatible> {
    combine(h, other, -1.0)
}

fn combine(h: &mut FloatHistogram, other: &FloatHistogram, sign: f64) -> Result<Notes, Incompatible> {
    let mut notes = prepare(h, other)?;
    let plus = |(index, count): (i32, f64)| (index, [sign * count]);
    if h.has_custom_buckets() {
        combine_totals(h, other, other.zero_count, sign);
        if h.custom_values != other.custom_values {
            notes.bounds_reconciled = true;
            combine_cut(h, other, sign);
        } else {
            let theirs = indexed(&other.positive_spans, &other.positive_buckets).map(plus);
            merge(&mut h.positive_spans, [&mut h.positive_buckets], theirs, add_cell);
        }
        return Ok(notes);
    }
    let other_zero = zero::reconcile(h, None, other);
    combine_totals(h, other, other_zero.sum, sign);
    reduce_schema(h, other.schema);
    let (schema, threshold) = (h.schema, h.zero_threshold);
    let theirs = exponential_side(&other.positive_spans, &other.positive_buckets, other, schema, threshold);
    merge(&mut h.positive_spans, [&mut h.positive_buckets], theirs.map(plus), add_cell);
    let theirs = exponential_side(&other.negative_spans, &other.negative_buckets, other, schema, threshold);
    merge(&mut h.negative_spans, [&mut h.negative_buckets], theirs.map(plus), add_cell);
    Ok(notes)
}

fn add_cell(cell: &mut [f64; 1], value: [f64; 1]) {
    cell[0] += value[0];
}

/// Combines custom buckets with different bounds on those that both have.
fn combine_cut(h: &mut FloatHistogram, other: &FloatHistogram, sign: f64) {
    let common = common_bounds(&h.custom_values, &other.custom_values);
    let mut counts = vec![0.0; common.len() + 1];
    for (h, sign) in [(&*h, 1.0), (other, sign)] {
        for (index, count) in indexed(&h.positive_spans, &h.positive_buckets) {
            counts[common_index(&h.custom_values, index, &common)] += sign * count;
        }
    }
    h.positive_spans = vec![Span { offset: 0, length: counts.len() as u32 }];
    h.positive_buckets = counts;
    h.custom_values = common;
}

/// Checks that both can be combined, and settles the hint.
pub(super) fn prepare(h: &mut FloatHistogram, other: &FloatHistogram) -> Result<Notes, Incompatible> {
    if h.has_custom_buckets() != other.has_custom_buckets() {
        return Err(Incompatible);
    }
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    let (hint, reset_collision) = match (h.reset_hint, other.reset_hint) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        _ => (Unknown, false),
    };
    h.reset_hint = hint;
    Ok(Notes { reset_collision, bounds_reconciled: false })
}

fn combine_totals(h: &mut FloatHistogram, other: &FloatHistogram, other_zero: f64, sign: f64) {
    h.zero_count += sign * other_zero;
    h.count += sign * other.count;
    h.sum += sign * other.sum;
}

/// Buckets of one side of `other` at `schema`, without those inside the zero bucket.
pub(super) fn exponential_side<'a>(
    spans: &'a [Span],
    counts: &'a [f64],
    other: &FloatHistogram,
    schema: i32,
    threshold: f64,
) -> impl Iterator<Item = (i32, f64)> + 'a {
    reduced(spans, counts, other.schema.saturating_sub(schema)).skip_while(move |(index, _)| {
        schema != CUSTOM_BUCKETS_SCHEMA && bounds::exponential(schema, *index) <= threshold
    })
}

/// Where bucket `index` goes when only the bounds `common` remain: the first that is not below
/// its own.
pub(super) fn common_index(own: &[f64], index: i32, common: &[f64]) -> usize {
    match usize::try_from(index).map(|i| own.get(i)) {
        Ok(Some(bound)) => common.partition_point(|b| b < bound),
        Ok(None) => common.len(),
        Err(_) => 0,
    }
}

/// Bounds that both lists have.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().peekable();
    a.iter()
        .filter(|bound| {
            while rest.next_if(|r| r < bound).is_some() {}
            rest.peek() == Some(bound)
        })
        .copied()
        .collect()
}

/// Brings the buckets `theirs` to those of the same index in `columns`, which share `spans`, by
/// `apply`; buckets that are missing there are inserted.
pub(super) fn merge<const N: usize>(
    spans: &mut Vec<Span>,
    mut columns: [&mut Vec<f64>; N],
    theirs: impl Iterator<Item = (i32, [f64; N])>,
    apply: impl Fn(&mut [f64; N], [f64; N]),
) {
    let own: Vec<i32> = match columns.first() {
        Some(counts) => indexed(spans, counts).map(|(index, _)| index).collect(),
        None => return,
    };
    let mut missing = Vec::new();
    let mut position = 0;
    for (index, value) in theirs {
        while own.get(position).is_some_and(|i| *i < index) {
            position += 1;
        }
        if own.get(position) == Some(&index) {
            let mut cell = columns.each_ref().map(|column| column[position]);
            apply(&mut cell, value);
            columns.iter_mut().zip(cell).for_each(|(column, v)| column[position] = v);
        } else {
            missing.push((index, value));
        }
    }
    if !missing.is_empty() {
        *spans = insert(&own, columns, missing);
    }
}

/// Inserts buckets at indices that `own` does not have, in ascending order; gives the spans.
fn insert<const N: usize>(
    own: &[i32],
    columns: [&mut Vec<f64>; N],
    missing: Vec<(i32, [f64; N])>,
) -> Vec<Span> {
    let total = own.len() + missing.len();
    let mut side = SideBuilder::default();
    let mut rebuilt = columns.each_ref().map(|_| Vec::with_capacity(total));
    let mut emit = |index: i32, cell: [f64; N]| {
        side.push(index, 0.0);
        rebuilt.iter_mut().zip(cell).for_each(|(column, v)| column.push(v));
    };
    let mut missing = missing.into_iter().peekable();
    for (position, index) in own.iter().enumerate() {
        while let Some((i, cell)) = missing.next_if(|(i, _)| i < index) {
            emit(i, cell);
        }
        emit(*index, columns.each_ref().map(|column| column[position]));
    }
    missing.for_each(|(i, cell)| emit(i, cell));
    columns.into_iter().zip(rebuilt).for_each(|(column, v)| *column = v);
    side.spans
}

/// Multiplies all counts and the sum; by a negative number the result is a gauge.
pub fn mul(h: &mut FloatHistogram, factor: f64) {
    scale(h, factor, |v| v * factor);
}

/// Divides all counts and the sum; by 0 the buckets go, by a negative number the result is a
/// gauge.
pub fn div(h: &mut FloatHistogram, divisor: f64) {
    scale(h, divisor, |v| v / divisor);
    if divisor == 0.0 {
        h.positive_spans.clear();
        h.positive_buckets.clear();
        h.negative_spans.clear();
        h.negative_buckets.clear();
    }
}

fn scale(h: &mut FloatHistogram, by: f64, f: impl Fn(f64) -> f64) {
    if by < 0.0 {
        h.reset_hint = ResetHint::Gauge;
    }
    let totals = [&mut h.zero_count, &mut h.count, &mut h.sum];
    for v in totals.into_iter().chain(&mut h.positive_buckets).chain(&mut h.negative_buckets) {
        *v = f(*v);
    }
}

/// Whether any count or the sum is infinite.
pub fn has_overflow(h: &FloatHistogram) -> bool {
    [h.zero_count, h.count, h.sum]
        .iter()
        .chain(&h.positive_buckets)
        .chain(&h.negative_buckets)
        .any(|v| v.is_infinite())
}

#[cfg(test)]
mod tests {
    use super::super::layout::compact;
    use super::*;

    fn side(h: &FloatHistogram) -> Vec<(i32, f64)> {
        indexed(&h.positive_spans, &h.positive_buckets).collect()
    }

    fn exponential(schema: i32, offset: i32, counts: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            count: counts.iter().sum(),
            sum: 10.0,
            positive_spans: vec![Span { offset, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..FloatHistogram::default()
        }
    }

    fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
        FloatHistogram { custom_values: bounds.to_vec(), ..exponential(CUSTOM_BUCKETS_SCHEMA, 0, counts) }
    }

    #[test]
    fn adds_bucket_by_bucket() {
        let mut h = exponential(0, 1, &[1.0, 2.0]);
        h.positive_spans.push(Span { offset: 2, length: 1 });
        h.positive_buckets.push(3.0);
        let other = exponential(0, 0, &[10.0, 20.0, 30.0, 40.0]);
        assert_eq!(add(&mut h, &other), Ok(Notes::default()));
        assert_eq!(side(&h), [(0, 10.0), (1, 21.0), (2, 32.0), (3, 40.0), (5, 3.0)]);
        assert_eq!((h.count, h.sum), (103.0, 20.0));
        sub(&mut h, &other).expect("same kind");
        compact(&mut h);
        assert_eq!(side(&h), [(1, 1.0), (2, 2.0), (5, 3.0)]);
    }

    #[test]
    fn the_coarser_schema_wins() {
        let mut h = exponential(1, 1, &[1.0, 2.0, 3.0]);
        add(&mut h, &exponential(0, 1, &[10.0])).expect("same kind");
        assert_eq!((h.schema, side(&h)), (0, vec![(1, 13.0), (2, 3.0)]));
        let mut h = exponential(0, 1, &[10.0]);
        add(&mut h, &exponential(1, 1, &[1.0, 2.0, 3.0])).expect("same kind");
        assert_eq!((h.schema, side(&h)), (0, vec![(1, 13.0), (2, 3.0)]));
    }

    #[test]
    fn custom_bounds_are_cut_to_the_common() {
        let mut h = custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0, 4.0]);
        let notes = add(&mut h, &custom(&[2.0, 3.0, 4.0], &[10.0, 20.0, 30.0, 40.0])).expect("same kind");
        assert!(notes.bounds_reconciled);
        assert_eq!(h.custom_values, [2.0, 4.0]);
        assert_eq!(side(&h), [(0, 13.0), (1, 53.0), (2, 44.0)]);
        assert_eq!(add(&mut h, &exponential(0, 0, &[1.0])), Err(Incompatible));
    }

    #[test]
    fn hints_combine() {
        let with = |hint| FloatHistogram { reset_hint: hint, ..exponential(0, 0, &[1.0]) };
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        for (a, b, result, collision) in [
            (Reset, Reset, Reset, false),
            (Gauge, Reset, Gauge, false),
            (Unknown, Reset, Unknown, false),
            (Reset, NotReset, Unknown, true),
        ] {
            let mut h = with(a);
            let notes = add(&mut h, &with(b)).expect("same kind");
            assert_eq!((h.reset_hint, notes.reset_collision), (result, collision));
        }
    }

    #[test]
    fn scales() {
        let mut h = exponential(0, 0, &[1.0, 2.0]);
        mul(&mut h, -2.0);
        assert_eq!((h.count, h.sum, h.reset_hint), (-6.0, -20.0, ResetHint::Gauge));
        div(&mut h, 0.0);
        assert_eq!((h.count, h.positive_buckets.len()), (f64::NEG_INFINITY, 0));
        assert!(has_overflow(&h));
    }
}
