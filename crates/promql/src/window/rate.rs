//! `rate`, `increase` and `delta`: extrapolated to the edges of the window.

use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, ResetHint};
use norn_model::quote::Quoted;

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::histogram::arithmetic::{add, mul, sub};
use crate::histogram::compare::detect_reset;
use crate::histogram::layout::{compact, reduce_schema};
use crate::series::METRIC_TYPE;
use crate::window::start::Moments;
use crate::window::{Frame, Window, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let counter = func != WindowFn::Delta;
    let seconds = (func == WindowFn::Rate).then(|| frame.range_seconds());
    let stretch = Stretch { counter, seconds };
    let moments = Moments { times: &samples.times, starts: &samples.starts };
    let resets = if counter { resets(&samples.values, moments) } else { Vec::new() };
    let overlaps: Vec<usize> = if counter { moments.overlaps().collect() } else { Vec::new() };
    let mut cursor = 0;
    for window in frame.windows(samples) {
        if !window.floats.is_empty() && !window.histograms.is_empty() {
            frame.note(NoteKind::MixedRange);
        } else if window.floats.is_empty() {
            if let Some(h) = stretched_histogram(&window, stretch, frame) {
                out.push(window.k, Arc::new(h));
            }
        } else {
            let next = overlaps.partition_point(|i| *i <= window.floats.start);
            if overlaps.get(next).is_some_and(|i| *i < window.floats.end) {
                frame.note_overlap();
            }
            if let Some(value) = stretched(&window, stretch, &resets, &mut cursor) {
                out.set(window.k, value);
            }
        }
    }
    if counter {
        note_name(frame, out);
    }
}

/// The change of a window's floats, stretched to its edges.
fn stretched(window: &Window<'_>, stretch: Stretch, resets: &[u32], cursor: &mut usize) -> Option<f64> {
    let (values, moments) = (window.values(), window.moments());
    let began = stretch.began(window, moments);
    if values.len() < 2 && began.is_none() {
        return None;
    }
    let increase = increase(window, resets, cursor);
    let first = values[0];
    let to_zero = (increase > 0.0 && first >= 0.0).then(|| first / increase);
    let factor = stretch.factor(window.start, window.end, moments.times, began, to_zero);
    // Where the counter is known to have been zero, that is the first sample.
    let increase = if began.is_some() { increase + first } else { increase };
    Some(increase * factor)
}

/// The change of a window's histograms, stretched to its edges.
fn stretched_histogram(window: &Window<'_>, stretch: Stretch, frame: &Frame<'_>) -> Option<FloatHistogram> {
    let (histograms, moments) = (window.histograms(), window.histogram_moments());
    let began = stretch.began(window, moments);
    let first = histograms.first()?;
    let mut result = match (histograms.len(), began) {
        (1, None) => return None,
        (1, Some(_)) => (**first).clone(),
        _ => histogram_increase(histograms, moments, stretch.counter, frame)?,
    };
    let to_zero = (result.count > 0.0 && first.count >= 0.0).then(|| first.count / result.count);
    if began.is_some() && histograms.len() > 1 {
        add_noted(&mut result, first, frame)?;
    }
    mul(&mut result, stretch.factor(window.start, window.end, moments.times, began, to_zero));
    Some(result)
}

/// Indices of floats before which the counter was reset.
fn resets(values: &[f64], moments: Moments<'_>) -> Vec<u32> {
    let is_reset = |i: &usize| values[*i] < values[i - 1] || moments.is_reset(*i);
    (1..values.len()).filter(is_reset).map(|i| i as u32).collect()
}

/// Last minus first, plus what was reached before each reset, in time order.
fn increase(window: &Window<'_>, resets: &[u32], cursor: &mut usize) -> f64 {
    let values = window.values();
    let (first, last) = (window.floats.start, window.floats.end - 1);
    let mut result = values[values.len() - 1] - values[0];
    while resets.get(*cursor).is_some_and(|r| *r as usize <= first) {
        *cursor += 1;
    }
    for reset in &resets[*cursor..] {
        let reset = *reset as usize;
        if reset > last {
            break;
        }
        result += values[reset - first - 1];
    }
    result
}

/// How a sampled change becomes that of the window.
#[derive(Clone, Copy)]
struct Stretch {
    counter: bool,
    /// Length of the window, where the result is per second.
    seconds: Option<f64>,
}

impl Stretch {
    /// When the counter was zero inside of the window and before the first sample.
    fn began(self, window: &Window<'_>, moments: Moments<'_>) -> Option<Millis> {
        moments.began_after(window.start).filter(|_| self.counter)
    }

