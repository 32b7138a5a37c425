//! `@` on every selector of a query, which fixes its result for all times.

use norn_model::Millis;
use norn_promql_syntax::ast::{At, Expr};

use crate::plan::STEPPED;

/// `expr` with `@ time` on every selector and subquery that has no fixed time yet; selectors inside
/// of a subquery that has one stay as they are. `None` where the result would depend on the
/// evaluation time all the same.
pub fn pin(expr: &Expr, time: Millis) -> Option<Expr> {
    let mut pinned = expr.clone();
    pin_in(&mut pinned, time).then_some(pinned)
}

fn pin_in(expr: &mut Expr, time: Millis) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(v) => pin_at(&mut v.at, time),
        Expr::Matrix(m) => pin_at(&mut m.selector.at, time),
        // The subquery is pinned, so what is inside is left alone but for unsafe functions.
        Expr::Subquery(s) => pin_at(&mut s.at, time) && is_safe(&s.expr),
        Expr::Call(c) => !is_unsafe(c.func.name) && c.args.iter_mut().all(|arg| pin_in(arg, time)),
        Expr::Aggregate(a) => {
            pin_in(&mut a.expr, time) && a.param.as_mut().is_none_or(|param| pin_in(param, time))
        }
        Expr::Binary(b) => pin_in(&mut b.lhs, time) && pin_in(&mut b.rhs, time),
        Expr::Unary(u) => pin_in(&mut u.expr, time),
        Expr::Paren(p) => pin_in(&mut p.expr, time),
    }
}

fn is_unsafe(function: &str) -> bool {
    // `range()` is the same at every step of a query but not in every query.
    STEPPED.contains(&function) || function == "range"
}

/// Whether nothing in `expr` depends on the evaluation time.
fn is_safe(expr: &Expr) -> bool {
    pin_in(&mut expr.clone(), 0)
}

fn pin_at(at: &mut Option<At>, time: Millis) -> bool {
    if !matches!(at, Some(At::Time(_))) {
        *at = Some(At::Time(time));
    }
    true
}

/// Other times at which a query pinned to `time` must give the same.
pub fn other_times(time: Millis) -> Vec<Millis> {
    if time == 0 {
        return vec![-1000, 0, 1000];
    }
    vec![time.saturating_mul(-10), 0, time / 5, time, time.saturating_mul(10)]
}

#[cfg(test)]
mod tests {
    use norn_promql_syntax::{Options, parse};

    use super::*;

    fn pinned(query: &str) -> Option<String> {
        let expr = parse(query, &Options::all()).expect(query);
        pin(&expr, 60_000).map(|e| e.to_string())
    }

    #[test]
    fn pins_what_is_free() {
        assert_eq!(pinned("a + rate(b[5m])").as_deref(), Some("a @ 60.000 + rate(b[5m] @ 60.000)"));
        assert_eq!(pinned("a @ 5").as_deref(), Some("a @ 5.000"));
        assert_eq!(
            pinned("topk(scalar(k), a @ start())").as_deref(),
            Some("topk(scalar(k @ 60.000), a @ 60.000)")
        );
        assert_eq!(pinned("sum_over_time(a[5m:1m])").as_deref(), Some("sum_over_time(a[5m:1m] @ 60.000)"));
        assert_eq!(pinned("a + time()"), None);
        assert_eq!(pinned("sum_over_time(vector(time())[5m:1m])"), None);
    }
}
