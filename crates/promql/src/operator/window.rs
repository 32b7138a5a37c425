//! Functions over ranges of selectors and subqueries, row by row.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use norn_contract::source::SeriesData;
use norn_model::Millis;
use norn_model::histogram::ResetHint;

use crate::block::{Block, Row};
use crate::decode::{self, Samples, Scratch};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::scalar::{Scalar, evaluate_all};
use crate::operator::select::selection;
use crate::operator::{Rows, Table, merge, open as open_vector};
use crate::plan::{Extension, RangePlan, RangeSource, WindowPlan};
use crate::query::Query;
use crate::series::Series;
use crate::window::Frame;

/// Opens a range function.
pub fn open<'q>(plan: &'q WindowPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let args = evaluate_all(&plan.args, grid, q)?;
    let input = Ranges::open(&plan.input, grid, q)?;
    let mut series = input.series();
    if !plan.func.keeps_name() {
        for s in &mut series {
            s.drop_metadata(&q.features);
        }
    }
    let table = Table::new(q, &grid, series, Window { plan, args, input, grid })?;
    // The reference compares labels of series, whether or not they meet.
    merge::refuse_equal_labels(table, q)
}

struct Window<'q> {
    plan: &'q WindowPlan,
    args: Vec<Scalar>,
    input: Ranges<'q>,
    grid: Grid,
}

impl Rows for Window<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.grid.steps);
        let (mut cells, mut presented) = (0, 0);
        q.with_scratch(|scratch| {
            for (to, index) in rows.enumerate() {
                self.input.read(q, index, scratch)?;
                let frame = Frame {
                    q,
                    grid: self.grid,
                    map: self.plan.input.map,
                    range: self.plan.input.range,
                    extension: self.input.extension(),
                    args: &self.args,
                    position: self.plan.input.position,
                    arg_position: self.plan.position,
                    labels: self.input.labels(index),
                    presented: Cell::new(0),
                };
                let mut row = out.row_mut(to);
                let Scratch { samples, values, .. } = scratch;
                self.plan.func.evaluate(&frame, samples, values, &mut row)?;
                // Also after a function that was stopped between its steps.
                q.check()?;
                presented += frame.presented.get();
                cells += row.as_row().weight();
            }
            Ok::<_, QueryError>(())
        })?;
        q.count_samples(presented);
        q.hold(cells)
    }
}

/// Samples of windows, series by series.
pub struct Ranges<'q> {
    plan: &'q RangePlan,
    grid: Grid,
    source: Source<'q>,
}

enum Source<'q> {
    Selector { data: Arc<dyn SeriesData>, labels: &'q [norn_model::labels::Labels] },
    Subquery { input: Table<'q>, grid: Grid },
}

impl<'q> Ranges<'q> {
    /// Opens what `plan` reads.
    pub fn open(plan: &'q RangePlan, grid: Grid, q: &'q Query) -> Result<Self, QueryError> {
        let source = match &plan.source {
            RangeSource::Selector(selector, _) => {
                let selection = selection(q, *selector)?;
                Source::Selector { data: selection.data.clone(), labels: &selection.labels }
            }
            // Without a step nothing is evaluated, so that nothing annotates or fails.
            RangeSource::Subquery(_, inner) if inner.steps == 0 => {
                Source::Subquery { input: Table::empty(q, inner)?, grid: *inner }
            }
            RangeSource::Subquery(input, inner) => {
                Source::Subquery { input: open_vector(input, *inner, q)?, grid: *inner }
            }
        };
        Ok(Self { plan, grid, source })
    }

    /// The series.
    pub fn series(&self) -> Vec<Series> {
        match &self.source {
            Source::Selector { labels, .. } => labels.iter().cloned().map(Series::new).collect(),
            Source::Subquery { input, .. } => input.series.clone(),
        }
    }

    /// Labels of one series.
    pub fn labels(&self, index: usize) -> &norn_model::labels::Labels {
        match &self.source {
            Source::Selector { labels, .. } => &labels[index],
            Source::Subquery { input, .. } => &input.series[index].labels,
        }
    }

    /// What happens at the edges of windows.
    pub fn extension(&self) -> Extension {
        match self.plan.source {
            RangeSource::Selector(_, extension) => extension,
            RangeSource::Subquery(..) => Extension::None,
        }
    }

    /// Times of samples that some window may need.
    pub fn span(&self) -> (Millis, Millis) {
        let (first, last) = self.plan.map.span(&self.grid);
        let (before, after) = match self.extension() {
            Extension::None => (0, 0),
            Extension::Anchored(lookback) => (lookback, 0),
            Extension::Smoothed(lookback) => (lookback, lookback),
        };
        let start = first.saturating_sub(self.plan.range).saturating_sub(before);
        (start.saturating_add(1), last.saturating_add(after))
    }

    /// Reads the samples of one series, without stale markers, into `scratch.samples`.
    pub fn read(&self, q: &Query, index: usize, scratch: &mut Scratch) -> Result<(), QueryError> {
        match &self.source {
            Source::Selector { data, .. } => {
                let Scratch { chunks, samples, .. } = scratch;
                let bytes = decode::read(&**data, index, self.span(), self.plan.starts, chunks, samples)?;
                q.count_chunk_bytes(bytes);
                samples.drop_stale();
                if self.plan.statistics {
                    let from = |t| self.plan.map.reads_from(&self.grid, self.plan.range, t);
                    samples.reduce_to_statistics(from);
                }
            }
            Source::Subquery { input, grid } => {
                input.fill(q, index..index + 1, &mut scratch.block)?;
                from_row(&scratch.block.row(0), grid, &mut scratch.samples);
            }
        }
        Ok(())
    }
}

/// Makes samples of a subquery's row. What was known about counter resets does not hold between
/// its steps.
fn from_row(row: &Row<'_>, grid: &Grid, samples: &mut Samples) {
    samples.clear();
    for k in row.float_steps() {
        samples.times.push(grid.time(k));
        samples.values.push(row.values[k]);
    }
    for (k, h) in row.histograms {
        let mut h = h.clone();
        if matches!(h.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
            Arc::make_mut(&mut h).reset_hint = ResetHint::Unknown;
        }
        samples.histogram_times.push(grid.time(*k as usize));
        samples.histograms.push(h);
    }
}
