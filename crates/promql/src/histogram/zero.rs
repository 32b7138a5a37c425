//! Bringing zero buckets of different width together.

use norn_model::histogram::FloatHistogram;

use super::bounds;
use super::buckets::{indexed, negative, positive};
use crate::numeric::sum::Sum;

/// Zero count of `h` if its zero bucket were at least as wide as `threshold`, and the threshold
/// that this takes: a populated bucket is never split.
///
/// `compensation` is what rounding took from `h`'s counts; the result's is in the sum.
pub fn widened(h: &FloatHistogram, compensation: Option<&FloatHistogram>, threshold: f64) -> (Sum, f64) {
    let compensated = compensation.map_or(0.0, |c| c.zero_count);
    let mut zero = Sum { sum: h.zero_count, compensation: compensated };
    if threshold == h.zero_threshold {
        return (zero, threshold);
    }
    let mut threshold = threshold;
    loop {
        threshold = take_positive(h, compensation, threshold, &mut zero);
        match take_negative(h, compensation, threshold, &mut zero) {
            Some(wider) => threshold = wider,
            None => return (zero, threshold),
        }
        // The reference counts anew and keeps the compensation.
        zero.sum = h.zero_count;
    }
}

/// Takes the positive buckets inside; gives the threshold, wider where a bucket straddled it.
fn take_positive(
    h: &FloatHistogram,
    compensation: Option<&FloatHistogram>,
    threshold: f64,
    zero: &mut Sum,
) -> f64 {
    for (i, entry) in indexed(&h.positive_spans, &h.positive_buckets).enumerate() {
        let bucket = positive(h, entry);
        if bucket.lower >= threshold {
            break;
        }
        take(zero, bucket.count, compensation.and_then(|c| c.positive_buckets.get(i)));
        if bucket.upper > threshold {
            return if bucket.count != 0.0 { bucket.upper } else { threshold };
        }
    }
    threshold
}

/// Takes the negative buckets inside; gives a wider threshold if a bucket straddled it, and then
/// everything must be counted anew.
fn take_negative(
    h: &FloatHistogram,
    compensation: Option<&FloatHistogram>,
    threshold: f64,
    zero: &mut Sum,
) -> Option<f64> {
    for (i, entry) in indexed(&h.negative_spans, &h.negative_buckets).enumerate() {
        let bucket = negative(h, entry);
        if bucket.upper <= -threshold {
            break;
        }
        take(zero, bucket.count, compensation.and_then(|c| c.negative_buckets.get(i)));
        if bucket.lower < -threshold {
            return (bucket.count != 0.0).then_some(-bucket.lower);
        }
    }
    None
}

fn take(zero: &mut Sum, count: f64, compensation: Option<&f64>) {
    zero.add(count);
    if let Some(compensation) = compensation {
        zero.add(*compensation);
    }
}

/// Widens the zero bucket of `h` to `zero` and `threshold`, and empties the buckets it swallows.
pub fn widen(
    h: &mut FloatHistogram,
    compensation: Option<&mut FloatHistogram>,
    (zero, threshold): (Sum, f64),
) {
    let inside = |(index, _): &(i32, f64)| bounds::exponential(h.schema, *index) <= threshold;
    let positive = indexed(&h.positive_spans, &h.positive_buckets).take_while(inside).count();
    let negative = indexed(&h.negative_spans, &h.negative_buckets).take_while(inside).count();
    h.positive_buckets[..positive].fill(0.0);
    h.negative_buckets[..negative].fill(0.0);
    h.zero_threshold = threshold;
    h.zero_count = zero.sum;
    if let Some(c) = compensation {
        c.positive_buckets[..positive].fill(0.0);
        c.negative_buckets[..negative].fill(0.0);
        c.zero_threshold = threshold;
        c.zero_count = zero.compensation;
    }
}

/// Widens the zero bucket of `h` until both have the same; gives the zero count that `other` then
/// has, with what rounding took from it.
pub fn reconcile(
    h: &mut FloatHistogram,
    mut compensation: Option<&mut FloatHistogram>,
    other: &FloatHistogram,
) -> Sum {
    let (mut count, mut threshold) = (Sum::new(other.zero_count), other.zero_threshold);
    // Ends: thresholds only grow, and only to bounds of populated buckets. One that is NaN is
    // never equal nor greater.
    while threshold != h.zero_threshold {
        if h.zero_threshold > threshold {
            (count, threshold) = widened(other, None, h.zero_threshold);
        } else if threshold > h.zero_threshold {
            let wider = widened(h, compensation.as_deref(), threshold);
            widen(h, compensation.as_deref_mut(), wider);
        } else {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::Span;

    use super::*;

    fn histogram(threshold: f64) -> FloatHistogram {
        FloatHistogram {
            zero_threshold: threshold,
            zero_count: 1.0,
            positive_spans: vec![Span { offset: -1, length: 3 }],
            positive_buckets: vec![2.0, 4.0, 8.0],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative_buckets: vec![16.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn a_populated_bucket_is_not_split() {
        // Positive buckets end at 0.5, 1 and 2, the negative one reaches from −1 to −2.
        let (zero, threshold) = widened(&histogram(0.1), None, 0.7);
        assert_eq!((zero.sum, threshold), (7.0, 1.0));
        let (zero, threshold) = widened(&histogram(0.1), None, 1.5);
        assert_eq!((zero.sum, threshold), (31.0, 2.0));
    }

    #[test]
    fn both_end_up_alike() {
        let mut h = histogram(0.6);
        let other_zero = reconcile(&mut h, None, &histogram(0.0));
        assert_eq!((h.zero_threshold, h.zero_count, other_zero.sum), (1.0, 7.0, 7.0));
        assert_eq!(h.positive_buckets, [0.0, 0.0, 8.0]);
    }

    #[test]
    fn nan_ends() {
        let mut h = histogram(f64::NAN);
        reconcile(&mut h, None, &histogram(0.0));
        let mut h = histogram(0.0);
        reconcile(&mut h, None, &histogram(f64::NAN));
    }
}
