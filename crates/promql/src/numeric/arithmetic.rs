//! Small operations where Go and Rust differ.

/// The smaller of two, as Go's `math.Min`: −∞ wins over NaN, NaN over the rest, −0 over +0.
pub fn min(x: f64, y: f64) -> f64 {
    if x == f64::NEG_INFINITY || y == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 && y == 0.0 {
        if x.is_sign_negative() { x } else { y }
    } else if x < y {
        x
    } else {
        y
    }
}

/// The larger of two, as Go's `math.Max`: +∞ wins over NaN, NaN over the rest, +0 over −0.
pub fn max(x: f64, y: f64) -> f64 {
    if x == f64::INFINITY || y == f64::INFINITY {
        f64::INFINITY
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 && y == 0.0 {
        if x.is_sign_negative() { y } else { x }
    } else if x > y {
        x
    } else {
        y
    }
}

/// The remainder with the sign of `x`; exact.
pub fn modulo(x: f64, y: f64) -> f64 {
    x % y
}

/// The length of the vector (`p`, `q`).
pub fn hypot(p: f64, q: f64) -> f64 {
    if p.is_infinite() || q.is_infinite() {
        return f64::INFINITY;
    }
    if p.is_nan() || q.is_nan() {
        return f64::NAN;
    }
    let (large, small) = if p.abs() < q.abs() { (q.abs(), p.abs()) } else { (p.abs(), q.abs()) };
    if large == 0.0 {
        return 0.0;
    }
    let ratio = small / large;
    large * (ratio * ratio + 1.0).sqrt()
}

/// Float to integer as an amd64 processor truncates: what does not fit, NaN included, gives
/// `i64::MIN`.
pub fn to_i64(x: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&x) { x as i64 } else { i64::MIN }
}

/// PromQL's `round(x, to)`: the nearest multiple of `to`, halves upward.
pub fn round(x: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (x * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_and_max_order_nan_infinities_and_zeros() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(min(nan, -inf), -inf);
        assert!(min(nan, 1.0).is_nan() && max(-inf, nan).is_nan());
        assert_eq!(max(nan, inf), inf);
        assert!(min(0.0, -0.0).is_sign_negative() && max(-0.0, 0.0).is_sign_positive());
        assert_eq!((min(1.0, 2.0), max(1.0, 2.0)), (1.0, 2.0));
    }

    #[test]
    fn rounds_literally() {
        assert_eq!(round(0.49999999999999994, 1.0), 1.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert!(round(5.0, 0.0).is_nan());
        assert_eq!(round(1.0, -2.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!(round(13.0, 5.0), 15.0);
    }

    #[test]
    fn what_does_not_fit_is_the_smallest_integer() {
        assert_eq!(to_i64(-1.9), -1);
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 9_223_372_036_854_775_808.0] {
            assert_eq!(to_i64(x), i64::MIN);
        }
        assert_eq!(to_i64(9_223_372_036_854_774_784.0), 9_223_372_036_854_774_784);
    }
}
