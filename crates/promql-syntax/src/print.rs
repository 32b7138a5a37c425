//! Tree to text, on one line.
//!
//! Printing recurses: the parser bounds a tree's height.

use std::fmt::{self, Display, Write};

use norn_model::Millis;
use norn_model::labels::{METRIC_NAME, is_legacy_label_name};
use norn_model::matcher::MatchOp;
use norn_model::quote::{Quoted, QuotedBytes};

use crate::ast::*;

type Out<'a> = &'a mut dyn Write;

impl Display for Expr {
    /// The expression in Prometheus' normal form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_expr(f, self)
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_duration_expr(f, self)
    }
}

pub(crate) fn write_expr(out: Out, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Number(n) => write_number(out, n),
        Expr::String(s) => match &s.raw {
            None => write!(out, "{}", Quoted(&s.value)),
            Some(raw) => write!(out, "{}", QuotedBytes(raw)),
        },
        Expr::Vector(v) => write_vector(out, v),
        Expr::Matrix(m) => write_matrix(out, m),
        Expr::Subquery(s) => {
            write_expr(out, &s.expr)?;
            write_subquery_suffix(out, s)
        }
        Expr::Call(c) => {
            out.write_str(c.func.name)?;
            out.write_char('(')?;
            write_list(out, &c.args)?;
            out.write_char(')')
        }
        Expr::Aggregate(a) => {
            write_aggregate_head(out, a)?;
            out.write_char('(')?;
            if let Some(param) = &a.param {
                write_expr(out, param)?;
                out.write_str(", ")?;
            }
            write_expr(out, &a.expr)?;
            out.write_char(')')
        }
        Expr::Binary(b) => {
            write_expr(out, &b.lhs)?;
            out.write_char(' ')?;
            write_operator(out, b)?;
            out.write_char(' ')?;
            write_expr(out, &b.rhs)
        }
        Expr::Unary(u) => {
            out.write_str(u.op.as_str())?;
            write_expr(out, &u.expr)
        }
        Expr::Paren(p) => {
            out.write_char('(')?;
            write_expr(out, &p.expr)?;
            out.write_char(')')
        }
    }
}

fn write_list(out: Out, exprs: &[Expr]) -> fmt::Result {
    for (i, expr) in exprs.iter().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        write_expr(out, expr)?;
    }
    Ok(())
}

/// `sum by (a) `.
pub(crate) fn write_aggregate_head(out: Out, aggregate: &Aggregate) -> fmt::Result {
    out.write_str(aggregate.op.as_str())?;
    if !aggregate.without && aggregate.grouping.is_empty() {
        return Ok(());
    }
    out.write_str(if aggregate.without { " without (" } else { " by (" })?;
    write_labels(out, &aggregate.grouping)?;
    out.write_str(") ")
}

fn write_labels(out: Out, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        if is_legacy_label_name(label) {
            out.write_str(label)?;
        } else {
            write!(out, "{}", Quoted(label))?;
        }
    }
    Ok(())
}

/// `+ bool on (a) group_left (b)`.
pub(crate) fn write_operator(out: Out, binary: &Binary) -> fmt::Result {
    out.write_str(binary.op.as_str())?;
    if binary.return_bool {
        out.write_str(" bool")?;
    }
    match &binary.matching {
        Some(matching) => write_matching(out, matching),
        None => Ok(()),
    }
}

fn write_matching(out: Out, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.card {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        out.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(out, &matching.labels)?;
        out.write_char(')')?;
    }
    if let Some(side) = group {
        write!(out, " group_{side} (")?;
        write_labels(out, &matching.include)?;
        out.write_char(')')?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(l), Some(r)) if l == r => write!(out, " fill ({})", Shortest(l)),
        (l, r) => {
            l.map_or(Ok(()), |v| write!(out, " fill_left ({})", Shortest(v)))?;
            r.map_or(Ok(()), |v| write!(out, " fill_right ({})", Shortest(v)))
        }
    }
}

fn write_number(out: Out, number: &NumberLiteral) -> fmt::Result {
    if number.duration {
        let millis = (number.value * 1e9) as i64 / 1_000_000;
        return write!(out, "{}", DurationText(millis));
    }
    write!(out, "{}", Plain(number.value))
}

fn write_vector(out: Out, selector: &VectorSelector) -> fmt::Result {
    write_selector(out, selector)?;
    write_at(out, selector.at)?;
    write_extension(out, selector)?;
    write_offset(out, &selector.offset)
}

fn write_matrix(out: Out, matrix: &MatrixSelector) -> fmt::Result {
    let selector = &matrix.selector;
    write_selector(out, selector)?;
    write!(out, "[{}]", AnyDuration(&matrix.range))?;
    write_extension(out, selector)?;
    write_at(out, selector.at)?;
    write_offset(out, &selector.offset)
}

/// Name and matchers, the latter sorted.
fn write_selector(out: Out, selector: &VectorSelector) -> fmt::Result {
    let is_name = |m: &&norn_model::matcher::Matcher| {
        m.name() == METRIC_NAME
            && m.op() == MatchOp::Equal
            && m.value() == selector.name
            && !selector.name.is_empty()
    };
    let mut matchers: Vec<_> =
        selector.matchers.iter().filter(|m| !is_name(m)).map(ToString::to_string).collect();
    matchers.sort_unstable();
    out.write_str(&selector.name)?;
    if matchers.is_empty() { Ok(()) } else { write!(out, "{{{}}}", matchers.join(",")) }
}

