//! Classic histograms: cumulative buckets, one series each.

use crate::numeric::quantile::nan_first;

/// One bucket: how many observations lie at or below its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassicBucket {
    /// The value of `le`.
    pub upper: f64,
    /// Observations at or below it.
    pub count: f64,
}

/// Which counts were raised so that they never fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repair {
    /// Bound of the first bucket that was raised.
    pub min_bucket: f64,
    /// Bound of the last bucket that was raised.
    pub max_bucket: f64,
    /// Largest amount.
    pub max_diff: f64,
}

/// Relative difference below which a falling count is taken for rounding.
const TOLERANCE: f64 = 1e-12;

/// The `q`-quantile of `buckets`, which get sorted, merged and repaired in place: behind merged ones
/// some are left over, as the reference leaves them to the next quantile.
pub fn quantile(q: f64, buckets: &mut [ClassicBucket]) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let Some(count) = sort_and_merge(buckets) else { return (f64::NAN, None) };
    let buckets = &mut buckets[..count];
    let repair = repair(buckets);
    (interpolate(q, buckets), repair)
}

/// Sorts by bound and adds up equal bounds; how many are left, if the last holds everything.
fn sort_and_merge(buckets: &mut [ClassicBucket]) -> Option<usize> {
    buckets.sort_by(|a, b| nan_first(&a.upper, &b.upper));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    let mut kept = 0;
    for i in 1..buckets.len() {
        if buckets[i].upper == buckets[kept].upper {
            buckets[kept].count += buckets[i].count;
        } else {
            kept += 1;
            buckets[kept] = buckets[i];
        }
    }
    Some(kept + 1)
}

fn repair(buckets: &mut [ClassicBucket]) -> Option<Repair> {
    let (first, rest) = buckets.split_first_mut()?;
    let mut before = first.count;
    let mut repair: Option<Repair> = None;
    for bucket in rest {
        if bucket.count == before {
            continue;
        }
        if nearly_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let diff = before - bucket.count;
            let done = repair.get_or_insert(Repair {
                min_bucket: bucket.upper,
                max_bucket: bucket.upper,
                max_diff: diff,
            });
            done.max_bucket = bucket.upper;
            done.max_diff = done.max_diff.max(diff);
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    repair
}

fn nearly_equal(a: f64, b: f64) -> bool {
    let sum = a.abs() + b.abs();
    let diff = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < TOLERANCE * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < TOLERANCE
}

/// The first of `len` places at which `holds`, found as the reference does: with NaN among the counts it
/// matters which places are looked at.
fn first(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn interpolate(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [.., before_last, last] = buckets else { return f64::NAN };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * last.count;
    let finite = &buckets[..buckets.len() - 1];
    let found = first(finite.len(), |i| finite[i].count >= rank);
    let Some(bucket) = finite.get(found) else { return before_last.upper };
    let Some(below) = found.checked_sub(1).and_then(|i| finite.get(i)) else {
        return if bucket.upper <= 0.0 { bucket.upper } else { bucket.upper * (rank / bucket.count) };
    };
    rank -= below.count;
    below.upper + (bucket.upper - below.upper) * (rank / (bucket.count - below.count))
}

/// The fraction of observations between `lower` and `upper`; `buckets` get sorted and merged.
pub fn fraction(lower: f64, upper: f64, buckets: &mut [ClassicBucket]) -> f64 {
    let Some(count) = sort_and_merge(buckets) else { return f64::NAN };
    let buckets = &buckets[..count];
    let total = buckets.last().map_or(0.0, |b| b.count);
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank(buckets, upper, total) - rank(buckets, lower, total)) / total
}

/// How many observations lie below `v`.
fn rank(buckets: &[ClassicBucket], v: f64, total: f64) -> f64 {
    let starts_at_zero = buckets.first().is_some_and(|b| b.upper > 0.0);
    let mut start = if starts_at_zero { 0.0 } else { f64::NEG_INFINITY };
    let mut rank = 0.0;
    for bucket in buckets {
        if start >= v {
            break;
        }
        if bucket.upper > v {
            rank = if start == f64::NEG_INFINITY {
                bucket.count
            } else if bucket.upper == f64::INFINITY {
                rank
            } else {
                rank + (bucket.count - rank) * (v - start) / (bucket.upper - start)
            };
            break;
        }
        rank = bucket.count;
        start = bucket.upper;
    }
    if rank > total { total } else { rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|&(upper, count)| ClassicBucket { upper, count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles() {
        let pairs = [(INF, 12.0), (0.1, 5.0), (0.2, 7.0), (1.0, 11.0)];
        let value = |q| quantile(q, &mut buckets(&pairs)).0;
        assert_eq!((value(0.0), value(1.0), value(0.2)), (0.0, 1.0, 0.1 * (0.2 * 12.0 / 5.0)));
        assert_eq!(value(0.5), 0.1 + 0.1 * (1.0 / 2.0));
        assert_eq!((value(-1.0), value(1.5)), (-INF, INF));
        assert_eq!(quantile(0.5, &mut buckets(&[(-1.0, 3.0), (INF, 4.0)])).0, -1.0);
    }

    #[test]
    fn nothing_to_tell() {
        for pairs in [&[][..], &[(1.0, 2.0)], &[(INF, 2.0)], &[(1.0, 0.0), (INF, 0.0)]] {
            assert!(quantile(0.5, &mut buckets(pairs)).0.is_nan());
        }
        assert!(quantile(f64::NAN, &mut buckets(&[(1.0, 1.0), (INF, 1.0)])).0.is_nan());
    }

    #[test]
    fn falling_counts_are_raised() {
        let mut b = buckets(&[(1.0, 10.0), (2.0, 9.0), (3.0, 12.0), (4.0, 8.0), (INF, 12.0)]);
        let (value, repair) = quantile(0.9, &mut b);
        assert_eq!(repair, Some(Repair { min_bucket: 2.0, max_bucket: 4.0, max_diff: 4.0 }));
        assert_eq!(value, 2.0 + (0.9 * 12.0 - 10.0) / 2.0);
        let mut b = buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-14), (INF, 10.0)]);
        assert_eq!(quantile(1.0, &mut b), (1.0, None));
    }

    #[test]
    fn fractions() {
        let pairs = [(1.0, 2.0), (3.0, 6.0), (3.0, 2.0), (INF, 10.0)];
        let value = |lower, upper| fraction(lower, upper, &mut buckets(&pairs));
        assert_eq!(value(0.0, 1.0), 0.2);
        assert_eq!(value(0.5, 2.0), (5.0 - 1.0) / 10.0);
        assert_eq!(value(-INF, INF), 1.0);
        assert_eq!(value(100.0, INF), 0.2);
        assert_eq!(value(2.0, 2.0), 0.0);
        assert!(value(f64::NAN, 2.0).is_nan());
    }
}
