//! The functions of the language: names and types, not what they compute.

use crate::ast::ValueType;
use ValueType::{Matrix as M, Scalar as S, String as T, Vector as V};

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Name as written.
    pub name: &'static str,
    /// Types of arguments.
    pub args: &'static [ValueType],
    /// 0: exactly `args`. Otherwise the last of `args` may be left out, or repeated: n > 0 allows
    /// n of it, −1 any number.
    pub variadic: i32,
    /// What it yields.
    pub returns: ValueType,
    /// Whether it needs `promql-experimental-functions`.
    pub experimental: bool,
}

const fn function(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    returns: ValueType,
    experimental: bool,
) -> Function {
    Function { name, args, variadic, returns, experimental }
}

/// All functions, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    function("abs", &[V], 0, V, false),
    function("absent", &[V], 0, V, false),
    function("absent_over_time", &[M], 0, V, false),
    function("acos", &[V], 0, V, false),
    function("acosh", &[V], 0, V, false),
    function("asin", &[V], 0, V, false),
    function("asinh", &[V], 0, V, false),
    function("atan", &[V], 0, V, false),
    function("atanh", &[V], 0, V, false),
    function("avg_over_time", &[M], 0, V, false),
    function("ceil", &[V], 0, V, false),
    function("changes", &[M], 0, V, false),
    function("clamp", &[V, S, S], 0, V, false),
    function("clamp_max", &[V, S], 0, V, false),
    function("clamp_min", &[V, S], 0, V, false),
    function("cos", &[V], 0, V, false),
    function("cosh", &[V], 0, V, false),
    function("count_over_time", &[M], 0, V, false),
    function("day_of_month", &[V], 1, V, false),
    function("day_of_week", &[V], 1, V, false),
    function("day_of_year", &[V], 1, V, false),
    function("days_in_month", &[V], 1, V, false),
    function("deg", &[V], 0, V, false),
    function("delta", &[M], 0, V, false),
    function("deriv", &[M], 0, V, false),
    function("double_exponential_smoothing", &[M, S, S], 0, V, true),
    function("end", &[], 0, S, true),
    function("exp", &[V], 0, V, false),
    function("first_over_time", &[M], 0, V, false),
    function("floor", &[V], 0, V, false),
    function("histogram_avg", &[V], 0, V, false),
    function("histogram_count", &[V], 0, V, false),
    function("histogram_fraction", &[S, S, V], 0, V, false),
    function("histogram_quantile", &[S, V], 0, V, false),
    function("histogram_quantiles", &[V, T, S, S], 9, V, true),
    function("histogram_stddev", &[V], 0, V, false),
    function("histogram_stdvar", &[V], 0, V, false),
    function("histogram_sum", &[V], 0, V, false),
    function("hour", &[V], 1, V, false),
    function("idelta", &[M], 0, V, false),
    function("increase", &[M], 0, V, false),
    function("info", &[V, V], 1, V, true),
    function("irate", &[M], 0, V, false),
    function("label_join", &[V, T, T, T], -1, V, false),
    function("label_replace", &[V, T, T, T, T], 0, V, false),
    function("last_over_time", &[M], 0, V, false),
    function("ln", &[V], 0, V, false),
    function("log10", &[V], 0, V, false),
    function("log2", &[V], 0, V, false),
    function("mad_over_time", &[M], 0, V, true),
    function("max_of", &[S, S], 0, S, true),
    function("max_over_time", &[M], 0, V, false),
    function("min_of", &[S, S], 0, S, true),
    function("min_over_time", &[M], 0, V, false),
    function("minute", &[V], 1, V, false),
    function("month", &[V], 1, V, false),
    function("pi", &[], 0, S, false),
    function("predict_linear", &[M, S], 0, V, false),
    function("present_over_time", &[M], 0, V, false),
    function("quantile_over_time", &[S, M], 0, V, false),
    function("rad", &[V], 0, V, false),
    function("range", &[], 0, S, true),
    function("rate", &[M], 0, V, false),
    function("resets", &[M], 0, V, false),
    function("round", &[V, S], 1, V, false),
    function("scalar", &[V], 0, S, false),
    function("sgn", &[V], 0, V, false),
    function("sin", &[V], 0, V, false),
    function("sinh", &[V], 0, V, false),
    function("sort", &[V], 0, V, false),
    function("sort_by_label", &[V, T], -1, V, true),
    function("sort_by_label_desc", &[V, T], -1, V, true),
    function("sort_desc", &[V], 0, V, false),
    function("sqrt", &[V], 0, V, false),
    function("start", &[], 0, S, true),
    function("start_timestamp", &[V], 0, V, true),
    function("stddev_over_time", &[M], 0, V, false),
    function("stdvar_over_time", &[M], 0, V, false),
    function("step", &[], 0, S, true),
    function("sum_over_time", &[M], 0, V, false),
    function("tan", &[V], 0, V, false),
    function("tanh", &[V], 0, V, false),
    function("time", &[], 0, S, false),
    function("timestamp", &[V], 0, V, false),
    function("ts_of_first_over_time", &[M], 0, V, true),
    function("ts_of_last_over_time", &[M], 0, V, true),
    function("ts_of_max_over_time", &[M], 0, V, true),
    function("ts_of_min_over_time", &[M], 0, V, true),
    function("vector", &[S], 0, V, false),
    function("year", &[V], 1, V, false),
];

/// The function called `name`; names are case-sensitive.
pub fn lookup(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

/// Aggregations that are experimental like functions.
const AGGREGATIONS: [&str; 2] = ["limitk", "limit_ratio"];

/// A set of experimental functions and aggregations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Experimental(u32);

impl Experimental {
    /// Every one of them.
    pub const ALL: Self = Self(u32::MAX);

    /// Those with these names; `all` is every one. Other names add nothing: they are not
    /// experimental, or not of this version of the language.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::default(), |set, name| match name {
            "all" => Self::ALL,
            name => Self(set.0 | bit(name)),
        })
    }

    /// Whether `name` is in the set.
    pub fn has(self, name: &str) -> bool {
        self.0 & bit(name) != 0
    }
}

/// The bit of an experimental name; 0 for other names.
fn bit(name: &str) -> u32 {
    let functions = FUNCTIONS.iter().filter(|f| f.experimental).map(|f| f.name);
    let position = AGGREGATIONS.into_iter().chain(functions).position(|known| known == name);
    position.and_then(|i| 1u32.checked_shl(i as u32)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experimental_names_are_a_set() {
        assert!(FUNCTIONS.iter().filter(|f| f.experimental).count() + AGGREGATIONS.len() <= 32);
        let two = Experimental::named(["info", "limitk", "rate", "no_such"]);
        assert!(two.has("info") && two.has("limitk"));
        assert!(!two.has("limit_ratio") && !two.has("rate") && !two.has("no_such"));
        let all = Experimental::named(["all"]);
        assert_eq!(all, Experimental::ALL);
        assert!(FUNCTIONS.iter().all(|f| all.has(f.name) == f.experimental));
        assert_eq!(Experimental::named([]), Experimental::default());
    }

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(FUNCTIONS.len(), 90);
        assert_eq!(lookup("rate").map(|f| f.args), Some(&[M][..]));
        assert!(lookup("RATE").is_none() && lookup("holt_winters").is_none());
    }
}
