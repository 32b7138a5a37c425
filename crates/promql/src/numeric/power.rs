//! Powers, and floats taken apart into fraction and exponent.

use super::horner;
use super::logarithm::{LN2_HI, LN2_LO, log};

const FRACTION_BITS: u32 = 52;
const EXPONENT_MASK: i32 = 0x7ff;
const BIAS: i32 = 1023;
const MIN_NORMAL: f64 = f64::MIN_POSITIVE;

/// Makes a subnormal normal: `x = y · 2^e`.
fn normalize(x: f64) -> (f64, i32) {
    if x.abs() < MIN_NORMAL { (x * (1u64 << FRACTION_BITS) as f64, -(FRACTION_BITS as i32)) } else { (x, 0) }
}

fn biased_exponent(bits: u64) -> i32 {
    (bits >> FRACTION_BITS) as i32 & EXPONENT_MASK
}

fn with_exponent(bits: u64, biased: i32) -> f64 {
    let cleared = bits & !((EXPONENT_MASK as u64) << FRACTION_BITS);
    f64::from_bits(cleared | (biased as u64) << FRACTION_BITS)
}

/// `x = fraction · 2^exponent` with `|fraction|` in [½, 1). Zero, infinities and NaN give
/// themselves and 0.
pub fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let (x, shift) = normalize(x);
    let bits = x.to_bits();
    (with_exponent(bits, BIAS - 1), shift + biased_exponent(bits) - BIAS + 1)
}

/// `fraction · 2^exponent`, rounded once where the result is subnormal.
pub fn ldexp(fraction: f64, exponent: i32) -> f64 {
    if fraction == 0.0 || !fraction.is_finite() {
        return fraction;
    }
    let (fraction, shift) = normalize(fraction);
    let bits = fraction.to_bits();
    let exponent = exponent.saturating_add(shift).saturating_add(biased_exponent(bits) - BIAS);
    if exponent < -1075 {
        return 0f64.copysign(fraction);
    }
    if exponent > BIAS {
        return f64::INFINITY.copysign(fraction);
    }
    if exponent < -1022 {
        return with_exponent(bits, exponent + 53 + BIAS) * (1.0 / (1u64 << 53) as f64);
    }
    with_exponent(bits, exponent + BIAS)
}

