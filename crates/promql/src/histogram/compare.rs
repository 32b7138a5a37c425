//! Equality and counter resets.

use norn_model::histogram::{FloatHistogram, ResetHint};

use super::arithmetic::{common_bounds, common_index, exponential_side};
use super::buckets::indexed;
use super::layout::same_spans;
use super::zero::widened;

/// Whether both are the same histogram: counts and sum by their bits, layout by what it covers.
/// Hints do not count.
pub fn equals(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let totals = |h: &FloatHistogram| [h.count, h.sum, h.zero_count].map(f64::to_bits);
    a.schema == b.schema
        && totals(a) == totals(b)
        && a.zero_threshold == b.zero_threshold
        && (!a.has_custom_buckets() || same_bits(&a.custom_values, &b.custom_values))
        && same_spans(&a.positive_spans, &b.positive_spans)
        && same_spans(&a.negative_spans, &b.negative_spans)
        && same_bits(&a.positive_buckets, &b.positive_buckets)
        && same_bits(&a.negative_buckets, &b.negative_buckets)
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()))
}

/// Whether a counter was reset between `previous` and `current`: the hint where it says so,
/// otherwise whether anything became less or a layout can not have grown out of the other.
pub fn detect_reset(current: &FloatHistogram, previous: &FloatHistogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if current.count < previous.count || current.has_custom_buckets() != previous.has_custom_buckets() {
        return true;
    }
    if current.has_custom_buckets() && current.custom_values != previous.custom_values {
        let common = common_bounds(&current.custom_values, &previous.custom_values);
        let (now, before) = (on_bounds(current, &common), on_bounds(previous, &common));
        return now.iter().zip(&before).any(|(now, before)| now < before);
    }
    if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
        return true;
    }
    let (schema, threshold) = (current.schema, current.zero_threshold);
    let (zero, wider) = widened(previous, None, threshold);
    if wider != threshold || current.zero_count < zero.sum {
        return true;
    }
    any_lower(
        exponential_side(&current.positive_spans, &current.positive_buckets, current, schema, threshold),
        exponential_side(&previous.positive_spans, &previous.positive_buckets, previous, schema, threshold),
    ) || any_lower(
        exponential_side(&current.negative_spans, &current.negative_buckets, current, schema, threshold),
        exponential_side(&previous.negative_spans, &previous.negative_buckets, previous, schema, threshold),
    )
}

/// Counts of custom buckets when only the bounds `common` remain.
fn on_bounds(h: &FloatHistogram, common: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; common.len() + 1];
    for (index, count) in indexed(&h.positive_spans, &h.positive_buckets) {
        counts[common_index(&h.custom_values, index, common)] += count;
    }
    counts
}

/// Whether a bucket of `previous` is larger than that of `current`, or populated and missing there.
fn any_lower(current: impl Iterator<Item = (i32, f64)>, previous: impl Iterator<Item = (i32, f64)>) -> bool {
    let mut current = current.peekable();
    for (index, before) in previous {
        while current.next_if(|(i, _)| *i < index).is_some() {}
        match current.peek() {
            // As the reference does: behind the last bucket of `current` it looks at one more.
            None => return before != 0.0,
            Some((i, now)) if *i == index && *now < before => return true,
            Some((i, _)) if *i > index && before != 0.0 => return true,
            Some(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    fn histogram(schema: i32, counts: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema,
            count: counts.iter().sum(),
            positive_spans: vec![Span { offset: 1, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..FloatHistogram::default()
        }
    }

    fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
        let mut h = histogram(CUSTOM_BUCKETS_SCHEMA, counts);
        h.positive_spans[0].offset = 0;
        h.custom_values = bounds.to_vec();
        h
    }

    #[test]
    fn equality_looks_through_the_layout() {
        let a = histogram(0, &[1.0, 2.0]);
        let mut b = a.clone();
        b.positive_spans = vec![Span { offset: 1, length: 1 }, Span { offset: 0, length: 1 }];
        b.reset_hint = ResetHint::Gauge;
        assert!(equals(&a, &b));
        b.sum = f64::NAN;
        assert!(!equals(&a, &b));
    }

    #[test]
    fn resets() {
        let before = histogram(0, &[1.0, 2.0]);
        assert!(!detect_reset(&before, &before));
        assert!(!detect_reset(&histogram(0, &[1.0, 3.0, 1.0]), &before));
        assert!(detect_reset(&histogram(0, &[1.0, 1.0]), &before));
        assert!(detect_reset(&histogram(0, &[5.0, 1.0]), &before), "one bucket is lower");
        assert!(detect_reset(&histogram(0, &[5.0]), &before), "a populated bucket is missing");
        assert!(detect_reset(&histogram(1, &[5.0, 5.0, 5.0]), &before), "finer than before");
        assert!(!detect_reset(&histogram(-1, &[5.0]), &before));
        let hinted = |hint| FloatHistogram { reset_hint: hint, ..histogram(0, &[0.0]) };
        assert!(detect_reset(&hinted(ResetHint::Reset), &hinted(ResetHint::Reset)));
        assert!(!detect_reset(&hinted(ResetHint::NotReset), &before));
        let wide = FloatHistogram { zero_threshold: 1.5, zero_count: 9.0, count: 9.0, ..before.clone() };
        assert!(detect_reset(&wide, &before), "a populated bucket straddles the threshold");
    }

    #[test]
    fn resets_of_custom_buckets_are_seen_on_common_bounds() {
        let before = custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!(!detect_reset(&custom(&[2.0, 4.0], &[3.0, 3.0, 4.0]), &before));
        assert!(detect_reset(&custom(&[2.0, 4.0], &[2.0, 5.0, 4.0]), &before));
        assert!(detect_reset(&histogram(0, &[99.0]), &before));
    }
}
