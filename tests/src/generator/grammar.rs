//! Valid queries. Each is built around one feature (a function, an aggregation or an operator,
//! taken in turn, with each kind of data) and wrapped in others by chance.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::call::{CALLS, Prefers};
use super::data::{KINDS, Kind};
use super::operator::{AGGREGATIONS, BINARY, is_unstable};
use super::random::Random;
use super::scalar::Range;

/// A query and what it covers.
#[derive(Clone, Debug)]
pub struct Query {
    /// As sent.
    pub text: String,
    /// Functions and operators with the kinds of their arguments.
    pub uses: BTreeSet<(&'static str, String)>,
}

/// An expression of type instant vector or range vector.
#[derive(Clone, Debug)]
pub struct Expr {
    /// As written.
    pub text: String,
    /// What its samples come from.
    pub kind: Kind,
    /// Labels its series have, the name aside.
    pub labels: Vec<&'static str>,
    /// Whether samples were computed: then they are floats of an unknown range.
    pub form: Form,
}

/// How an expression is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An instant selector.
    Selector,
    /// A range selector.
    Range,
    /// A subquery.
    Subquery,
    /// Anything else.
    Computed,
}

impl Expr {
    /// Its name in the coverage table.
    pub fn argument(&self) -> String {
        match self.form {
            Form::Selector | Form::Range => format!("{:?}", self.kind),
            Form::Subquery => "subquery".to_owned(),
            Form::Computed => "expression".to_owned(),
        }
    }
}

/// Makes expressions and notes what they use.
pub struct Grammar {
    /// All choices come from here.
    pub random: Random,
    uses: BTreeSet<(&'static str, String)>,
}

/// Query `index` of a seed.
pub fn query(seed: u64, index: usize) -> Query {
    let mut grammar = Grammar::new(seed, index as u64);
    let text = grammar.root(index);
    Query { text, uses: grammar.uses }
}

impl Grammar {
    /// Choices of stream `stream`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { random: Random::new(seed, stream), uses: BTreeSet::new() }
    }

    /// Notes a function or operator and the kind of its argument.
    pub fn used(&mut self, name: &'static str, argument: impl Into<String>) {
        self.uses.insert((name, argument.into()));
    }

    fn root(&mut self, index: usize) -> String {
        let features = CALLS.len() + AGGREGATIONS.len() + BINARY.len() + 3;
        let feature = index % features;
        let depth = self.random.below(3);
        let expr = if let Some(call) = CALLS.get(feature) {
            if call.is_scalar() {
                return self.scalar_root(feature, depth);
            }
            let kind = self.kind(call.prefers);
            self.call(call, kind, depth)
        } else if let Some(&op) = AGGREGATIONS.get(feature - CALLS.len()) {
            let kind = self.kind(Prefers::Any);
            let inner = self.vector(kind, depth);
            self.aggregate(op, inner, depth)
        } else if let Some(&op) = BINARY.get(feature - CALLS.len() - AGGREGATIONS.len()) {
            let kind = self.kind(if op.starts_with("</") || op.starts_with(">/") {
                Prefers::Histogram
            } else {
                Prefers::Any
            });
            self.binary(op, kind, depth)
        } else {
            return self.bare();
        };
        let wraps = self.random.pick(&[0, 0, 1, 1, 2]);
        (0..wraps).fold(expr, |expr, _| self.wrap(expr)).text
    }

    fn scalar_root(&mut self, feature: usize, depth: usize) -> String {
        let name = CALLS[feature].name;
        let number = match name {
            "max_of" | "min_of" => self.two_scalars(name, depth),
            "scalar" => {
                let kind = self.kind(Prefers::Float);
                self.vector_as_scalar(kind, depth)
            }
            _ => self.named_scalar(name),
        };
        match self.random.below(4) {
            0 => number,
            1 => format!(
                "{number} {} {}",
                self.random.pick(&["+", "-", "*", "/"]),
                self.scalar(Range::Any, depth)
            ),
            2 => {
                self.used("vector", "scalar");
                format!("vector({number})")
            }
            _ => {
                let inner = self.vector(Kind::Integer, depth);
                format!("{} {} {number}", inner.text, self.random.pick(&["+", "-", "*", "> bool"]))
            }
        }
    }

    /// A selector, range or literal that is nobody's argument.
    fn bare(&mut self) -> String {
        let kind = self.kind(Prefers::Any);
        match self.random.below(12) {
            0 => self.range(kind, 0).text,
            1 => self
                .random
                .pick(&["\"text\"", "'it''s'", "`raw\\n`", "\"\\u00fc\\n\\x41\""])
                .replace("''", "\\'"),
            2 => self.scalar(Range::Any, 2),
            3 => self.range(kind, 1).text,
            _ => {
                let inner = self.selector(kind);
                self.wrap(inner).text
            }
        }
    }

    /// A kind of data that suits a feature; small integers are half of all.
    pub fn kind(&mut self, prefers: Prefers) -> Kind {
        const FLOATS: &[Kind] = &[
            Kind::Float,
            Kind::Float,
            Kind::Counter,
            Kind::Counter,
            Kind::FloatCounter,
            Kind::Special,
            Kind::Huge,
            Kind::Gaps,
            Kind::Quoted,
            Kind::One,
            Kind::Classic,
        ];
        const NATIVE: &[Kind] = &[
            Kind::Histogram,
            Kind::FloatHistogram,
            Kind::GaugeHistogram,
            Kind::CustomHistogram,
            Kind::Mixed,
        ];
        let any = self.random.chance(8);
        match prefers {
            _ if any => self.random.pick(KINDS),
            Prefers::Histogram => self.random.pick(NATIVE),
            Prefers::Buckets if self.random.chance(45) => self.random.pick(&[Kind::Classic, Kind::Crooked]),
            Prefers::Buckets => self.random.pick(NATIVE),
            Prefers::Any if self.random.chance(28) => self.random.pick(NATIVE),
            _ if self.random.chance(50) => Kind::Integer,
            _ => self.random.pick(FLOATS),
        }
    }

