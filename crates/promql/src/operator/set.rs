//! `and`, `or` and `unless`.

use std::ops::Range;

use norn_promql_syntax::ast::{BinaryOp, VectorMatching};

use crate::block::{Block, Row, is_set, set};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::{Collected, Rows, Table, merge, open as open_vector};
use crate::plan::VectorPlan;
use crate::query::Query;
use crate::series::{Key, Numbering};

/// Opens a set operator.
pub fn open<'q>(
    op: BinaryOp,
    matching: &VectorMatching,
    lhs: &'q VectorPlan,
    rhs: &'q VectorPlan,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let mut names = matching.labels.clone();
    names.sort_unstable();
    let key = Key { names: &names, without: !matching.on };
    let (lhs, rhs) = (open_vector(lhs, grid, q)?, open_vector(rhs, grid, q)?);
    let mut signatures = Numbering::default();
    let mut number =
        |t: &Table<'_>| t.series.iter().map(|s| signatures.number(key.of(&s.labels))).collect::<Vec<_>>();
    let (left, right) = (number(&lhs), number(&rhs));
    let count = signatures.count();
    let table = if op == BinaryOp::Or {
        open_or(lhs, rhs, left, right, count, grid, q)?
    } else {
        let present = presence(q, &rhs, &right, count, grid)?;
        let series = lhs.series.clone();
        let rows = Filter { input: lhs, signatures: left, present, keep: op == BinaryOp::And };
        Table::new(q, &grid, series, rows)?
    };
    merge::equal_labels(table, grid, q)
}

/// For each signature, the steps at which some row has a sample.
struct Presence {
    bits: Vec<u64>,
    words: usize,
}

impl Presence {
    fn add(&mut self, signature: u32, row: &Row<'_>) {
        let first = signature as usize * self.words;
        let bits = &mut self.bits[first..first + self.words];
        for (word, live) in bits.iter_mut().zip(row.live) {
            *word |= live;
        }
        for (k, _) in row.histograms {
            set(bits, *k as usize);
        }
    }

    fn of(&self, signature: u32) -> &[u64] {
        &self.bits[signature as usize * self.words..(signature as usize + 1) * self.words]
    }
}

fn presence(
    q: &Query,
    table: &Table<'_>,
    signatures: &[u32],
    count: usize,
    grid: Grid,
) -> Result<Presence, QueryError> {
    let words = grid.steps.div_ceil(64);
    let mut present = Presence { bits: vec![0; words * count], words };
    table.for_each(q, |i, row| {
        present.add(signatures[i], row);
        Ok(())
    })?;
    Ok(present)
}

/// Rows of one side, at the steps where the other side has the signature or has it not.
struct Filter<'q> {
    input: Table<'q>,
    signatures: Vec<u32>,
    present: Presence,
    keep: bool,
}

impl Rows for Filter<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let signatures = &self.signatures[rows.clone()];
        self.input.fill(q, rows, out)?;
        for (i, signature) in signatures.iter().enumerate() {
            let present = self.present.of(*signature);
            let row = out.row_mut(i);
            for (word, there) in row.live.iter_mut().zip(present) {
                *word &= if self.keep { *there } else { !*there };
            }
            row.histograms.retain(|(k, _)| is_set(present, *k as usize) == self.keep);
        }
        Ok(())
    }
}

/// All of the left side, then what the right side has beyond it.
fn open_or<'q>(
    lhs: Table<'q>,
    rhs: Table<'q>,
    left: Vec<u32>,
    right: Vec<u32>,
    count: usize,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let mut series = lhs.series.clone();
    // Kept, as it is read twice: for its presence and for its values.
    let lhs = lhs.collect(q)?;
    let words = grid.steps.div_ceil(64);
    let mut present = Presence { bits: vec![0; words * count], words };
    (0..lhs.block.rows()).for_each(|i| present.add(left[i], &lhs.block.row(i)));
    series.extend(rhs.series.iter().cloned());
    let extra = Filter { input: rhs, signatures: right, present, keep: false };
    Table::new(q, &grid, series, Both { lhs, rhs: extra, steps: grid.steps })
}

struct Both<'q> {
    lhs: Collected,
    rhs: Filter<'q>,
    steps: usize,
}

impl Rows for Both<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let split = self.lhs.block.rows();
        if rows.start >= split {
            return self.rhs.fill(q, rows.start - split..rows.end - split, out);
        }
        out.reset(rows.len(), self.steps);
        let left = rows.start..rows.end.min(split);
        for (to, from) in left.clone().enumerate() {
            out.row_mut(to).copy(&self.lhs.block.row(from));
        }
        if rows.end > split {
            let mut block = Block::default();
            self.rhs.fill(q, 0..rows.end - split, &mut block)?;
            for i in 0..block.rows() {
                out.row_mut(left.len() + i).copy(&block.row(i));
            }
        }
        Ok(())
    }
}
