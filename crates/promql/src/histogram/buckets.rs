//! Buckets of a histogram in order, with their bounds.

use norn_model::histogram::{FloatHistogram, Span};

use super::bounds;
use crate::numeric::logarithm::log2;

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

impl Bucket {
    /// Whether 0 lies in the bucket, bounds included.
    pub fn holds_zero(&self) -> bool {
        self.lower <= 0.0 && self.upper >= 0.0
    }

    /// Which part of the bucket lies below `v`, which is strictly inside of finite bounds. Inside of
    /// exponential buckets observations are taken to be spread evenly on a logarithmic scale.
    pub fn fraction_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, at) = (log2(self.lower.abs()), log2(self.upper.abs()), log2(v.abs()));
        if v > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
    }
}

/// Index and count of each bucket, from the lowest index.
pub fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indices = spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add(span.length as i32);
        (0..span.length).map(move |i| start.wrapping_add(i as i32))
    });
    indices.zip(counts.iter().copied())
}

/// As [`indexed`], from the highest index.
pub fn indexed_reverse<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut end = spans.iter().fold(0i32, |end, s| end.wrapping_add(s.offset).wrapping_add(s.length as i32));
    let indices = spans.iter().rev().flat_map(move |span| {
        let start = end.wrapping_sub(span.length as i32);
        end = start.wrapping_sub(span.offset);
        (0..span.length).rev().map(move |i| start.wrapping_add(i as i32))
    });
    indices.zip(counts.iter().rev().copied())
}

/// The bucket with `index` on the positive side.
pub fn positive(h: &FloatHistogram, (index, count): (i32, f64)) -> Bucket {
    let (lower, upper) = bounds::of_bucket(h, index);
    let lower_inclusive = h.has_custom_buckets() && index == 0;
    Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count }
}

/// The bucket with `index` on the negative side.
pub fn negative(h: &FloatHistogram, (index, count): (i32, f64)) -> Bucket {
    let (lower, upper) = bounds::of_bucket(h, index);
    Bucket { lower: -upper, upper: -lower, lower_inclusive: true, upper_inclusive: false, count }
}

/// The zero bucket.
pub fn zero(h: &FloatHistogram) -> Bucket {
    Bucket {
        lower: -h.zero_threshold,
        upper: h.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: h.zero_count,
    }
}

/// All buckets from low to high; the zero bucket only where something is in it. Buckets that
/// reach into the zero bucket begin at its threshold.
pub fn ascending(h: &FloatHistogram) -> impl Iterator<Item = Bucket> + '_ {
    let low =
        indexed_reverse(&h.negative_spans, &h.negative_buckets).map(|b| outside_zero(h, negative(h, b)));
    let middle = (h.zero_count > 0.0).then(|| zero(h));
    let high = indexed(&h.positive_spans, &h.positive_buckets).map(|b| outside_zero(h, positive(h, b)));
    low.chain(middle).chain(high)
}

/// As [`ascending`], from high to low.
pub fn descending(h: &FloatHistogram) -> impl Iterator<Item = Bucket> + '_ {
    let low = indexed(&h.negative_spans, &h.negative_buckets).map(|b| outside_zero(h, negative(h, b)));
    let middle = (h.zero_count > 0.0).then(|| zero(h));
    let high =
        indexed_reverse(&h.positive_spans, &h.positive_buckets).map(|b| outside_zero(h, positive(h, b)));
    high.chain(middle).chain(low)
}

fn outside_zero(h: &FloatHistogram, mut bucket: Bucket) -> Bucket {
    if bucket.upper < 0.0 && bucket.upper > -h.zero_threshold {
        bucket.upper = -h.zero_threshold;
    } else if bucket.lower > 0.0 && bucket.lower < h.zero_threshold {
        bucket.lower = h.zero_threshold;
    }
    bucket
}

/// The zero bucket's bounds narrowed to the side on which there are buckets, if only one has any.
pub fn one_sided(h: &FloatHistogram, mut zero: Bucket) -> Bucket {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => zero.lower = 0.0,
        (false, true) => zero.upper = 0.0,
        _ => {}
    }
    zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_up_and_down() {
        let h = FloatHistogram {
            schema: 0,
            zero_threshold: 0.3,
            zero_count: 3.0,
            negative_spans: vec![Span { offset: -2, length: 1 }, Span { offset: 2, length: 1 }],
            negative_buckets: vec![2.0, 1.0],
            positive_spans: vec![Span { offset: -1, length: 2 }],
            positive_buckets: vec![4.0, 5.0],
            ..FloatHistogram::default()
        };
        let up: Vec<_> = ascending(&h).map(|b| (b.lower, b.upper, b.count)).collect();
        let want =
            [(-2.0, -1.0, 1.0), (-0.25, -0.3, 2.0), (-0.3, 0.3, 3.0), (0.3, 0.5, 4.0), (0.5, 1.0, 5.0)];
        assert_eq!(up, want);
        let mut down: Vec<_> = descending(&h).map(|b| (b.lower, b.upper, b.count)).collect();
        down.reverse();
        assert_eq!(down, want);
    }

    #[test]
    fn spans_that_lie_do_no_harm() {
        let spans =
            [Span { offset: i32::MAX, length: u32::MAX }, Span { offset: i32::MAX, length: u32::MAX }];
        assert_eq!(indexed(&spans, &[1.0, 2.0]).count(), 2);
        assert_eq!(indexed_reverse(&spans, &[1.0, 2.0]).count(), 2);
    }
}
