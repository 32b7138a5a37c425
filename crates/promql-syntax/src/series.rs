//! Series descriptions of test scripts: `metric{a="b"} 1 _ 2x3 1+2x3 {{schema:0 sum:5}}x2`.
//!
//! | item | values |
//! |---|---|
//! | `_`, `_xN` | one, N left out |
//! | `1.5`, `-Inf`, `5m` (seconds), `stale` | one |
//! | `axN` | a, N + 1 times |
//! | `a+bxN`, `a-bxN` | a, a ± b, …: N + 1 values, added up one by one |
//! | `{{…}}`, `{{…}}xN` | one, N + 1 times the same histogram |
//! | `{{…}}+{{…}}xN`, `{{…}}-{{…}}xN` | N + 1 histograms, left to the reader to add up |
//!
//! A line `metric{a="b"}@st -1m 0s-1sx3` gives when samples' series started, relative to the
//! samples.

use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, ResetHint, Span as Buckets};
use norn_model::labels::{Labels, METRIC_NAME};
use norn_model::quote::{Quoted, QuotedChar};
use norn_model::sample::stale_nan;

use crate::Options;
use crate::ast::Span;
use crate::error::ParseError;
use crate::lexer::is_space;
use crate::literal;
use crate::parser::{Context, Parser};
use crate::token::{Item, Token};

/// Most values one description may make.
pub const MAX_VALUES: u64 = 1 << 20;

const NAME: Context = ("label set", "identifier or \"}\"");
const EQUAL: Context = ("label set", "\"=\"");
const VALUE: Context = ("label set", "string");
const NEXT: Context = ("label set", "\",\" or \"}\"");

/// One value of a description, or several that only histogram arithmetic can tell.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// No sample.
    Omitted,
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram {
        /// The histogram.
        histogram: FloatHistogram,
        /// Whether `counter_reset_hint` was written.
        hint_set: bool,
    },
    /// `count + 1` histograms, each made from the one before.
    HistogramSequence {
        /// The first.
        base: FloatHistogram,
        /// What is added or taken away each time.
        increment: FloatHistogram,
        /// Whether it is taken away.
        subtract: bool,
        /// How often.
        count: u64,
        /// Whether the increment's `counter_reset_hint` was written.
        hint_set: bool,
    },
}

/// Reads a description.
pub fn parse_series(text: &str) -> Result<(Labels, Vec<SequenceValue>), ParseError> {
    let (labels, pos) = Parser::new(text, &Options::default())?.metric()?;
    let mut values = Values { text, pos, values: Vec::new(), total: 0 };
    values.read()?;
    Ok((labels, values.values))
}

/// Whether a line gives starts of series instead of samples.
pub fn is_start_line(text: &str) -> bool {
    text.trim().split([' ', '\t']).next().is_some_and(|head| head.ends_with("@st"))
}

/// Reads a line of starts: milliseconds relative to each sample, `None` where there is none.
pub fn parse_start_line(text: &str) -> Result<(Labels, Vec<Option<Millis>>), ParseError> {
    let fail = |message: String| ParseError::new(text, Span::default(), message);
    let (metric, items) = text
        .trim()
        .split_once([' ', '\t'])
        .ok_or_else(|| fail("invalid @st line: missing value sequence".into()))?;
    let (labels, _) = parse_series(metric.strip_suffix("@st").unwrap_or(metric))?;
    let mut starts = Vec::new();
    for item in items.split_whitespace() {
        start_item(item, &mut starts)
            .map_err(|e| fail(format!("invalid @st sequence: invalid ST item {}: {e}", Quoted(item))))?;
    }
    Ok((labels, starts))
}

