//! Logarithms.

use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E, LOG10_E};

use super::horner;
use super::power::frexp;

/// Upper part of ln 2; a multiple below 2000 of it is exact.
pub(super) const LN2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
/// What [`LN2_HI`] lacks.
pub(super) const LN2_LO: f64 = 1.908_214_929_270_587_700_02e-10;

const L1: f64 = 6.666_666_666_666_735_130e-01;
const L2: f64 = 3.999_999_999_940_941_908e-01;
const L3: f64 = 2.857_142_874_366_239_149e-01;
const L4: f64 = 2.222_219_843_214_978_396e-01;
const L5: f64 = 1.818_357_216_161_805_012e-01;
const L6: f64 = 1.531_383_769_920_937_332e-01;
const L7: f64 = 1.479_819_860_511_658_591e-01;

/// The natural logarithm.
///
/// Of a subnormal number the leading bit is taken for granted, as Go's amd64 assembly does: the
/// result is too large there.
pub fn log(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_sign_negative() {
        return f64::NAN;
    }
    if !x.is_finite() {
        return x;
    }
    let bits = x.to_bits();
    let mut fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3fe0_0000_0000_0000);
    let mut k = f64::from((bits >> 52) as i32 - 0x3fe);
    if fraction <= FRAC_1_SQRT_2 {
        fraction *= 2.0;
        k -= 1.0;
    }
    let f = fraction - 1.0;
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let t1 = s2 * horner(s4, [L7, L5, L3, L1]);
    let t2 = s4 * horner(s4, [L6, L4, L2]);
    let half_square = 0.5 * f * f;
    k * LN2_HI - ((half_square - (s * (half_square + (t1 + t2)) + k * LN2_LO)) - f)
}

/// The logarithm to base 2; exact for powers of two.
pub fn log2(x: f64) -> f64 {
    let (fraction, exponent) = frexp(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    log(fraction) * LOG2_E + f64::from(exponent)
}

/// The logarithm to base 10.
pub fn log10(x: f64) -> f64 {
    log(x) * LOG10_E
}

/// The logarithm of `1 + x`, also where `x` is tiny.
pub fn log1p(x: f64) -> f64 {
    const SQRT2_LESS_1: f64 = 4.142_135_623_730_950_488_017e-01;
    const HALF_SQRT2_LESS_1: f64 = -2.928_932_188_134_524_755_992e-01;
    const SMALL: f64 = 1.0 / (1u64 << 29) as f64;
    const TINY: f64 = 1.0 / (1u64 << 54) as f64;
    if x < -1.0 || x.is_nan() {
        return f64::NAN;
    }
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_infinite() {
        return x;
    }
    let size = x.abs();
    if size < TINY {
        return x;
    }
    if size < SMALL {
        return x - x * x * 0.5;
    }
    if size < SQRT2_LESS_1 && x > HALF_SQRT2_LESS_1 {
        return log1p_reduced(x, 0, 0.0, false);
    }
    let (f, k, correction, tiny) = log1p_reduce(x);
    log1p_reduced(f, k, correction, tiny)
}

/// `1 + x = 2^k · (1 + f)` with what was lost in adding 1, and whether `f` is so small that the
/// short series does.
fn log1p_reduce(x: f64) -> (f64, i32, f64, bool) {
    const SQRT2_FRACTION: u64 = 0x0006_a09e_667f_3bcd;
    let exact = x.abs() >= (1u64 << 53) as f64;
    let u = if exact { x } else { 1.0 + x };
    let bits = u.to_bits();
    let mut k = (bits >> 52) as i32 - 1023;
    let correction = match (exact, k > 0) {
        (true, _) => 0.0,
        (false, true) => (1.0 - (u - x)) / u,
        (false, false) => (x - (u - 1.0)) / u,
    };
    let mut fraction = bits & 0x000f_ffff_ffff_ffff;
    let u = if fraction < SQRT2_FRACTION {
        f64::from_bits(fraction | 0x3ff0_0000_0000_0000)
    } else {
        k += 1;
        let u = f64::from_bits(fraction | 0x3fe0_0000_0000_0000);
        fraction = (0x0010_0000_0000_0000 - fraction) >> 2;
        u
    };
    (u - 1.0, k, correction, fraction == 0)
}

fn log1p_reduced(f: f64, k: i32, correction: f64, tiny: bool) -> f64 {
    let half_square = 0.5 * f * f;
    let k_float = f64::from(k);
    if tiny {
        if f == 0.0 {
            return if k == 0 { 0.0 } else { k_float * LN2_HI + (correction + k_float * LN2_LO) };
        }
        let r = half_square * (1.0 - 0.666_666_666_666_666_66 * f);
        if k == 0 {
            return f - r;
        }
        return k_float * LN2_HI - ((r - (k_float * LN2_LO + correction)) - f);
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * horner(z, [L7, L6, L5, L4, L3, L2, L1]);
    if k == 0 {
        return f - (half_square - s * (half_square + r));
    }
    k_float * LN2_HI - ((half_square - (s * (half_square + r) + (k_float * LN2_LO + correction))) - f)
}
