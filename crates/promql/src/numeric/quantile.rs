//! Quantiles of a slice.

use std::cmp::Ordering;

/// Order for [`quantile`]: NaN below everything; both zeros are equal.
pub fn nan_first(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The `q`-quantile of `values`, which get sorted.
///
/// NaN of nothing and for a NaN `q`; −∞ below 0 and +∞ above 1.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(nan_first);
    quantile_sorted(q, values)
}

/// The `q`-quantile, 0 ≤ `q` ≤ 1, of values in the order of [`nan_first`]; NaN of nothing.
///
/// Both neighbours are always weighed, so one that is infinite shows even with weight 0 (as NaN).
pub fn quantile_sorted(q: f64, sorted: &[f64]) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_neighbours() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(quantile(0.0, &mut [3.0, 1.0]), 1.0);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0]), 3.0);
        assert_eq!(quantile(0.8, &mut [0.0, 10.0]), 8.0);
    }

    #[test]
    fn limits() {
        assert!(quantile(0.5, &mut []).is_nan());
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
        assert_eq!(quantile(0.75, &mut [5.0, f64::NAN, 1.0, 3.0, 4.0]), 4.0);
        assert!(quantile(0.5, &mut [1.0, 2.0, f64::INFINITY]).is_nan());
    }
}
