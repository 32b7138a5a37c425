//! Numbers, strings and durations.

use super::data::{Kind, SLICE, SLICES, START};
use super::grammar::Grammar;

const NUMBERS: &[&str] = &[
    "0", "1", "2", "3", "-1", "0.5", "0.25", "10", "1e3", "7", "0x1F", "1_000", "017", "5m", "1h30m", "1e-3",
    "100", "NaN", "Inf", "-Inf", "+2", "3.7", "-2.5",
];
const QUANTILES: &[&str] =
    &["0", "0.1", "0.25", "0.5", "0.5", "0.75", "0.9", "0.95", "0.99", "1", "-0.1", "1.1", "NaN", "Inf"];
const DURATIONS: &[&str] =
    &["1m", "2m", "5m", "5m", "10m", "90s", "1m30s", "300", "20m", "1h", "45s", "2m30s", "600.5"];
const COMPUTED: &[&str] = &[
    "1m+30s",
    "step()+1m",
    "max_of(2m, step())",
    "range()+1m",
    "2*90s",
    "(10m-1m)/2",
    "min_of(5m, 7m)",
    "2m%90s+1m",
];
const STEPS: &[&str] = &["", "", "30s", "1m", "15s", "17s", "2m"];
const OFFSETS: &[&str] = &["1m", "-30s", "7s", "5m", "(1m+10s)", "-2m", "3.5"];

/// Which values make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Any number.
    Any,
    /// From 0 to 1, sometimes outside.
    Quantile,
    /// Between 0 and 1.
    Factor,
    /// A small count.
    Count,
    /// From −1 to 1.
    Ratio,
}

impl Grammar {
    /// An expression of type scalar.
    pub fn scalar(&mut self, range: Range, depth: usize) -> String {
        if depth > 0 && self.random.chance(12) {
            return self.computed_scalar(depth - 1);
        }
        match range {
            Range::Any => self.random.pick(NUMBERS),
            Range::Quantile => self.random.pick(QUANTILES),
            Range::Factor => self.random.pick(&["0.1", "0.5", "0.9", "0.3"]),
            Range::Count => self.random.pick(&["1", "2", "3", "5", "1.9", "100", "0", "-1"]),
            Range::Ratio => self.random.pick(&["0.5", "-0.5", "0.1", "0.9", "1", "-0.75", "1.5", "-2"]),
        }
        .to_owned()
    }

    fn computed_scalar(&mut self, depth: usize) -> String {
        match self.random.below(9) {
            0 => self.named_scalar("time"),
            1 => self.named_scalar("pi"),
            2 => {
                let op = self.random.pick(&["+", "-", "*", "/", "%", "^", "atan2", "== bool", "< bool"]);
                let left = self.scalar(Range::Any, depth);
                format!("({left} {op} {})", self.scalar(Range::Any, depth))
            }
            3 => format!("-({})", self.scalar(Range::Any, depth)),
            4 => {
                let name = self.random.pick(&["max_of", "min_of"]);
                self.two_scalars(name, depth)
            }
            5 => {
                let name = self.random.pick(&["start", "end", "range", "step"]);
                self.named_scalar(name)
            }
            6 => format!("(time() % {})", self.random.pick(&["7", "60", "1000"])),
            _ => self.vector_as_scalar(Kind::Integer, depth),
        }
    }

    /// A function of nothing.
    pub fn named_scalar(&mut self, name: &'static str) -> String {
        self.used(name, "nothing");
        format!("{name}()")
    }

    /// `max_of`, `min_of`.
    pub fn two_scalars(&mut self, name: &'static str, depth: usize) -> String {
        self.used(name, "scalar");
        let left = self.scalar(Range::Any, depth);
        format!("{name}({left}, {})", self.scalar(Range::Any, depth))
    }

    /// `scalar(…)` of something with one element.
    pub fn vector_as_scalar(&mut self, kind: Kind, depth: usize) -> String {
        let inner = self.vector(kind, depth);
        self.used("scalar", inner.argument());
        let op = self.random.pick(&["max", "min", "count", "sum"]);
        if self.random.chance(85) {
            format!("scalar({op}({}))", inner.text)
        } else {
            format!("scalar({})", inner.text)
        }
    }

    /// What stands between the brackets of a range selector.
    pub fn duration(&mut self) -> &'static str {
        if self.random.chance(6) { self.random.pick(COMPUTED) } else { self.random.pick(DURATIONS) }
    }

    /// A subquery's step.
    pub fn step(&mut self) -> &'static str {
        self.random.pick(STEPS)
    }

    /// `offset` and `@`, mostly neither.
    pub fn modifiers(&mut self) -> String {
        let mut text = String::new();
        if self.random.chance(8) {
            text = format!(" offset {}", self.random.pick(OFFSETS));
        }
        if self.random.chance(7) {
            let at = match self.random.below(4) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => {
                    let millis = START + SLICE + self.random.between(0, SLICE * (SLICES - 1));
                    format!("{}.{:03}", millis / 1000, millis % 1000)
                }
            };
            text = if self.random.chance(50) { format!(" @ {at}{text}") } else { format!("{text} @ {at}") };
        }
        text
    }
}
