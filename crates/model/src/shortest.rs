//! The shortest decimal that reads back as a float; of two equally near ones that with an even last
//! digit, as Go writes it.

/// No float needs more digits.
const MOST_DIGITS: usize = 17;

/// A finite float as `0.d1d2d3… · 10^point`, without zeros at either end.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; MOST_DIGITS],
    count: usize,
    point: i32,
    is_negative: bool,
}

impl Decimal {
    /// The decimal of `v`, which must be finite; zero has no digits.
    pub fn of(v: f64) -> Self {
        let mut decimal =
            Self { digits: [0; MOST_DIGITS], count: 0, point: 0, is_negative: v.is_sign_negative() };
        if v != 0.0 {
            decimal.read(zmij::Buffer::new().format_finite(v).as_bytes());
        }
        decimal
    }

    /// Reads `-12.5e-7`.
    fn read(&mut self, text: &[u8]) {
        let end = text.iter().position(|b| *b == b'e').unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(end);
        let mut is_fraction = false;
        for &b in mantissa {
            match b {
                b'.' => is_fraction = true,
                b'0' if self.count == 0 => self.point -= i32::from(is_fraction),
                b'0'..=b'9' => {
                    self.point += i32::from(!is_fraction);
                    if let Some(slot) = self.digits.get_mut(self.count) {
                        *slot = b;
                    }
                    self.count += 1;
                }
                _ => {}
            }
        }
        // A whole number may end with more zeros than there is room for.
        self.count = self.count.min(MOST_DIGITS);
        while self.count > 0 && self.digits[self.count - 1] == b'0' {
            self.count -= 1;
        }
        let mut power = 0i32;
        exponent.iter().filter(|b| b.is_ascii_digit()).for_each(|b| power = power * 10 + i32::from(b - b'0'));
        self.point += if exponent.get(1) == Some(&b'-') { -power } else { power };
    }

    /// The digits, as ASCII.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..self.count]
    }

    /// How many digits stand before the decimal point.
    pub fn point(&self) -> i32 {
        self.point
    }

    /// Whether there is a minus, before zero too.
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Appends `-1250000` or `0.000125`.
    pub fn write_fixed(&self, out: &mut Vec<u8>) {
        if self.is_negative {
            out.push(b'-');
        }
        let digits = self.digits();
        let zeros = |out: &mut Vec<u8>, n: usize| out.resize(out.len() + n, b'0');
        match usize::try_from(self.point) {
            Ok(point) if point > 0 && point < digits.len() => {
                out.extend_from_slice(&digits[..point]);
                out.push(b'.');
                out.extend_from_slice(&digits[point..]);
            }
            Ok(point) if point > 0 => {
                out.extend_from_slice(digits);
                zeros(out, point - digits.len());
            }
            _ if digits.is_empty() => out.push(b'0'),
            _ => {
                out.extend_from_slice(b"0.");
                zeros(out, self.point.unsigned_abs() as usize);
                out.extend_from_slice(digits);
            }
        }
    }

    /// Appends `-1.25e-07`: the exponent has a sign and at least two digits.
    pub fn write_exponent(&self, out: &mut Vec<u8>) {
        if self.is_negative {
            out.push(b'-');
        }
        let (first, rest) = self.digits().split_at_checked(1).unwrap_or((b"0", b""));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        let exponent = if self.count == 0 { 0 } else { self.point - 1 };
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        let digit = |n: u32| b'0' + (n % 10) as u8;
        if size >= 100 {
            out.push(digit(size / 100));
        }
        out.extend_from_slice(&[digit(size / 10), digit(size)]);
    }
}

#[cfg(test)]
mod tests {
    // The literals are exact: that is what is tested.
    #![allow(clippy::excessive_precision)]

    use super::*;

    fn fixed(v: f64) -> String {
        let mut out = Vec::new();
        Decimal::of(v).write_fixed(&mut out);
        String::from_utf8(out).expect("digits")
    }

    fn scientific(v: f64) -> String {
        let mut out = Vec::new();
        Decimal::of(v).write_exponent(&mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn both_forms() {
        for (v, plain, exponent) in [
            (0.0, "0", "0e+00"),
            (-0.0, "-0", "-0e+00"),
            (1.0, "1", "1e+00"),
            (-1250.0, "-1250", "-1.25e+03"),
            (0.000125, "0.000125", "1.25e-04"),
            (1e22, "10000000000000000000000", "1e+22"),
            (123_456.75, "123456.75", "1.2345675e+05"),
            (0.1 + 0.2, "0.30000000000000004", "3.0000000000000004e-01"),
        ] {
            assert_eq!((fixed(v).as_str(), scientific(v).as_str()), (plain, exponent));
        }
        assert_eq!(scientific(-1.5e300), "-1.5e+300");
        assert_eq!(scientific(5e-324), "5e-324");
    }

    #[test]
    fn ties_go_to_the_even_digit() {
        assert_eq!(fixed(100_840_631_383.328_125), "100840631383.32812");
        assert_eq!(fixed(755_669_973_948_272.25), "755669973948272.2");
        assert_eq!(fixed(-755_669_973_948_272.25), "-755669973948272.2");
        assert_eq!(fixed(755_669_973_948_272.75), "755669973948272.8");
        assert_eq!(scientific(2f64.powi(-24)), "5.960464477539063e-08");
        assert_eq!(scientific(2f64.powi(-25)), "2.9802322387695312e-08");
    }

    #[test]
    fn digits_are_those_of_the_standard_library_but_for_ties() {
        let mut state = 1u64;
        let mut ties = 0;
        for i in 0..300_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let v = match i % 3 {
                0 => f64::from_bits(state),
                1 => (state >> 11) as f64 / 8.0,
                _ => (state % 1_000_000) as f64 / 997.0,
            };
            if !v.is_finite() {
                continue;
            }
            let text = format!("{v:e}");
            let mut corrected = text.clone().into_bytes();
            tie_to_even(v, &mut corrected);
            ties += u32::from(text.as_bytes() != corrected);
            let (mantissa, exponent) =
                std::str::from_utf8(&corrected).expect("digits").split_once('e').expect("e");
            let exponent: i32 = exponent.parse().expect("number");
            let sign = if exponent < 0 { '-' } else { '+' };
            assert_eq!(scientific(v), format!("{mantissa}e{sign}{:02}", exponent.abs()));
            assert_eq!(fixed(v).parse::<f64>(), Ok(v));
        }
        assert!(ties > 100, "{ties}");
    }

    /// Fewer digits are never in the middle: their distance exceeds that of neighbouring floats.
    const FEWEST_DIGITS: usize = 16;

    /// Corrects what `{v:e}` wrote for `v`: of two equally near decimals the standard library takes the
    /// upper one.
    fn tie_to_even(v: f64, text: &mut [u8]) {
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
}
