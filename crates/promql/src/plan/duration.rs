//! Values of ranges, offsets and steps once the query's times are known.

use norn_model::Millis;
use norn_promql_syntax::ast::{BinaryOp, Duration, DurationExpr, DurationNode, Span, UnaryOp};

use crate::error::QueryError;
use crate::numeric::{arithmetic as arith, power::pow};

/// The query's times, as far as duration expressions see them.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Seconds between steps; 0 in an instant query.
    pub step: f64,
    /// Seconds between the query's start and end.
    pub range: f64,
}

/// A range or a subquery step, which must be positive.
pub fn positive(duration: &Duration, times: &Times) -> Result<Millis, QueryError> {
    match duration {
        Duration::Fixed(ms) => Ok(*ms),
        Duration::Expr(expr) => {
            let seconds = evaluate(expr, times)?;
            if seconds <= 0.0 {
                return Err(failure(expr.span, "duration must be greater than 0"));
            }
            millis(seconds, expr.span)
        }
    }
}

/// An offset.
pub fn any(duration: &Duration, times: &Times) -> Result<Millis, QueryError> {
    match duration {
        Duration::Fixed(ms) => Ok(*ms),
        Duration::Expr(expr) => millis(evaluate(expr, times)?, expr.span),
    }
}

fn evaluate(expr: &DurationExpr, times: &Times) -> Result<f64, QueryError> {
    let value = match &expr.node {
        DurationNode::Number(n) => n.value,
        DurationNode::Step => times.step,
        DurationNode::Range => times.range,
        DurationNode::Unary(UnaryOp::Plus, x) => evaluate(x, times)?,
        DurationNode::Unary(UnaryOp::Minus, x) => -evaluate(x, times)?,
        DurationNode::Binary(op, a, b) => {
            arithmetic(*op, evaluate(a, times)?, evaluate(b, times)?, expr.span)?
        }
        DurationNode::Min(a, b) => arith::min(evaluate(a, times)?, evaluate(b, times)?),
        DurationNode::Max(a, b) => arith::max(evaluate(a, times)?, evaluate(b, times)?),
    };
    Ok(value)
}

fn arithmetic(op: BinaryOp, a: f64, b: f64, span: Span) -> Result<f64, QueryError> {
    Ok(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 => return Err(failure(span, "division by zero")),
        BinaryOp::Div => a / b,
        BinaryOp::Mod if b == 0.0 => return Err(failure(span, "modulo by zero")),
        BinaryOp::Mod => arith::modulo(a, b),
        BinaryOp::Pow => pow(a, b),
        _ => return Err(failure(span, "unexpected operator in duration expression")),
    })
}

fn millis(seconds: f64, span: Span) -> Result<Millis, QueryError> {
    if !seconds.is_finite() {
        return Err(failure(span, "duration is NaN or infinite"));
    }
    if (seconds * 1e9).abs() >= 9_223_372_036_854_775_807.0 {
        return Err(failure(span, "duration is out of range"));
    }
    Ok((seconds * 1000.0) as Millis)
}

fn failure(span: Span, text: &str) -> QueryError {
    QueryError::BadData(format!("{}:{}: {text}", span.start, span.end))
}
