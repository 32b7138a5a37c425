//! Lower resolutions: fewer buckets, each the sum of neighbours.
//!
//! A step from schema `s` to `s − 1` squares the base, so the bounds of the coarser buckets are every
//! second bound of the finer ones: buckets `2i − 1` and `2i` become bucket `i`. Count, sum and zero
//! bucket stay what they are. Custom bounds have no coarser form.

use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, MIN_SCHEMA, Span};

/// Why a histogram can not be brought below a number of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irreducible {
    /// Its bounds are listed.
    CustomBuckets,
    /// The lowest resolution has too many buckets, or its counts can not be added up.
    Resolution,
}

impl Histogram {
    /// Number of buckets, the zero bucket aside.
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }

    /// The same observations in at most `max` buckets, at the highest resolution that allows it.
    /// For a histogram that is valid.
    ///
    /// # Errors
    ///
    /// [`Irreducible`] says why there is none.
    pub fn reduced_to(&self, max: usize) -> Result<Self, Irreducible> {
        let steps = steps_to(max, self.schema, [&self.positive_spans, &self.negative_spans])?;
        let side = |spans: &[Span], deltas: &[i64]| {
            let mut sum = 0i64;
            let counts = deltas.iter().map(|delta| {
                sum = sum.wrapping_add(*delta);
                sum
            });
            let (spans, counts) = coarser(spans, counts, steps, i64::checked_add)?;
            let deltas =
                counts.iter().scan(0, |before, count| Some(*count - std::mem::replace(before, *count)));
            Some((spans, deltas.collect()))
        };
        let sides = side(&self.positive_spans, &self.positive_buckets)
            .zip(side(&self.negative_spans, &self.negative_buckets));
        let ((positive_spans, positive_buckets), (negative_spans, negative_buckets)) =
            sides.ok_or(Irreducible::Resolution)?;
        Ok(Self {
            schema: self.schema - steps,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: Vec::new(),
            ..*self
        })
    }
}

impl FloatHistogram {
    /// Number of buckets, the zero bucket aside.
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }

    /// As [`Histogram::reduced_to`].
    ///
    /// # Errors
    ///
    /// [`Irreducible`] says why there is none.
    pub fn reduced_to(&self, max: usize) -> Result<Self, Irreducible> {
        let steps = steps_to(max, self.schema, [&self.positive_spans, &self.negative_spans])?;
        let side = |spans: &[Span], counts: &[f64]| {
            coarser(spans, counts.iter().copied(), steps, |a, b| Some(a + b))
        };
        let sides = side(&self.positive_spans, &self.positive_buckets)
            .zip(side(&self.negative_spans, &self.negative_buckets));
        let ((positive_spans, positive_buckets), (negative_spans, negative_buckets)) =
            sides.ok_or(Irreducible::Resolution)?;
        Ok(Self {
            schema: self.schema - steps,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: Vec::new(),
            ..*self
        })
    }
}

/// How many levels of resolution must go until at most `max` buckets are left.
fn steps_to(max: usize, schema: i32, sides: [&[Span]; 2]) -> Result<i32, Irreducible> {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        return Err(Irreducible::CustomBuckets);
    }
    let fits = |steps: &i32| sides.iter().map(|side| buckets_after(side, *steps)).sum::<u64>() <= max as u64;
    (0..=schema.saturating_sub(MIN_SCHEMA)).find(fits).ok_or(Irreducible::Resolution)
}

/// The bucket that takes bucket `index` in when `steps` levels of resolution go.
fn target(index: i64, steps: i32) -> i64 {
    ((index - 1) >> steps.clamp(0, 62)) + 1
}

/// First and one past the last index of each span that is not empty.
fn ranges(spans: &[Span]) -> impl Iterator<Item = (i64, i64)> + '_ {
    let mut next = 0i64;
    spans.iter().filter_map(move |span| {
        let first = next.saturating_add(i64::from(span.offset));
        next = first.saturating_add(i64::from(span.length));
        (first < next).then_some((first, next))
    })
}

