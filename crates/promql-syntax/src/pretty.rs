//! Tree to text, over several lines where it is long.

use std::fmt::{self, Write};

use crate::ast::{Expr, Unary};
use crate::print::{write_aggregate_head, write_expr, write_operator, write_subquery_suffix};

/// Longest text, in bytes, that is left on one line.
const MAX_LINE: usize = 100;
/// Levels beyond this are not indented further, or the text would grow with the square.
const MAX_INDENT: usize = 100;

/// The expression as Prometheus' `format_query` lays it out: what is longer than 100 bytes is
/// broken up, two spaces per level.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_pretty(&mut out, expr, 0);
    out
}

fn write_pretty(out: &mut String, expr: &Expr, level: usize) -> fmt::Result {
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {
            indent(out, level);
            write_expr(out, expr)
        }
        Expr::Unary(u) => write_unary(out, u, level),
        // Short subqueries are not indented; that is how the format has always been.
        Expr::Subquery(_) if fits(expr) => write_expr(out, expr),
        _ if fits(expr) => {
            indent(out, level);
            write_expr(out, expr)
        }
        _ => write_split(out, expr, level),
    }
}

fn write_unary(out: &mut String, unary: &Unary, level: usize) -> fmt::Result {
    let mut operand = String::new();
    write_pretty(&mut operand, &unary.expr, level)?;
    indent(out, level);
    out.push_str(unary.op.as_str());
    out.push_str(operand.trim());
    Ok(())
}

fn write_split(out: &mut String, expr: &Expr, level: usize) -> fmt::Result {
    match expr {
        Expr::Subquery(s) => {
            write_pretty(out, &s.expr, level)?;
            write_subquery_suffix(out, s)
        }
        Expr::Binary(b) => {
            write_pretty(out, &b.lhs, level + 1)?;
            out.push('\n');
            indent(out, level);
            write_operator(out, b)?;
            out.push('\n');
            write_pretty(out, &b.rhs, level + 1)
        }
        Expr::Call(c) => {
            indent(out, level);
            out.push_str(c.func.name);
            write_block(out, c.args.iter(), level)
        }
        Expr::Aggregate(a) => {
            indent(out, level);
            write_aggregate_head(out, a)?;
            write_block(out, expr.children(), level)
        }
        _ => {
            indent(out, level);
            write_block(out, expr.children(), level)
        }
    }
}

/// Expressions in parentheses, one a line.
fn write_block<'a>(out: &mut String, exprs: impl Iterator<Item = &'a Expr>, level: usize) -> fmt::Result {
    out.push_str("(\n");
    for (i, expr) in exprs.enumerate() {
        if i > 0 {
            out.push_str(",\n");
        }
        write_pretty(out, expr, level + 1)?;
    }
    out.push('\n');
    indent(out, level);
    out.push(')');
    Ok(())
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level.min(MAX_INDENT)));
}

/// Takes bytes until there are too many.
struct Ruler {
    left: usize,
}

impl Write for Ruler {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn fits(expr: &Expr) -> bool {
    write_expr(&mut Ruler { left: MAX_LINE }, expr).is_ok()
}
