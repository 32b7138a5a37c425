//! Floats as text, in the forms Go and Prometheus write.

use std::fmt::Write;

use norn_model::shortest::Decimal;

/// Appends the shortest decimal without exponent: `0.000001`, `-0`, `NaN`, `+Inf`.
pub fn write_decimal(out: &mut String, v: f64) {
    if !write_special(out, v) {
        Digits::shortest(v).write_fixed(out);
    }
}

/// Appends the number as Prometheus' JSON has it between quotes: decimal, with an exponent below
/// 1e-6 and from 1e21.
pub fn write_json(out: &mut String, v: f64) {
    let size = v.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) && v.is_finite() {
        Digits::shortest(v).write_exponent(out);
    } else {
        write_decimal(out, v);
    }
}

/// The shortest decimal without exponent, `FormatFloat(v, 'f', -1)`.
pub fn decimal(v: f64) -> String {
    let mut out = String::new();
    write_decimal(&mut out, v);
    out
}

/// Go's `%g`: shortest, with an exponent below 1e-4 and from 1e6.
pub fn general(v: f64) -> String {
    let mut out = String::new();
    if !write_special(&mut out, v) {
        Digits::shortest(v).write_general(&mut out, None);
    }
    out
}

/// Go's `%.2g`: two significant digits.
pub fn general2(v: f64) -> String {
    let mut out = String::new();
    if !write_special(&mut out, v) {
        Digits::rounded(v, 2).write_general(&mut out, Some(2));
    }
    out
}

/// An OpenMetrics float: `%g`, and never looking like an integer.
pub fn open_metrics(v: f64) -> String {
    if v == 0.0 {
        return "0.0".to_owned();
    }
    let mut out = general(v);
    if v.is_finite() && !out.contains(['e', '.']) {
        out.push_str(".0");
    }
    out
}

fn write_special(out: &mut String, v: f64) -> bool {
    let text = if v.is_nan() {
        "NaN"
    } else if v.is_infinite() {
        if v > 0.0 { "+Inf" } else { "-Inf" }
    } else {
        return false;
    };
    out.push_str(text);
    true
}

/// A finite number as `0.d1d2d3… · 10^point`.
struct Digits {
    negative: bool,
    digits: String,
    point: i32,
}

impl Digits {
    fn shortest(v: f64) -> Self {
        let decimal = Decimal::of(v);
        let digits: String = decimal.digits().iter().copied().map(char::from).collect();
        let digits = if digits.is_empty() { "0".to_owned() } else { digits };
        Self { negative: decimal.is_negative(), digits, point: decimal.point() }
    }

    fn rounded(v: f64, digits: usize) -> Self {
        let mut rounded = Self::parse(&format!("{v:.*e}", digits - 1));
        let significant = rounded.digits.trim_end_matches('0').len();
        rounded.digits.truncate(significant.max(1));
        rounded
    }

    /// Reads what `{:e}` writes: `-1.25e-7`.
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let negative = mantissa.starts_with('-');
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let point = if digits == "0" { 0 } else { exponent + 1 };
        Self { negative, digits, point }
    }

    fn write_general(&self, out: &mut String, precision: Option<i32>) {
        let count = self.digits.len() as i32;
        let limit = match precision {
            None => 6,
            Some(p) if p > count && count >= self.point => count,
            Some(p) => p,
        };
        if self.digits != "0" && !(-3..=limit).contains(&self.point) {
            self.write_exponent(out);
        } else {
            self.write_fixed(out);
        }
    }

    fn write_exponent(&self, out: &mut String) {
        let (first, rest) = self.digits.split_at(1);
        let sign = if self.negative { "-" } else { "" };
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent = if self.digits == "0" { 0 } else { self.point - 1 };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{first}{dot}{rest}e{exponent_sign}{:02}", exponent.abs());
    }

    fn write_fixed(&self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
        let count = self.digits.len() as i32;
        if self.digits == "0" {
            out.push('0');
        } else if self.point <= 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', -self.point as usize));
            out.push_str(&self.digits);
        } else if self.point >= count {
            out.push_str(&self.digits);
            out.extend(std::iter::repeat_n('0', (self.point - count) as usize));
        } else {
            let (whole, part) = self.digits.split_at(self.point as usize);
            let _ = write!(out, "{whole}.{part}");
        }
    }
}
