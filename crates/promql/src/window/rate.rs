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
use crate::window::{Frame, Window, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let counter = func != WindowFn::Delta;
    let seconds = (func == WindowFn::Rate).then(|| frame.range_seconds());
    let resets = if counter { resets(&samples.values) } else { Vec::new() };
    let mut cursor = 0;
    for window in frame.windows(samples) {
        if !window.floats.is_empty() && !window.histograms.is_empty() {
            frame.note(NoteKind::MixedRange);
        } else if window.floats.len() > 1 {
            let increase = increase(&window, &resets, &mut cursor);
            let first = window.values()[0];
            let to_zero = (counter && increase > 0.0 && first >= 0.0).then(|| first / increase);
            let factor = factor(window.start, window.end, window.times(), counter, to_zero, seconds);
            out.set(window.k, increase * factor);
        } else if window.histograms.len() > 1 {
            let Some(mut h) = histogram_increase(window.histograms(), counter, frame) else { continue };
            let first = window.histograms()[0].count;
            let to_zero = (counter && h.count > 0.0 && first >= 0.0).then(|| first / h.count);
            let times = window.histogram_times();
            mul(&mut h, factor(window.start, window.end, times, counter, to_zero, seconds));
            out.push(window.k, Arc::new(h));
        }
    }
    if counter {
        note_name(frame, out);
    }
}

/// Indices of floats below their predecessor.
fn resets(values: &[f64]) -> Vec<u32> {
    (1..values.len()).filter(|i| values[*i] < values[i - 1]).map(|i| i as u32).collect()
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

/// How far the sampled increase is stretched. `to_zero` is the first value as a share of the
/// increase: a counter is not extrapolated below zero.
fn factor(
    start: Millis,
    end: Millis,
    times: &[Millis],
    counter: bool,
    to_zero: Option<f64>,
    seconds: Option<f64>,
) -> f64 {
    let (first, last) = (times[0], times[times.len() - 1]);
    let mut to_start = (first - start) as f64 / 1000.0;
    let mut to_end = (end - last) as f64 / 1000.0;
    let sampled = (last - first) as f64 / 1000.0;
    let average = sampled / (times.len() - 1) as f64;
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter && let Some(share) = to_zero {
        let to_zero = sampled * share;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
    match seconds {
        Some(seconds) => factor / seconds,
        None => factor,
    }
}

/// The increase from the first to the last histogram, compacted; `None` where they do not go together.
pub fn histogram_increase(
    histograms: &[Histogram],
    counter: bool,
    frame: &Frame<'_>,
) -> Option<FloatHistogram> {
    let [first, .., last] = histograms else { return None };
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && histograms.iter().any(is_gauge) {
        frame.note(NoteKind::NotCounter);
    }
    let mut previous: Histogram = first.clone();
    if counter && detect_reset(&histograms[1], first) {
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
        add_resets(&mut result, previous, &histograms[1..], frame)?;
    } else if !is_gauge(first) || !is_gauge(last) {
        frame.note(NoteKind::NotGauge);
    }
    result.reset_hint = ResetHint::Gauge;
    compact(&mut result);
    Some(result)
}

/// Adds what was reached before each reset.
pub fn add_resets(
    result: &mut FloatHistogram,
    mut previous: Histogram,
    rest: &[Histogram],
    frame: &Frame<'_>,
) -> Option<()> {
    for current in rest {
        if detect_reset(current, &previous) {
            match add(result, &previous) {
                Ok(notes) if notes.bounds_reconciled => {
                    frame.note_about(NoteKind::ReconciledBounds, "addition");
                }
                Ok(_) => {}
                Err(_) => {
                    frame.note(NoteKind::MixedSchemas);
                    return None;
                }
            }
        }
        previous = current.clone();
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
        // Samples every 10 s from 10 s to 50 s in (0, 60].
        let times = [10_000, 20_000, 30_000, 40_000, 50_000];
        assert_eq!(factor(0, 60_000, &times, false, None, None), 1.5);
        // Far away from the edges.
        assert_eq!(factor(-60_000, 120_000, &times, false, None, None), 1.25);
        // Not below zero: the first value is a twentieth of the increase.
        assert_eq!(factor(0, 50_000, &times, true, Some(0.05), None), 1.05);
        assert_eq!(factor(0, 60_000, &[10_000, 10_000], true, None, None), 1.0);
    }
}
