//! `sort` and relatives. They order instant results only: ranges are ordered by labels.

use std::cmp::Ordering;
use std::ops::Range;

use norn_model::labels::Labels;

use crate::annotation::NoteKind;
use crate::block::Block;
use crate::error::QueryError;
use crate::grid::Grid;
use crate::numeric::natural;
use crate::operator::{Rows, Table, open as open_vector};
use crate::plan::SortPlan;
use crate::query::Query;

/// Opens a sort.
pub fn open<'q>(plan: &'q SortPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let input = open_vector(&plan.input, grid, q)?;
    if !grid.is_instant() {
        if grid.steps > 0 {
            q.notes.add(NoteKind::SortInRange, plan.position, "");
        }
        if plan.by_label {
            return Ok(input);
        }
        let series = input.series.clone();
        return Table::new(q, &grid, series, Floats(input));
    }
    let rows = input.collect(q)?;
    let mut order: Vec<usize> = (0..rows.block.rows()).filter(|i| !rows.block.row(*i).is_empty()).collect();
    if plan.by_label {
        order.sort_by(|a, b| by_labels(&input.series[*a].labels, &input.series[*b].labels, &plan.labels));
        if plan.descending {
            order.reverse();
        }
    } else {
        order.retain(|i| rows.block.row(*i).float(0).is_some());
        let value = |i: usize| rows.block.row(i).values[0];
        order.sort_by(|a, b| by_value(value(*a), value(*b), plan.descending));
    }
    let mut block = Block::new(0, grid.steps);
    order.iter().for_each(|i| block.push(&rows.block.row(*i)));
    let series = order.iter().map(|i| input.series[*i].clone()).collect();
    Table::stored(q, series, block)
}

/// NaN comes last in both directions.
fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match a.partial_cmp(&b) {
        Some(order) if descending => order.reverse(),
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

fn by_labels(a: &Labels, b: &Labels, names: &[String]) -> Ordering {
    names
        .iter()
        .map(|n| natural::compare(a.get(n), b.get(n)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

/// The floats of a table.
struct Floats<'q>(Table<'q>);

impl Rows for Floats<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let count = rows.len();
        self.0.fill(q, rows, out)?;
        (0..count).for_each(|i| out.row_mut(i).histograms.clear());
        Ok(())
    }
}
