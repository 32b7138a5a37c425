//! Sine, cosine, tangent and their inverses, in radians.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use super::{horner, with_sign};

const SIN: [f64; 6] = [
    1.589_623_015_765_465_680_60e-10,
    -2.505_074_776_285_780_728_66e-8,
    2.755_731_362_138_572_452_13e-6,
    -1.984_126_982_958_953_859_96e-4,
    8.333_333_333_322_118_588_78e-3,
    -1.666_666_666_666_663_072_95e-1,
];
const COS: [f64; 6] = [
    -1.135_853_652_138_768_173_00e-11,
    2.087_570_084_197_473_167_78e-9,
    -2.755_731_417_929_673_881_12e-7,
    2.480_158_728_885_170_453_48e-5,
    -1.388_888_888_887_305_641_16e-3,
    4.166_666_666_666_659_292_18e-2,
];

/// An angle as octant (even, below 8) and rest around the octant's start.
fn reduce(x: f64) -> (u64, f64) {
    const PI4_A: f64 = 7.853_981_256_484_985_351_56e-1;
    const PI4_B: f64 = 3.774_894_707_930_798_176_68e-8;
    const PI4_C: f64 = 2.695_151_429_079_059_526_45e-15;
    const FOUR_OVER_PI: f64 = 1.273_239_544_735_162_686_15;
    if x >= (1u64 << 29) as f64 {
        return reduce_large(x);
    }
    let mut octant = (x * FOUR_OVER_PI) as u64;
    octant += octant & 1;
    let y = octant as f64;
    (octant & 7, ((x - y * PI4_A) - y * PI4_B) - y * PI4_C)
}

/// Payne and Hanek's reduction: multiplies by as many bits of 4/π as count.
fn reduce_large(x: f64) -> (u64, f64) {
    let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 1023 - 52;
    let fraction = x.to_bits() & 0x000f_ffff_ffff_ffff | 1 << 52;
    // x is at least 2^29 and finite: the bits wanted start at 38 and end inside the table.
    let (digit, shift) = ((exponent + 61) as usize / 64, (exponent + 61) as u32 % 64);
    let word = |i: usize| {
        let (high, low) = (FOUR_OVER_PI_BITS[digit + i], FOUR_OVER_PI_BITS[digit + i + 1]);
        if shift == 0 { high } else { high << shift | low >> (64 - shift) }
    };
    let product = |w: u64| u128::from(w) * u128::from(fraction);
    let middle = product(word(1)).wrapping_add(product(word(2)) >> 64);
    let sum = middle.wrapping_add(u128::from(word(0).wrapping_mul(fraction)) << 64);
    let mut octant = (sum >> 125) as u64;
    let rest = (sum >> 61) as u64;
    let zeros = rest.leading_zeros();
    // Go fills up from the unshifted lower half; it shows where more than 11 zeros lead.
    let fill = (sum as u64).unbounded_shr(63 - zeros);
    let mantissa = (rest.unbounded_shl(zeros + 1) | fill) >> 12;
    let mut z = f64::from_bits(mantissa | u64::from(1022 - zeros) << 52);
    if octant & 1 == 1 {
        octant = (octant + 1) & 7;
        z -= 1.0;
    }
    (octant, z * FRAC_PI_4)
}

/// Bits of 4/π, most significant first; the first word is the whole part.
const FOUR_OVER_PI_BITS: [u64; 20] = [
    0x0000000000000001,
    0x45f306dc9c882a53,
    0xf84eafa3ea69bb81,
    0xb6c52b3278872083,
    0xfca2c757bd778ac3,
    0x6e48dc74849ba5c0,
    0x0c925dd413a32439,
    0xfc3bd63962534e7d,
    0xd1046bea5d768909,
    0xd338e04d68befc82,
    0x7323ac7306a673e9,
    0x3908bf177bf25076,
    0x3ff12fffbc0b301f,
    0xde5e2316b414da3e,
    0xda6cfd9e4f96136e,
    0x9e8c7ecd3cbfd45a,
    0xea4f758fd7cbe2f6,
    0x7a0e73ef14a525d4,
    0xd7f6bf623f1aba10,
    0xac06608df8f6d757,
];

fn sin_series(z: f64) -> f64 {
    let zz = z * z;
    z + z * zz * horner(zz, SIN)
}

