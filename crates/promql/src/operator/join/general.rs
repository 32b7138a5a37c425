//! Joins in which rows may collide or elements are filled in: step by step.

use std::collections::{HashMap, HashSet};

use norn_model::labels::Labels;

use crate::block::{Block, Cell};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::element::{Combined, PairNote};
use crate::operator::join::{LabelRule, Sides, combine, is_one_to_one, is_swapped};
use crate::operator::{Collected, Table, merge};
use crate::plan::JoinPlan;
use crate::query::Query;
use crate::series::{Numbering, Series};

/// Evaluates the join.
pub(super) fn evaluate<'q>(
    plan: &JoinPlan,
    rule: &LabelRule<'_>,
    sides: Sides<'q>,
    signatures: &Numbering,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let (many, one) = (sides.many.collect(q)?, sides.one.collect(q)?);
    let mut walk = Walk {
        plan,
        rule,
        signatures,
        many: &many,
        one: &one,
        sides: &sides,
        partner: vec![NONE; signatures.count()],
        matched: vec![false; signatures.count()],
        results: HashSet::new(),
        output: Output::default(),
        note: None,
    };
    for k in 0..grid.steps {
        q.check()?;
        walk.step(k)?;
        if let Some(note) = walk.note.take() {
            let (kind, subject) = note.text(plan.op);
            q.notes.add(kind, plan.position, &subject);
        }
    }
    walk.output.into_table(grid, q)
}

const NONE: u32 = u32::MAX;

struct Walk<'a, 'q> {
    plan: &'a JoinPlan,
    rule: &'a LabelRule<'a>,
    signatures: &'a Numbering,
    many: &'a Collected,
    one: &'a Collected,
    sides: &'a Sides<'q>,
    /// By signature, the row of the one side at this step.
    partner: Vec<u32>,
    /// By signature, whether it has a result at this step.
    matched: Vec<bool>,
    /// Signature and result row at this step.
    results: HashSet<(u32, u32)>,
    output: Output,
    note: Option<PairNote>,
}

impl Walk<'_, '_> {
    fn step(&mut self, k: usize) -> Result<(), QueryError> {
        let many: Vec<usize> = present(self.many, k);
        let one: Vec<usize> = present(self.one, k);
        // As the reference does: with `group_right`, too, the left value is the many side's.
        let (fill_many, fill_one) = (self.plan.matching.fill_left, self.plan.matching.fill_right);
        let fills = fill_many.is_some() || fill_one.is_some();
        if (many.is_empty() && one.is_empty()) || ((many.is_empty() || one.is_empty()) && !fills) {
            return Ok(());
        }
        self.partner.fill(NONE);
        self.matched.fill(false);
        self.results.clear();
        self.index_one_side(&one)?;
        for row in many {
            let signature = self.sides.many_signatures[row];
            let series = &self.sides.many.series[row];
            let Some(cell) = self.many.block.row(row).cell(k) else { continue };
            match (self.partner[signature as usize], fill_one) {
                (NONE, None) => {}
                (NONE, Some(value)) => {
                    let labels = self.match_labels(signature);
                    self.pair(k, signature, (series, cell), (&labels, Cell::Float(value)))?;
                }
                (partner, _) => {
                    let labels = &self.sides.one.series[partner as usize].labels;
                    let Some(other) = self.one.block.row(partner as usize).cell(k) else { continue };
                    self.pair(k, signature, (series, cell), (labels, other))?;
                }
            }
        }
        let Some(value) = fill_many else { return Ok(()) };
        for row in one {
            let signature = self.sides.one_signatures[row];
            if self.matched[signature as usize] {
                continue;
            }
            let Some(cell) = self.one.block.row(row).cell(k) else { continue };
            let series = Series::new(self.match_labels(signature));
            let labels = &self.sides.one.series[row].labels;
            self.pair(k, signature, (&series, Cell::Float(value)), (labels, cell))?;
        }
        Ok(())
    }

    /// Labels of an element that is filled in.
    fn match_labels(&self, signature: u32) -> Labels {
        self.signatures.labels()[signature as usize].clone()
    }

    fn index_one_side(&mut self, rows: &[usize]) -> Result<(), QueryError> {
        for row in rows {
            let signature = self.sides.one_signatures[*row] as usize;
            if self.partner[signature] != NONE {
                return Err(self.duplicate(signature, self.partner[signature] as usize, *row));
            }
            self.partner[signature] = *row as u32;
        }
        Ok(())
    }

    fn pair(
        &mut self,
        k: usize,
        signature: u32,
        (many, cell): (&Series, Cell<'_>),
        (one, other): (&Labels, Cell<'_>),
    ) -> Result<(), QueryError> {
        let (combined, note) = combine(self.plan, cell, other);
        self.note = note.or(self.note);
        if matches!(combined, Combined::Incompatible) {
            return Ok(());
        }
        let row = self.output.row(self.rule.result(many, one));
        let seen = std::mem::replace(&mut self.matched[signature as usize], true);
        if is_one_to_one(self.plan) && seen {
            return Err(QueryError::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
        if !is_one_to_one(self.plan) && !self.results.insert((signature, row)) {
            return Err(QueryError::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        self.output.cells.push((row, k as u32, combined));
        Ok(())
    }

    fn duplicate(&self, signature: usize, first: usize, second: usize) -> QueryError {
        let side = if is_swapped(self.plan) { "left" } else { "right" };
        let mut series = [first, second].map(|r| self.sides.one.series[r].labels.to_string());
        series.sort_unstable();
        QueryError::execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            self.signatures.labels()[signature],
            series[0],
            series[1],
        ))
    }
}

fn present(side: &Collected, k: usize) -> Vec<usize> {
    (0..side.block.rows()).filter(|i| side.block.row(*i).has(k)).collect()
}

/// Results in the order in which they were made.
#[derive(Default)]
struct Output {
    numbers: HashMap<(Labels, bool), u32>,
    series: Vec<Series>,
    cells: Vec<(u32, u32, Combined)>,
}

impl Output {
    fn row(&mut self, series: Series) -> u32 {
        let next = self.series.len() as u32;
        *self.numbers.entry((series.labels.clone(), series.drop_name)).or_insert_with(|| {
            self.series.push(series);
            next
        })
    }

    fn into_table<'q>(self, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
        let _charge = q.reserve(self.series.len(), grid.steps, 8)?;
        let mut block = Block::new(self.series.len(), grid.steps);
        for (row, k, combined) in self.cells {
            let mut row = block.row_mut(row as usize);
            let k = k as usize;
            let taken = row.as_row().has(k);
            match combined {
                Combined::Dropped | Combined::Incompatible => {}
                _ if taken => return Err(crate::error::same_labelset()),
                Combined::Float(v) => row.set(k, v),
                Combined::Histogram(h) => row.push(k, h),
            }
        }
        let table = Table::stored(q, self.series, block)?;
        merge::equal_labels(table, grid, q)
    }
}
