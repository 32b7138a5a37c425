//! Function calls: one entry a function.

use super::data::Kind;
use super::grammar::{Expr, Form, Grammar, quoted};
use super::operator::is_unstable;
use super::scalar::Range;

/// Which data a function yields something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefers {
    /// All.
    Any,
    /// Floats.
    Float,
    /// Native histograms.
    Histogram,
    /// Native histograms and classic buckets.
    Buckets,
}

use Prefers::{Any, Buckets, Float, Histogram};

/// A function and how it is called.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Arguments: `v` instant vector, `m` range, `s` scalar, `q` quantile, `f` factor; what comes
    /// after `?` may be left out. Functions with strings are `x` and made one by one.
    pub args: &'static str,
    /// Which data suit it.
    pub prefers: Prefers,
}

const fn call(name: &'static str, args: &'static str, prefers: Prefers) -> Call {
    Call { name, args, prefers }
}

/// All functions.
pub const CALLS: &[Call] = &[
    call("abs", "v", Float),
    call("absent", "x", Any),
    call("absent_over_time", "x", Any),
    call("acos", "v", Float),
    call("acosh", "v", Float),
    call("asin", "v", Float),
    call("asinh", "v", Float),
    call("atan", "v", Float),
    call("atanh", "v", Float),
    call("avg_over_time", "m", Any),
    call("ceil", "v", Float),
    call("changes", "m", Any),
    call("clamp", "vss", Float),
    call("clamp_max", "vs", Float),
    call("clamp_min", "vs", Float),
    call("cos", "v", Float),
    call("cosh", "v", Float),
    call("count_over_time", "m", Any),
    call("day_of_month", "?v", Float),
    call("day_of_week", "?v", Float),
    call("day_of_year", "?v", Float),
    call("days_in_month", "?v", Float),
    call("deg", "v", Float),
    call("delta", "m", Any),
    call("deriv", "m", Float),
    call("double_exponential_smoothing", "mff", Float),
    call("end", "", Float),
    call("exp", "v", Float),
    call("first_over_time", "m", Any),
    call("floor", "v", Float),
    call("histogram_avg", "v", Histogram),
    call("histogram_count", "v", Histogram),
    call("histogram_fraction", "ssv", Buckets),
    call("histogram_quantile", "qv", Buckets),
    call("histogram_quantiles", "x", Buckets),
    call("histogram_stddev", "v", Histogram),
    call("histogram_stdvar", "v", Histogram),
    call("histogram_sum", "v", Histogram),
    call("hour", "?v", Float),
    call("idelta", "m", Any),
    call("increase", "m", Any),
    call("info", "x", Float),
    call("irate", "m", Any),
    call("label_join", "x", Any),
    call("label_replace", "x", Any),
    call("last_over_time", "m", Any),
    call("ln", "v", Float),
    call("log10", "v", Float),
    call("log2", "v", Float),
    call("mad_over_time", "m", Float),
    call("max_of", "", Float),
    call("max_over_time", "m", Float),
    call("min_of", "", Float),
    call("min_over_time", "m", Float),
    call("minute", "?v", Float),
    call("month", "?v", Float),
    call("pi", "", Float),
    call("predict_linear", "ms", Float),
    call("present_over_time", "m", Any),
    call("quantile_over_time", "qm", Float),
    call("rad", "v", Float),
    call("range", "", Float),
    call("rate", "m", Any),
    call("resets", "m", Any),
    call("round", "v?s", Float),
    call("scalar", "", Float),
    call("sgn", "v", Float),
    call("sin", "v", Float),
    call("sinh", "v", Float),
    call("sort", "v", Float),
    call("sort_by_label", "x", Any),
    call("sort_by_label_desc", "x", Any),
    call("sort_desc", "v", Float),
    call("sqrt", "v", Float),
    call("start", "", Float),
    call("start_timestamp", "v", Any),
    call("stddev_over_time", "m", Float),
    call("stdvar_over_time", "m", Float),
    call("step", "", Float),
    call("sum_over_time", "m", Any),
    call("tan", "v", Float),
    call("tanh", "v", Float),
    call("time", "", Float),
    call("timestamp", "v", Any),
    call("ts_of_first_over_time", "m", Any),
    call("ts_of_last_over_time", "m", Any),
    call("ts_of_max_over_time", "m", Float),
    call("ts_of_min_over_time", "m", Float),
    call("vector", "s", Float),
    call("year", "?v", Float),
];