fn cos_series(z: f64) -> f64 {
    let zz = z * z;
    1.0 - 0.5 * zz + zz * zz * horner(zz, COS)
}

/// Sine.
pub fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let y = if matches!(octant & 3, 1 | 2) { cos_series(z) } else { sin_series(z) };
    with_sign(y, (x < 0.0) != (octant > 3))
}

/// Cosine.
pub fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let y = if matches!(octant & 3, 1 | 2) { sin_series(z) } else { cos_series(z) };
    with_sign(y, (octant > 3) != (octant & 3 > 1))
}

/// Tangent.
pub fn tan(x: f64) -> f64 {
    const P: [f64; 3] =
        [-1.309_369_391_813_837_776_46e4, 1.153_516_648_385_874_161_40e6, -1.795_652_519_764_848_779_88e7];
    const Q: [f64; 5] = [
        1.0,
        1.368_129_634_706_929_546_78e4,
        -1.320_892_344_402_109_674_47e6,
        2.500_838_018_233_579_158_39e7,
        -5.386_957_559_294_546_298_81e7,
    ];
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = reduce(x.abs());
    let zz = z * z;
    let y = if zz > 1e-14 { z + z * (zz * horner(zz, P) / horner(zz, Q)) } else { z };
    with_sign(if octant & 2 == 2 { -1.0 / y } else { y }, x < 0.0)
}

/// Arc tangent for 0 ≤ `x` ≤ 0.66.
fn atan_series(x: f64) -> f64 {
    const P: [f64; 5] = [
        -8.750_608_600_031_904_122_785e-01,
        -1.615_753_718_733_365_076_637e+01,
        -7.500_855_792_314_704_667_340e+01,
        -1.228_866_684_490_136_173_410e+02,
        -6.485_021_904_942_025_371_773e+01,
    ];
    const Q: [f64; 6] = [
        1.0,
        2.485_846_490_142_306_297_962e+01,
        1.650_270_098_316_988_542_046e+02,
        4.328_810_604_912_902_668_951e+02,
        4.853_903_996_359_136_964_868e+02,
        1.945_506_571_482_613_964_425e+02,
    ];
    let z = x * x;
    let z = z * horner(z, P) / horner(z, Q);
    x * z + x
}

/// Arc tangent for `x` ≥ 0.
fn atan_positive(x: f64) -> f64 {
    /// What π/2 as a float lacks.
    const MORE_BITS: f64 = 6.123_233_995_736_765_886_130e-17;
    const TAN_3_PI_8: f64 = 2.414_213_562_373_095_048_80;
    if x <= 0.66 {
        return atan_series(x);
    }
    if x > TAN_3_PI_8 {
        return FRAC_PI_2 - atan_series(1.0 / x) + MORE_BITS;
    }
    FRAC_PI_4 + atan_series((x - 1.0) / (x + 1.0)) + 0.5 * MORE_BITS
}

/// Arc tangent.
pub fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        atan_positive(x)
    } else {
        -atan_positive(-x)
    }
}

/// Arc sine; NaN outside of [−1, 1].
pub fn asin(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let size = with_sign(x, x < 0.0);
    if size > 1.0 {
        return f64::NAN;
    }
    let root = (1.0 - size * size).sqrt();
    let y = if size > 0.7 { FRAC_PI_2 - atan_positive(root / size) } else { atan_positive(size / root) };
    with_sign(y, x < 0.0)
}

/// Arc cosine; NaN outside of [−1, 1].
pub fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// Angle of the point (`x`, `y`).
pub fn atan2(y: f64, x: f64) -> f64 {
    if y.is_nan() || x.is_nan() {
        return f64::NAN;
    }
    if y == 0.0 {
        return if x.is_sign_positive() { 0f64 } else { PI }.copysign(y);
    }
    if x == 0.0 {
        return FRAC_PI_2.copysign(y);
    }
    if x.is_infinite() {
        return match (x > 0.0, y.is_infinite()) {
            (true, true) => FRAC_PI_4,
            (true, false) => 0.0,
            (false, true) => 3.0 * FRAC_PI_4,
            (false, false) => PI,
        }
        .copysign(y);
    }
    if y.is_infinite() {
        return FRAC_PI_2.copysign(y);
    }
    let angle = atan(y / x);
    if x >= 0.0 {
        angle
    } else if angle <= 0.0 {
        angle + PI
    } else {
        angle - PI
    }
}