    /// How far the sampled change is stretched. `to_zero` is the first value as a share of the
    /// increase: a counter is not extrapolated below zero.
    fn factor(
        self,
        start: Millis,
        end: Millis,
        times: &[Millis],
        began: Option<Millis>,
        to_zero: Option<f64>,
    ) -> f64 {
        let (first, last) = (times[0], times[times.len() - 1]);
        let mut to_start = (first - start) as f64 / 1000.0;
        let mut to_end = (end - last) as f64 / 1000.0;
        let mut sampled = (last - first) as f64 / 1000.0;
        let average = if times.len() > 1 { sampled / (times.len() - 1) as f64 } else { 0.0 };
        let threshold = average * 1.1;
        if let Some(began) = began {
            to_start = 0.0;
            sampled = (last - began) as f64 / 1000.0;
        } else {
            if to_start >= threshold {
                to_start = average / 2.0;
            }
            if self.counter
                && let Some(share) = to_zero
            {
                let to_zero = sampled * share;
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        match self.seconds {
            Some(seconds) => factor / seconds,
            None => factor,
        }
    }
}

/// The increase from the first to the last histogram, compacted; `None` where they do not go together.
pub fn histogram_increase(
    histograms: &[Histogram],
    moments: Moments<'_>,
    counter: bool,
    frame: &Frame<'_>,
) -> Option<FloatHistogram> {
    let [first, .., last] = histograms else { return None };
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && histograms.iter().any(is_gauge) {
        frame.note(NoteKind::NotCounter);
    }
    let mut previous: Histogram = first.clone();
    if counter && (moments.is_reset(1) || detect_reset(&histograms[1], first)) {
        // What was before the reset counts as nothing, and its layout does not matter.
        previous = Arc::new(FloatHistogram {
            schema: histograms[1].schema,
            custom_values: histograms[1].custom_values.clone(),
            ..FloatHistogram::default()
        });
    }
    let custom = previous.has_custom_buckets();
    let between = if counter { &histograms[1..histograms.len() - 1] } else { &[] };
    if last.has_custom_buckets() != custom || between.iter().any(|h| h.has_custom_buckets() != custom) {
        frame.note(NoteKind::MixedSchemas);
        return None;
    }
    let schema = between.iter().map(|h| h.schema).fold(previous.schema.min(last.schema), i32::min);
    let mut result = (**last).clone();
    if result.schema > schema {
        reduce_schema(&mut result, schema);
    }
    match sub(&mut result, &previous) {
        Ok(notes) if notes.bounds_reconciled => {
            frame.note_about(NoteKind::ReconciledBounds, "subtraction");
        }
        Ok(_) => {}
        Err(_) => {
            frame.note(NoteKind::MixedSchemas);
            return None;
        }
    }
    if counter {
        add_resets(&mut result, previous, histograms, moments, frame)?;
    } else if !is_gauge(first) || !is_gauge(last) {
        frame.note(NoteKind::NotGauge);
    }
    result.reset_hint = ResetHint::Gauge;
    compact(&mut result);
    Some(result)
}

/// Adds what was reached before each reset. `previous` stands for the first histogram.
fn add_resets(
    result: &mut FloatHistogram,
    mut previous: Histogram,
    histograms: &[Histogram],
    moments: Moments<'_>,
    frame: &Frame<'_>,
) -> Option<()> {
    for (i, current) in histograms.iter().enumerate().skip(1) {
        if moments.is_reset(i) || detect_reset(current, &previous) {
            add_noted(result, &previous, frame)?;
        }
        previous = current.clone();
    }
    if moments.overlaps().next().is_some() {
        frame.note_overlap();
    }
    Some(())
}

/// Adds a histogram and says what that took; `None` where they do not go together.
fn add_noted(result: &mut FloatHistogram, other: &FloatHistogram, frame: &Frame<'_>) -> Option<()> {
    match add(result, other) {
        Ok(notes) if notes.bounds_reconciled => frame.note_about(NoteKind::ReconciledBounds, "addition"),
        Ok(_) => {}
        Err(_) => {
            frame.note(NoteKind::MixedSchemas);
            return None;
        }
    }
    Some(())
}

/// Doubts that a float series is a counter, if it had a result.
pub fn note_name(frame: &Frame<'_>, out: &RowMut<'_>) {
    if out.live.iter().all(|w| *w == 0) {
        return;
    }
    let name = frame.labels.metric_name();
    if name.is_empty() {
        return;
    }
    if frame.q.features.type_and_unit_labels {
        let kind = frame.labels.get(METRIC_TYPE);
        if !matches!(kind, "counter" | "histogram") {
            frame.note_about(NoteKind::NotCounterType, &format!("{}: {}", Quoted(kind), Quoted(name)));
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
        frame.note(NoteKind::MaybeNotCounter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_to_the_edges_or_half_an_interval() {
        let stretch = |counter| Stretch { counter, seconds: None };
        // Samples every 10 s from 10 s to 50 s in (0, 60].
        let times = [10_000, 20_000, 30_000, 40_000, 50_000];
        assert_eq!(stretch(false).factor(0, 60_000, &times, None, None), 1.5);
        // Far away from the edges.
        assert_eq!(stretch(false).factor(-60_000, 120_000, &times, None, None), 1.25);
        // Not below zero: the first value is a twentieth of the increase.
        assert_eq!(stretch(true).factor(0, 50_000, &times, None, Some(0.05)), 1.05);
        assert_eq!(stretch(true).factor(0, 60_000, &[10_000, 10_000], None, None), 1.0);
        // Began 10 s before the first sample: only the end is stretched.
        assert_eq!(stretch(true).factor(-60_000, 60_000, &times, Some(0), Some(0.0)), 1.2);
        assert_eq!(stretch(true).factor(-60_000, 60_000, &times[..1], Some(0), None), 1.0);
    }
}
