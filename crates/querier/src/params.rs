//! Parameters of the query API, read as Prometheus reads them.

use norn_http::axum::extract::Request;
use norn_http::axum::http::{Method, header};
use norn_http::body::{self, BodyError};
use norn_model::Millis;
use norn_model::quote::Quoted;

use crate::calendar;
use crate::error::ApiError;

/// Largest form body.
const MAX_BODY: usize = 10 << 20;
const NANOS: i128 = 1_000_000_000;
/// The extreme times Prometheus prints, which have too many digits for RFC 3339.
const EARLIEST: (&str, i64) = ("-292273086-05-16T16:47:06Z", i64::MIN / 1000 + 62_135_596_801);
const LATEST: (&str, i64) = ("292277025-08-18T07:12:54.999999999Z", i64::MAX / 1000 - 62_135_596_801);

/// Decoded pairs of a request, those of the body before those of the URL.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Reads the query string and, of a POST with a form, the body.
    pub(crate) async fn read(request: Request) -> Result<Self, BodyError> {
        let (parts, stream) = request.into_parts();
        let mut form = Self::default();
        let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        if parts.method == Method::POST && is_form(content_type) {
            form.parse(&body::read(stream, MAX_BODY).await?);
        }
        form.parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(form)
    }

    /// Adds the pairs of `a=b&c=d`. Pairs that are not valid are left out, as Go's form values do.
    fn parse(&mut self, text: &[u8]) {
        for pair in text.split(|b| *b == b'&').filter(|p| !p.is_empty() && !p.contains(&b';')) {
            let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let name = percent_decode(&pair[..equals], true);
            let value = percent_decode(pair.get(equals + 1..).unwrap_or_default(), true);
            if let (Some(name), Some(value)) = (name, value) {
                self.pairs.push((lossy(name), lossy(value)));
            }
        }
    }

    /// The first value of `name`, or `""`.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The time `name`, `None` where it is absent or empty.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Time>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        let wrapped = |why| format!("invalid time value for '{name}': {why}");
        Time::parse(text).map(Some).map_err(|why| ApiError::parameter(name, wrapped(why)))
    }

    /// The time `name`, which must be there.
    pub(crate) fn required_time(&self, name: &str) -> Result<Time, ApiError> {
        Time::parse(self.get(name)).map_err(|why| ApiError::parameter(name, why))
    }

    /// First and last millisecond of `start` and `end`, by default all of time.
    pub(crate) fn range(&self) -> Result<(Millis, Millis), ApiError> {
        let start = self.time("start")?.map_or(EARLIEST.1 * 1000, Time::millis);
        let end = self.time("end")?.map_or(LATEST.1 * 1000 + 999, Time::millis);
        Ok((start, end))
    }

    /// Most entries of the result; `None` where there is no limit.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit = integer(text).map_err(|why| ApiError::parameter("limit", why))?;
        let limit =
            usize::try_from(limit).map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))?;
        Ok(Some(limit).filter(|n| *n > 0))
    }
}

fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|b| *b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Resolves `%xx`, and `+` as a blank in forms; `None` where an escape is broken.
pub(crate) fn percent_decode(text: &[u8], is_form: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'+' if is_form => b' ',
            b'%' => hex_digit(*bytes.next()?)? << 4 | hex_digit(*bytes.next()?)?,
            byte => byte,
        });
    }
    Some(out)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

/// An integer, with the error texts of Go's `Atoi`.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        format!("strconv.Atoi: parsing {}: {why}", Quoted(text))
    })
}

/// A point in time with nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(i128);

