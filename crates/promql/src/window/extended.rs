//! `anchored` and `smoothed` ranges: values at the exact edges of the window instead of
//! extrapolation.
//!
//! An anchored range takes the newest sample at or before its start as the value at the start. A
//! smoothed one interpolates between the neighbours of each edge.

use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, ResetHint};
use norn_model::labels::Labels;

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::error::QueryError;
use crate::histogram::arithmetic::{Incompatible, Notes, add, div, mul, sub};
use crate::histogram::compare::detect_reset;
use crate::histogram::layout::compact;
use crate::plan::Extension;
use crate::value::SeriesPoints;
use crate::window::{Frame, WindowFn, rate};

/// How far a time lies behind a sample, and the sample behind that, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) gone: f64,
    pub(super) whole: f64,
}

/// What can be interpolated and subtracted.
pub(super) trait Quantity: Clone {
    /// Whether a reset that the left edge was interpolated across is not looked for again.
    const KNOWS_LEFT_RESET: bool;
    /// Whether a counter was reset before `self`.
    fn is_reset(&self, previous: &Self) -> bool;
    /// The value on the way to `next`; a counter that was reset starts from zero.
    fn between(&self, next: &Self, way: Way, counter: bool) -> Result<(Self, Notes), Incompatible>;
    /// `self - other`.
    fn minus(&self, other: &Self) -> Result<(Self, Notes), Incompatible>;
    /// `self + other`.
    fn plus(&self, other: &Self) -> Result<(Self, Notes), Incompatible>;
}

impl Quantity for f64 {
    const KNOWS_LEFT_RESET: bool = false;

    fn is_reset(&self, previous: &Self) -> bool {
        self < previous
    }

    fn between(&self, next: &Self, way: Way, counter: bool) -> Result<(Self, Notes), Incompatible> {
        let from = if counter && next < self { 0.0 } else { *self };
        Ok((from + (next - from) * way.gone / way.whole, Notes::default()))
    }

    fn minus(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        Ok((self - other, Notes::default()))
    }

    fn plus(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        Ok((self + other, Notes::default()))
    }
}

impl Quantity for Histogram {
    const KNOWS_LEFT_RESET: bool = true;

    fn is_reset(&self, previous: &Self) -> bool {
        detect_reset(self, previous)
    }

    fn between(&self, next: &Self, way: Way, counter: bool) -> Result<(Self, Notes), Incompatible> {
        let share = way.gone / way.whole;
        if counter && detect_reset(next, self) {
            let mut scaled = (**next).clone();
            mul(&mut scaled, share);
            return Ok((Arc::new(scaled), Notes::default()));
        }
        let (change, mut notes) = next.minus(self)?;
        let mut value: FloatHistogram = (*change).clone();
        mul(&mut value, share);
        notes |= add(&mut value, self)?;
        value.reset_hint = self.reset_hint;
        Ok((Arc::new(value), notes))
    }

    fn minus(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        let mut value = (**self).clone();
        let notes = sub(&mut value, other)?;
        Ok((Arc::new(value), notes))
    }

    fn plus(&self, other: &Self) -> Result<(Self, Notes), Incompatible> {
        let mut value = (**self).clone();
        let notes = add(&mut value, other)?;
        Ok((Arc::new(value), notes))
    }
}

/// Evaluates `rate`, `increase` or `delta` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let counter = func != WindowFn::Delta;
    for k in 0..frame.grid.steps {
        let end = frame.map.map(frame.grid.time(k));
        let edges = Edges { start: end.saturating_sub(frame.range), end, extension: frame.extension };
        let floats = edges.reach(&samples.times);
        let histograms = edges.reach(&samples.histogram_times);
        frame.present(floats.len() + histograms.len());
        if !floats.is_empty() && !histograms.is_empty() {
            frame.note(NoteKind::MixedRange);
            continue;
        }
        if !floats.is_empty() {
            let series = (&samples.times[floats.clone()], &samples.values[floats]);
            if let Ok(Some((change, _))) = edges.increase(series, counter) {
                out.set(k, if func == WindowFn::Rate { change / frame.range_seconds() } else { change });
            }
        } else if !histograms.is_empty() {
            let values = &samples.histograms[histograms.clone()];
            note_kind(values, counter, frame);
            match edges.increase((&samples.histogram_times[histograms], values), counter) {
                Ok(Some((change, notes))) => out.push(k, finished(func, change, notes, frame)),
                Ok(None) => {}
                Err(_) => frame.note(NoteKind::MixedSchemas),
            }
        }
    }
    if counter {
        rate::note_name(frame, out);
    }
}

fn note_kind(values: &[Histogram], counter: bool, frame: &Frame<'_>) {
    let gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && values.iter().any(gauge) {
        frame.note(NoteKind::NotCounter);
    } else if !counter && !values.iter().all(gauge) {
        frame.note(NoteKind::NotGauge);
    }
}

fn finished(func: WindowFn, change: Histogram, notes: Notes, frame: &Frame<'_>) -> Histogram {
    if notes.bounds_reconciled {
        frame.note_about(NoteKind::ReconciledBounds, "subtraction");
    }
    let mut change = Arc::unwrap_or_clone(change);
    if func == WindowFn::Rate {
        div(&mut change, frame.range_seconds());
    }
    change.reset_hint = ResetHint::Gauge;
    compact(&mut change);
    Arc::new(change)
}

