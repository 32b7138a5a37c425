//! Joins in which no two rows can collide: a result row is a function of one many row.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use parking_lot::Mutex;

use crate::block::{Block, Row, RowMut, is_set, ones};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::element::{self, Combined, PairNote};
use crate::operator::join::{LabelRule, Sides, combine, is_one_to_one, is_swapped};
use crate::operator::{Collected, Rows, Table};
use crate::plan::{JoinPlan, VectorPlan};
use crate::query::Query;
use crate::series::Series;

/// Result rows: many row, one row, labels.
pub(super) struct Pairs {
    rows: Vec<(u32, u32)>,
    series: Vec<Series>,
}

/// The pairs of a join that can not collide; `None` where it can, or where elements are filled in.
pub(super) fn pairs(
    plan: &JoinPlan,
    rule: &LabelRule<'_>,
    sides: &Sides<'_>,
    signatures: usize,
) -> Option<Pairs> {
    if plan.matching.fill_left.is_some() || plan.matching.fill_right.is_some() {
        return None;
    }
    let mut partner: Vec<Option<u32>> = vec![None; signatures];
    for (row, signature) in sides.one_signatures.iter().enumerate() {
        if partner[*signature as usize].replace(row as u32).is_some() {
            return None;
        }
    }
    let mut taken = vec![false; signatures];
    let mut pairs = Pairs { rows: Vec::new(), series: Vec::new() };
    for (row, signature) in sides.many_signatures.iter().enumerate() {
        let Some(one) = partner[*signature as usize] else { continue };
        if is_one_to_one(plan) && std::mem::replace(&mut taken[*signature as usize], true) {
            return None;
        }
        let series = rule.result(&sides.many.series[row], &sides.one.series[one as usize].labels);
        pairs.rows.push((row as u32, one));
        pairs.series.push(series);
    }
    let unique: HashSet<_> = pairs.series.iter().map(|s| s.labels.as_bytes()).collect();
    (unique.len() == pairs.series.len()).then_some(pairs)
}

/// Opens a join of `pairs`.
pub(super) fn open<'q>(
    plan: &'q JoinPlan,
    pairs: Pairs,
    sides: Sides<'q>,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let one = sides.one.collect(q)?;
    if !matches!(many_plan(plan), VectorPlan::Select(_)) {
        read_unpaired(&pairs, &sides.many, q)?;
    }
    let join = Direct { plan, q, pairs: pairs.rows, many: sides.many, one, notes: Mutex::default(), grid };
    Table::new(q, &grid, pairs.series, join)
}

fn many_plan(plan: &JoinPlan) -> &VectorPlan {
    if is_swapped(plan) { &plan.rhs } else { &plan.lhs }
}

/// Reads rows without a partner: they may annotate or fail.
fn read_unpaired(pairs: &Pairs, many: &Table<'_>, q: &Query) -> Result<(), QueryError> {
    let mut block = Block::default();
    let mut paired = pairs.rows.iter().map(|(many, _)| *many as usize).peekable();
    for row in 0..many.series.len() {
        if paired.next_if_eq(&row).is_none() {
            many.fill(q, row..row + 1, &mut block)?;
        }
    }
    Ok(())
}

struct Direct<'q> {
    plan: &'q JoinPlan,
    q: &'q Query,
    pairs: Vec<(u32, u32)>,
    many: Table<'q>,
    one: Collected,
    /// By step, the note of the last row that had one: only that survives.
    notes: Mutex<BTreeMap<u32, (u32, PairNote)>>,
    grid: Grid,
}

impl Drop for Direct<'_> {
    fn drop(&mut self) {
        for (_, note) in self.notes.get_mut().values() {
            let (kind, subject) = note.text(self.plan.op);
            self.q.notes.add(kind, self.plan.position, &subject);
        }
    }
}

impl Rows for Direct<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let pairs = &self.pairs[rows.clone()];
        let dense = pairs.windows(2).all(|w| w[1].0 == w[0].0 + 1);
        match pairs.first() {
            Some((first, _)) if dense => {
                let first = *first as usize;
                self.many.fill(q, first..first + pairs.len(), out)?;
            }
            _ => self.gather(q, pairs, out)?,
        }
        for (i, (many, one)) in pairs.iter().enumerate() {
            let one = self.one.block.row(*one as usize);
            let mut row = out.row_mut(i);
            if row.histograms.is_empty() && one.histograms.is_empty() && !is_trim(self.plan) {
                self.floats(&mut row, &one);
            } else {
                self.cells(*many, &mut row, &one);
            }
        }
        Ok(())
    }
}

fn is_trim(plan: &JoinPlan) -> bool {
    use norn_promql_syntax::ast::BinaryOp;
    matches!(plan.op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
}

impl Direct<'_> {
    fn gather(&self, q: &Query, pairs: &[(u32, u32)], out: &mut Block) -> Result<(), QueryError> {
        out.reset(pairs.len(), self.grid.steps);
        let mut block = Block::default();
        for (i, (many, _)) in pairs.iter().enumerate() {
            let many = *many as usize;
            self.many.fill(q, many..many + 1, &mut block)?;
            out.row_mut(i).copy(&block.row(0));
        }
        Ok(())
    }

    fn floats(&self, row: &mut RowMut<'_>, one: &Row<'_>) {
        let (op, swapped) = (self.plan.op, is_swapped(self.plan));
        for (live, there) in row.live.iter_mut().zip(one.live) {
            *live &= there;
        }
        let order = |many: f64, one: f64| if swapped { (one, many) } else { (many, one) };
        if !op.is_comparison() {
            for k in ones(row.live) {
                let (a, b) = order(row.values[k], one.values[k]);
                row.values[k] = element::arithmetic(op, a, b);
            }
            return;
        }
        for k in 0..row.values.len() {
            let (a, b) = order(row.values[k], one.values[k]);
            let holds = element::compare(op, a, b).unwrap_or_default();
            if self.plan.return_bool {
                row.values[k] = f64::from(u8::from(holds));
            } else {
                row.values[k] = a;
                if !holds {
                    crate::block::unset(row.live, k);
                }
            }
        }
    }

    fn cells(&self, many: u32, row: &mut RowMut<'_>, one: &Row<'_>) {
        let mut before = Block::new(1, row.values.len());
        before.row_mut(0).copy(&row.as_row());
        row.clear();
        for (k, cell) in before.row(0).cells() {
            let Some(partner) = one.cell(k) else { continue };
            let (combined, note) = combine(self.plan, cell, partner);
            if let Some(note) = note {
                self.note(k as u32, many, note);
            }
            match combined {
                Combined::Float(v) => row.set(k, v),
                Combined::Histogram(h) => row.push(k, h),
                Combined::Dropped | Combined::Incompatible => {}
            }
        }
        debug_assert!(row.histograms.iter().all(|(k, _)| !is_set(row.live, *k as usize)));
    }

    fn note(&self, step: u32, row: u32, note: PairNote) {
        let mut notes = self.notes.lock();
        let entry = notes.entry(step).or_insert((row, note));
        if entry.0 <= row {
            *entry = (row, note);
        }
    }
}
