//! Operators: from a plan to rows.
//!
//! [`open`] turns a [`VectorPlan`] into a [`Table`]: the ordered list of its series, and a way to
//! compute any run of their rows ([`Rows`]). Row-wise operators (select, window, map, relabel, …)
//! compute a row when it is asked for and keep nothing. Operators that need all rows of an input
//! (aggregate, join, …) drain it while they are opened and keep their result as columns.
//! [`Table::for_each`] asks for batches of rows, on several threads, and hands them out in order:
//! reductions see rows in the order of series, always.
//!
//! | module | operator |
//! |---|---|
//! | [`select`] | instant selectors |
//! | [`window`] | functions over ranges of selectors and subqueries |
//! | [`map`] | functions of each sample alone |
//! | [`relabel`] | `label_replace`, `label_join` |
//! | [`merge`] | rows whose labels became equal |
//! | [`aggregate`] | aggregations |
//! | [`scalar`] | one float per step |
//! | [`element`] | what an operator does to two samples |
//! | [`scalar_op`] | vector with scalar |
//! | [`join`] | vector with vector |
//! | [`set`] | `and`, `or`, `unless` |
//! | [`buckets`] | classic and native histograms |
//! | [`absent`] | `absent`, `absent_over_time` |
//! | [`sort`] | `sort` and relatives |
//! | [`info`] | `info` |
//! | [`calendar`] | days and months |
//! | [`measure`] | what each operator costs |

use std::ops::Range;

use rayon::prelude::*;

use crate::block::{Block, Row};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::ledger::Charge;
use crate::operator::measure::{Profile, Turn};
use crate::plan::VectorPlan;
use crate::query::Query;
use crate::series::Series;
use crate::stack;

pub mod absent;
pub mod aggregate;
pub mod buckets;
pub mod calendar;
pub mod element;
pub mod info;
pub mod join;
pub mod map;
pub mod measure;
pub mod merge;
pub mod relabel;
pub mod scalar;
pub mod scalar_op;
pub mod select;
pub mod set;
pub mod sort;
pub mod window;

/// Cells in a batch.
const BATCH_CELLS: usize = 32_768;
/// Most rows in a batch.
const BATCH_ROWS: usize = 256;

/// Computes rows.
pub trait Rows: Send + Sync {
    /// Writes `rows` to `out`, which is reset first.
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError>;
}

/// An opened operator.
pub struct Table<'q> {
    /// One for each row. Rows may turn out to be empty.
    pub series: Vec<Series>,
    /// Number of steps.
    pub steps: usize,
    rows: Box<dyn Rows + 'q>,
    _charge: Charge,
}

impl<'q> Table<'q> {
    /// A table of rows that are computed when asked for.
    pub fn new(
        q: &Query,
        grid: &Grid,
        series: Vec<Series>,
        rows: impl Rows + 'q,
    ) -> Result<Self, QueryError> {
        let charge = q.ledger.charge(series.len() * size_of::<Series>())?;
        Ok(Self { series, steps: grid.steps, rows: Box::new(rows), _charge: charge })
    }

    /// A table of rows that are there.
    pub fn stored(q: &Query, series: Vec<Series>, block: Block) -> Result<Self, QueryError> {
        let charge = q.ledger.charge(series.len() * size_of::<Series>() + block.size_bytes())?;
        Ok(Self { series, steps: block.steps(), rows: Box::new(Stored(block)), _charge: charge })
    }

    /// A table without series.
    pub fn empty(q: &Query, grid: &Grid) -> Result<Self, QueryError> {
        Self::stored(q, Vec::new(), Block::new(0, grid.steps))
    }

    /// The same rows with other labels.
    pub fn with_series(self, series: Vec<Series>) -> Self {
        Self { series, ..self }
    }

