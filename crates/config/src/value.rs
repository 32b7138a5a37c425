//! Values of options: how they are read from text and written as text.
//!
//! Flags and YAML scalars go through the same readers, so `30s` means the same in both.

use std::fmt;
use std::time::Duration;

/// A type an option can have.
pub trait Setting: Sized {
    /// What the help calls it.
    const KIND: Kind;

    /// Reads it.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    fn read(text: &str) -> Result<Self, String>;

    /// Writes it so that [`Setting::read`] gives it back. Secrets are masked.
    fn write(&self) -> String;
}

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off; a flag of this kind never takes the next argument.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A time span such as `1h30m`.
    Duration,
    /// Values separated by commas, or a YAML sequence.
    List,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Text | Kind::Secret => "string",
            Kind::Duration => "duration",
            Kind::List => "comma-separated list",
        })
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Bool;

    fn read(text: &str) -> Result<Self, String> {
        // What Go's flags take, and what Go's YAML takes for a boolean.
        match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
            "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
            _ => Err("not a boolean; use true or false".to_owned()),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_numbers {
    ($($t:ty),*) => {$(
        impl Setting for $t {
            const KIND: Kind = Kind::Int;

            fn read(text: &str) -> Result<Self, String> {
                let digits: String = text.chars().filter(|c| *c != '_').collect();
                digits.parse().map_err(|_| {
                    format!("not a whole number from {} to {}", <$t>::MIN, <$t>::MAX)
                })
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize, i64);

impl Setting for f64 {
    const KIND: Kind = Kind::Float;

    fn read(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(n),
            _ => Err("not a finite number".to_owned()),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn write(&self) -> String {
        self.clone()
    }
}

impl Setting for Vec<String> {
    const KIND: Kind = Kind::List;

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect())
    }

    fn write(&self) -> String {
        self.join(",")
    }
}

impl Setting for Vec<Duration> {
    const KIND: Kind = Kind::List;

    fn read(text: &str) -> Result<Self, String> {
        <Vec<String>>::read(text)?.iter().map(|one| Duration::read(one)).collect()
    }

    fn write(&self) -> String {
        let all: Vec<String> = self.iter().map(Duration::write).collect();
        all.join(",")
    }
}

/// Text that is masked wherever it is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// What is shown instead of a secret.
pub const MASK: &str = "********";

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { MASK })
    }
}

impl Setting for Secret {
    const KIND: Kind = Kind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for Duration {
    const KIND: Kind = Kind::Duration;

    fn read(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|e| format!("{e}; use a duration like 30s, 5m or 1h30m"))
    }

    fn write(&self) -> String {
        write_duration(*self)
    }
}

const NANOS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 24 * 3_600 * 1_000_000_000),
    ("w", 7 * 24 * 3_600 * 1_000_000_000),
    ("y", 365 * 24 * 3_600 * 1_000_000_000),
];

/// Reads what Go's and what Prometheus' flags take: numbers, fractions too, each with its unit.
fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("empty duration");
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err("a duration can not be negative");
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        if unit.is_empty() {
            return Err("missing unit in duration");
        }
        let nanos = NANOS.iter().find(|(u, _)| *u == unit).ok_or("unknown unit in duration")?.1;
        let part = scale(number, nanos)?;
        total = total.checked_add(part).ok_or(TOO_LONG)?;
        rest = tail;
    }
    // Go's durations are signed.
    if total > i64::MAX as u64 {
        return Err(TOO_LONG);
    }
    Ok(Duration::from_nanos(total))
}

const TOO_LONG: &str = "a duration can not be longer than 292 years";

fn scale(number: &str, nanos: u64) -> Result<u64, &'static str> {
    const WRONG: &str = "not a number in duration";
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(WRONG);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| TOO_LONG)? };
    let mut total = whole.checked_mul(nanos).ok_or(TOO_LONG)?;
    let mut unit = nanos;
    for digit in fraction.bytes() {
        unit /= 10;
        total = total.checked_add(u64::from(digit - b'0') * unit).ok_or(TOO_LONG)?;
    }
    Ok(total)
}

fn write_duration(duration: Duration) -> String {
    let mut nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for unit in ["h", "m", "s", "ms", "us", "ns"] {
        let Some((_, size)) = NANOS.iter().find(|(u, _)| *u == unit) else { continue };
        if nanos >= *size {
            out.push_str(&format!("{}{unit}", nanos / size));
            nanos %= size;
        }
    }
    out
}

/// Declares an option type with a closed set of names.
macro_rules! choices {
    ($(#[doc = $doc:literal])+ pub enum $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $vdoc])+ $variant),+ }

        impl $name {
            /// Its name in configurations.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl $crate::value::Setting for $name {
            const KIND: $crate::value::Kind = $crate::value::Kind::Text;

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(concat!("not one of" $(, " ", $text)+).to_owned()),
                }
            }

            fn write(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}
pub(crate) use choices;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_as_go_and_prometheus_write_them() {
        let ms = |text: &str| parse_duration(text).unwrap().as_micros() as f64 / 1000.0;
        for (text, want) in [
            ("0", 0.0),
            ("0s", 0.0),
            ("1h30m", 5_400_000.0),
            ("1.5s", 1500.0),
            (".5m", 30_000.0),
            ("100us", 0.1),
            ("1d", 86_400_000.0),
            ("2w", 1_209_600_000.0),
            ("1y", 31_536_000_000.0),
            ("+5m", 300_000.0),
            ("1m0.25s", 60_250.0),
        ] {
            assert_eq!(ms(text), want, "{text}");
        }
        for (text, want) in [
            ("", "empty duration"),
            ("5", "missing unit in duration"),
            ("5x", "unknown unit in duration"),
            ("-5m", "a duration can not be negative"),
            ("m", "not a number in duration"),
            ("1.2.3s", "not a number in duration"),
            ("300y", TOO_LONG),
            ("99999999999999999999h", TOO_LONG),
            ("5 m", "unknown unit in duration"),
        ] {
            assert_eq!(parse_duration(text), Err(want), "{text:?}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for text in ["0s", "1h30m", "24h", "1ms500us", "2m0s", "292y"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&write_duration(duration)), Ok(duration), "{text}");
        }
        assert_eq!(write_duration(Duration::from_secs(600)), "10m");
    }

    #[test]
    fn numbers_booleans_lists_and_secrets() {
        assert_eq!(u16::read("8080"), Ok(8080));
        assert_eq!(usize::read("50_000_000"), Ok(50_000_000));
        assert_eq!(u16::read("70000"), Err("not a whole number from 0 to 65535".to_owned()));
        assert_eq!(i64::read("-1"), Ok(-1));
        assert!(u64::read("-1").is_err() && u64::read("").is_err() && u64::read("1.5").is_err());
        assert_eq!(f64::read("1e4"), Ok(10_000.0));
        assert!(f64::read("NaN").is_err() && f64::read("inf").is_err());
        assert_eq!(bool::read("on"), Ok(true));
        assert!(bool::read("maybe").is_err());
        assert_eq!(Vec::<String>::read(" a, b,,c "), Ok(vec!["a".into(), "b".into(), "c".into()]));
        let secret = Secret::read("hunter2").unwrap();
        assert_eq!((secret.write().as_str(), secret.expose()), (MASK, "hunter2"));
        assert_eq!(Secret::default().write(), "");
    }
}
