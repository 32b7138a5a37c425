//! JSON as Prometheus writes it, straight into bytes.
//!
//! Label sets are written as they are; every other text has `<`, `>`, `&` and the line separators
//! escaped, as Go's encoder does for HTML.

use std::io::Write;

use norn_model::Millis;
use norn_model::histogram::FloatHistogram;
use norn_model::labels::Labels;
use norn_model::shortest::Decimal;
use norn_promql::histogram::buckets;
use serde_json::Value;

/// Largest integer below which every whole float is written digit by digit.
const WHOLE: f64 = 1e15;

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// A text.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    write_text(out, text, |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'));
}

/// A text of a label set.
fn label_text(out: &mut Vec<u8>, text: &str) {
    // Nearly all have nothing to escape; every byte is looked at, which is faster than stopping early.
    let escapes = text.bytes().fold(false, |found, b| found | (b < b' ') | (b == b'"') | (b == b'\\'));
    if escapes {
        return write_text(out, text, |_| false);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write_text(out: &mut Vec<u8>, text: &str, escape_too: impl Fn(char) -> bool) {
    out.push(b'"');
    let mut from = 0;
    for (i, c) in text.char_indices() {
        if c >= ' ' && c != '"' && c != '\\' && !escape_too(c) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[from..i]);
        from = i + c.len_utf8();
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // Writing to a vector can not fail.
            _ => drop(write!(out, "\\u{:04x}", c as u32)),
        }
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

/// A label set, names in order.
pub(crate) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        label_text(out, name);
        out.push(b':');
        label_text(out, value);
    }
    out.push(b'}');
}

/// A time in seconds: an integer, or with exactly three decimals.
pub(crate) fn timestamp(out: &mut Vec<u8>, t: Millis) {
    if t < 0 {
        out.push(b'-');
    }
    let t = t.unsigned_abs();
    integer(out, t / 1000);
    let fraction = t % 1000;
    if fraction != 0 {
        let digit = |n: u64| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
    }
}

/// A time in seconds as a plain number, without trailing zeros.
pub(crate) fn plain_timestamp(out: &mut Vec<u8>, t: Millis) {
    drop(write!(out, "{}", t as f64 / 1000.0));
}

fn integer(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while n >= 100 {
        let pair = PAIRS[(n % 100) as usize];
        n /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair);
    }
    let pair = PAIRS[n as usize];
    at -= 2;
    digits[at..at + 2].copy_from_slice(&pair);
    at += usize::from(n < 10);
    out.extend_from_slice(&digits[at..]);
}

/// A sample's value as a text: shortest decimal, with an exponent where it is very large or small.
pub(crate) fn float(out: &mut Vec<u8>, v: f64) {
    let size = v.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) && v.is_finite() {
        out.push(b'"');
        Decimal::of(v).write_exponent(out);
        out.push(b'"');
    } else {
        decimal(out, v);
    }
}

/// A float as a text, never with an exponent.
pub(crate) fn decimal(out: &mut Vec<u8>, v: f64) {
    out.push(b'"');
    if v.abs() < WHOLE && v.trunc() == v {
        if v.is_sign_negative() {
            out.push(b'-');
        }
        integer(out, v.abs() as u64);
    } else if v.is_infinite() {
        out.extend_from_slice(if v > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if v.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        Decimal::of(v).write_fixed(out);
    }
    out.push(b'"');
}

/// A native histogram: count, sum and the buckets that are not empty.
pub(crate) fn histogram(out: &mut Vec<u8>, h: &FloatHistogram) {
    out.extend_from_slice(br#"{"count":"#);
    float(out, h.count);
    out.extend_from_slice(br#","sum":"#);
    float(out, h.sum);
    let mut before: &[u8] = br#","buckets":["#;
    for bucket in buckets::ascending(h).filter(|b| b.count != 0.0) {
        out.extend_from_slice(before);
        before = b",";
        let bounds = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => b'0',
            (true, false) => b'1',
            (false, false) => b'2',
            (true, true) => b'3',
        };
        out.extend_from_slice(&[b'[', bounds]);
        for v in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            float(out, v);
        }
        out.push(b']');
    }
    if before == b"," {
        out.push(b']');
    }
    out.push(b'}');
}

/// Any value; recurses as deep as the value is.
pub(crate) fn value(out: &mut Vec<u8>, v: &Value) {
    match v {
        Value::String(s) => text(out, s),
        Value::Array(items) => list(out, items, value),
        Value::Object(fields) => {
            out.push(b'{');
            for (i, (name, v)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                text(out, name);
                out.push(b':');
                value(out, v);
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => drop(write!(out, "{v}")),
    }
}

/// A list of `items`.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, v) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, v);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T>(write: impl Fn(&mut Vec<u8>, T), v: T) -> String {
        let mut out = Vec::new();
        write(&mut out, v);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn floats() {
        for (v, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-42.5, "-42.5"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (-1e-100, "-1e-100"),
            (1e15, "1000000000000000"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (-f64::NAN, "NaN"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(written(float, v), format!("\"{want}\""));
        }
        assert_eq!(written(decimal, 1e22), "\"10000000000000000000000\"");
    }

    #[test]
    fn timestamps() {
        for (t, want, plain) in [
            (0, "0", "0"),
            (1_435_781_451_781, "1435781451.781", "1435781451.781"),
            (10_050, "10.050", "10.05"),
            (-1, "-0.001", "-0.001"),
            (-2000, "-2", "-2"),
            (1_700_000_000_007, "1700000000.007", "1700000000.007"),
        ] {
            assert_eq!(written(timestamp, t), want);
            assert_eq!(written(plain_timestamp, t), plain);
        }
        assert_eq!(written(timestamp, i64::MIN), "-9223372036854775.808");
    }

    #[test]
    fn texts() {
        assert_eq!(
            written(text, "a<b>&\"\\\n\u{1}\u{2028}é"),
            r#""a\u003cb\u003e\u0026\"\\\n\u0001\u2028é""#
        );
        let set = Labels::from_pairs([("a<", "\u{2028}\t>")]);
        assert_eq!(written(labels, &set), "{\"a<\":\"\u{2028}\\t>\"}");
        assert_eq!(
            written(|o, v| value(o, &v), serde_json::json!({"b": [1, null, "<"], "a": 0.5})),
            r#"{"a":0.5,"b":[1,null,"\u003c"]}"#
        );
    }
}
