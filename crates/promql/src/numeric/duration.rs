//! Durations as Prometheus writes them: `1h30m`, `250ms`.

use std::fmt;

use norn_model::Millis;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const YEAR: i64 = 365 * DAY;

/// Units from large to small, and whether one is written only where nothing is left over.
const UNITS: [(&str, i64, bool); 7] = [
    ("y", YEAR, true),
    ("w", WEEK, true),
    ("d", DAY, false),
    ("h", HOUR, false),
    ("m", MINUTE, false),
    ("s", SECOND, false),
    ("ms", 1, false),
];

/// Longest duration: 2^63 nanoseconds, in milliseconds.
const MAX: i64 = i64::MAX / 1_000_000;

/// A text that is no duration.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing.
    #[error("empty duration string")]
    Empty,
    /// Not numbers with units from large to small.
    #[error("not a valid duration string: {0:?}")]
    Malformed(String),
    /// Above 2^63 nanoseconds.
    #[error("duration out of range")]
    OutOfRange,
}

/// Reads a duration: whole numbers with units `y w d h m s ms`, each at most once, from large to
/// small; `0` needs no unit.
pub fn parse(text: &str) -> Result<Millis, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let (number, tail) = split_run(rest, |b| b.is_ascii_digit());
        let (unit, tail) = split_run(tail, |b| b.is_ascii_lowercase());
        if number.is_empty() {
            return Err(malformed());
        }
        let (_, millis, _) = units.find(|(name, ..)| *name == unit).ok_or_else(malformed)?;
        let number: i64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        total = number
            .checked_mul(*millis)
            .and_then(|part| total.checked_add(part))
            .filter(|sum| *sum <= MAX)
            .ok_or(DurationError::OutOfRange)?;
        rest = tail;
    }
    Ok(total)
}

fn split_run(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !belongs(b)).unwrap_or(text.len()))
}

/// Writes milliseconds as a duration: `1h30m`, `0s`, `-5m`.
pub fn display(millis: Millis) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        if millis == 0 {
            return f.write_str("0s");
        }
        if millis < 0 {
            f.write_str("-")?;
        }
        let mut rest = millis.unsigned_abs();
        for (name, unit, exact) in UNITS {
            let unit = unit as u64;
            if rest >= unit && (!exact || rest.is_multiple_of(unit)) {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, millis) in [
            ("1h30m", 90 * MINUTE),
            ("1y", YEAR),
            ("1w", WEEK),
            ("10d", 10 * DAY),
            ("1s5ms", 1005),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
            assert_eq!(display(millis).to_string(), text);
        }
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("1y2w3d4h5m6s7ms"), Ok(YEAR + 2 * WEEK + 3 * DAY + 4 * HOUR + 5 * MINUTE + 6007));
        assert_eq!(display(-5 * MINUTE).to_string(), "-5m");
    }

    #[test]
    fn refuses() {
        assert_eq!(parse(""), Err(DurationError::Empty));
        for text in ["1", "m", "1m1h", "1m1m", "-1m", "1.5h", "1 m", "5min", "1M"] {
            assert_eq!(parse(text), Err(DurationError::Malformed(text.to_owned())), "{text}");
        }
        for text in ["300y", "99999999999999999999s", "9223372036854775807y"] {
            assert_eq!(parse(text), Err(DurationError::OutOfRange), "{text}");
        }
    }
}
