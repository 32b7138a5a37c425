//! The shortest decimal of a float, where two are equally near.
//!
//! Go and Rust agree on how many digits a float needs. Where the float lies exactly in the middle
//! between two decimals of that length, Rust takes the upper one and Go the one whose last digit
//! is even.

/// Fewer digits are never in the middle: their distance exceeds that of neighbouring floats.
const FEWEST_DIGITS: usize = 16;

/// Corrects what `{v}` or `{v:e}` wrote for `v` to Go's choice.
pub fn tie_to_even(v: f64, text: &mut [u8]) {
    let end = text.iter().position(|b| *b == b'e').unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at_mut(end);
    if mantissa.len() < FEWEST_DIGITS || !v.is_finite() {
        return;
    }
    let exponent = exponent.get(1..).and_then(|e| std::str::from_utf8(e).ok()?.parse().ok()).unwrap_or(0);
    let point = mantissa.iter().position(|b| *b == b'.');
    let Some(last) = mantissa.iter().rposition(|b| (b'1'..=b'9').contains(b)) else { return };
    let unit = match point {
        Some(point) => point as i32 - mantissa.len() as i32 + 1,
        None => (mantissa.len() - 1 - last) as i32,
    };
    if mantissa[last] % 2 == 1 && is_middle(v, unit + exponent) {
        mantissa[last] -= 1;
        // Below a power of two floats are twice as near: the lower decimal may be another's.
        let is_power = v.to_bits() & ((1 << 52) - 1) == 0;
        if is_power && std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()) != Some(v) {
            text[last] += 1;
        }
    }
}

/// Whether `v` is an odd multiple of half of `10^unit`, that is of `5^unit · 2^(unit-1)`.
fn is_middle(v: f64, unit: i32) -> bool {
    let bits = v.to_bits();
    let raw = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (whole, exponent) = if raw == 0 { (fraction, -1074) } else { (fraction | 1 << 52, raw - 1075) };
    let twos = whole.trailing_zeros() as i32;
    exponent + twos == unit - 1
        && (unit <= 0
            || 5u64.checked_pow(unit as u32).is_some_and(|fives| (whole >> twos).is_multiple_of(fives)))
}

#[cfg(test)]
mod tests {
    // The literals are exact: that is what is tested.
    #![allow(clippy::excessive_precision)]

    use super::tie_to_even;

    fn fixed(v: f64) -> String {
        let mut text = v.to_string().into_bytes();
        tie_to_even(v, &mut text);
        String::from_utf8(text).expect("digits")
    }

    fn scientific(v: f64) -> String {
        let mut text = format!("{v:e}").into_bytes();
        tie_to_even(v, &mut text);
        String::from_utf8(text).expect("digits")
    }

    #[test]
    fn ties_go_to_the_even_digit() {
        assert_eq!(fixed(100_840_631_383.328_125), "100840631383.32812");
        assert_eq!(fixed(755_669_973_948_272.25), "755669973948272.2");
        assert_eq!(fixed(-755_669_973_948_272.25), "-755669973948272.2");
        assert_eq!(fixed(755_669_973_948_272.75), "755669973948272.8");
        assert_eq!(scientific(100_840_631_383.328_125), "1.0084063138332812e11");
        assert_eq!(scientific(5e-324), "5e-324");
        assert_eq!(scientific(2f64.powi(-24)), "5.960464477539063e-8");
        assert_eq!(scientific(2f64.powi(-25)), "2.9802322387695312e-8");
    }

    #[test]
    fn corrected_text_reads_back() {
        let mut state = 1u64;
        let mut ties = 0;
        for i in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let v = if i % 2 == 0 { f64::from_bits(state) } else { (state >> 11) as f64 / 8.0 };
            if !v.is_finite() {
                continue;
            }
            for (text, plain) in [(fixed(v), v.to_string()), (scientific(v), format!("{v:e}"))] {
                assert_eq!(text.parse::<f64>(), Ok(v), "{plain}");
                ties += u32::from(text != plain);
            }
        }
        assert!(ties > 100, "{ties}");
    }
}
