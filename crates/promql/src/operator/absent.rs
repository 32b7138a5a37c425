//! `absent` and `absent_over_time`: an element where there is none.

use norn_model::labels::Labels;

use crate::block::{Block, is_set, set};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::window::Ranges;
use crate::operator::{Table, open as open_vector};
use crate::plan::{RangePlan, VectorPlan};
use crate::query::Query;
use crate::series::Series;

/// Opens `absent(input)`.
pub fn open<'q>(
    input: &'q VectorPlan,
    labels: &Labels,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let table = open_vector(input, grid, q)?;
    let mut present = vec![0u64; grid.steps.div_ceil(64)];
    table.for_each(q, |_, row| {
        for (word, live) in present.iter_mut().zip(row.live) {
            *word |= live;
        }
        row.histograms.iter().for_each(|(k, _)| set(&mut present, *k as usize));
        Ok(())
    })?;
    absent_at(&present, Series::new(labels.clone()), grid, q)
}

/// Opens `absent_over_time(input)`.
pub fn open_window<'q>(
    input: &'q RangePlan,
    labels: &Labels,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let ranges = Ranges::open(input, grid, q)?;
    let mut present = vec![0u64; grid.steps.div_ceil(64)];
    for index in 0..ranges.series().len() {
        if index % 64 == 0 {
            q.check()?;
        }
        q.with_scratch(|scratch| {
            ranges.read(q, index, scratch)?;
            let samples = &scratch.samples;
            let times: Vec<_> = merge_times(&samples.times, &samples.histogram_times);
            let mut next = 0;
            for k in 0..grid.steps {
                let end = input.map.map(grid.time(k));
                while next < times.len() && times[next] <= end {
                    next += 1;
                }
                if next > 0 && times[next - 1] > end.saturating_sub(input.range) {
                    set(&mut present, k);
                }
            }
            Ok::<_, QueryError>(())
        })?;
    }
    let drop_name = q.features.delayed_name_removal;
    absent_at(&present, Series { labels: labels.clone(), drop_name }, grid, q)
}

fn merge_times(a: &[i64], b: &[i64]) -> Vec<i64> {
    let mut times = [a, b].concat();
    if !a.is_empty() && !b.is_empty() {
        times.sort_unstable();
    }
    times
}

fn absent_at<'q>(present: &[u64], series: Series, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let mut block = Block::new(1, grid.steps);
    let mut row = block.row_mut(0);
    for k in (0..grid.steps).filter(|k| !is_set(present, *k)) {
        row.set(k, 1.0);
    }
    Table::stored(q, vec![series], block)
}
