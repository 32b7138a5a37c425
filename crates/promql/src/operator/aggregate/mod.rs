//! Aggregations.
//!
//! Rows are drained in series order into columns of one state per group and step, so every chain
//! of additions is the reference's. Groups are numbered by their exact labels and emitted in the
//! order in which the first series with a sample appears.
//!
//! | module | operators |
//! |---|---|
//! | [`total`] | `sum`, `avg` |
//! | [`simple`] | `count`, `group`, `min`, `max`, `stddev`, `stdvar`, `quantile` |
//! | [`ranked`] | `topk`, `bottomk`, `limitk`, `limit_ratio` |
//! | [`values`] | `count_values` |

use norn_promql_syntax::ast::AggregateOp;

use crate::annotation::NoteKind;
use crate::block::{Block, Row, RowMut};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::numeric::format::general;
use crate::operator::scalar::{Scalar, evaluate};
use crate::operator::{Table, open as open_vector};
use crate::plan::AggregatePlan;
use crate::query::Query;
use crate::series::{Key, Numbering, Series};

mod ranked;
mod simple;
mod total;
mod values;

/// What a cell of any accumulator takes at most.
const CELL_BYTES: usize = 40;

/// Columns of group states.
trait Accumulator {
    /// Takes in a row of `group`.
    fn add(&mut self, group: usize, row: &Row<'_>, notes: &GroupNotes<'_>);

    /// Writes the results of `group`.
    fn finish(&mut self, group: usize, out: &mut RowMut<'_>, notes: &GroupNotes<'_>);

    /// Bytes beyond what the number of groups and steps says.
    fn extra_bytes(&self) -> usize {
        0
    }
}

/// Annotations of an aggregation.
struct GroupNotes<'a> {
    q: &'a Query,
    plan: &'a AggregatePlan,
    /// Metric of the row that is taken in.
    metric: &'a str,
}

impl GroupNotes<'_> {
    fn add(&self, kind: NoteKind, subject: &str) {
        self.q.notes.add(kind, self.plan.input_position, subject);
    }
}

/// Opens an aggregation.
pub fn open<'q>(plan: &'q AggregatePlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let param = match &plan.param {
        Some(param) => Some(evaluate(param, grid, q)?),
        None => None,
    };
    let held = q.held();
    let input = open_vector(&plan.input, grid, q)?;
    let table = match (plan.op, param) {
        (
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio,
            Some(p),
        ) => ranked::evaluate(plan, input, &p, grid, q)?,
        (AggregateOp::CountValues, _) => values::evaluate(plan, input, grid, q)?,
        (AggregateOp::Quantile, Some(param)) => {
            warn_of_quantile(plan, &param, grid, q);
            grouped(plan, input, grid, q, |cells| Box::new(simple::Quantiles::new(cells, grid.steps, param)))?
        }
        (op, _) => grouped(plan, input, grid, q, |cells| accumulator(op, cells, grid.steps))?,
    };
    q.release_to(held);
    q.hold((table.series.len() * grid.steps) as u64)?;
    Ok(table)
}

fn accumulator(op: AggregateOp, cells: usize, steps: usize) -> Box<dyn Accumulator> {
    match op {
        AggregateOp::Sum => Box::new(total::Sums::new(cells, steps)),
        AggregateOp::Avg => Box::new(total::Means::new(cells, steps)),
        AggregateOp::Min => Box::new(simple::Extremes::new(cells, steps, "min", |new, old| new < old)),
        AggregateOp::Max => Box::new(simple::Extremes::new(cells, steps, "max", |new, old| new > old)),
        AggregateOp::Stddev => Box::new(simple::Variances::new(cells, steps, true)),
        AggregateOp::Stdvar => Box::new(simple::Variances::new(cells, steps, false)),
        AggregateOp::Group => Box::new(simple::Counts::new(cells, steps, true)),
        _ => Box::new(simple::Counts::new(cells, steps, false)),
    }
}

/// Groups of a table's rows.
struct Groups {
    /// Group of each row.
    of_row: Vec<u32>,
    labels: Vec<norn_model::labels::Labels>,
}

impl Groups {
    fn new(plan: &AggregatePlan, input: &Table<'_>) -> Self {
        let key = Key { names: &plan.grouping, without: plan.without };
        let mut numbering = Numbering::default();
        let of_row = input.series.iter().map(|s| numbering.number(key.of(&s.labels))).collect();
        Self { of_row, labels: numbering.into_labels() }
    }
}

fn grouped<'q>(
    plan: &AggregatePlan,
    input: Table<'q>,
    grid: Grid,
    q: &'q Query,
    make: impl FnOnce(usize) -> Box<dyn Accumulator>,
) -> Result<Table<'q>, QueryError> {
    let groups = Groups::new(plan, &input);
    let mut charge = q.reserve(groups.labels.len(), grid.steps, CELL_BYTES)?;
    let mut state = make(groups.labels.len() * grid.steps);
    // Groups in the order of their first series with a sample, and whether one drops its name.
    let mut order: Vec<u32> = Vec::new();
    let mut drop_name: Vec<Option<bool>> = vec![None; groups.labels.len()];
    let mut extra = 0;
    input.for_each(q, |i, row| {
        if row.is_empty() {
            return Ok(());
        }
        let group = groups.of_row[i];
        match &mut drop_name[group as usize] {
            Some(flag) => *flag |= input.series[i].drop_name,
            flag @ None => {
                *flag = Some(input.series[i].drop_name);
                order.push(group);
            }
        }
        let notes = GroupNotes { q, plan, metric: input.series[i].labels.metric_name() };
        state.add(group as usize, row, &notes);
        let now = state.extra_bytes();
        charge.grow(now.saturating_sub(extra))?;
        extra = extra.max(now);
        Ok(())
    })?;
    let notes = GroupNotes { q, plan, metric: "" };
    let mut block = Block::new(order.len(), grid.steps);
    for (row, group) in order.iter().enumerate() {
        state.finish(*group as usize, &mut block.row_mut(row), &notes);
    }
    let series = order
        .iter()
        .map(|g| Series {
            labels: groups.labels[*g as usize].clone(),
            drop_name: drop_name[*g as usize].unwrap_or_default(),
        })
        .collect();
    Table::stored(q, series, block)
}

/// Warns of a parameter outside of 0…1, once for each side.
fn warn_of_quantile(plan: &AggregatePlan, param: &Scalar, grid: Grid, q: &Query) {
    let warn = |v: f64| q.notes.add(NoteKind::Quantile, plan.param_position, &general(v));
    let least = param.iter(grid.steps).fold(f64::INFINITY, f64::min);
    let most = param.iter(grid.steps).fold(f64::NEG_INFINITY, f64::max);
    if param.iter(grid.steps).any(f64::is_nan) {
        warn(f64::NAN);
    }
    if most > 1.0 {
        warn(most);
    }
    if least < 0.0 {
        warn(least);
    }
}
