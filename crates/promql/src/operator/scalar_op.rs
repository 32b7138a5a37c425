//! Operators between a vector and a scalar.

use std::ops::Range;

use norn_promql_syntax::ast::BinaryOp;

use crate::block::{Block, Cell, RowMut, ones, unset};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::element::{self, Combined, PairNote};
use crate::operator::scalar::{Scalar, evaluate};
use crate::operator::{Rows, Table, merge, open as open_vector};
use crate::plan::ScalarOpPlan;
use crate::query::Query;

/// Opens the operator.
pub fn open<'q>(plan: &'q ScalarOpPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let scalar = evaluate(&plan.scalar, grid, q)?;
    let input = open_vector(&plan.vector, grid, q)?;
    let mut series = input.series.clone();
    if !element::keeps_name(plan.op, plan.return_bool) {
        for s in &mut series {
            s.drop_metadata(&q.features);
        }
    }
    let table = Table::new(q, &grid, series, ScalarOp { plan, scalar, input })?;
    merge::equal_labels(table, grid, q)
}

struct ScalarOp<'q> {
    plan: &'q ScalarOpPlan,
    scalar: Scalar,
    input: Table<'q>,
}

impl Rows for ScalarOp<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let count = rows.len();
        self.input.fill(q, rows, out)?;
        for i in 0..count {
            let mut row = out.row_mut(i);
            if row.histograms.is_empty() && !matches!(self.plan.op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
            {
                self.floats(&mut row);
            } else {
                self.cells(q, &mut row);
            }
        }
        Ok(())
    }
}

impl ScalarOp<'_> {
    fn floats(&self, row: &mut RowMut<'_>) {
        let (op, left) = (self.plan.op, self.plan.scalar_left);
        if op.is_comparison() {
            for k in 0..row.values.len() {
                let (v, s) = (row.values[k], self.scalar.at(k));
                let holds = if left { element::compare(op, s, v) } else { element::compare(op, v, s) };
                let holds = holds.unwrap_or_default();
                if self.plan.return_bool {
                    row.values[k] = f64::from(u8::from(holds));
                } else if !holds {
                    unset(row.live, k);
                }
            }
            return;
        }
        for k in ones(row.live) {
            let (v, s) = (row.values[k], self.scalar.at(k));
            row.values[k] = if left { element::arithmetic(op, s, v) } else { element::arithmetic(op, v, s) };
        }
    }

    fn cells(&self, q: &Query, row: &mut RowMut<'_>) {
        let mut before = Block::new(1, row.values.len());
        before.row_mut(0).copy(&row.as_row());
        row.clear();
        for (k, cell) in before.row(0).cells() {
            let scalar = Cell::Float(self.scalar.at(k));
            let (combined, note) = if self.plan.scalar_left {
                element::combine(self.plan.op, scalar, cell)
            } else {
                element::combine(self.plan.op, cell, scalar)
            };
            if let Some(note) = note {
                self.note(q, note);
            }
            self.put(row, k, cell, combined);
        }
    }

    fn put(&self, row: &mut RowMut<'_>, k: usize, vector: Cell<'_>, combined: Combined) {
        let comparison = self.plan.op.is_comparison();
        match combined {
            Combined::Incompatible => {}
            Combined::Dropped if self.plan.return_bool => row.set(k, 0.0),
            Combined::Dropped => {}
            _ if comparison && self.plan.return_bool => row.set(k, 1.0),
            _ if comparison => row.put(k, vector),
            Combined::Float(v) => row.set(k, v),
            Combined::Histogram(h) => row.push(k, h),
        }
    }

    fn note(&self, q: &Query, note: PairNote) {
        let (kind, subject) = note.text(self.plan.op);
        q.notes.add(kind, self.plan.position, &subject);
    }
}
