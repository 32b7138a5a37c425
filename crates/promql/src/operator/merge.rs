//! Rows whose labels became equal.

use std::ops::Range;

use crate::block::{Block, Row, RowMut};
use crate::error::{QueryError, same_labelset};
use crate::grid::Grid;
use crate::operator::{Rows, Table};
use crate::query::Query;
use crate::series::{Numbering, Series};

/// Merges rows with equal labels into one; fails where two of them meet at a step.
///
/// In an instant query that drops names at its end, equal labels are no fault before that end.
pub fn equal_labels<'q>(table: Table<'q>, grid: Grid, q: &Query) -> Result<Table<'q>, QueryError> {
    if grid.is_instant() && q.features.delayed_name_removal {
        return Ok(table);
    }
    always(table, grid, q)
}

/// Merges rows with equal labels into one; fails where two of them meet at a step.
pub fn always<'q>(table: Table<'q>, grid: Grid, q: &Query) -> Result<Table<'q>, QueryError> {
    let mut numbering = Numbering::default();
    let numbers: Vec<u32> = table.series.iter().map(|s| numbering.number(s.labels.clone())).collect();
    if numbering.count() == table.series.len() {
        return Ok(table);
    }
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); numbering.count()];
    for (row, number) in numbers.iter().enumerate() {
        members[*number as usize].push(row as u32);
    }
    // Rows are numbered in order, so the first member decides the place and the name flag.
    let series: Vec<Series> = members.iter().map(|m| table.series[m[0] as usize].clone()).collect();
    Table::new(q, &grid, series, Merge { table, members, steps: grid.steps })
}

/// Fails where two rows that hold anything have equal labels, whether or not they meet at a step.
///
/// In a query that drops names at its end, equal labels are no fault before that end.
pub fn refuse_equal_labels<'q>(table: Table<'q>, q: &Query) -> Result<Table<'q>, QueryError> {
    if q.features.delayed_name_removal {
        return Ok(table);
    }
    let mut numbering = Numbering::default();
    let numbers: Vec<u32> = table.series.iter().map(|s| numbering.number(s.labels.clone())).collect();
    if numbering.count() == table.series.len() {
        return Ok(table);
    }
    let mut filled = vec![false; numbering.count()];
    table.for_each(q, |i, row| {
        if !row.is_empty() && std::mem::replace(&mut filled[numbers[i] as usize], true) {
            return Err(same_labelset());
        }
        Ok(())
    })?;
    Ok(table)
}

struct Merge<'q> {
    table: Table<'q>,
    members: Vec<Vec<u32>>,
    steps: usize,
}

impl Rows for Merge<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.steps);
        let mut block = Block::default();
        for (to, merged) in rows.enumerate() {
            for member in &self.members[merged] {
                let member = *member as usize;
                self.table.fill(q, member..member + 1, &mut block)?;
                overlay(&mut out.row_mut(to), &block.row(0))?;
            }
        }
        Ok(())
    }
}

/// Adds the cells of `row` to `out`; fails where both hold something.
pub fn overlay(out: &mut RowMut<'_>, row: &Row<'_>) -> Result<(), QueryError> {
    for (k, cell) in row.cells() {
        if out.as_row().has(k) {
            return Err(same_labelset());
        }
        match cell {
            crate::block::Cell::Float(v) => out.set(k, v),
            crate::block::Cell::Histogram(h) => {
                let place = out.histograms.partition_point(|(step, _)| (*step as usize) < k);
                out.histograms.insert(place, (k as u32, h.clone()));
            }
        }
    }
    Ok(())
}
