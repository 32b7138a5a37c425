//! The order in which parts of a query annotate: operands before operators, left before right.
//!
//! Of notes with equal text only one is kept, the one that was made last; where it points therefore
//! depends on this order.

use std::collections::HashMap;

use norn_promql_syntax::ast::{Expr, ValueType};

use crate::plan::Position;
use crate::stack;

/// When the part that annotates at a position is done.
#[derive(Debug, Default)]
pub struct Order {
    times: HashMap<Position, usize>,
    /// Of `smoothed` instant selectors, where an operator that is done later may begin, too.
    selectors: HashMap<Position, usize>,
    count: usize,
}

impl Order {
    /// The order of all positions of `expr`.
    pub fn of(expr: &Expr) -> Self {
        let mut order = Self::default();
        walk(expr, &mut order);
        order
    }

    /// When `position` is done, counted from the first; 0 where nothing is known about it.
    pub fn of_position(&self, position: Position) -> usize {
        self.times.get(&position).copied().unwrap_or(0)
    }

    /// When the selector at `position` is done, if one annotates there; otherwise as
    /// [`Order::of_position`].
    pub fn of_selector(&self, position: Position) -> usize {
        self.selectors.get(&position).copied().unwrap_or_else(|| self.of_position(position))
    }

    /// What is done again counts as done later.
    fn done(&mut self, position: Position) {
        self.count += 1;
        self.times.insert(position, self.count);
    }
}

fn walk(expr: &Expr, order: &mut Order) {
    stack::ensure(|| match expr {
        Expr::Paren(p) => walk(&p.expr, order),
        Expr::Unary(u) => walk(&u.expr, order),
        Expr::Subquery(s) => walk(&s.expr, order),
        Expr::Binary(b) => {
            walk(&b.lhs, order);
            walk(&b.rhs, order);
            order.done(b.lhs.span().start);
        }
        Expr::Aggregate(a) => {
            let operands = a.param.iter().chain([&a.expr]);
            operands.clone().for_each(|e| walk(e, order));
            operands.for_each(|e| order.done(e.unwrap_parens().span().start));
            order.done(a.span.start);
        }
        Expr::Call(call) => {
            // A range is evaluated step by step, when everything else is known.
            let is_range = |e: &&Expr| e.value_type() == ValueType::Matrix;
            call.args.iter().filter(|e| !is_range(e)).for_each(|e| walk(e, order));
            call.args.iter().filter(is_range).for_each(|e| walk(e, order));
            for arg in call.args.iter().map(Expr::unwrap_parens) {
                let position = if let Expr::Subquery(_) = arg { 0 } else { arg.span().start };
                order.done(position);
            }
            order.done(call.span.start);
        }
        Expr::Vector(v) => {
            if v.smoothed {
                order.count += 1;
                order.selectors.insert(v.span.start, order.count);
            }
        }
        Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) => {}
    });
}

#[cfg(test)]
mod tests {
    use norn_promql_syntax::{Options, parse};

    use super::*;

    #[test]
    fn operands_come_before_operators() {
        let text = "a + topk(2, rate(b[5m]))";
        let expr = parse(text, &Options::default()).expect("valid");
        let order = Order::of(&expr);
        let at = |part: &str| order.of_position(text.find(part).expect("part") as Position);
        assert!(at("b[") < at("rate") && at("rate") < at("topk") && at("topk") < at("a +"));
        assert_eq!(order.of_position(99), 0);
        let expr = parse("a smoothed + b", &Options::all()).expect("valid");
        let order = Order::of(&expr);
        assert!(order.of_selector(0) < order.of_position(0));
    }
}
