//! The operators `h </ x` and `h >/ x`: keep the observations at most, or at least, `x`.

use norn_model::histogram::FloatHistogram;

use super::buckets::{self, Bucket, indexed};
use super::layout::compact;

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those not above the limit (`</`).
    Below,
    /// Those not below the limit (`>/`).
    Above,
}

/// What is left of a bucket: its count, and the middle of what is left.
struct Rest {
    count: f64,
    middle: f64,
}

const NOTHING: Rest = Rest { count: 0.0, middle: 0.0 };

/// Removes observations beyond `limit`. Count and sum are estimated anew if that took any.
pub fn trim(h: &mut FloatHistogram, limit: f64, keep: Keep) {
    let linear = h.has_custom_buckets();
    let mut trimmed = Trimmed { limit, keep, count: 0.0, sum: 0.0, changed: false };
    let mut zero = buckets::zero(h);
    match (has_any(&h.negative_buckets), has_any(&h.positive_buckets)) {
        (true, false) => zero.upper = 0.0,
        (false, true) => zero.lower = 0.0,
        _ => {}
    }
    let positive: Vec<Bucket> =
        indexed(&h.positive_spans, &h.positive_buckets).map(|b| buckets::positive(h, b)).collect();
    trimmed.side(&mut h.positive_buckets, &positive, linear);
    let negative: Vec<Bucket> =
        indexed(&h.negative_spans, &h.negative_buckets).map(|b| buckets::negative(h, b)).collect();
    trimmed.side(&mut h.negative_buckets, &negative, linear);
    if h.zero_count > 0.0 {
        let rest = trimmed.rest_of_zero(&zero);
        trimmed.take(&mut h.zero_count, rest);
    }
    if trimmed.changed {
        (h.count, h.sum) = (trimmed.count, trimmed.sum);
        compact(h);
    }
}

fn has_any(counts: &[f64]) -> bool {
    counts.iter().any(|c| *c != 0.0)
}

struct Trimmed {
    limit: f64,
    keep: Keep,
    count: f64,
    sum: f64,
    changed: bool,
}

impl Trimmed {
    fn side(&mut self, counts: &mut [f64], bounds: &[Bucket], linear: bool) {
        for (count, bucket) in counts.iter_mut().zip(bounds) {
            if *count != 0.0 {
                let rest = self.rest(bucket, linear);
                self.take(count, rest);
            }
        }
    }

    fn take(&mut self, count: &mut f64, rest: Rest) {
        if rest.count != *count {
            *count = rest.count;
            self.changed = true;
        }
        self.count += rest.count;
        self.sum += rest.middle * rest.count;
    }

    fn rest(&self, bucket: &Bucket, linear: bool) -> Rest {
        let x = self.limit;
        let (whole, part) = match self.keep {
            Keep::Below => (bucket.upper <= x, bucket.lower < x),
            Keep::Above => (bucket.lower >= x, bucket.upper > x),
        };
        if whole {
            return Rest { count: bucket.count, middle: middle(bucket.lower, bucket.upper, linear) };
        }
        if !part {
            return NOTHING;
        }
        if bucket.lower == f64::NEG_INFINITY {
            return self.rest_of_first(bucket);
        }
        if bucket.upper == f64::INFINITY {
            return self.rest_of_last(bucket);
        }
        let below = bucket.count * bucket.fraction_below(x, linear);
        match self.keep {
            Keep::Below => Rest { count: below, middle: middle(bucket.lower, x, linear) },
            Keep::Above => Rest { count: bucket.count - below, middle: middle(x, bucket.upper, linear) },
        }
    }

