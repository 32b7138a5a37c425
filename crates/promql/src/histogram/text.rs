//! A histogram as text, and its size in samples.

use std::fmt::Write;

use norn_model::histogram::FloatHistogram;

use super::buckets::{self, Bucket, indexed, indexed_reverse};
use crate::numeric::format::general;

/// `{count:3, sum:5, [-2,-1):1, [-0.5,0.5]:1, (1,2]:1}`: numbers as `%g`, buckets with something
/// in them from low to high.
pub fn display(h: &FloatHistogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", general(h.count), general(h.sum));
    let low = indexed_reverse(&h.negative_spans, &h.negative_buckets).map(|b| buckets::negative(h, b));
    let high = indexed(&h.positive_spans, &h.positive_buckets).map(|b| buckets::positive(h, b));
    for bucket in low.chain([buckets::zero(h)]).chain(high).filter(|b| b.count != 0.0) {
        write_bucket(&mut out, &bucket);
    }
    out.push('}');
    out
}

fn write_bucket(out: &mut String, b: &Bucket) {
    let open = if b.lower_inclusive { '[' } else { '(' };
    let close = if b.upper_inclusive { ']' } else { ')' };
    // Writing to a String can not fail.
    let _ = write!(out, ", {open}{},{}{close}:{}", general(b.lower), general(b.upper), general(b.count));
}

/// How many float samples a histogram sample weighs in the limit of samples in memory.
pub fn size_samples(h: &FloatHistogram) -> usize {
    let parts = h.positive_buckets.len()
        + h.negative_buckets.len()
        + h.custom_values.len()
        + h.positive_spans.len()
        + h.negative_spans.len();
    (168 + 8 * parts + 8) / 16
}

#[cfg(test)]
mod tests {
    use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    #[test]
    fn text_forms() {
        let h = FloatHistogram {
            count: 1e6,
            sum: 1.5,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 0.0],
            negative_spans: vec![Span { offset: 1, length: 2 }],
            negative_buckets: vec![3.0, 4.0],
            ..FloatHistogram::default()
        };
        assert_eq!(display(&h), "{count:1e+06, sum:1.5, [-4,-2):4, [-2,-1):3, [-0.5,0.5]:1, (1,2]:1}");
        assert_eq!(size_samples(&h), (168 + 8 * 6 + 8) / 16);
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            custom_values: vec![5.0],
            ..FloatHistogram::default()
        };
        assert_eq!(display(&custom), "{count:0, sum:0, [-Inf,5]:1, (5,+Inf]:2}");
    }
}