/// Buckets that are left of a side.
fn buckets_after(spans: &[Span], steps: i32) -> u64 {
    let (mut last, mut sum) = (i64::MIN, 0u64);
    for (first, end) in ranges(spans) {
        let (low, high) = (target(first, steps), target(end - 1, steps));
        sum = sum.saturating_add(high.abs_diff(low)).saturating_add(u64::from(low != last));
        last = high;
    }
    sum
}

/// A side with `steps` levels less. `None` where counts can not be added, or gaps become too wide
/// for a span because empty spans between them are gone.
fn coarser<T: Copy>(
    spans: &[Span],
    counts: impl Iterator<Item = T>,
    steps: i32,
    add: impl Fn(T, T) -> Option<T>,
) -> Option<(Vec<Span>, Vec<T>)> {
    let (mut out_spans, mut out): (Vec<Span>, Vec<T>) = (Vec::new(), Vec::new());
    // One past the last bucket written.
    let mut next = 0i64;
    let indices = ranges(spans).flat_map(|(first, end)| first..end);
    for (index, count) in indices.zip(counts) {
        let index = target(index, steps);
        match (out.last_mut(), out_spans.last_mut()) {
            (Some(sum), Some(_)) if index + 1 == next => *sum = add(*sum, count)?,
            (_, Some(span)) if index == next => {
                span.length += 1;
                out.push(count);
            }
            _ => {
                out_spans.push(Span { offset: i32::try_from(index - next).ok()?, length: 1 });
                out.push(count);
            }
        }
        next = index + 1;
    }
    Some((out_spans, out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::ResetHint;

    /// Spans with small gaps and as many counts as they need.
    fn side() -> impl Strategy<Value = (Vec<Span>, Vec<u32>)> {
        let span = (0i32..20, 0u32..6).prop_map(|(offset, length)| Span { offset, length });
        (-600i32..600, proptest::collection::vec(span, 0..12)).prop_flat_map(|(first, mut spans)| {
            if let Some(span) = spans.first_mut() {
                span.offset = first;
            }
            let length = spans.iter().map(|s| s.length as usize).sum::<usize>();
            (Just(spans), proptest::collection::vec(0u32..1000, length))
        })
    }

    fn histogram() -> impl Strategy<Value = Histogram> {
        (side(), side(), MIN_SCHEMA..=8, 0u64..50).prop_map(|(positive, negative, schema, zero_count)| {
            let deltas = |counts: &[u32]| {
                let mut before = 0;
                let delta = |c: &u32| i64::from(*c) - std::mem::replace(&mut before, i64::from(*c));
                counts.iter().map(delta).collect()
            };
            let sum = |counts: &[u32]| counts.iter().map(|c| u64::from(*c)).sum::<u64>();
            Histogram {
                reset_hint: ResetHint::Gauge,
                schema,
                zero_threshold: 1e-9,
                zero_count,
                count: zero_count + sum(&positive.1) + sum(&negative.1),
                sum: 12.5,
                positive_buckets: deltas(&positive.1),
                negative_buckets: deltas(&negative.1),
                positive_spans: positive.0,
                negative_spans: negative.0,
                custom_values: Vec::new(),
            }
        })
    }

    /// Observations up to each bound `2^(index · 2^-schema)`, the exponent in steps of `2^-8`.
    fn cumulative(spans: &[Span], counts: &[f64], schema: i32) -> Vec<(i64, f64)> {
        let indices = ranges(spans).flat_map(|(first, end)| first..end);
        let mut sum = 0.0;
        let point = |(index, count): (i64, &f64)| {
            sum += count;
            (index << (8 - schema), sum)
        };
        indices.zip(counts).map(point).collect()
    }

    /// What `points` say of a bound.
    fn up_to(points: &[(i64, f64)], bound: i64) -> f64 {
        points.iter().take_while(|(at, _)| *at <= bound).last().map_or(0.0, |(_, sum)| *sum)
    }

    proptest! {
        #[test]
        fn observations_stay_where_they_were(h in histogram(), max in 1usize..40) {
            let Ok(reduced) = h.reduced_to(max) else {
                prop_assert!(buckets_after(&h.positive_spans, h.schema - MIN_SCHEMA)
                    + buckets_after(&h.negative_spans, h.schema - MIN_SCHEMA) > max as u64);
                return Ok(());
            };
            prop_assert_eq!(reduced.validate(), Ok(()));
            prop_assert!(reduced.bucket_count() <= max);
            prop_assert_eq!((reduced.count, reduced.sum, reduced.zero_count), (h.count, h.sum, h.zero_count));
            prop_assert_eq!((reduced.reset_hint, reduced.zero_threshold), (h.reset_hint, h.zero_threshold));
            // The next finer resolution would not fit.
            if reduced.schema < h.schema {
                let steps = h.schema - reduced.schema - 1;
                let finer = buckets_after(&h.positive_spans, steps) + buckets_after(&h.negative_spans, steps);
                prop_assert!(finer > max as u64);
            }
            let (fine, coarse) = (h.to_float(), reduced.to_float());
            for (a, a_counts, b, b_counts) in [
                (&fine.positive_spans, &fine.positive_buckets, &coarse.positive_spans, &coarse.positive_buckets),
                (&fine.negative_spans, &fine.negative_buckets, &coarse.negative_spans, &coarse.negative_buckets),
            ] {
                // Every bound of the coarse one is a bound of the fine one, with as much below it.
                let (a, b) = (cumulative(a, a_counts, h.schema), cumulative(b, b_counts, reduced.schema));
                for (bound, sum) in &b {
                    prop_assert_eq!(up_to(&a, *bound), *sum);
                }
                prop_assert_eq!(a.last().map_or(0.0, |p| p.1), b.last().map_or(0.0, |p| p.1));
            }
            // Floats go the same way.
            prop_assert_eq!(h.to_float().reduced_to(max).unwrap(), coarse);
        }

        #[test]
        fn steps_add_up(h in histogram()) {
            if let (Ok(once), Ok(twice)) = (h.reduced_to(20), h.reduced_to(5)) {
                prop_assert_eq!(once.reduced_to(5), Ok(twice));
            }
        }
    }

    #[test]
    fn what_can_not_be_reduced_says_why() {
        let spans = |offsets: &[i32]| offsets.iter().map(|&offset| Span { offset, length: 1 }).collect();
        let wide = FloatHistogram {
            schema: 8,
            positive_spans: spans(&[0, 20_000, 20_000]),
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..FloatHistogram::default()
        };
        assert_eq!(wide.reduced_to(2), Err(Irreducible::Resolution));
        assert_eq!(wide.reduced_to(3), Ok(wide.clone()));
        let custom = FloatHistogram { schema: CUSTOM_BUCKETS_SCHEMA, ..wide };
        assert_eq!(custom.reduced_to(2), Err(Irreducible::CustomBuckets));
        let huge = Histogram {
            schema: 1,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![i64::MAX, 0],
            ..Histogram::default()
        };
        assert_eq!(huge.reduced_to(1), Err(Irreducible::Resolution));
        // Far ends with nothing but empty spans between them.
        let far = Histogram {
            positive_spans: vec![
                Span { offset: i32::MIN, length: 1 },
                Span { offset: i32::MAX, length: 0 },
                Span { offset: i32::MAX, length: 1 },
            ],
            positive_buckets: vec![1, 0],
            ..Histogram::default()
        };
        assert_eq!(far.reduced_to(2), Err(Irreducible::Resolution));
    }

    #[test]
    fn two_neighbours_become_one() {
        let h = Histogram {
            schema: 3,
            count: 10,
            positive_spans: vec![Span { offset: -2, length: 4 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1, 1, 1, -2, 2],
            ..Histogram::default()
        };
        // −2 → −1; −1, 0 → 0; 1 → 1; 3 → 2.
        let reduced = h.reduced_to(4).unwrap();
        assert_eq!(reduced.schema, 2);
        assert_eq!(reduced.positive_spans, [Span { offset: -1, length: 4 }]);
        assert_eq!(reduced.positive_buckets, [1, 4, -4, 2]);
    }
}
