//! Statistics of native histograms.

use norn_model::histogram::FloatHistogram;

use super::buckets::{self, Bucket, one_sided};
use crate::numeric::logarithm::log2;
use crate::numeric::power::exp2;
use crate::numeric::sum::Sum;

/// What observations of NaN did to a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanEffect {
    /// There were none that matter.
    #[default]
    None,
    /// A quantile fell among them: the result is NaN.
    Result,
    /// A quantile is higher than without them.
    Skewed,
    /// They are in no fraction.
    Excluded,
}

/// The `q`-quantile.
pub fn quantile(q: f64, h: &FloatHistogram) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    if h.sum.is_nan() || q < 0.5 {
        // NaN observations are counted but in no bucket, as if above all others.
        quantile_in(h, &mut buckets::ascending(h), q * h.count, true)
    } else {
        quantile_in(h, &mut buckets::descending(h), (1.0 - q) * h.count, false)
    }
}

fn quantile_in(
    h: &FloatHistogram,
    buckets: &mut dyn Iterator<Item = Bucket>,
    rank: f64,
    upward: bool,
) -> (f64, NanEffect) {
    let (bucket, reached) = find(buckets, rank);
    let mut bucket = match effective(h, bucket) {
        Ok(bucket) => bucket,
        Err(value) => return (value, NanEffect::None),
    };
    // Rounding can make the buckets hold more than the count.
    let reached = if reached > h.count { h.count } else { reached };
    if reached < rank {
        return if h.sum.is_nan() { (f64::NAN, NanEffect::Result) } else { (bucket.upper, NanEffect::None) };
    }
    let rank = if upward { rank - (reached - bucket.count) } else { reached - rank };
    let mut effect = NanEffect::None;
    if h.sum.is_nan() {
        let mut total = reached;
        for rest in buckets {
            total += rest.count;
            // As the reference does: with a sum of NaN the rank is looked up in the last bucket.
            bucket = rest;
        }
        if total < h.count {
            effect = NanEffect::Skewed;
        }
    }
    (interpolate(h, &bucket, rank / bucket.count), effect)
}

/// The bucket in which `rank` is reached, or the last, and the count up to its end.
fn find(buckets: &mut dyn Iterator<Item = Bucket>, rank: f64) -> (Bucket, f64) {
    let (mut last, mut count) = (Bucket::default(), 0.0);
    for bucket in buckets {
        last = bucket;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    (last, count)
}

/// The bucket with the bounds that interpolation uses, or the value where there are none.
fn effective(h: &FloatHistogram, mut bucket: Bucket) -> Result<Bucket, f64> {
    if !h.has_custom_buckets() {
        let is_zero = bucket.lower < 0.0 && bucket.upper > 0.0;
        return Ok(if is_zero { one_sided(h, bucket) } else { bucket });
    }
    if bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return Err(bucket.upper);
        }
        bucket.lower = 0.0;
    } else if bucket.upper == f64::INFINITY {
        return Err(bucket.lower);
    }
    Ok(bucket)
}

fn interpolate(h: &FloatHistogram, bucket: &Bucket, fraction: f64) -> f64 {
    if h.has_custom_buckets() || bucket.holds_zero() {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        exp2(lower + (upper - lower) * fraction)
    } else {
        -exp2(upper + (lower - upper) * (1.0 - fraction))
    }
}

/// The fraction of observations between `lower` and `upper`.
pub fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> (f64, NanEffect) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    if lower >= upper {
        return (0.0, NanEffect::None);
    }
    let (mut count, mut effect) = (h.count, NanEffect::None);
    if h.sum.is_nan() {
        count = buckets::ascending(h).map(|b| b.count).sum();
        if count < h.count {
            effect = NanEffect::Excluded;
        }
    }
    let limited = |v| rank(h, v).filter(|rank| *rank <= count).unwrap_or(count);
    ((limited(upper) - limited(lower)) / h.count, effect)
}

