//! Properties that hold for all histograms.

use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, ResetHint, Span};
use proptest::collection::vec;
use proptest::prelude::*;

use super::accumulate::Accumulator;
use super::arithmetic::{add, mul, sub};
use super::compare::{detect_reset, equals};
use super::layout::{compact, reduce_schema};
use super::trim::{Keep, trim};
use super::{buckets, native, text};

/// Spans and whole-numbered counts.
fn side() -> impl Strategy<Value = (Vec<Span>, Vec<f64>)> {
    vec((0i32..4, 1u32..4), 0..4)
        .prop_flat_map(|runs| {
            let total = runs.iter().map(|(_, length)| *length as usize).sum::<usize>();
            (Just(runs), -20i32..20, vec(0u32..1000, total))
        })
        .prop_map(|(runs, first, counts)| {
            let mut spans: Vec<_> =
                runs.into_iter().map(|(offset, length)| Span { offset, length }).collect();
            if let Some(span) = spans.first_mut() {
                span.offset = first;
            }
            (spans, counts.into_iter().map(f64::from).collect())
        })
}

/// Whole-numbered, so that sums are exact; the zero bucket is narrower than any bucket.
fn exponential() -> impl Strategy<Value = FloatHistogram> {
    (-2i32..=4, side(), side(), 0u32..100, -100i32..100).prop_map(
        |(schema, positive, negative, zero, sum)| {
            let count = positive.1.iter().chain(&negative.1).sum::<f64>() + f64::from(zero);
            FloatHistogram {
                schema,
                zero_threshold: 1e-200,
                zero_count: f64::from(zero),
                count,
                sum: f64::from(sum),
                positive_spans: positive.0,
                positive_buckets: positive.1,
                negative_spans: negative.0,
                negative_buckets: negative.1,
                ..FloatHistogram::default()
            }
        },
    )
}

/// Anything that the types allow, within a size that tests can bear.
fn hostile() -> impl Strategy<Value = FloatHistogram> {
    let spans =
        || vec((any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length }), 0..4);
    let floats = || vec(any::<f64>(), 0..8);
    let schema = prop_oneof![any::<i32>(), -10i32..10, Just(CUSTOM_BUCKETS_SCHEMA)];
    let numbers = (any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>());
    (schema, numbers, spans(), spans(), floats(), floats(), floats()).prop_map(
        |(schema, (zero_threshold, zero_count, count, sum), positive, negative, p, n, custom_values)| {
            FloatHistogram {
                reset_hint: ResetHint::Unknown,
                schema,
                zero_threshold,
                zero_count,
                count,
                sum,
                positive_spans: positive,
                negative_spans: negative,
                positive_buckets: p,
                negative_buckets: n,
                custom_values,
            }
        },
    )
}

fn compacted(mut h: FloatHistogram) -> FloatHistogram {
    compact(&mut h);
    h
}

fn total(h: &FloatHistogram) -> f64 {
    buckets::ascending(h).map(|b| b.count).sum()
}

proptest! {
    #[test]
    fn what_was_added_can_be_taken_away(a in exponential(), b in exponential()) {
        let mut h = a.clone();
        add(&mut h, &b).expect("same kind");
        prop_assert_eq!(total(&h), total(&a) + total(&b));
        prop_assert!(!detect_reset(&h, &a));
        sub(&mut h, &b).expect("same kind");
        let mut coarse = a;
        reduce_schema(&mut coarse, h.schema);
        prop_assert!(equals(&compacted(h), &compacted(coarse)));
    }

    #[test]
    fn compensated_and_plain_sums_of_whole_numbers_agree(all in vec(exponential(), 1..5)) {
        let mut plain = all[0].clone();
        let mut compensated = Accumulator::new(all[0].clone());
        for h in &all[1..] {
            add(&mut plain, h).expect("same kind");
            compensated.add(h).expect("same kind");
        }
        prop_assert!(equals(&compacted(plain), &compensated.finish()));
    }

    #[test]
    fn quantiles_rise(h in exponential(), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
        let (low, high) = (native::quantile(a.min(b), &h).0, native::quantile(a.max(b), &h).0);
        // The two ways of counting meet at 0.5, where rounding may show.
        prop_assert!(low.is_nan() || low <= high + high.abs() * 1e-9, "{} {}", low, high);
    }

    #[test]
    fn both_parts_of_a_trim_are_the_whole(h in exponential(), limit in -1e6f64..1e6) {
        let (mut below, mut above) = (h.clone(), h.clone());
        trim(&mut below, limit, Keep::Below);
        trim(&mut above, limit, Keep::Above);
        let (got, want) = (total(&below) + total(&above), total(&h));
        prop_assert!((got - want).abs() <= want * 1e-9, "{} {}", got, want);
    }

    #[test]
    fn nothing_panics(a in hostile(), b in hostile(), x in any::<f64>(), y in any::<f64>()) {
        let _ = (native::quantile(x, &a), native::fraction(x, y, &a), native::variance(&a));
        let _ = (detect_reset(&a, &b), equals(&a, &b), text::display(&a), text::size_samples(&a));
        let mut h = a.clone();
        let _ = add(&mut h, &b);
        mul(&mut h, x);
        trim(&mut h, y, Keep::Below);
        reduce_schema(&mut h, -4);
        let mut sum = Accumulator::new(a);
        let _ = sum.add(&b);
        sum.finish();
    }
}