    /// The bucket without lower bound: observations lie between 0 and its upper bound, or at that
    /// bound if it is not positive. Without any bound nothing is known of them.
    fn rest_of_first(&self, bucket: &Bucket) -> Rest {
        let (x, upper, count) = (self.limit, bucket.upper, bucket.count);
        match self.keep {
            _ if upper == f64::INFINITY => NOTHING,
            Keep::Below if upper <= 0.0 => Rest { count, middle: x },
            Keep::Below if x > 0.0 => Rest { count: count * x / upper, middle: x / 2.0 },
            Keep::Above if x >= 0.0 => Rest { count: count * (1.0 - x / upper), middle: (x + upper) / 2.0 },
            Keep::Below | Keep::Above => NOTHING,
        }
    }

    /// The bucket without upper bound: nothing of it is known to be below the limit.
    fn rest_of_last(&self, bucket: &Bucket) -> Rest {
        match self.keep {
            Keep::Below => NOTHING,
            Keep::Above => Rest { count: bucket.count, middle: self.limit },
        }
    }

    fn rest_of_zero(&self, zero: &Bucket) -> Rest {
        let (x, Bucket { lower, upper, count, .. }) = (self.limit, *zero);
        let whole = Rest { count, middle: (lower + upper) / 2.0 };
        match self.keep {
            Keep::Below if x <= lower => NOTHING,
            Keep::Below if x >= upper => whole,
            Keep::Below => Rest { count: count * ((x - lower) / (upper - lower)), middle: (lower + x) / 2.0 },
            Keep::Above if x <= lower => whole,
            Keep::Above if x >= upper => NOTHING,
            Keep::Above => Rest { count: count * ((upper - x) / (upper - lower)), middle: (x + upper) / 2.0 },
        }
    }
}

/// Where the observations between two bounds are taken to be.
fn middle(lower: f64, upper: f64, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) => {
            if upper > 0.0 {
                upper / 2.0
            } else {
                upper
            }
        }
        (false, true) => lower,
        (false, false) if linear => (lower + upper) / 2.0,
        (false, false) => {
            let middle = (lower * upper).abs().sqrt();
            if lower < 0.0 { -middle } else { middle }
        }
    }
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 12.0,
            sum: 100.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![4.0, 6.0, 2.0],
            custom_values: vec![5.0, 10.0],
            ..FloatHistogram::default()
        }
    }

    fn exponential() -> FloatHistogram {
        FloatHistogram {
            count: 8.0,
            sum: 5.0,
            zero_threshold: 0.5,
            zero_count: 2.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![4.0],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative_buckets: vec![2.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn nothing_beyond_nothing_changed() {
        for (limit, keep) in [(f64::INFINITY, Keep::Below), (f64::NEG_INFINITY, Keep::Above)] {
            let mut h = custom();
            trim(&mut h, limit, keep);
            assert_eq!(h, custom());
        }
    }

    #[test]
    fn custom_buckets() {
        let mut h = custom();
        trim(&mut h, 7.5, Keep::Below);
        assert_eq!(h.positive_buckets, [4.0, 3.0]);
        assert_eq!((h.count, h.sum), (7.0, 4.0 * 2.5 + 3.0 * 6.25));
        let mut h = custom();
        trim(&mut h, 20.0, Keep::Above);
        assert_eq!((h.positive_buckets, h.count, h.sum), (vec![2.0], 2.0, 40.0));
        let mut h = custom();
        trim(&mut h, 2.5, Keep::Above);
        assert_eq!(h.positive_buckets, [2.0, 6.0, 2.0]);
        assert_eq!(h.sum, 2.0 * 3.75 + 6.0 * 7.5 + 2.0 * 10.0);
    }

    #[test]
    fn exponential_buckets() {
        let mut h = exponential();
        trim(&mut h, std::f64::consts::SQRT_2, Keep::Below);
        assert!((h.positive_buckets[0] - 2.0).abs() < 1e-12);
        assert_eq!((h.negative_buckets, h.zero_count), (vec![2.0], 2.0));
        let mut h = exponential();
        trim(&mut h, 0.0, Keep::Above);
        assert_eq!((h.zero_count, h.negative_buckets.len(), h.count), (1.0, 0, 5.0));
    }
}
