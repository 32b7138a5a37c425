//! Aggregations and binary operators.

use super::call::Prefers;
use super::data::{KINDS, Kind};
use super::grammar::{Expr, Form, Grammar};
use super::scalar::Range;

/// All aggregations.
pub const AGGREGATIONS: &[&str] = &[
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
    "sum",
    "avg",
];

/// All binary operators.
pub const BINARY: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "== bool", "!= bool", "< bool",
    "<= bool", "> bool", ">= bool", "and", "or", "unless", "</", ">/",
];

/// What the reference yields in the order of a map, at least in ranges; which of equals come first is
/// chance there. So are groups of an aggregation over such series.
const UNORDERED: &[&str] = &[
    "count_values",
    "histogram_quantile",
    "histogram_fraction",
    "info",
    "label_",
    "sort",
    " or ",
    "sort",
    "m:",
    "s:",
    "0:",
    "5:",
    "h:",
    "):",
];

/// Whether ties are broken by series order, which the reference keeps in instant queries alone.
pub fn breaks_ties(text: &str) -> bool {
    ["topk", "bottomk", "limitk"].iter().any(|op| text.contains(op))
}

/// Whether more than the last bits depend on series order, which the reference keeps in instant
/// queries alone.
pub fn is_unstable(text: &str) -> bool {
    breaks_ties(text) || text.contains("stddev") || text.contains("stdvar")
}

fn is_set(op: &str) -> bool {
    matches!(op, "and" | "or" | "unless")
}

fn is_filter(op: &str) -> bool {
    matches!(op, "==" | "!=" | "<" | "<=" | ">" | ">=")
}

impl Grammar {
    /// Aggregates `inner`.
    pub fn aggregate(&mut self, op: &'static str, inner: Expr, depth: usize) -> Expr {
        let ranked = matches!(op, "topk" | "bottomk" | "limitk");
        let unordered = UNORDERED.iter().chain(AGGREGATIONS).any(|f| inner.text.contains(f));
        let op = match op {
            _ if ranked && unordered => "limit_ratio",
            // Their rounding errors grow with the values, and so beyond any tolerance.
            "stddev" | "stdvar" if breaks_ties(&inner.text) || unordered => "max",
            // In a range the reference sorts nothing, but leaves series in the order of a map.
            "sum" | "avg" if inner.text.contains("sort") => "min",
            _ => op,
        };
        self.used(op, inner.argument());
        let parameter = match op {
            "topk" | "bottomk" | "limitk" => Some(self.scalar(Range::Count, depth)),
            "limit_ratio" => Some(self.scalar(Range::Ratio, depth)),
            "quantile" => Some(self.scalar(Range::Quantile, depth)),
            "count_values" => Some(self.random.pick(&["\"v\"", "\"a\"", "\"new.label\""]).to_owned()),
            _ => None,
        };
        let some: Vec<&'static str> =
            inner.labels.iter().copied().filter(|_| self.random.chance(50)).collect();
        let (grouping, rest) = match self.random.below(4) {
            0 => (String::new(), Vec::new()),
            1 => {
                let rest = inner.labels.iter().copied().filter(|l| !some.contains(l)).collect();
                (format!(" without {}", Self::list(&some)), rest)
            }
            _ => (format!(" by {}", Self::list(&some)), some.clone()),
        };
        let keeps = matches!(op, "topk" | "bottomk" | "limitk" | "limit_ratio");
        let arguments = match parameter {
            Some(p) => format!("({p}, {})", inner.text),
            None => format!("({})", inner.text),
        };
        let text = if self.random.chance(80) {
            format!("{op}{grouping} {arguments}")
        } else {
            format!("{op}{arguments}{grouping}")
        };
        let labels = if keeps { inner.labels } else { rest };
        Expr { text, kind: inner.kind, labels, form: Form::Computed }
    }

    /// A binary operator whose left (or many) side is over `kind`.
    pub fn binary(&mut self, op: &'static str, kind: Kind, depth: usize) -> Expr {
        let left = self.vector(kind, depth);
        self.binary_with(op, left, depth)
    }

    /// A binary operator on an expression.
    pub fn binary_with(&mut self, op: &'static str, left: Expr, depth: usize) -> Expr {
        let op = match op {
            // Whether layouts are equal depends on where chunks begin, except where they never change.
            "==" | "!=" if left.kind.is_histogram() && left.kind != Kind::FloatHistogram => "-",
            "== bool" | "!= bool" if left.kind.is_histogram() && left.kind != Kind::FloatHistogram => "/",
            _ => op,
        };
        self.used(op, left.argument());
        let left = if left.form == Form::Selector {
            left
        } else {
            Expr { text: format!("({})", left.text), ..left }
        };
        if is_set(op) {
            return self.set(op, left, depth);
        }
        let scalar = if op.ends_with('/') && op.len() == 2 { 80 } else { 35 };
        if self.random.chance(scalar) || left.labels.is_empty() {
            return self.with_scalar(op, left, depth);
        }
        if self.random.chance(50) {
            self.one_to_one(op, left, depth)
        } else {
            self.many_to_one(op, left, depth)
        }
    }