impl Time {
    /// Float seconds or RFC 3339.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let extreme = [EARLIEST, LATEST].into_iter().find(|(t, _)| *t == text);
        float(text)
            .and_then(Self::of_seconds)
            .or_else(|| calendar::parse_rfc3339(text).map(Self))
            .or_else(|| extreme.map(|(_, seconds)| Self(i128::from(seconds) * NANOS)))
            .ok_or_else(|| format!("cannot parse {} to a valid timestamp", Quoted(text)))
    }

    /// Seconds, the fraction rounded to milliseconds; `None` beyond the range of milliseconds.
    fn of_seconds(seconds: f64) -> Option<Self> {
        let whole = seconds.trunc();
        if whole.is_nan() || whole.abs() > (i64::MAX / 1000) as f64 {
            return None;
        }
        let fraction = ((seconds - whole) * 1000.0).round() / 1000.0;
        Some(Self(whole as i128 * NANOS + (fraction * 1e9) as i128))
    }

    /// Unix milliseconds, rounded down.
    pub(crate) fn millis(self) -> Millis {
        // Every way to make a time keeps it in range.
        self.0.div_euclid(1_000_000) as Millis
    }

    /// Nanoseconds since `earlier`, limited to 64 bits.
    pub(crate) fn nanos_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// Nanoseconds of float seconds or of Prometheus' `1h30m`.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float(text) {
        let nanos = seconds * 1e9;
        if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", Quoted(text)));
        }
        return Ok(nanos as i64);
    }
    units(text).ok_or_else(|| format!("cannot parse {} to a valid duration", Quoted(text)))
}

/// Numbers with units, from the largest unit to the smallest, each once.
fn units(text: &str) -> Option<i64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 24 * 3_600_000_000_000),
        ("w", 7 * 24 * 3_600_000_000_000),
        ("d", 24 * 3_600_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    let mut rest = text;
    let mut smaller = &UNITS[..];
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let i = smaller.iter().position(|(name, _)| *name == unit)?;
        total = number.parse::<u64>().ok()?.checked_mul(smaller[i].1)?.checked_add(total)?;
        smaller = &smaller[i + 1..];
        rest = tail;
    }
    i64::try_from(total).ok().filter(|_| !text.is_empty())
}

/// A decimal number as Go's `ParseFloat` takes it, but for hexadecimal ones and `_`.
fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let is_word = !text.bytes().any(|b| b.is_ascii_digit());
    let is_signed = text.starts_with(['-', '+']);
    (value.is_finite() || is_word && !(value.is_nan() && is_signed)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let mut form = Form::default();
        form.parse(b"a=1+2%2b&b&=c&bad=%zz&semi=1;2&m%5B%5D=x&m[]=y&a=second&bytes=%ff");
        assert_eq!(form.get("a"), "1 2+");
        assert_eq!(form.all("m[]").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((form.get("b"), form.get("bad"), form.get("semi"), form.get("")), ("", "", "", "c"));
        assert_eq!(form.get("bytes"), "\u{fffd}");
    }

    #[test]
    fn durations() {
        let second = 1_000_000_000;
        for (text, want) in [
            ("1h30m", Some(5400 * second)),
            ("1.5", Some(3 * second / 2)),
            ("0", Some(0)),
            ("-2", Some(-2 * second)),
            ("1ms", Some(1_000_000)),
            ("1y1w1d1h1m1s1ms", Some((365 + 8) * 86_400 * second + 3661 * second + 1_000_000)),
            ("1m1h", None),
            ("1s1s", None),
            ("-1s", None),
            ("1", Some(second)),
            ("s", None),
            ("1x", None),
            ("", None),
            ("300y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn times_at_the_edges() {
        assert_eq!(Time::parse(EARLIEST.0).map(Time::millis), Ok(EARLIEST.1 * 1000));
        for text in ["NaN", "Inf", "-inf", "1e300", "1e16", "+nan"] {
            assert!(Time::parse(text).is_err(), "{text}");
        }
        assert_eq!(Time::parse("-1.5").map(Time::millis), Ok(-1500));
        assert_eq!(Time::parse("0.0015").map(Time::millis), Ok(2));
        assert_eq!(Time::parse("9223372036854774").map(Time::millis), Ok(9_223_372_036_854_774_000));
    }
}
