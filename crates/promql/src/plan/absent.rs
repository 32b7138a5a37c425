//! Labels of the element that `absent` and `absent_over_time` make.

use norn_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use norn_model::matcher::{MatchOp, Matcher};
use norn_promql_syntax::ast::Expr;

/// Labels an absent `expr` is reported with: those that one `=` matcher pins.
pub fn labels(expr: &Expr) -> Labels {
    match expr {
        Expr::Vector(v) => from_matchers(&v.matchers),
        Expr::Matrix(m) => from_matchers(&m.selector.matchers),
        _ => Labels::empty(),
    }
}

fn from_matchers(matchers: &[Matcher]) -> Labels {
    // An index intersects first and subtracts afterwards; the reference reads matchers in that
    // order, and it decides when one label is named several times.
    let (intersecting, subtracting): (Vec<_>, Vec<_>) =
        matchers.iter().partition(|m| !is_subtracting(m, matchers));
    let mut builder = LabelsBuilder::new();
    let mut pinned: Vec<&str> = Vec::new();
    for m in intersecting.into_iter().chain(subtracting).filter(|m| m.name() != METRIC_NAME) {
        if m.op() == MatchOp::Equal && !pinned.contains(&m.name()) {
            builder.set(m.name(), m.value());
            pinned.push(m.name());
        } else {
            builder.remove(m.name());
        }
    }
    builder.build()
}

fn is_subtracting(m: &Matcher, all: &[Matcher]) -> bool {
    let must_be_set = all.iter().any(|other| other.name() == m.name() && !other.matches_empty());
    !must_be_set || (matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex) && m.matches_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new(op, "b", value).unwrap()
    }

    #[test]
    fn subtracting_matchers_are_read_last() {
        let equal = matcher(MatchOp::Equal, "x");
        let not = matcher(MatchOp::NotEqual, "y");
        let pattern = matcher(MatchOp::Regex, "y.*");
        assert_eq!(from_matchers(&[not, equal.clone()]), Labels::empty());
        assert_eq!(from_matchers(&[pattern, equal.clone()]), Labels::from_pairs([("b", "x")]));
        assert_eq!(from_matchers(&[equal.clone(), equal]), Labels::empty());
    }
}