/// How many observations lie below `v`; `None` where no bucket ends behind it.
fn rank(h: &FloatHistogram, v: f64) -> Option<f64> {
    let mut rank = 0.0;
    for mut bucket in buckets::ascending(h) {
        let linear = h.has_custom_buckets() || bucket.holds_zero();
        if bucket.holds_zero() {
            bucket = one_sided(h, bucket);
        }
        if bucket.lower >= v {
            return Some(rank);
        }
        if bucket.upper > v {
            let without_lower = bucket.lower == f64::NEG_INFINITY;
            let inside = || bucket.count * bucket.fraction_below(v, linear);
            return Some(if without_lower && linear { bucket.count } else { rank + inside() });
        }
        rank += bucket.count;
    }
    None
}

/// The mean of observations.
pub fn average(h: &FloatHistogram) -> f64 {
    h.sum / h.count
}

/// The variance, each observation taken to lie in the middle of its bucket.
pub fn variance(h: &FloatHistogram) -> f64 {
    let mean = average(h);
    let mut sum = Sum::default();
    for bucket in buckets::ascending(h).filter(|b| b.count != 0.0) {
        let delta = middle(h, &bucket) - mean;
        sum.add(bucket.count * delta * delta);
    }
    (sum.sum + sum.compensation) / h.count
}

fn middle(h: &FloatHistogram, bucket: &Bucket) -> f64 {
    if h.has_custom_buckets() {
        (bucket.upper + bucket.lower) / 2.0
    } else if bucket.holds_zero() {
        0.0
    } else {
        (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
    }
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    fn exponential() -> FloatHistogram {
        // (1, 2]: 2, (2, 4]: 4, (4, 8]: 2, and 2 in [−0.5, 0.5].
        FloatHistogram {
            schema: 0,
            count: 10.0,
            sum: 30.0,
            zero_threshold: 0.5,
            zero_count: 2.0,
            positive_spans: vec![Span { offset: 1, length: 3 }],
            positive_buckets: vec![2.0, 4.0, 2.0],
            ..FloatHistogram::default()
        }
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 10.0,
            sum: 50.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![2.0, 6.0, 2.0],
            custom_values: vec![5.0, 10.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn quantiles() {
        let value = |q| quantile(q, &exponential()).0;
        assert_eq!((value(0.0), value(0.1), value(0.2)), (0.0, 0.25, 0.5));
        assert_eq!((value(0.3), value(0.4)), (exp2(0.5), 2.0));
        assert_eq!((value(0.6), value(0.9), value(1.0)), (exp2(1.5), exp2(2.5), 8.0));
        assert_eq!((value(-1.0), value(2.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(value(f64::NAN).is_nan());
        let value = |q| quantile(q, &custom()).0;
        assert_eq!((value(0.1), value(0.5), value(0.95)), (2.5, 7.5, 10.0));
    }

    #[test]
    fn nan_observations() {
        let mut h = exponential();
        (h.count, h.sum) = (12.0, f64::NAN);
        // Rank 3, one of two in (1, 2], is looked up in the last bucket, as the reference does.
        assert_eq!(quantile(0.25, &h), (exp2(2.5), NanEffect::Skewed));
        let (value, effect) = quantile(0.99, &h);
        assert!(value.is_nan());
        assert_eq!(effect, NanEffect::Result);
        assert_eq!(fraction(0.0, 100.0, &h), (10.0 / 12.0, NanEffect::Excluded));
    }

    #[test]
    fn fractions() {
        let value = |lower, upper| fraction(lower, upper, &exponential()).0;
        assert_eq!(value(f64::NEG_INFINITY, f64::INFINITY), 1.0);
        assert_eq!(value(0.0, 0.25), 0.1);
        assert_eq!(value(2.0, 4.0), 0.4);
        assert!((value(2.0, exp2(1.5)) - 0.2).abs() < 1e-15);
        assert_eq!(value(4.0, 2.0), 0.0);
        assert_eq!(fraction(5.0, 7.5, &custom()).0, 0.3);
    }

    #[test]
    fn variances() {
        let h = custom();
        let mut narrow = h.clone();
        narrow.positive_buckets = vec![0.0, 10.0, 0.0];
        narrow.sum = 75.0;
        assert_eq!(variance(&narrow), 0.0);
        assert_eq!(average(&h), 5.0);
    }
}
