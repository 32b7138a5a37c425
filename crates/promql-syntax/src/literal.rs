//! Values of numbers, durations and quoted texts, with Go's error texts.

use norn_model::quote::Quoted;
use norn_model::sample::NORMAL_NAN_BITS;

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const MAX_NANOS: u64 = i64::MAX as u64;

/// The value of a number token.
pub fn number(text: &str) -> Result<f64, String> {
    if let Some(n) = integer(text) {
        return Ok(n as f64);
    }
    match float(text) {
        Some(f) if f.is_infinite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Err(number_error(text, "value out of range"))
        }
        Some(f) => Ok(f),
        None => Err(number_error(text, "invalid syntax")),
    }
}

fn number_error(text: &str, what: &str) -> String {
    format!("error parsing number: strconv.ParseFloat: parsing {}: {what}", Quoted(text))
}

/// A 64-bit integer in decimal, octal (`017`) or hexadecimal (`0x1f`).
fn integer(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        None => (10, &lower[..]),
    };
    if !separators_are_good(&lower) {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

fn float(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(NORMAL_NAN_BITS));
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("0x") || !separators_are_good(&lower) {
        return None;
    }
    lower.replace('_', "").parse().ok()
}

/// Whether each `_` stands between digits; `0x` counts as a digit.
fn separators_are_good(lower: &str) -> bool {
    let hex = lower.starts_with("0x");
    let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    let bytes = lower.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(i, _)| {
        let before = i > 0 && (is_digit(bytes[i - 1]) || (hex && i == 2));
        before && bytes.get(i + 1).is_some_and(|b| is_digit(*b))
    })
}

/// The value of a duration token in nanoseconds.
pub fn duration_nanos(text: &str) -> Result<u64, String> {
    let invalid = || format!("not a valid duration string: {}", Quoted(text));
    let mut rest = text;
    let mut total = 0u64;
    let mut last_rank = 0;
    while !rest.is_empty() {
        let (digits, tail) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, tail) = split_where(tail, |c| c.is_ascii_digit());
        rest = tail;
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let (rank, nanos) = unit_nanos(unit)
            .ok_or_else(|| format!("unknown unit {} in duration {}", Quoted(unit), Quoted(text)))?;
        if rank <= last_rank {
            return Err(invalid());
        }
        last_rank = rank;
        total = count
            .checked_mul(nanos)
            .and_then(|n| total.checked_add(n))
            .filter(|n| *n <= MAX_NANOS)
            .ok_or("duration out of range")?;
    }
    Ok(total)
}

/// Nanoseconds as seconds.
pub fn seconds(nanos: u64) -> f64 {
    (nanos / NANOS_PER_SECOND) as f64 + (nanos % NANOS_PER_SECOND) as f64 / 1e9
}

/// A unit's place in the order from largest to smallest, and its length.
fn unit_nanos(unit: &str) -> Option<(u8, u64)> {
    const DAY: u64 = 86_400_000 * NANOS_PER_MILLI;
    Some(match unit {
        "y" => (1, 365 * DAY),
        "w" => (2, 7 * DAY),
        "d" => (3, DAY),
        "h" => (4, 3_600 * NANOS_PER_SECOND),
        "m" => (5, 60 * NANOS_PER_SECOND),
        "s" => (6, NANOS_PER_SECOND),
        "ms" => (7, NANOS_PER_MILLI),
        _ => return None,
    })
}

fn split_where(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// The bytes of a quoted text that the lexer accepted.
///
/// `\xhh` and octal escapes make single bytes, so the result may not be UTF-8.
pub fn unquote(text: &str) -> Vec<u8> {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
    if text.starts_with('`') {
        return inner.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(i) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..i]);
        rest = unescape(&rest[i + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// As [`unquote`], with what is not UTF-8 replaced. The bytes come along where that was needed.
pub fn unquote_text(text: &str) -> (String, Option<Vec<u8>>) {
    match String::from_utf8(unquote(text)) {
        Ok(text) => (text, None),
        Err(e) => (String::from_utf8_lossy(e.as_bytes()).into_owned(), Some(e.into_bytes())),
    }
}

/// Appends what an escape sequence stands for, and gives what follows it.
fn unescape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(first) = text.chars().next() else { return "" };
    let (skip, digits, radix) = match first {
        '0'..='7' => (0, 3, 8),
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => {
            out.extend_from_slice(plain_escape(first).encode_utf8(&mut [0; 4]).as_bytes());
            return &text[first.len_utf8()..];
        }
    };
    let end = (skip + digits).min(text.len());
    let value = u32::from_str_radix(&text[skip..end], radix).unwrap_or(0);
    match first {
        'u' | 'U' => {
            let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => out.push(value as u8),
    }
    &text[end..]
}

fn plain_escape(c: char) -> char {
    match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers() {
        for (text, want) in [
            ("017", 15.0),
            ("08", 8.0),
            ("0_7", 7.0),
            ("0_8", 8.0),
            ("0x_1F", 31.0),
            ("1_000.5", 1000.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("9223372036854775808", 9223372036854775808.0),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(number(text), Ok(want), "{text}");
        }
        assert!(number("NaN").is_ok_and(f64::is_nan));
        assert!(number("1e999").is_err() && number("0xffffffffffffffff").is_err());
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration_nanos("1h30m").map(seconds), Ok(5400.0));
        assert_eq!(duration_nanos("1ms").map(seconds), Ok(0.001));
        assert_eq!(duration_nanos("300y"), Err("duration out of range".into()));
        assert_eq!(duration_nanos("1m1h"), Err("not a valid duration string: \"1m1h\"".into()));
        assert_eq!(duration_nanos("1hs"), Err("unknown unit \"hs\" in duration \"1hs\"".into()));
    }

    #[test]
    fn unquotes() {
        assert_eq!(unquote(r#""a\"\x41\101\u00e9\U0001f600\n""#), "a\"AAé😀\n".as_bytes());
        assert_eq!(unquote(r"`a\d`"), br"a\d");
        assert_eq!(unquote(r#""\xff""#), [0xff]);
    }
}
