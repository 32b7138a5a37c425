//! What an operator does to two samples.

use std::sync::Arc;

use norn_model::histogram::{FloatHistogram, ResetHint};
use norn_model::quote::Quoted;
use norn_promql_syntax::ast::BinaryOp;

use crate::annotation::NoteKind;
use crate::block::{Cell, Histogram};
use crate::histogram::arithmetic::{Incompatible, Notes, add, div, mul, sub};
use crate::histogram::compare::equals;
use crate::histogram::layout::compact;
use crate::histogram::trim::{Keep, trim};
use crate::numeric::{arithmetic as arith, power, trigonometry};

/// What became of two samples.
#[derive(Clone, Debug)]
pub enum Combined {
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram(Histogram),
    /// A comparison that does not hold: no sample.
    Dropped,
    /// The types can not be combined: no sample.
    Incompatible,
}

/// What should be said about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairNote {
    /// Types do not go together; whether left and right are histograms.
    Types(bool, bool),
    /// Exponential and custom buckets.
    Layout,
    /// Reset hints contradict.
    Resets,
    /// Custom bounds were reconciled.
    Reconciled,
}

impl PairNote {
    /// Kind and subject of the annotation.
    pub fn text(self, op: BinaryOp) -> (NoteKind, String) {
        let kind = |histogram| if histogram { "histogram" } else { "float" };
        let operation = if op == BinaryOp::Sub { "subtraction" } else { "addition" };
        match self {
            Self::Types(l, r) => (
                NoteKind::IncompatibleTypes,
                format!("{}: {} {} {}", Quoted(op.as_str()), kind(l), op.as_str(), kind(r)),
            ),
            Self::Layout => (NoteKind::IncompatibleLayout, op.as_str().to_owned()),
            Self::Resets => (NoteKind::ConflictingResets, operation.to_owned()),
            Self::Reconciled => (NoteKind::ReconciledBounds, operation.to_owned()),
        }
    }
}

/// Whether a comparison holds; `None` for other operators.
pub fn compare(op: BinaryOp, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => return None,
    })
}

/// Whether a result keeps the metric name: filters and trims do.
pub fn keeps_name(op: BinaryOp, return_bool: bool) -> bool {
    (op.is_comparison() && !return_bool) || matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
}

/// Arithmetic on floats; NaN for operators that are none.
pub fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => arith::modulo(a, b),
        BinaryOp::Pow => power::pow(a, b),
        BinaryOp::Atan2 => trigonometry::atan2(a, b),
        _ => f64::NAN,
    }
}

/// Applies `op` to two samples. A comparison that holds yields the left sample.
pub fn combine(op: BinaryOp, a: Cell<'_>, b: Cell<'_>) -> (Combined, Option<PairNote>) {
    match (a, b) {
        (Cell::Float(x), Cell::Float(y)) => floats(op, x, y),
        (Cell::Histogram(h), Cell::Float(x)) => histogram_float(op, h, x),
        (Cell::Float(x), Cell::Histogram(h)) => float_histogram(op, x, h),
        (Cell::Histogram(a), Cell::Histogram(b)) => histograms(op, a, b),
    }
}

fn floats(op: BinaryOp, x: f64, y: f64) -> (Combined, Option<PairNote>) {
    match compare(op, x, y) {
        Some(true) => (Combined::Float(x), None),
        Some(false) => (Combined::Dropped, None),
        None if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) => incompatible(false, false),
        None => (Combined::Float(arithmetic(op, x, y)), None),
    }
}

fn histogram_float(op: BinaryOp, h: &Histogram, x: f64) -> (Combined, Option<PairNote>) {
    let change: &dyn Fn(&mut FloatHistogram) = match op {
        BinaryOp::Mul => &|h| mul(h, x),
        BinaryOp::Div => &|h| div(h, x),
        BinaryOp::TrimUpper => return changed(h, |h| trim(h, x, Keep::Below)),
        BinaryOp::TrimLower => return changed(h, |h| trim(h, x, Keep::Above)),
        _ => return incompatible(true, false),
    };
    changed(h, |h| {
        change(h);
        compact(h);
    })
}

fn float_histogram(op: BinaryOp, x: f64, h: &Histogram) -> (Combined, Option<PairNote>) {
    match op {
        BinaryOp::Mul => changed(h, |h| {
            mul(h, x);
            compact(h);
        }),
        _ => incompatible(false, true),
    }
}

fn changed(h: &Histogram, change: impl Fn(&mut FloatHistogram)) -> (Combined, Option<PairNote>) {
    let mut result = (**h).clone();
    change(&mut result);
    (Combined::Histogram(Arc::new(result)), None)
}

fn histograms(op: BinaryOp, a: &Histogram, b: &Histogram) -> (Combined, Option<PairNote>) {
    let keep = |holds| if holds { Combined::Histogram(a.clone()) } else { Combined::Dropped };
    match op {
        BinaryOp::Equal => (keep(equals(a, b)), None),
        BinaryOp::NotEqual => (keep(!equals(a, b)), None),
        BinaryOp::Add => total(a, b, add),
        BinaryOp::Sub => total(a, b, |a, b| {
            let notes = sub(a, b)?;
            a.reset_hint = ResetHint::Gauge;
            Ok(notes)
        }),
        _ => incompatible(true, true),
    }
}

fn total(
    a: &Histogram,
    b: &Histogram,
    combine: impl Fn(&mut FloatHistogram, &FloatHistogram) -> Result<Notes, Incompatible>,
) -> (Combined, Option<PairNote>) {
    let mut result = (**a).clone();
    match combine(&mut result, b) {
        Err(_) => (Combined::Incompatible, Some(PairNote::Layout)),
        Ok(notes) if notes.reset_collision => (Combined::Incompatible, Some(PairNote::Resets)),
        Ok(notes) => {
            compact(&mut result);
            (Combined::Histogram(Arc::new(result)), notes.bounds_reconciled.then_some(PairNote::Reconciled))
        }
    }
}

fn incompatible(left: bool, right: bool) -> (Combined, Option<PairNote>) {
    (Combined::Incompatible, Some(PairNote::Types(left, right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_keep_their_sign() {
        assert_eq!(arithmetic(BinaryOp::Div, 1.0, -0.0), f64::NEG_INFINITY);
        assert_eq!(compare(BinaryOp::Equal, 0.0, -0.0), Some(true));
        assert_eq!(compare(BinaryOp::NotEqual, f64::NAN, f64::NAN), Some(true));
    }
}
