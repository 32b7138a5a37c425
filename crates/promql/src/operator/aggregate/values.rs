//! `count_values`.

use norn_model::labels::Labels;

use crate::block::{Block, Cell};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::histogram::text;
use crate::numeric::format::decimal;
use crate::operator::Table;
use crate::plan::AggregatePlan;
use crate::query::Query;
use crate::series::{Key, Numbering, Series};

/// Evaluates `count_values`.
pub(super) fn evaluate<'q>(
    plan: &AggregatePlan,
    input: Table<'q>,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let mut names = plan.grouping.clone();
    if !plan.without && !names.contains(&plan.label) {
        names.push(plan.label.clone());
        names.sort_unstable();
    }
    let key = Key { names: &names, without: plan.without };
    let mut numbering = Numbering::default();
    let mut counts: Vec<Vec<u32>> = Vec::new();
    let mut drop_name: Vec<bool> = Vec::new();
    let mut charge = q.ledger.charge(0)?;
    input.for_each(q, |i, row| {
        let series = &input.series[i];
        // Values often repeat from step to step.
        let mut last: Option<(u64, u32)> = None;
        for (k, cell) in row.cells() {
            let bits = match cell {
                Cell::Float(v) => Some(v.to_bits()),
                Cell::Histogram(_) => None,
            };
            let group = match (bits, last) {
                (Some(bits), Some((same, group))) if bits == same => group,
                _ => numbering.number(labelled(&series.labels, &plan.label, cell, &key)),
            };
            last = bits.map(|bits| (bits, group));
            if group as usize == counts.len() {
                q.reserve(counts.len() + 1, grid.steps, 0)?;
                charge.grow(grid.steps * 12 + 64)?;
                counts.push(vec![0; grid.steps]);
                drop_name.push(false);
            }
            counts[group as usize][k] += 1;
            drop_name[group as usize] |= series.drop_name;
        }
        Ok(())
    })?;
    let mut block = Block::new(counts.len(), grid.steps);
    for (row, counts) in counts.iter().enumerate() {
        let mut row = block.row_mut(row);
        for (k, count) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            row.set(k, f64::from(*count));
        }
    }
    let series = numbering
        .into_labels()
        .into_iter()
        .zip(drop_name)
        .map(|(labels, drop_name)| Series { labels, drop_name })
        .collect();
    Table::stored(q, series, block)
}

/// The group of a value: the label is written first and may replace one.
fn labelled(labels: &Labels, name: &str, cell: Cell<'_>, key: &Key<'_>) -> Labels {
    let value = match cell {
        Cell::Float(v) => decimal(v),
        Cell::Histogram(h) => text::display(h),
    };
    let mut builder = labels.to_builder();
    builder.set(name, &value);
    key.of(&builder.build())
}