fn start_item(item: &str, starts: &mut Vec<Option<Millis>>) -> Result<(), String> {
    if item == "_" {
        starts.push(None);
        return Ok(());
    }
    if let Some(times) = item.strip_prefix("_x") {
        let times = start_count(times, starts)?;
        if times == 0 {
            return Err("invalid repeat count".into());
        }
        starts.extend(std::iter::repeat_n(None, times));
        return Ok(());
    }
    let (first, rest) = signed_duration(item)?;
    let (step, times) = match rest.chars().next() {
        None => (0, 0),
        Some('x') => (0, start_count(&rest[1..], starts)?),
        Some(sign @ ('+' | '-')) => {
            let (step, rest) = signed_duration(&rest[1..])?;
            let times = rest.strip_prefix('x').ok_or("expected 'x<count>' after step duration")?;
            (if sign == '-' { -step } else { step }, start_count(times, starts)?)
        }
        Some(c) => return Err(format!("unexpected character {} after duration", QuotedChar(c))),
    };
    let mut start = first;
    for _ in 0..=times {
        starts.push(Some(start));
        start = start.saturating_add(step);
    }
    Ok(())
}

fn start_count(text: &str, starts: &[Option<Millis>]) -> Result<usize, String> {
    let times: u64 = text.parse().map_err(|_| "invalid repeat count")?;
    if times.saturating_add(starts.len() as u64) >= MAX_VALUES {
        return Err(format!("more than {MAX_VALUES} values"));
    }
    usize::try_from(times).map_err(|e| e.to_string())
}

/// A duration with optional sign in milliseconds, and what follows it.
fn signed_duration(text: &str) -> Result<(Millis, &str), String> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(format!("expected digits in duration {}", Quoted(text)));
    }
    let is_unit = |b: &u8| b.is_ascii_alphabetic() && *b != b'x';
    let unit = unsigned.bytes().skip(digits).take_while(is_unit).count();
    let (duration, rest) = unsigned.split_at(digits + unit);
    let nanos = if duration == "0" { 0 } else { literal::duration_nanos(duration)? };
    let millis = (nanos / 1_000_000) as Millis;
    Ok((if negative { -millis } else { millis }, rest))
}

impl Parser<'_> {
    /// Reads a metric and its labels, and says where they end.
    fn metric(mut self) -> Result<(Labels, usize), ParseError> {
        let mut pairs = Vec::new();
        let first = self.peek()?;
        if first.token.is_metric_name() {
            self.next()?;
            pairs.push((METRIC_NAME.to_owned(), self.word(first.span).to_owned()));
        } else if first.token != Token::LeftBrace {
            return Err(self.unexpected(("", "")));
        }
        let end = if pairs.is_empty() { first.span.start } else { first.span.end } as usize;
        if !self.text[end..].starts_with('{') {
            return Ok((Labels::from_pairs(pairs), end));
        }
        self.next()?;
        let labels = pairs.len();
        while self.accept(Token::RightBrace)?.is_none() {
            if pairs.len() > labels {
                self.expect(Token::Comma, NEXT)?;
                if self.accept(Token::RightBrace)?.is_some() {
                    break;
                }
            }
            pairs.push(self.pair()?);
        }
        Ok((Labels::from_pairs(pairs), self.last_end as usize))
    }

    fn pair(&mut self) -> Result<(String, String), ParseError> {
        let Item { token, span } = self.peek()?;
        let name = match token {
            Token::Identifier => self.word(span).to_owned(),
            Token::String => literal::unquote_text(self.word(span)).0,
            _ => return Err(self.unexpected(NAME)),
        };
        self.next()?;
        if token == Token::String && matches!(self.peek()?.token, Token::Comma | Token::RightBrace) {
            return Ok((METRIC_NAME.to_owned(), name));
        }
        self.expect(Token::Assign, EQUAL)?;
        let value = self.expect(Token::String, VALUE)?;
        Ok((name, literal::unquote_text(self.word(value.span)).0))
    }
}

/// Reads values from a text.
struct Values<'a> {
    text: &'a str,
    pos: usize,
    values: Vec<SequenceValue>,
    /// How many values there are, unexpanded ones included.
    total: u64,
}

