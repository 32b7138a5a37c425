//! `anchored` and `smoothed` ranges: values at the exact edges of the window instead of
//! extrapolation.
//!
//! An anchored range takes the newest sample at or before its start as the value at the start. A
//! smoothed one interpolates between the neighbours of each edge.

use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::ResetHint;
use norn_model::labels::Labels;

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::error::QueryError;
use crate::histogram::arithmetic::{Incompatible, add, div, mul, sub};
use crate::histogram::compare::detect_reset;
use crate::histogram::layout::compact;
use crate::plan::Extension;
use crate::value::SeriesPoints;
use crate::window::{Frame, WindowFn, rate};

/// How far a time lies behind a sample, and the sample behind that, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    gone: f64,
    whole: f64,
}

impl Way {
    /// To `at`, on the way from one time to the next.
    pub(super) fn new(from: Millis, at: Millis, to: Millis) -> Self {
        Self { gone: at.saturating_sub(from) as f64, whole: to.saturating_sub(from) as f64 }
    }
}

/// What had to cut custom bounds down to the common ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reconciled {
    subtraction: bool,
    addition: bool,
}

impl Reconciled {
    /// Names for annotations.
    pub(super) fn operations(self) -> impl Iterator<Item = &'static str> {
        [(self.subtraction, "subtraction"), (self.addition, "addition")]
            .into_iter()
            .filter_map(|(seen, name)| seen.then_some(name))
    }
}

/// What can be interpolated and subtracted.
pub(super) trait Quantity: Clone {
    /// Whether a reset that the left edge was interpolated across is not looked for again.
    const KNOWS_LEFT_RESET: bool;
    /// Whether it is taken for a counter between two samples of an instant selector.
    fn may_count(&self) -> bool;
    /// Whether a counter was reset before `self`.
    fn is_reset(&self, previous: &Self) -> bool;
    /// The value on the way to `next`; a counter that was reset starts from zero.
    fn between(
        &self,
        next: &Self,
        way: Way,
        counter: bool,
        reconciled: &mut Reconciled,
    ) -> Result<Self, Incompatible>;
    /// `self - other`.
    fn minus(&self, other: &Self, reconciled: &mut Reconciled) -> Result<Self, Incompatible>;
    /// `self + other`.
    fn plus(&self, other: &Self, reconciled: &mut Reconciled) -> Result<Self, Incompatible>;
}

impl Quantity for f64 {
    const KNOWS_LEFT_RESET: bool = false;

    fn may_count(&self) -> bool {
        false
    }

    fn is_reset(&self, previous: &Self) -> bool {
        self < previous
    }

    fn between(
        &self,
        next: &Self,
        way: Way,
        counter: bool,
        _: &mut Reconciled,
    ) -> Result<Self, Incompatible> {
        let from = if counter && next < self { 0.0 } else { *self };
        Ok(from + (next - from) * way.gone / way.whole)
    }

    fn minus(&self, other: &Self, _: &mut Reconciled) -> Result<Self, Incompatible> {
        Ok(self - other)
    }

    fn plus(&self, other: &Self, _: &mut Reconciled) -> Result<Self, Incompatible> {
        Ok(self + other)
    }
}

impl Quantity for Histogram {
    const KNOWS_LEFT_RESET: bool = true;

    fn may_count(&self) -> bool {
        self.reset_hint != ResetHint::Gauge
    }

    fn is_reset(&self, previous: &Self) -> bool {
        detect_reset(self, previous)
    }

    fn between(
        &self,
        next: &Self,
        way: Way,
        counter: bool,
        reconciled: &mut Reconciled,
    ) -> Result<Self, Incompatible> {
        let share = way.gone / way.whole;
        let reset = counter && detect_reset(next, self);
        let mut value = (**next).clone();
        if !reset {
            reconciled.subtraction |= sub(&mut value, self)?.bounds_reconciled;
        }
        mul(&mut value, share);
        if !reset {
            reconciled.addition |= add(&mut value, self)?.bounds_reconciled;
        }
        Ok(Arc::new(value))
    }

    fn minus(&self, other: &Self, reconciled: &mut Reconciled) -> Result<Self, Incompatible> {
        let mut value = (**self).clone();
        reconciled.subtraction |= sub(&mut value, other)?.bounds_reconciled;
        Ok(Arc::new(value))
    }