    fn with_scalar(&mut self, op: &'static str, left: Expr, depth: usize) -> Expr {
        let number = match op {
            "<" | "<=" => self.random.pick(&["1000", "20", "1e9", "Inf"]).to_owned(),
            ">" | ">=" => self.random.pick(&["0", "-10", "1", "-Inf"]).to_owned(),
            "==" => self.random.pick(&["1", "3", "5", "10"]).to_owned(),
            _ => self.scalar(Range::Any, depth),
        };
        let text = if self.random.chance(75) || is_filter(op) || op == "</" || op == ">/" {
            format!("{} {op} {number}", left.text)
        } else {
            format!("{number} {op} {}", left.text)
        };
        Expr { text, form: Form::Computed, ..left }
    }

    /// Another vector with the labels of `left`.
    fn partner(&mut self, left: &Expr, depth: usize) -> Expr {
        let native = left.kind.is_histogram();
        let same: Vec<Kind> = KINDS
            .iter()
            .copied()
            .filter(|k| k.labels() == left.kind.labels() && *k != Kind::Huge && k.is_histogram() == native)
            .collect();
        let kind = if self.random.chance(if native { 70 } else { 20 }) || same.is_empty() {
            left.kind
        } else if self.random.chance(5) {
            self.kind(Prefers::Any)
        } else {
            self.random.pick(&same)
        };
        if left.labels == kind.labels() {
            let right = self.vector(kind, depth.min(1));
            if right.labels == left.labels {
                return Expr { text: format!("({})", right.text), ..right };
            }
        }
        let inner = self.selector(kind);
        let op = self.random.pick(&["sum", "max", "min", "count", "avg"]);
        self.used(op, inner.argument());
        let text = format!("{op} by {} ({})", Self::list(&left.labels), inner.text);
        Expr { text, kind, labels: left.labels.clone(), form: Form::Computed }
    }

    fn one_to_one(&mut self, op: &'static str, left: Expr, depth: usize) -> Expr {
        let right = self.partner(&left, depth);
        let matching = match self.random.below(3) {
            0 => String::new(),
            1 => format!(" on {}", Self::list(&left.labels)),
            _ => " ignoring (nothing)".to_owned(),
        };
        let fill = self.fill();
        let text = format!("{} {op}{matching}{fill} {}", left.text, right.text);
        Expr { text, form: Form::Computed, ..left }
    }

    /// What stands for missing series, mostly nothing.
    fn fill(&mut self) -> String {
        if !self.random.chance(12) {
            return String::new();
        }
        let numbers = ["0", "1", "-2.5", "NaN", "+Inf", "1m"];
        let (one, other) = (self.random.pick(&numbers), self.random.pick(&numbers));
        let (name, text) = match self.random.below(5) {
            0 | 1 => ("fill", format!(" fill({one})")),
            2 => ("fill_left", format!(" fill_left({one})")),
            3 => ("fill_right", format!(" fill_right ({one})")),
            _ => ("fill_left and fill_right", format!(" fill_right({one}) fill_left({other})")),
        };
        self.used(name, "join");
        text
    }

    fn many_to_one(&mut self, op: &'static str, left: Expr, depth: usize) -> Expr {
        let mut keys: Vec<&'static str> =
            left.labels.iter().copied().filter(|_| self.random.chance(60)).collect();
        if keys.is_empty() {
            keys.push(left.labels[0]);
        }
        let one = if keys == ["a"] && self.random.chance(40) {
            self.selector(Kind::One)
        } else {
            let inner =
                self.vector(if left.kind == Kind::Huge { Kind::Integer } else { left.kind }, depth.min(1));
            let name = self.random.pick(&["sum", "max", "min", "avg", "count"]);
            self.used(name, inner.argument());
            Expr { text: format!("{name} by {} ({})", Self::list(&keys), inner.text), ..inner }
        };
        let include =
            if self.random.chance(30) { self.random.pick(&["(s)", "(b)", "()", "(nothing)"]) } else { "" };
        let on = Self::list(&keys);
        let fill = self.fill();
        let text = if self.random.chance(50) {
            format!("{} {op} on {on} group_left {include}{fill} {}", left.text, one.text)
        } else {
            format!("{} {op} on {on} group_right {include}{fill} {}", one.text, left.text)
        };
        Expr { text, form: Form::Computed, ..left }
    }

    fn set(&mut self, op: &'static str, left: Expr, depth: usize) -> Expr {
        let right = if left.labels.is_empty() {
            let kind = self.kind(Prefers::Any);
            self.vector(kind, depth.min(1))
        } else {
            self.partner(&left, depth)
        };
        let right = if op == "unless" && self.random.chance(60) {
            format!("({} > 5)", right.text)
        } else {
            right.text
        };
        let matching = match self.random.below(4) {
            0 | 1 => String::new(),
            2 => format!(" on {}", Self::list(&left.labels)),
            _ => " ignoring (b)".to_owned(),
        };
        let text = format!("{} {op}{matching} {right}", left.text);
        Expr { text, form: Form::Computed, ..left }
    }
}
