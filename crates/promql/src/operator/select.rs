//! Instant selectors: at each step the newest sample that is not too old.

use std::ops::Range;
use std::sync::Arc;

use norn_contract::source::SeriesData;
use norn_model::labels::Labels;
use norn_model::sample::is_stale_nan;

use crate::block::{Block, RowMut};
use crate::decode::{self, Samples};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::{Rows, Table};
use crate::plan::{SelectPlan, Yield};
use crate::query::Query;
use crate::series::Series;
use crate::window::smooth::Smooth;

/// Opens a selector.
pub fn open<'q>(plan: &'q SelectPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let selection = selection(q, plan.selector)?;
    let series = selection.labels.iter().cloned().map(Series::new).collect();
    let (labels, data) = (&selection.labels, selection.data.clone());
    Table::new(q, &grid, series, Select { plan, grid, labels, data })
}

/// The series a selector found.
pub fn selection(q: &Query, selector: usize) -> Result<&norn_contract::source::Selection, QueryError> {
    q.selections.get(selector).ok_or_else(|| QueryError::Internal("selector was not read".to_owned()))
}

struct Select<'q> {
    plan: &'q SelectPlan,
    grid: Grid,
    labels: &'q [Labels],
    data: Arc<dyn SeriesData>,
}

impl Rows for Select<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        out.reset(rows.len(), self.grid.steps);
        let starts = self.plan.yields == Yield::Start;
        let mut cells = 0;
        q.with_scratch(|scratch| {
            for (to, index) in rows.enumerate() {
                let bytes = decode::read(
                    &*self.data,
                    index,
                    self.plan.span,
                    starts,
                    &mut scratch.chunks,
                    &mut scratch.samples,
                )?;
                q.count_chunk_bytes(bytes);
                if self.plan.statistics {
                    let from = |t| self.plan.map.reads_from(&self.grid, self.plan.lookback, t);
                    scratch.samples.reduce_to_statistics(from);
                }
                let mut row = out.row_mut(to);
                if self.plan.smoothed {
                    let smooth = Smooth { q, plan: self.plan, labels: &self.labels[index] };
                    smooth.evaluate(&self.grid, &mut scratch.samples, &mut row);
                } else {
                    newest(self.plan, &self.grid, &scratch.samples, &mut row);
                }
                cells += row.as_row().weight();
            }
            Ok::<_, QueryError>(())
        })?;
        q.count_samples(cells);
        q.hold(cells)
    }
}

/// Walks the steps with one cursor for floats and one for histograms.
fn newest(plan: &SelectPlan, grid: &Grid, samples: &Samples, out: &mut RowMut<'_>) {
    let (mut f, mut h) = (0, 0);
    for k in 0..grid.steps {
        let at = plan.map.map(grid.time(k));
        let oldest = at.saturating_sub(plan.lookback);
        while f < samples.times.len() && samples.times[f] <= at {
            f += 1;
        }
        while h < samples.histogram_times.len() && samples.histogram_times[h] <= at {
            h += 1;
        }
        let float = f.checked_sub(1).map(|i| samples.times[i]);
        let histogram = h.checked_sub(1).map(|i| samples.histogram_times[i]);
        if histogram > float && histogram > Some(oldest) {
            let value = &samples.histograms[h - 1];
            if value.is_stale() {
                continue;
            }
            match plan.yields {
                Yield::Value => out.push(k, value.clone()),
                Yield::Timestamp => out.set(k, samples.histogram_times[h - 1] as f64 / 1000.0),
                Yield::Start => out.set(k, samples.histogram_starts[h - 1] as f64 / 1000.0),
            }
        } else if float > Some(oldest) && !is_stale_nan(samples.values[f - 1]) {
            let value = match plan.yields {
                Yield::Value => samples.values[f - 1],
                Yield::Timestamp => samples.times[f - 1] as f64 / 1000.0,
                Yield::Start => samples.starts[f - 1] as f64 / 1000.0,
            };
            out.set(k, value);
        }
    }
}