fn write_extension(out: Out, selector: &VectorSelector) -> fmt::Result {
    match (selector.anchored, selector.smoothed) {
        (true, _) => out.write_str(" anchored"),
        (_, true) => out.write_str(" smoothed"),
        _ => Ok(()),
    }
}

fn write_at(out: Out, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Time(millis)) => write!(out, " @ {:.3}", millis as f64 / 1000.0),
        Some(At::Start) => out.write_str(" @ start()"),
        Some(At::End) => out.write_str(" @ end()"),
    }
}

fn write_offset(out: Out, offset: &Duration) -> fmt::Result {
    match offset {
        Duration::Fixed(0) => Ok(()),
        offset => write!(out, " offset {}", AnyDuration(offset)),
    }
}

/// `[1h:5m] @ 1.000 offset 5m`.
pub(crate) fn write_subquery_suffix(out: Out, subquery: &Subquery) -> fmt::Result {
    write!(out, "[{}:", AnyDuration(&subquery.range))?;
    if let Some(step) = &subquery.step {
        write!(out, "{}", AnyDuration(step))?;
    }
    out.write_char(']')?;
    write_at(out, subquery.at)?;
    write_offset(out, &subquery.offset)
}

struct AnyDuration<'a>(&'a Duration);

impl Display for AnyDuration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::Fixed(millis) => DurationText(*millis).fmt(f),
            Duration::Expr(expr) => write_duration_expr(f, expr),
        }
    }
}

fn write_duration_expr(out: Out, expr: &DurationExpr) -> fmt::Result {
    if expr.wrapped {
        out.write_char('(')?;
    }
    match &expr.node {
        DurationNode::Number(n) => write_number(out, n)?,
        DurationNode::Step => out.write_str("step()")?,
        DurationNode::Range => out.write_str("range()")?,
        DurationNode::Unary(op, operand) => {
            if *op == UnaryOp::Minus {
                out.write_char('-')?;
            }
            write_duration_expr(out, operand)?;
        }
        DurationNode::Binary(op, lhs, rhs) => {
            write_duration_expr(out, lhs)?;
            write!(out, " {} ", op.as_str())?;
            write_duration_expr(out, rhs)?;
        }
        DurationNode::Min(a, b) => write_pair(out, "min_of", a, b)?,
        DurationNode::Max(a, b) => write_pair(out, "max_of", a, b)?,
    }
    if expr.wrapped { out.write_char(')') } else { Ok(()) }
}

fn write_pair(out: Out, name: &str, a: &DurationExpr, b: &DurationExpr) -> fmt::Result {
    write!(out, "{name}(")?;
    write_duration_expr(out, a)?;
    out.write_str(", ")?;
    write_duration_expr(out, b)?;
    out.write_char(')')
}

/// Milliseconds as a duration in the language: `1h30m`, `-5m`, `0s`.
///
/// Years and weeks are used only where nothing is left over.
#[derive(Clone, Copy, Debug)]
pub struct DurationText(pub Millis);

impl Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_char('-')?;
        }
        let mut rest = self.0.unsigned_abs();
        const DAY: u64 = 86_400_000;
        let units = [("d", DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        for (unit, length) in [("y", 365 * DAY), ("w", 7 * DAY)] {
            if rest.is_multiple_of(length) && rest > 0 {
                write!(f, "{}{unit}", rest / length)?;
                rest = 0;
            }
        }
        for (unit, length) in units {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// A float without exponent, with as many digits as needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain(pub f64);

impl Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match special(self.0) {
            Some(word) => f.write_str(word),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A float with as many digits as needed; very large and small ones have an exponent.
struct Shortest(f64);

impl Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if special(self.0).is_some() || magnitude == 0.0 || (1e-4..1e21).contains(&magnitude) {
            return Plain(self.0).fmt(f);
        }
        let text = format!("{:e}", self.0);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        write!(f, "{mantissa}e{sign}{digits:0>2}")
    }
}

/// A float with `digits` digits behind the point.
pub(crate) fn fixed(value: f64, digits: usize) -> String {
    special(value).map_or_else(|| format!("{value:.digits$}"), str::to_owned)
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_durations() {
        const DAY: i64 = 86_400_000;
        for (millis, want) in [
            (0, "0s"),
            (1, "1ms"),
            (90_061_001, "1d1h1m1s1ms"),
            (365 * DAY, "1y"),
            (730 * DAY + 7 * DAY, "737d"),
            (14 * DAY, "2w"),
            (90 * DAY, "90d"),
            (-300_000, "-5m"),
        ] {
            assert_eq!(DurationText(millis).to_string(), want);
        }
    }

    #[test]
    fn prints_floats() {
        for (value, want) in [
            (1e30, "1e+30"),
            (1e-7, "1e-07"),
            (1.5e-120, "1.5e-120"),
            (0.5, "0.5"),
            (1e20, "100000000000000000000"),
        ] {
            assert_eq!(Shortest(value).to_string(), want);
        }
        assert_eq!(Plain(1e21).to_string(), "1000000000000000000000");
        assert_eq!(Plain(f64::INFINITY).to_string(), "+Inf");
    }
}
