//! Comparison with a table of Prometheus' results; `testdata/gohistogram.go` says how it is made.
#![allow(clippy::unwrap_used)]

use norn_model::histogram::{FloatHistogram, ResetHint, Span};

use super::accumulate::Accumulator;
use super::arithmetic::{Incompatible, Notes, add, div, mul, sub};
use super::compare::detect_reset;
use super::layout::compact;
use super::trim::{Keep, trim};
use super::{native, text};

fn float(word: &str) -> f64 {
    if word == "nan" { f64::NAN } else { f64::from_bits(u64::from_str_radix(word, 16).unwrap()) }
}

fn word(v: f64) -> String {
    if v.is_nan() { "nan".to_owned() } else { format!("{:x}", v.to_bits()) }
}

fn list<T>(word: &str, read: impl Fn(&str) -> T) -> Vec<T> {
    if word == "-" { Vec::new() } else { word.split(',').map(read).collect() }
}

fn span(word: &str) -> Span {
    let (offset, length) = word.split_once(':').unwrap();
    Span { offset: offset.parse().unwrap(), length: length.parse().unwrap() }
}

fn histogram(words: &[&str]) -> FloatHistogram {
    FloatHistogram {
        reset_hint: [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge]
            [words[0].parse::<usize>().unwrap()],
        schema: words[1].parse().unwrap(),
        zero_threshold: float(words[2]),
        zero_count: float(words[3]),
        count: float(words[4]),
        sum: float(words[5]),
        positive_spans: list(words[6], span),
        positive_buckets: list(words[7], float),
        negative_spans: list(words[8], span),
        negative_buckets: list(words[9], float),
        custom_values: list(words[10], float),
    }
}

fn words(mut h: FloatHistogram) -> String {
    compact(&mut h);
    let join = |parts: Vec<String>| if parts.is_empty() { "-".to_owned() } else { parts.join(",") };
    let spans = |s: &[Span]| join(s.iter().map(|s| format!("{}:{}", s.offset, s.length)).collect());
    let floats = |v: &[f64]| join(v.iter().map(|v| word(*v)).collect());
    [
        (h.reset_hint as u8).to_string(),
        h.schema.to_string(),
        word(h.zero_threshold),
        word(h.zero_count),
        word(h.count),
        word(h.sum),
        spans(&h.positive_spans),
        floats(&h.positive_buckets),
        spans(&h.negative_spans),
        floats(&h.negative_buckets),
        floats(&h.custom_values),
    ]
    .join(" ")
}

fn combined(result: Result<(Notes, FloatHistogram), Incompatible>) -> String {
    let Ok((notes, h)) = result else { return "err".to_owned() };
    let flags = match (notes.reset_collision, notes.bounds_reconciled) {
        (false, false) => "-",
        (true, false) => "c",
        (false, true) => "r",
        (true, true) => "cr",
    };
    format!("{flags} {}", words(h))
}

fn changed(h: &FloatHistogram, change: impl FnOnce(&mut FloatHistogram)) -> String {
    let mut h = h.clone();
    change(&mut h);
    words(h)
}

/// What a line's operation gives, and how many words its arguments are.
fn result(line: &[&str], all: &[FloatHistogram]) -> (String, usize) {
    let h = |i: usize| &all[line[i].parse::<usize>().unwrap()];
    let with = |f: fn(&mut FloatHistogram, &FloatHistogram) -> Result<Notes, Incompatible>| {
        let mut a = h(1).clone();
        combined(f(&mut a, h(2)).map(|notes| (notes, a)))
    };
    match line[0] {
        "add" => (with(add), 3),
        "sub" => (with(sub), 3),
        "kahan" => {
            let mut sum = Accumulator::new(h(1).clone());
            let notes = sum.add(h(2)).and_then(|mut notes| {
                notes |= sum.add(h(3))?;
                Ok(notes)
            });
            (combined(notes.map(|notes| (notes, sum.finish()))), 4)
        }
        "reset" => (detect_reset(h(1), h(2)).to_string(), 3),
        "grown" => {
            let mut grown = h(2).clone();
            add(&mut grown, h(1)).unwrap();
            grown.reset_hint = ResetHint::Unknown;
            (detect_reset(&grown, h(2)).to_string(), 3)
        }
        "mul" => (changed(h(1), |h| mul(h, float(line[2]))), 3),
        "div" => (changed(h(1), |h| div(h, float(line[2]))), 3),
        "below" => (changed(h(1), |h| trim(h, float(line[2]), Keep::Below)), 3),
        "above" => (changed(h(1), |h| trim(h, float(line[2]), Keep::Above)), 3),
        "quantile" => (word(native::quantile(float(line[2]), h(1)).0), 3),
        "fraction" => (word(native::fraction(float(line[2]), float(line[3]), h(1)).0), 4),
        "text" => (text::display(h(1)), 2),
        other => panic!("unknown operation {other}"),
    }
}

/// A larger table may be named by `NORN_GOHISTOGRAM`.
#[test]
fn equals_prometheus_bit_by_bit() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/gohistogram.txt");
    let path = std::env::var("NORN_GOHISTOGRAM").unwrap_or_else(|_| committed.to_owned());
    let table = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut all = Vec::new();
    let mut checked = 0;
    let mut failures = Vec::new();
    for line in table.lines() {
        let line: Vec<&str> = line.split(' ').collect();
        if line[0] == "H" {
            all.push(histogram(&line[1..]));
            continue;
        }
        let (got, arguments) = result(&line, &all);
        let want = line[arguments..].join(" ");
        checked += 1;
        if got != want {
            failures.push(format!("{}\n  want {want}\n  got  {got}", line[..arguments].join(" ")));
        }
    }
    assert!(checked > 2000);
    let some = failures.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {checked} differ:\n{some}", failures.len());
}