/// A window whose edges get values.
#[derive(Clone, Copy)]
struct Edges {
    start: Millis,
    end: Millis,
    extension: Extension,
}

impl Edges {
    fn is_smoothed(&self) -> bool {
        matches!(self.extension, Extension::Smoothed(_))
    }

    /// The samples the window may use: widened by the lookback.
    fn reach(&self, times: &[Millis]) -> std::ops::Range<usize> {
        let (before, after) = match self.extension {
            Extension::None => (0, 0),
            Extension::Anchored(lookback) => (lookback, 0),
            Extension::Smoothed(lookback) => (lookback, lookback),
        };
        let first = times.partition_point(|t| *t <= self.start.saturating_sub(before));
        let end = times.partition_point(|t| *t <= self.end.saturating_add(after));
        first..end.max(first)
    }

    /// Indices of the samples that decide the values at the edges; `None` without a result.
    fn bounds(&self, times: &[Millis]) -> Option<(usize, usize)> {
        let first = times.partition_point(|t| *t <= self.start).saturating_sub(1);
        let last = if self.is_smoothed() {
            times.partition_point(|t| *t < self.end).min(times.len().checked_sub(1)?)
        } else {
            times.partition_point(|t| *t <= self.end).checked_sub(1)?
        };
        let outside = times[last] <= self.start || (self.is_smoothed() && times[first] > self.end);
        (!outside).then_some((first, last))
    }

    /// Values at the start and at the end.
    fn values<T: Quantity>(
        &self,
        (times, values): (&[Millis], &[T]),
        (first, last): (usize, usize),
        counter: bool,
    ) -> Result<(T, T, Notes), Incompatible> {
        let mut notes = Notes::default();
        let mut at = |i: usize, t: Millis| {
            let way = Way { gone: (t - times[i]) as f64, whole: (times[i + 1] - times[i]) as f64 };
            let (value, more) = values[i].between(&values[i + 1], way, counter)?;
            notes |= more;
            Ok(value)
        };
        let left = if self.is_smoothed() && times[first] < self.start && first < last {
            at(first, self.start)?
        } else {
            values[first].clone()
        };
        let right = if self.is_smoothed() && times[last] > self.end && first < last {
            at(last - 1, self.end)?
        } else {
            values[last].clone()
        };
        Ok((left, right, notes))
    }

    fn increase<T: Quantity>(
        &self,
        series: (&[Millis], &[T]),
        counter: bool,
    ) -> Result<Option<(T, Notes)>, Incompatible> {
        let Some((first, last)) = self.bounds(series.0) else { return Ok(None) };
        let (left, right, mut notes) = self.values(series, (first, last), counter)?;
        let (mut result, more) = right.minus(&left)?;
        notes |= more;
        if !counter {
            return Ok(Some((result, notes)));
        }
        if let Some((lost, more)) = self.lost(series, (first, last), (left, right))? {
            let (sum, again) = result.plus(&lost)?;
            result = sum;
            notes |= more;
            notes |= again;
        }
        Ok(Some((result, notes)))
    }

    /// What a counter had at its resets between the edges, in sum.
    fn lost<T: Quantity>(
        &self,
        (times, values): (&[Millis], &[T]),
        (first, last): (usize, usize),
        (left, right): (T, T),
    ) -> Result<Option<(T, Notes)>, Incompatible> {
        let (mut previous, mut from) = (left, first + 1);
        let across = self.is_smoothed() && times[first] < self.start && first < last;
        if T::KNOWS_LEFT_RESET && across && values[from].is_reset(&values[first]) {
            previous = values[from].clone();
            from += 1;
        }
        // Between two edges in the same gap there is nothing to look for.
        if from > last {
            return Ok(None);
        }
        let mut lost: Option<(T, Notes)> = None;
        for current in values[from..last].iter().cloned().chain([right]) {
            if current.is_reset(&previous) {
                lost = Some(match lost {
                    None => (previous, Notes::default()),
                    Some((sum, mut notes)) => {
                        let (sum, more) = sum.plus(&previous)?;
                        notes |= more;
                        (sum, notes)
                    }
                });
            }
            previous = current;
        }
        Ok(lost)
    }
}

/// The samples of a bare range with a value at each edge; `None` where none lies in it.
pub fn points(
    labels: &Labels,
    samples: &Samples,
    (start, end): (Millis, Millis),
    extension: Extension,
) -> Result<Option<SeriesPoints>, QueryError> {
    let edges = Edges { start, end, extension };
    if !edges.reach(&samples.histogram_times).is_empty() {
        let name = if edges.is_smoothed() { "smoothed" } else { "anchored" };
        return Err(QueryError::execution(format!("{name} modifier is not supported with histograms")));
    }
    let reach = edges.reach(&samples.times);
    let (times, values) = (&samples.times[reach.clone()], &samples.values[reach]);
    let Some((first, last)) = edges.bounds(times) else { return Ok(None) };
    let Ok((left, right, _)) = edges.values((times, values), (first, last), false) else { return Ok(None) };
    let mut floats = vec![(start, left)];
    let inside = times.iter().zip(values).filter(|(t, _)| **t > start && **t < end);
    floats.extend(inside.map(|(t, v)| (*t, *v)));
    floats.push((end, right));
    Ok(Some(SeriesPoints { labels: labels.clone(), floats, histograms: Vec::new() }))
}
