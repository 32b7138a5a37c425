//! One float per step, and the vector made of it.

use std::ops::Range;

use norn_model::labels::Labels;
use norn_promql_syntax::ast::BinaryOp;

use crate::block::Block;
use crate::error::QueryError;
use crate::grid::Grid;
use crate::numeric::arithmetic;
use crate::operator::{Rows, Table, element, open};
use crate::plan::{ScalarPlan, VectorPlan};
use crate::query::Query;
use crate::series::Series;
use crate::stack;

/// A float for each step.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// The same at every step.
    Constant(f64),
    /// One by one.
    Steps(Vec<f64>),
}

impl Scalar {
    /// The float at step `k`.
    pub fn at(&self, k: usize) -> f64 {
        match self {
            Self::Constant(v) => *v,
            Self::Steps(values) => values[k],
        }
    }

    /// The floats of the first `steps` steps.
    pub fn iter(&self, steps: usize) -> impl Iterator<Item = f64> + '_ {
        (0..steps).map(|k| self.at(k))
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Constant(v) => Self::Constant(f(v)),
            Self::Steps(mut values) => {
                values.iter_mut().for_each(|v| *v = f(*v));
                Self::Steps(values)
            }
        }
    }

    fn zip(self, other: Self, steps: usize, f: impl Fn(f64, f64) -> f64) -> Self {
        match (&self, &other) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(f(*a, *b)),
            _ => Self::Steps((0..steps).map(|k| f(self.at(k), other.at(k))).collect()),
        }
    }
}

/// Evaluates `plan` over `grid`.
pub fn evaluate(plan: &ScalarPlan, grid: Grid, q: &Query) -> Result<Scalar, QueryError> {
    let both = |a: &ScalarPlan, b: &ScalarPlan, f: &dyn Fn(f64, f64) -> f64| {
        Ok(evaluate(a, grid, q)?.zip(evaluate(b, grid, q)?, grid.steps, f))
    };
    stack::ensure(|| match plan {
        ScalarPlan::Number(v) => Ok(Scalar::Constant(*v)),
        ScalarPlan::Time => Ok(Scalar::Steps(grid.times().map(|t| t as f64 / 1000.0).collect())),
        ScalarPlan::Of(vector) => of_vector(vector, grid, q),
        ScalarPlan::Binary(op, a, b) => both(a, b, &|x, y| combine(*op, x, y)),
        ScalarPlan::Negate(inner) => Ok(evaluate(inner, grid, q)?.map(|v| -v)),
        ScalarPlan::Min(a, b) => both(a, b, &arithmetic::min),
        ScalarPlan::Max(a, b) => both(a, b, &arithmetic::max),
        ScalarPlan::Invariant(inner) => {
            let once = evaluate(inner, Grid::instant(grid.start), q)?;
            Ok(Scalar::Constant(once.at(0)))
        }
    })
}

/// Evaluates all of `plans`.
pub fn evaluate_all(plans: &[ScalarPlan], grid: Grid, q: &Query) -> Result<Vec<Scalar>, QueryError> {
    plans.iter().map(|p| evaluate(p, grid, q)).collect()
}

fn combine(op: BinaryOp, a: f64, b: f64) -> f64 {
    match element::compare(op, a, b) {
        Some(holds) => f64::from(u8::from(holds)),
        None => element::arithmetic(op, a, b),
    }
}

/// The float of a vector with one float, else NaN.
fn of_vector(plan: &VectorPlan, grid: Grid, q: &Query) -> Result<Scalar, QueryError> {
    let table = open(plan, grid, q)?;
    let mut found = vec![0u8; grid.steps];
    let mut values = vec![f64::NAN; grid.steps];
    table.for_each(q, |_, row| {
        for k in row.float_steps() {
            values[k] = if found[k] == 0 { row.values[k] } else { f64::NAN };
            found[k] = 1;
        }
        Ok(())
    })?;
    Ok(Scalar::Steps(values))
}

/// `vector(s)`.
pub fn open_vector<'q>(plan: &'q ScalarPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let rows = Broadcast(evaluate(plan, grid, q)?, grid.steps);
    Table::new(q, &grid, vec![Series::new(Labels::empty())], rows)
}

struct Broadcast(Scalar, usize);

impl Rows for Broadcast {
    fn fill(&self, _: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.1);
        for i in 0..rows.len() {
            let mut row = out.row_mut(i);
            (0..self.1).for_each(|k| row.set(k, self.0.at(k)));
        }
        Ok(())
    }
}