    fn plus(&self, other: &Self, reconciled: &mut Reconciled) -> Result<Self, Incompatible> {
        let mut value = (**self).clone();
        reconciled.addition |= add(&mut value, other)?.bounds_reconciled;
        Ok(Arc::new(value))
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
        } else if !floats.is_empty() {
            let series = (&samples.times[floats.clone()], &samples.values[floats]);
            if let Some(change) = float_change(&edges, series, counter) {
                out.set(k, if func == WindowFn::Rate { change / frame.range_seconds() } else { change });
            }
        } else if !histograms.is_empty() {
            let series = (&samples.histogram_times[histograms.clone()], &samples.histograms[histograms]);
            if let Some(change) = histogram_change(func, &edges, series, frame) {
                out.push(k, change);
            }
        }
    }
    if counter {
        rate::note_name(frame, out);
    }
}

fn float_change(edges: &Edges, series: (&[Millis], &[f64]), counter: bool) -> Option<f64> {
    let bounds = edges.bounds(series.0)?;
    edges.increase(series, bounds, counter, &mut Reconciled::default()).ok()
}

fn histogram_change(
    func: WindowFn,
    edges: &Edges,
    series: (&[Millis], &[Histogram]),
    frame: &Frame<'_>,
) -> Option<Histogram> {
    let counter = func != WindowFn::Delta;
    let (first, last) = edges.bounds(series.0)?;
    let between = series.1.get(first..=last)?;
    let custom = between.first()?.has_custom_buckets();
    let mut same = between.iter().take_while(|h| h.has_custom_buckets() == custom);
    if counter && same.clone().any(|h| h.reset_hint == ResetHint::Gauge) {
        frame.note(NoteKind::NotCounter);
    }
    if same.by_ref().count() < between.len() {
        frame.note(NoteKind::MixedSchemas);
        return None;
    }
    let mut reconciled = Reconciled::default();
    let change = edges.increase(series, (first, last), counter, &mut reconciled);
    if !counter
        && let Ok((left, right)) = edges.values(series, (first, last), counter, &mut Reconciled::default())
        && (left.may_count() || right.may_count())
    {
        frame.note(NoteKind::NotGauge);
    }
    reconciled.operations().for_each(|name| frame.note_about(NoteKind::ReconciledBounds, name));
    let Ok(change) = change else {
        frame.note(NoteKind::MixedSchemas);
        return None;
    };
    let mut change = Arc::unwrap_or_clone(change);
    if func == WindowFn::Rate {
        div(&mut change, frame.range_seconds());
    }
    change.reset_hint = ResetHint::Gauge;
    compact(&mut change);
    Some(Arc::new(change))
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
        reconciled: &mut Reconciled,
    ) -> Result<(T, T), Incompatible> {
        let mut at = |i: usize, t: Millis| {
            let way = Way::new(times[i], t, times[i + 1]);
            values[i].between(&values[i + 1], way, counter, reconciled)
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
        Ok((left, right))
    }

    fn increase<T: Quantity>(
        &self,
        series: (&[Millis], &[T]),
        bounds: (usize, usize),
        counter: bool,
        reconciled: &mut Reconciled,
    ) -> Result<T, Incompatible> {
        let (left, right) = self.values(series, bounds, counter, reconciled)?;
        let result = right.minus(&left, reconciled)?;
        if !counter {
            return Ok(result);
        }
        match self.lost(series, bounds, (left, right), reconciled)? {
            Some(lost) => result.plus(&lost, reconciled),
            None => Ok(result),
        }
    }

    /// What a counter had at its resets between the edges, in sum.
    fn lost<T: Quantity>(
        &self,
        (times, values): (&[Millis], &[T]),
        (first, last): (usize, usize),
        (left, right): (T, T),
        reconciled: &mut Reconciled,
    ) -> Result<Option<T>, Incompatible> {
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
        let mut lost: Option<T> = None;
        for current in values[from..last].iter().cloned().chain([right]) {
            if current.is_reset(&previous) {
                lost = Some(match lost {
                    None => previous,
                    Some(sum) => sum.plus(&previous, reconciled)?,
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
    let Ok((left, right)) = edges.values((times, values), (first, last), false, &mut Reconciled::default())
    else {
        return Ok(None);
    };
    let mut floats = vec![(start, left)];
    let inside = times.iter().zip(values).filter(|(t, _)| **t > start && **t < end);
    floats.extend(inside.map(|(t, v)| (*t, *v)));
    floats.push((end, right));
    Ok(Some(SeriesPoints { labels: labels.clone(), floats, histograms: Vec::new() }))
}
