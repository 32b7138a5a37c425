//! From operators to the result: names go, empty series vanish, matrices are sorted.

use std::sync::Arc;

use norn_model::labels::Labels;

use crate::block::{Cell, Row};
use crate::decode::Samples;
use crate::error::{QueryError, same_labelset};
use crate::grid::Grid;
use crate::operator::measure::Profile;
use crate::operator::scalar::evaluate as evaluate_scalar;
use crate::operator::window::Ranges;
use crate::operator::{Table, merge, open};
use crate::plan::{Extension, Plan, RangePlan, Root};
use crate::query::Query;
use crate::series::{Numbering, Series, without_metadata};
use crate::value::{PointValue, SeriesPoints, Value, VectorElement};
use crate::window::extended;

/// Evaluates a plan.
pub fn evaluate(plan: &Plan, q: &Query) -> Result<Value, QueryError> {
    let grid = plan.grid;
    let _turn = q.profile.as_ref().map(Profile::root);
    match &plan.root {
        Root::String(text) => Ok(Value::String { timestamp: grid.start, value: text.clone() }),
        Root::Scalar(scalar) => {
            let values = evaluate_scalar(scalar, grid, q)?;
            if plan.is_range {
                let floats = grid.times().zip(values.iter(grid.steps)).collect();
                return Ok(Value::Matrix(vec![SeriesPoints { floats, ..SeriesPoints::default() }]));
            }
            Ok(Value::Scalar { timestamp: grid.start, value: values.at(0) })
        }
        Root::Vector(vector) => {
            let table = without_names(open(vector, grid, q)?, grid, q)?;
            if plan.is_range { matrix(&table, grid, q) } else { instant(&table, grid, q) }
        }
        Root::Range(range) => samples(range, grid, q),
    }
}

/// Drops the names that were kept until now.
fn without_names<'q>(table: Table<'q>, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    if !q.features.delayed_name_removal {
        return Ok(table);
    }
    let series = table.series.iter().map(Series::finished).collect();
    merge::always(table.with_series(series), grid, q)
}

fn instant(table: &Table<'_>, grid: Grid, q: &Query) -> Result<Value, QueryError> {
    let mut elements = Vec::new();
    let mut charge = q.ledger.charge(0)?;
    table.for_each(q, |i, row| {
        if let Some(cell) = row.cell(0) {
            charge.grow(size_of::<VectorElement>())?;
            elements.push(VectorElement {
                labels: table.series[i].labels.clone(),
                timestamp: grid.start,
                value: match cell {
                    Cell::Float(v) => PointValue::Float(v),
                    Cell::Histogram(h) => PointValue::Histogram(h.clone()),
                },
            });
        }
        Ok(())
    })?;
    let mut seen = Numbering::default();
    if elements.iter().enumerate().any(|(i, e)| seen.number(e.labels.clone()) as usize != i) {
        return Err(same_labelset());
    }
    Ok(Value::Vector(elements))
}

fn matrix(table: &Table<'_>, grid: Grid, q: &Query) -> Result<Value, QueryError> {
    let mut matrix = Vec::new();
    let mut charge = q.ledger.charge(0)?;
    table.for_each(q, |i, row| {
        if !row.is_empty() {
            let points = points(&table.series[i].labels, row, grid);
            charge.grow(size_of::<SeriesPoints>() + 16 * row.count())?;
            matrix.push(points);
        }
        Ok(())
    })?;
    finish(matrix)
}

fn points(labels: &Labels, row: &Row<'_>, grid: Grid) -> SeriesPoints {
    SeriesPoints {
        labels: labels.clone(),
        floats: row.float_steps().map(|k| (grid.time(k), row.values[k])).collect(),
        histograms: row.histograms.iter().map(|(k, h)| (grid.time(*k as usize), h.clone())).collect(),
    }
}

/// Raw samples of an instant query.
fn samples(plan: &RangePlan, grid: Grid, q: &Query) -> Result<Value, QueryError> {
    let ranges = Ranges::open(plan, grid, q)?;
    let mut matrix = Vec::new();
    let mut charge = q.ledger.charge(0)?;
    let end = plan.map.map(grid.start);
    let window = (end.saturating_sub(plan.range), end);
    for (index, series) in ranges.series().iter().enumerate() {
        q.check()?;
        let found = q.with_scratch(|scratch| {
            ranges.read(q, index, scratch)?;
            match ranges.extension() {
                Extension::None => Ok(Some(raw(&series.labels, &scratch.samples, window))),
                extension => extended::points(&series.labels, &scratch.samples, window, extension),
            }
        })?;
        let Some(mut points) = found else { continue };
        if series.drop_name {
            points.labels = without_metadata(&points.labels);
        }
        let count = points.floats.len() + points.histograms.len();
        if count > 0 {
            q.profile.iter().for_each(|profile| profile.root_gave(count));
            q.hold(count as u64)?;
            charge.grow(size_of::<SeriesPoints>() + 16 * count)?;
            matrix.push(points);
        }
    }
    finish(matrix)
}

fn raw(labels: &Labels, samples: &Samples, (start, end): (i64, i64)) -> SeriesPoints {
    let inside = |t: &i64| *t > start && *t <= end;
    let floats = samples.times.iter().zip(&samples.values).filter(|(t, _)| inside(t));
    let histograms = samples.histogram_times.iter().zip(&samples.histograms).filter(|(t, _)| inside(t));
    SeriesPoints {
        labels: labels.clone(),
        floats: floats.map(|(t, v)| (*t, *v)).collect(),
        histograms: histograms.map(|(t, h)| (*t, Arc::clone(h))).collect(),
    }
}

/// Sorts by labels, which must be unique.
fn finish(mut matrix: Vec<SeriesPoints>) -> Result<Value, QueryError> {
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    if matrix.windows(2).any(|w| w[0].labels == w[1].labels) {
        return Err(same_labelset());
    }
    Ok(Value::Matrix(matrix))
}
