//! Functions that take in each sample of a window once.

use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, ResetHint};

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::histogram::accumulate::{Accumulator, Mean as HistogramMean};
use crate::histogram::arithmetic::{Incompatible, Notes};
use crate::numeric::sum::{CompensatedVariance, Mean, Sum};
use crate::window::{Frame, Window, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    for window in frame.windows(samples) {
        match func {
            WindowFn::Count => {
                out.set(window.k, (window.floats.len() + window.histograms.len()) as f64);
            }
            WindowFn::Present => out.set(window.k, 1.0),
            WindowFn::First => edge(&window, true, out),
            WindowFn::Last => edge(&window, false, out),
            WindowFn::TimeOfFirst => out.set(window.k, seconds(first_time(&window))),
            WindowFn::TimeOfLast => out.set(window.k, seconds(last_time(&window))),
            WindowFn::Stddev | WindowFn::Stdvar => deviation(func, &window, frame, out),
            _ => total(func, &window, frame, out),
        }
    }
}

fn seconds(t: Millis) -> f64 {
    t as f64 / 1000.0
}

fn first_time(window: &Window<'_>) -> Millis {
    let (f, h) = (window.times().first(), window.histogram_times().first());
    match (f, h) {
        (Some(f), Some(h)) => *f.min(h),
        (one, other) => one.or(other).copied().unwrap_or_default(),
    }
}

fn last_time(window: &Window<'_>) -> Millis {
    window.times().last().max(window.histogram_times().last()).copied().unwrap_or_default()
}

/// The first or last sample of either kind.
fn edge(window: &Window<'_>, first: bool, out: &mut RowMut<'_>) {
    let (f, h) = if first {
        (window.times().first(), window.histogram_times().first())
    } else {
        (window.times().last(), window.histogram_times().last())
    };
    let float_wins = match (f, h) {
        (Some(f), Some(h)) => {
            if first {
                f < h
            } else {
                f > h
            }
        }
        (f, _) => f.is_some(),
    };
    let (values, histograms) = (window.values(), window.histograms());
    let picked = |len: usize| if first { 0 } else { len - 1 };
    if float_wins {
        out.set(window.k, values[picked(values.len())]);
    } else {
        out.push(window.k, histograms[picked(histograms.len())].clone());
    }
}

fn deviation(func: WindowFn, window: &Window<'_>, frame: &Frame<'_>, out: &mut RowMut<'_>) {
    if window.floats.is_empty() {
        return;
    }
    frame.note_ignored(window);
    let mut variance = CompensatedVariance::default();
    window.values().iter().for_each(|v| variance.add(*v));
    let value = variance.value();
    out.set(window.k, if func == WindowFn::Stddev { value.sqrt() } else { value });
}

/// Sum or mean.
fn total(func: WindowFn, window: &Window<'_>, frame: &Frame<'_>, out: &mut RowMut<'_>) {
    match (window.values(), window.histograms()) {
        ([_, ..], [_, ..]) => frame.note(NoteKind::MixedRange),
        ([first, rest @ ..], []) => {
            let value = if func == WindowFn::Sum {
                let mut sum = Sum::default();
                window.values().iter().for_each(|v| sum.add(*v));
                sum.value()
            } else {
                let mut mean = Mean::new(*first);
                rest.iter().for_each(|v| mean.add(*v));
                mean.value()
            };
            out.set(window.k, value);
        }
        ([], [first, rest @ ..]) => {
            note_resets(window.histograms(), frame);
            let total =
                if func == WindowFn::Sum { sum(first, rest, frame) } else { mean(first, rest, frame) };
            match total {
                Ok(h) => out.push(window.k, Arc::new(h)),
                Err(_) => frame.note(NoteKind::MixedSchemas),
            }
        }
        ([], []) => {}
    }
}

fn note_resets(histograms: &[Histogram], frame: &Frame<'_>) {
    let has = |hint| histograms.iter().any(|h| h.reset_hint == hint);
    if has(ResetHint::Reset) && has(ResetHint::NotReset) {
        frame.note_about(NoteKind::ConflictingResets, "aggregation");
    }
}

fn note_bounds(notes: Notes, frame: &Frame<'_>) {
    if notes.bounds_reconciled {
        frame.note_about(NoteKind::ReconciledBounds, "aggregation");
    }
}

fn sum(first: &Histogram, rest: &[Histogram], frame: &Frame<'_>) -> Result<FloatHistogram, Incompatible> {
    let mut sum = Accumulator::new((**first).clone());
    for h in rest {
        note_bounds(sum.add(h)?, frame);
    }
    Ok(sum.finish())
}

fn mean(first: &Histogram, rest: &[Histogram], frame: &Frame<'_>) -> Result<FloatHistogram, Incompatible> {
    let mut mean = HistogramMean::new((**first).clone());
    for h in rest {
        note_bounds(mean.add(h)?, frame);
    }
    Ok(mean.finish())
}