    /// Writes `rows` to `out`.
    pub fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        stack::ensure(|| self.rows.fill(q, rows, out))
    }

    /// Hands every row to `sink`, in order. Batches of rows are computed on all threads.
    pub fn for_each(
        &self,
        q: &Query,
        mut sink: impl FnMut(usize, &Row<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let size = (BATCH_CELLS / self.steps.max(1)).clamp(1, BATCH_ROWS);
        let total = self.series.len();
        // Two batches for each thread: enough to keep them busy, and the bound of what is held.
        let width = if total > size { 2 * q.threads } else { 1 };
        let mut blocks: Vec<Block> = (0..width).map(|_| Block::default()).collect();
        let mut charge = q.ledger.charge(0)?;
        charge.grow(width * size.min(total) * self.steps * 8)?;
        for first in (0..total).step_by(size * width) {
            q.check()?;
            let starts: Vec<usize> = (first..total).step_by(size).take(width).collect();
            let range = |start: usize| start..(start + size).min(total);
            if starts.len() == 1 {
                self.fill(q, range(first), &mut blocks[0])?;
            } else {
                let pause = q.profile.as_ref().map(Profile::pause);
                blocks.par_iter_mut().zip(&starts).try_for_each(|(block, start)| {
                    let _turn = pause.as_ref().map(Turn::go_on);
                    q.check()?;
                    self.fill(q, range(*start), block)
                })?;
            }
            for (block, start) in blocks.iter().zip(&starts) {
                for i in 0..block.rows() {
                    sink(start + i, &block.row(i))?;
                }
            }
        }
        Ok(())
    }

    /// All rows as columns.
    pub fn collect(&self, q: &Query) -> Result<Collected, QueryError> {
        let mut block = Block::new(0, self.steps);
        let mut charge = q.ledger.charge(0)?;
        let row_bytes = self.steps * 8 + self.steps.div_ceil(64) * 8 + 24;
        self.for_each(q, |i, row| {
            q.reserve(i + 1, self.steps, 0)?;
            charge.grow(row_bytes + size_of_val(row.histograms) + row.histogram_bytes())?;
            block.push(row);
            Ok(())
        })?;
        Ok(Collected { block, _charge: charge })
    }
}

/// All rows of a table.
pub struct Collected {
    /// The rows.
    pub block: Block,
    _charge: Charge,
}

/// Rows that are there.
struct Stored(Block);

impl Rows for Stored {
    fn fill(&self, _: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.0.steps());
        for (to, from) in rows.enumerate() {
            out.row_mut(to).copy(&self.0.row(from));
        }
        Ok(())
    }
}

/// Opens `plan` over `grid`.
pub fn open<'q>(plan: &'q VectorPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    stack::ensure(|| match &q.profile {
        None => open_operator(plan, grid, q),
        Some(profile) => profile.open(plan, || open_operator(plan, grid, q)),
    })
}

fn open_operator<'q>(plan: &'q VectorPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    match plan {
        VectorPlan::Select(plan) => select::open(plan, grid, q),
        VectorPlan::Window(plan) => window::open(plan, grid, q),
        VectorPlan::AbsentWindow(range, labels) => absent::open_window(range, labels, grid, q),
        VectorPlan::Map(plan) => map::open(plan.func, &plan.args, &plan.input, grid, q),
        VectorPlan::Negate(input) => map::open(map::MapFn::Negate, &[], input, grid, q),
        VectorPlan::Relabel(relabel, input) => relabel::open(relabel, input, grid, q),
        VectorPlan::Aggregate(plan) => aggregate::open(plan, grid, q),
        VectorPlan::Join(plan) => join::open(plan, grid, q),
        VectorPlan::Set(op, matching, lhs, rhs) => set::open(*op, matching, lhs, rhs, grid, q),
        VectorPlan::ScalarOp(plan) => scalar_op::open(plan, grid, q),
        VectorPlan::Buckets(plan) => buckets::open(plan, grid, q),
        VectorPlan::Absent(input, labels) => absent::open(input, labels, grid, q),
        VectorPlan::Sort(plan) => sort::open(plan, grid, q),
        VectorPlan::FromScalar(scalar) => scalar::open_vector(scalar, grid, q),
        VectorPlan::Info(plan) => info::open(plan, grid, q),
        VectorPlan::Invariant(input) => open_invariant(input, grid, q),
    }
}

/// Evaluates `input` at the first step and repeats the result.
fn open_invariant<'q>(input: &'q VectorPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let table = open(input, Grid::instant(grid.start), q)?;
    if grid.steps == 1 {
        return Ok(table);
    }
    let once = table.collect(q)?;
    let series = table.series.clone();
    Table::new(q, &grid, series, Repeated(once, grid.steps))
}

/// Rows of one step, repeated.
struct Repeated(Collected, usize);

impl Rows for Repeated {
    fn fill(&self, _: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.1);
        for (to, from) in rows.enumerate() {
            let Some(cell) = self.0.block.row(from).cell(0) else { continue };
            let mut row = out.row_mut(to);
            (0..self.1).for_each(|k| row.put(k, cell));
        }
        Ok(())
    }
}