impl<'a> Values<'a> {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        let span = Span { start: self.pos as u32, end: self.text.len() as u32 };
        Err(ParseError::new(self.text, span, message))
    }

    /// The error for the character that comes next.
    fn unexpected<T>(&self, place: &str, expected: &str) -> Result<T, ParseError> {
        let found = match self.peek() {
            Some(c) => format!("character {}", QuotedChar(c)),
            None => "end of input".into(),
        };
        self.fail(format!("unexpected {found} in {place}, expected {expected}"))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.text[self.pos..].starts_with(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.pos..];
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.pos += taken.len();
        taken
    }

    fn read(&mut self) -> Result<(), ParseError> {
        while self.peek().is_some() {
            if self.take_while(is_space).is_empty() {
                return self.unexpected("series values", "space");
            }
            if self.peek().is_some() {
                self.item()?;
            }
        }
        Ok(())
    }

    fn item(&mut self) -> Result<(), ParseError> {
        if self.accept("{{") {
            return self.histograms();
        }
        if self.accept("_") {
            let times = if self.peek() == Some('x') { self.times()? } else { 1 };
            return self.push(times, SequenceValue::Omitted);
        }
        let first = self.float()?;
        let step = match self.peek() {
            Some('+' | '-') => self.float()?,
            Some('x') => 0.0,
            _ => return self.push(1, SequenceValue::Float(first)),
        };
        let times = self.times()?;
        self.count(times + 1)?;
        let mut value = first;
        for _ in 0..=times {
            self.values.push(SequenceValue::Float(value));
            if step != 0.0 {
                value += step;
            }
        }
        Ok(())
    }

    fn push(&mut self, times: u64, value: SequenceValue) -> Result<(), ParseError> {
        self.count(times)?;
        self.values.extend((0..times).map(|_| value.clone()));
        Ok(())
    }

    /// Makes room for more values.
    fn count(&mut self, more: u64) -> Result<(), ParseError> {
        self.total = self.total.saturating_add(more);
        if self.total > MAX_VALUES {
            return self.fail(format!("more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    /// Reads `x12`.
    fn times(&mut self) -> Result<u64, ParseError> {
        if !self.accept("x") {
            return self.unexpected("series values", "\"x\"");
        }
        match self.take_while(|c| c.is_ascii_digit()).parse::<u64>() {
            Ok(times) if times < MAX_VALUES => Ok(times),
            Ok(_) => self.fail(format!("more than {MAX_VALUES} values")),
            Err(e) => self.fail(format!("invalid repetition in series values: {e}")),
        }
    }

    fn float(&mut self) -> Result<f64, ParseError> {
        if self.accept("stale") {
            return Ok(stale_nan());
        }
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let start = self.pos;
        self.take_while(|c| c != 'x' && (c.is_ascii_alphanumeric() || c == '.'));
        let is_mantissa = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let so_far = &self.text[start..self.pos];
        let mantissa = so_far.strip_suffix(['e', 'E']).filter(|m| !m.is_empty() && is_mantissa(m));
        if mantissa.is_some() && (self.accept("-") || self.accept("+")) {
            self.take_while(|c| c.is_ascii_digit());
        }
        let word = &self.text[start..self.pos];
        let value = literal::number(word)
            .or_else(|e| literal::duration_nanos(word).map(literal::seconds).map_err(|_| e));
        match value {
            Ok(value) if !word.is_empty() => Ok(if negative { -value } else { value }),
            _ => {
                self.pos = start;
                self.unexpected("series values", "number or \"stale\"")
            }
        }
    }

    /// Reads what starts with a histogram, of which `{{` was read.
    fn histograms(&mut self) -> Result<(), ParseError> {
        let (base, hint_set) = self.histogram()?;
        let subtract = self.peek() == Some('-');
        if subtract || self.peek() == Some('+') {
            self.pos += 1;
            if !self.accept("{{") {
                return self.unexpected("series values", "\"{{\"");
            }
            let (increment, hint_set) = self.histogram()?;
            let count = self.times()?;
            self.count(count + 1)?;
            self.values.push(SequenceValue::HistogramSequence { base, increment, subtract, count, hint_set });
            return Ok(());
        }
        let times = if self.peek() == Some('x') { self.times()? + 1 } else { 1 };
        self.push(times, SequenceValue::Histogram { histogram: base, hint_set })
    }

    /// Reads a histogram up to `}}`, and says whether its reset hint was written.
    fn histogram(&mut self) -> Result<(FloatHistogram, bool), ParseError> {
        let mut histogram = FloatHistogram::default();
        let mut offsets = (0, 0);
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let spaced = !self.take_while(is_space).is_empty();
            if self.accept("}}") {
                break;
            }
            if !seen.is_empty() && !spaced {
                return self.unexpected("histogram description", "space or \"}}\"");
            }
            let start = self.pos;
            let key = self.take_while(|c| c == '_' || c.is_ascii_alphabetic());
            if !self.accept(":") {
                self.pos = start;
                let expected = "histogram description key, e.g. buckets:[5 10 7]";
                return self.unexpected("histogram description", expected);
            }
            if seen.contains(&key) {
                return self.fail(format!("duplicate key \"{key}\" in histogram"));
            }
            seen.push(key);
            self.field(key, &mut histogram, &mut offsets)?;
        }
        histogram.positive_spans = spans(offsets.0, &histogram.positive_buckets);
        histogram.negative_spans = spans(offsets.1, &histogram.negative_buckets);
        Ok((histogram, seen.contains(&"counter_reset_hint")))
    }

    fn field(
        &mut self,
        key: &str,
        histogram: &mut FloatHistogram,
        offsets: &mut (i32, i32),
    ) -> Result<(), ParseError> {
        match key.to_ascii_lowercase().as_str() {
            "schema" => histogram.schema = self.int()?,
            "sum" => histogram.sum = self.float()?,
            "count" => histogram.count = self.float()?,
            "z_bucket" => histogram.zero_count = self.float()?,
            "z_bucket_w" => histogram.zero_threshold = self.float()?,
            "offset" => offsets.0 = self.int()?,
            "n_offset" => offsets.1 = self.int()?,
            "buckets" => histogram.positive_buckets = self.list()?,
            "n_buckets" => histogram.negative_buckets = self.list()?,
            "custom_values" => histogram.custom_values = self.list()?,
            "counter_reset_hint" => histogram.reset_hint = self.hint()?,
            _ => return self.fail(format!("bad histogram descriptor found: {}", Quoted(key))),
        }
        Ok(())
    }

    fn int(&mut self) -> Result<i32, ParseError> {
        let start = self.pos;
        self.accept("-");
        self.take_while(|c| c.is_ascii_digit());
        match self.text[start..self.pos].parse() {
            Ok(n) => Ok(n),
            Err(_) => {
                self.pos = start;
                self.unexpected("histogram description", "integer")
            }
        }
    }

    fn list(&mut self) -> Result<Vec<f64>, ParseError> {
        if !self.accept("[") {
            return self.unexpected("histogram description", "\"[\"");
        }
        let mut list = Vec::new();
        loop {
            self.take_while(is_space);
            if self.accept("]") {
                return Ok(list);
            }
            list.push(self.float()?);
        }
    }

    fn hint(&mut self) -> Result<ResetHint, ParseError> {
        let start = self.pos;
        match self.take_while(|c| c == '_' || c.is_ascii_alphabetic()) {
            "unknown" => Ok(ResetHint::Unknown),
            "reset" => Ok(ResetHint::Reset),
            "not_reset" => Ok(ResetHint::NotReset),
            "gauge" => Ok(ResetHint::Gauge),
            _ => {
                self.pos = start;
                self.unexpected("histogram description", "unknown, reset, not_reset or gauge")
            }
        }
    }
}

fn spans(offset: i32, buckets: &[f64]) -> Vec<Buckets> {
    match u32::try_from(buckets.len()) {
        Ok(length) if length > 0 => vec![Buckets { offset, length }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use norn_model::sample::is_stale_nan;

    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        let (_, values) = parse_series(text).expect(text);
        values
            .into_iter()
            .map(|v| match v {
                SequenceValue::Omitted => None,
                SequenceValue::Float(f) => Some(f),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn reads_metrics() {
        let labels = |text| parse_series(text).expect(text).0.to_string();
        assert_eq!(labels("foo 1"), r#"{__name__="foo"}"#);
        assert_eq!(labels("sum{by=\"x\",} 1"), r#"{__name__="sum", by="x"}"#);
        assert_eq!(labels(r#"{"a.b", 'c d'="e"} 1"#), r#"{__name__="a.b", "c d"="e"}"#);
        assert_eq!(labels("{}"), "{}");
        for bad in ["{", "{a}", "{a=1}", "foo{a=\"b\" c=\"d\"}", "1", "", "foo {a=\"b\"} 1"] {
            assert!(parse_series(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_floats() {
        assert_eq!(
            floats("m 1 _ -2.5 5m 1e3 1e-2"),
            [Some(1.0), None, Some(-2.5), Some(300.0), Some(1000.0), Some(0.01)]
        );
        assert_eq!(floats("m 0x2 _x2"), [Some(0.0), Some(0.0), Some(0.0), None, None]);
        assert_eq!(floats("m 1+2x2 -1-1x1"), [1.0, 3.0, 5.0, -1.0, -2.0].map(Some));
        assert_eq!(floats("m Inf -Infx1"), [f64::INFINITY, -f64::INFINITY, -f64::INFINITY].map(Some));
        assert!(floats("m stale NaN").iter().flatten().map(|v| is_stale_nan(*v)).eq([true, false]));
        for bad in ["m 1x", "m 1+2", "m x3", "m 1 foo", "m 1,2", "m 1x99999999999999999999", "m 1x2000000"] {
            assert!(parse_series(bad).is_err(), "{bad}");
        }
        let error = parse_series("m 1 foo").err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(
            error,
            "1:5: parse error: unexpected character 'f' in series values, expected number or \"stale\""
        );
    }

    #[test]
    fn reads_histograms() {
        let text = "m {{schema:1 sum:-0.3 count:32.1 z_bucket:7 z_bucket_w:0.5 buckets:[5 10 7] offset:-3 \
                    n_buckets:[4 Inf] n_offset:5 counter_reset_hint:gauge}} {{}}x1 \
                    {{sum:1}}-{{sum:2 custom_values:[1 2]}}x3";
        let (_, values) = parse_series(text).expect(text);
        let [SequenceValue::Histogram { histogram, hint_set: true }, empty, again, sequence] = &values[..]
        else {
            panic!("{values:?}");
        };
        assert_eq!((histogram.schema, histogram.sum, histogram.count), (1, -0.3, 32.1));
        assert_eq!((histogram.zero_count, histogram.zero_threshold), (7.0, 0.5));
        assert_eq!(histogram.positive_spans, [Buckets { offset: -3, length: 3 }]);
        assert_eq!(histogram.negative_spans, [Buckets { offset: 5, length: 2 }]);
        assert_eq!(histogram.negative_buckets, [4.0, f64::INFINITY]);
        assert_eq!(histogram.reset_hint, ResetHint::Gauge);
        assert_eq!(empty, again);
        let SequenceValue::HistogramSequence { base, increment, subtract, count, hint_set } = sequence else {
            panic!("{sequence:?}");
        };
        assert_eq!((base.sum, increment.sum, *subtract, *count, *hint_set), (1.0, 2.0, true, 3, false));
        for bad in
            ["m {{sum:1", "m {{sum}}", "m {{sum:1 sum:2}}", "m {{foo:1}}", "m {{}}+1x2", "m {{buckets:[1}}"]
        {
            assert!(parse_series(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_starts() {
        assert!(is_start_line("  m{a=\"b\"}@st -1m 0s") && !is_start_line("m 1 2@st"));
        let (labels, starts) = parse_start_line("m{a=\"b\"}@st _ -1m 0sx1 -10s-5sx2 _x2").expect("starts");
        assert_eq!(labels.to_string(), r#"{__name__="m", a="b"}"#);
        let seconds = [None, Some(-60), Some(0), Some(0), Some(-10), Some(-15), Some(-20), None, None];
        assert_eq!(starts, seconds.map(|s| s.map(|s| s * 1000)));
        for bad in ["m@st", "m@st 5", "m@st 1sx", "m@st 1s+x3", "m@st _x0", "m@st 1sx99999999"] {
            assert!(parse_start_line(bad).is_err(), "{bad}");
        }
    }
}