const EXTENDED: &[(&str, &[&str])] = &[
    ("changes", &[" anchored"]),
    ("delta", &[" anchored", " smoothed"]),
    ("increase", &[" anchored", " smoothed"]),
    ("rate", &[" anchored", " smoothed"]),
    ("resets", &[" anchored"]),
];

const REPLACEMENTS: &[[&str; 4]] = &[
    ["dst", "$1", "a", "(.*)"],
    ["dst", "v-${1}-$2", "a", "(x|y)(.*)"],
    ["a", "", "a", "z"],
    ["b", "", "b", "10"],
    ["dst", "$1y", "b", "(.).*"],
    ["new.dst", "$$", "", ""],
    ["größe", "日本-$1", "a", "(.*)"],
    ["__name__", "renamed_$1", "a", "(.*)"],
    ["dst", "$name", "b", "(?P<name>[0-9]+)"],
    ["dst", "$1", "nothing", "(.+)"],
];

impl Call {
    /// Whether it yields a scalar.
    pub fn is_scalar(&self) -> bool {
        self.args.is_empty()
    }
}

impl Grammar {
    /// A function of vectors that yields something for `kind`.
    pub fn any_call(&mut self, kind: Kind) -> &'static Call {
        loop {
            let call = &CALLS[self.random.below(CALLS.len())];
            let fits = match call.prefers {
                Any => true,
                Float => !kind.is_histogram(),
                Histogram => kind.is_histogram(),
                Buckets => kind.is_histogram() || matches!(kind, Kind::Classic | Kind::Crooked),
            };
            if fits && !call.is_scalar() && call.name != "vector" && !call.name.starts_with("absent") {
                return call;
            }
        }
    }

    /// Calls a function over `kind`.
    pub fn call(&mut self, call: &'static Call, kind: Kind, depth: usize) -> Expr {
        if call.name == "vector" {
            self.used("vector", "scalar");
            let text = format!("vector({})", self.scalar(Range::Any, depth + 1));
            return Expr { text, kind: Kind::Integer, labels: Vec::new(), form: Form::Computed };
        }
        let over_range = call.args.contains('m') || call.name == "absent_over_time";
        let inner = if over_range { self.range(kind, depth) } else { self.vector(kind, depth) };
        self.call_with(call, inner, depth)
    }

    /// Calls a function on an instant vector: over a subquery where it wants a range.
    pub fn call_on(&mut self, call: &'static Call, inner: Expr) -> Expr {
        if !call.args.contains('m') && call.name != "absent_over_time" {
            return self.call_with(call, inner, 0);
        }
        if is_unstable(&inner.text) {
            let range = self.range(inner.kind, 0);
            return self.call_with(call, range, 0);
        }
        let text = format!("({})[{}:{}]", inner.text, self.duration(), self.step());
        self.call_with(call, Expr { text, form: Form::Subquery, ..inner }, 0)
    }

    fn call_with(&mut self, call: &'static Call, mut inner: Expr, depth: usize) -> Expr {
        if let Some((_, modes)) = EXTENDED.iter().find(|(name, _)| *name == call.name)
            && inner.form == Form::Range
            && inner.text.ends_with(']')
            && self.random.chance(15)
        {
            inner.text.push_str(self.random.pick(modes));
        }
        // A function that changes with the step finds nothing in a pinned subquery in 3.14; in later
        // versions it does.
        let stepped = call.args.contains(['s', 'q', 'f']);
        if stepped && inner.form == Form::Subquery && inner.text.contains(" @ ") {
            inner = Expr { text: format!("{}[5m]", self.series(inner.kind)), form: Form::Range, ..inner };
        }
        self.used(call.name, inner.argument());
        let mut labels = inner.labels.clone();
        let text = match call.args {
            "x" => self.with_strings(call.name, &inner.text, &mut labels),
            args => {
                let list = self.arguments(args, &inner.text, depth);
                format!("{}({})", call.name, list.join(", "))
            }
        };
        if call.name.starts_with("histogram_") && call.prefers == Buckets {
            labels.retain(|l| *l != "le");
        }
        Expr { text, kind: inner.kind, labels, form: Form::Computed }
    }

    fn arguments(&mut self, args: &str, inner: &str, depth: usize) -> Vec<String> {
        let mut list = Vec::new();
        for arg in args.bytes() {
            match arg {
                b'v' | b'm' => list.push(inner.to_owned()),
                b's' => list.push(self.scalar(Range::Any, depth)),
                b'q' => list.push(self.scalar(Range::Quantile, depth)),
                b'f' => list.push(self.scalar(Range::Factor, 0)),
                _ if self.random.chance(15) => break,
                _ => {}
            }
        }
        list
    }

    fn with_strings(&mut self, name: &'static str, inner: &str, labels: &mut Vec<&'static str>) -> String {
        match name {
            "label_replace" => {
                let [dst, to, from, pattern] = self.random.pick(REPLACEMENTS);
                format!("label_replace({inner}, \"{dst}\", \"{to}\", \"{from}\", \"{pattern}\")")
            }
            "label_join" => {
                let sources =
                    self.random.pick(&["\"a\", \"b\"", "\"b\"", "\"a\", \"nothing\", \"instance\"", "\"a\""]);
                let (dst, by) =
                    (self.random.pick(&["dst", "a", "joined"]), self.random.pick(&["-", "", ", "]));
                format!("label_join({inner}, \"{dst}\", \"{by}\", {sources})")
            }
            "sort_by_label" | "sort_by_label_desc" => {
                let by = self.random.pick(&[
                    "\"b\"",
                    "\"a\", \"b\"",
                    "\"instance\"",
                    "\"b\", \"a\"",
                    "\"__name__\"",
                ]);
                format!("{name}({inner}, {by})")
            }
            "histogram_quantiles" => {
                labels.retain(|l| *l != "le");
                let first = self.scalar(Range::Quantile, 0);
                let second = self.random.pick(&["0.1", "0.2", "0.5", "0.9", "0.99", "0.25"]);
                format!("histogram_quantiles({inner}, \"q\", {first}, {second})")
            }
            "info" => {
                labels.extend(["env", "version"]);
                // 3.14 reads info series at the step's time, later versions at that of the argument.
                let inner =
                    if inner.contains(" @ ") || inner.contains(" offset ") { "c_total" } else { inner };
                let selector = self.random.pick(&[
                    "",
                    ", {env=\"prod\"}",
                    ", {version=~\".+\"}",
                    ", {__name__=\"target_info\"}",
                    ", {env=~\"none|\"}",
                ]);
                format!("info({inner}{selector})")
            }
            _ => {
                labels.clear();
                let inner = if self.random.chance(70) { self.nothing(name) } else { inner.to_owned() };
                format!("{name}({inner})")
            }
        }
    }

    /// A selector without series.
    fn nothing(&mut self, name: &str) -> String {
        let matchers = self.random.pick(&[
            "a=\"none\"",
            "a=~\"none\", b=\"1\"",
            "a=\"none\", b!=\"1\", c=\"3\"",
            "a=\"x\", a=\"none\"",
            "a=\"none\", c=~\"4.*\", d=\"\"",
        ]);
        let range = if name == "absent_over_time" { "[5m]" } else { "" };
        format!("g{{{matchers}}}{range}")
    }

    /// Labels as a list in parentheses.
    pub fn list(labels: &[&str]) -> String {
        let quoted: Vec<String> = labels.iter().map(|l| quoted(l)).collect();
        format!("({})", quoted.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_all_functions() {
        assert_eq!(CALLS.len(), 90);
        assert!(CALLS.is_sorted_by(|a, b| a.name < b.name));
    }
}