    /// An expression of type instant vector over `kind`.
    pub fn vector(&mut self, kind: Kind, depth: usize) -> Expr {
        if depth == 0 || self.random.chance(40) {
            return self.selector(kind);
        }
        match self.random.below(10) {
            0..=3 => {
                let call = self.any_call(kind);
                self.call(call, kind, depth - 1)
            }
            4..=5 => {
                let inner = self.vector(kind, depth - 1);
                let op = self.random.pick(AGGREGATIONS);
                self.aggregate(op, inner, depth - 1)
            }
            6..=8 => {
                let op = self.random.pick(BINARY);
                let binary = self.binary(op, kind, depth - 1);
                Expr { text: format!("({})", binary.text), ..binary }
            }
            _ => {
                let inner = self.vector(kind, depth - 1);
                self.unary(inner)
            }
        }
    }

    fn unary(&mut self, inner: Expr) -> Expr {
        let text = match self.random.below(4) {
            0 => format!("(+{})", inner.text),
            1 => format!("({})", inner.text),
            _ => {
                self.used("unary -", inner.argument());
                format!("(-{})", inner.text)
            }
        };
        Expr { text, form: Form::Computed, ..inner }
    }

    fn wrap(&mut self, inner: Expr) -> Expr {
        match self.random.below(8) {
            0..=2 => {
                let op = self.random.pick(AGGREGATIONS);
                self.aggregate(op, inner, 0)
            }
            3..=4 => {
                let call = self.any_call(inner.kind);
                self.call_on(call, inner)
            }
            5..=6 => {
                let op = self.random.pick(BINARY);
                self.binary_with(op, inner, 0)
            }
            _ => self.unary(inner),
        }
    }

    /// An instant selector.
    pub fn selector(&mut self, kind: Kind) -> Expr {
        let mut text = format!("{}{}", self.series(kind), self.modifiers());
        if text.ends_with(|c: char| c.is_alphanumeric() || c == '}') && self.random.chance(4) {
            text += self.random.pick(&[" smoothed", " smoothed", " anchored"]);
        }
        Expr { text, kind, labels: kind.labels().to_vec(), form: Form::Selector }
    }

    /// A range selector or a subquery.
    pub fn range(&mut self, kind: Kind, depth: usize) -> Expr {
        if depth > 0 && self.random.chance(30) {
            let mut inner = self.vector(kind, depth - 1);
            if is_unstable(&inner.text) {
                inner = self.selector(kind);
            }
            let inner_text =
                if inner.form == Form::Selector { inner.text } else { format!("({})", inner.text) };
            let text = format!("{inner_text}[{}:{}]{}", self.duration(), self.step(), self.modifiers());
            return Expr { text, kind, labels: inner.labels, form: Form::Subquery };
        }
        let text = format!("{}[{}]{}", self.series(kind), self.duration(), self.modifiers());
        Expr { text, kind, labels: kind.labels().to_vec(), form: Form::Range }
    }

    /// Name and matchers.
    pub fn series(&mut self, kind: Kind) -> String {
        let mut matchers = Vec::new();
        for &label in kind.labels() {
            if label != "le" && self.random.chance(14) {
                matchers.push(self.matcher(label));
            }
        }
        if self.random.chance(2) {
            matchers
                .push(self.random.pick(&["\"größe\"!=\"x\"", "\"a.b/c\"=~'|x'", "'日本'=\"\""]).to_owned());
        }
        let name = kind.name();
        let bare = is_plain(name);
        if bare && self.random.chance(92) {
            return if matchers.is_empty() {
                name.to_owned()
            } else {
                format!("{name}{{{}}}", matchers.join(", "))
            };
        }
        let first = match self.random.below(4) {
            0 => format!("__name__=\"{name}\""),
            1 => format!("__name__=~\"{name}|nothing.*\""),
            _ => format!("\"{name}\""),
        };
        matchers.insert(0, first);
        format!("{{{}}}", matchers.join(","))
    }

    fn matcher(&mut self, label: &str) -> String {
        let condition = match (label, self.random.below(7)) {
            ("a", 0) => "=\"x\"",
            ("a", 1) => "!=\"z\"",
            ("a", 2) => "=~\"x|y\"",
            ("a", 3) => "!~\"x.*\"",
            ("b" | "q", 0) => "=\"1\"",
            ("b" | "q", 1) => "!=\"0\"",
            ("b" | "q", 2) => "=~\"[01]\"",
            ("b" | "q", 3) => "=~'1.*'",
            (_, 4) => "!=\"\"",
            (_, 5) => "!~\"\"",
            (_, 6) => "!=`none`",
            _ => "=~\".+\"",
        };
        let mut text = quoted(label);
        let _ = write!(text, "{condition}");
        text
    }
}

/// A label name as it stands in braces and lists.
pub fn quoted(label: &str) -> String {
    if is_plain(label) { label.to_owned() } else { format!("\"{label}\"") }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}