/// e to the `x`, by Shibata's method: reduce by ln 2 and by 16, Taylor, square four times.
///
/// Go takes the fused form on every processor that has it, which is every one of the last decade.
pub fn exp(x: f64) -> f64 {
    const OVERFLOW: f64 = 7.09782712893384e+02;
    const LN2_UPPER: f64 = 0.693_147_180_559_662_956_511_601_805_686_950_683_593_75;
    const LN2_LOWER: f64 = 0.282_352_905_630_315_771_225_884_481_750_134_360_255_254_120_68e-12;
    const TAYLOR: [f64; 8] =
        [1.0 / 40_320.0, 1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    if !x.is_finite() {
        return if x == f64::NEG_INFINITY { 0.0 } else { x };
    }
    if x > OVERFLOW {
        return f64::INFINITY;
    }
    let exponent = (x * std::f64::consts::LOG2_E).round_ties_even();
    if exponent < -1100.0 {
        return 0.0;
    }
    let reduced = (-exponent).mul_add(LN2_UPPER, x);
    let reduced = (-exponent).mul_add(LN2_LOWER, reduced) * 0.0625;
    let mut series = TAYLOR[0];
    for term in &TAYLOR[1..] {
        series = reduced.mul_add(series, *term);
    }
    let mut y = reduced * series;
    for _ in 0..3 {
        y *= y + 2.0;
    }
    scale(y.mul_add(y + 2.0, 1.0), exponent as i32)
}

/// `y · 2^exponent` for the last step of [`exp`]; subnormal results are scaled twice.
fn scale(y: f64, exponent: i32) -> f64 {
    let biased = exponent + BIAS;
    match biased {
        ..-52 => 0.0,
        -52..=0 => y * with_exponent(0, biased + BIAS - 1) * MIN_NORMAL,
        1..EXPONENT_MASK => y * with_exponent(0, biased),
        _ => f64::INFINITY,
    }
}

/// 2 to the `x`.
pub fn exp2(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 1.023_999_999_999_999_9e+03 {
        return f64::INFINITY;
    }
    if x < -1.0740e+03 {
        return 0.0;
    }
    let k = if x > 0.0 {
        (x + 0.5) as i32
    } else if x < 0.0 {
        (x - 0.5) as i32
    } else {
        0
    };
    let t = x - f64::from(k);
    exp_reduced(t * LN2_HI, -t * LN2_LO, k)
}

/// e to the `hi − lo`, times 2 to the `k`; `|hi − lo|` is at most half of ln 2.
fn exp_reduced(hi: f64, lo: f64, k: i32) -> f64 {
    const P: [f64; 5] = [
        4.138_136_797_057_238_460_39e-08,
        -1.653_390_220_546_525_153_90e-06,
        6.613_756_321_437_934_361_17e-05,
        -2.777_777_777_701_559_338_42e-03,
        1.666_666_666_666_666_574_15e-01,
    ];
    let r = hi - lo;
    let t = r * r;
    let c = r - t * horner(t, P);
    let y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    ldexp(y, k)
}

fn is_odd(x: f64) -> bool {
    x.abs() < (1u64 << 53) as f64 && x.fract() == 0.0 && (x as i64) & 1 == 1
}

/// `x` to the `y`.
pub fn pow(x: f64, y: f64) -> f64 {
    if let Some(special) = pow_special(x, y) {
        return special;
    }
    let mut whole = y.abs().trunc();
    let mut part = y.abs() - whole;
    if part != 0.0 && x < 0.0 {
        return f64::NAN;
    }
    if whole >= 9_223_372_036_854_775_808.0 {
        return match x {
            -1.0 => 1.0,
            _ if (x.abs() < 1.0) == (y > 0.0) => 0.0,
            _ => f64::INFINITY,
        };
    }
    let mut fraction = 1.0;
    if part != 0.0 {
        if part > 0.5 {
            part -= 1.0;
            whole += 1.0;
        }
        fraction = exp(part * log(x));
    }
    let (fraction, exponent) = pow_whole(x, whole as i64, fraction);
    if y < 0.0 { ldexp(1.0 / fraction, -exponent) } else { ldexp(fraction, exponent) }
}

/// `start · x^n` as fraction and exponent, by squaring.
fn pow_whole(x: f64, mut n: i64, start: f64) -> (f64, i32) {
    let (mut square, mut square_exponent) = frexp(x);
    let (mut fraction, mut exponent) = (start, 0);
    while n != 0 {
        if !(-(1 << 12)..=1 << 12).contains(&square_exponent) {
            // Over- or underflow is certain, and the shift below would overflow.
            exponent += square_exponent;
            break;
        }
        if n & 1 == 1 {
            fraction *= square;
            exponent += square_exponent;
        }
        square *= square;
        square_exponent <<= 1;
        if square < 0.5 {
            square += square;
            square_exponent -= 1;
        }
        n >>= 1;
    }
    (fraction, exponent)
}

fn pow_special(x: f64, y: f64) -> Option<f64> {
    Some(if y == 0.0 || x == 1.0 {
        1.0
    } else if y == 1.0 {
        x
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 {
        let sign = if is_odd(y) { x } else { 0.0 };
        if y < 0.0 { f64::INFINITY.copysign(sign) } else { sign }
    } else if y.is_infinite() {
        match x {
            -1.0 => 1.0,
            _ if (x.abs() < 1.0) == (y > 0.0) => 0.0,
            _ => f64::INFINITY,
        }
    } else if x == f64::NEG_INFINITY {
        return pow_special(-0.0, -y).or_else(|| Some(pow(-0.0, -y)));
    } else if x == f64::INFINITY {
        if y < 0.0 { 0.0 } else { f64::INFINITY }
    } else if y == 0.5 {
        x.sqrt()
    } else if y == -0.5 {
        1.0 / x.sqrt()
    } else {
        return None;
    })
}
