//! `changes` and `resets`: counts of what happens between neighbouring samples.

use norn_model::Millis;

use crate::block::{Cell, RowMut};
use crate::decode::Samples;
use crate::histogram::compare::{detect_reset, equals};
use crate::plan::Extension;
use crate::window::{Frame, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let pairs = merged(samples);
    let happened: fn(Cell<'_>, Cell<'_>) -> bool =
        if func == WindowFn::Resets { is_reset } else { is_change };
    // How often it happened up to and including each sample.
    let mut counts = Vec::with_capacity(pairs.len());
    let mut count = 0u32;
    for (i, (_, cell)) in pairs.iter().enumerate() {
        count += u32::from(i > 0 && happened(pairs[i - 1].1, *cell));
        counts.push(count);
    }
    let (mut first, mut end) = (0, 0);
    for k in 0..frame.grid.steps {
        let last = frame.map.map(frame.grid.time(k));
        let start = last.saturating_sub(frame.range);
        while end < pairs.len() && pairs[end].0 <= last {
            end += 1;
        }
        while first < end && pairs[first].0 <= start {
            first += 1;
        }
        if first == end {
            continue;
        }
        frame.present(end - first);
        // An anchored window starts at the newest sample before it, if that is not too old.
        let from = match frame.extension {
            Extension::Anchored(lookback)
                if first > 0 && pairs[first - 1].0 > start.saturating_sub(lookback) =>
            {
                first - 1
            }
            _ => first,
        };
        out.set(k, f64::from(counts[end - 1] - counts[from]));
    }
}

/// Samples of both kinds in time order.
fn merged(samples: &Samples) -> Vec<(Millis, Cell<'_>)> {
    let floats = samples.times.iter().zip(&samples.values).map(|(t, v)| (*t, Cell::Float(*v)));
    let histograms =
        samples.histogram_times.iter().zip(&samples.histograms).map(|(t, h)| (*t, Cell::Histogram(h)));
    let mut all: Vec<_> = floats.chain(histograms).collect();
    if !samples.times.is_empty() && !samples.histogram_times.is_empty() {
        all.sort_by_key(|(t, _)| *t);
    }
    all
}

fn is_change(previous: Cell<'_>, current: Cell<'_>) -> bool {
    match (previous, current) {
        (Cell::Float(a), Cell::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Cell::Histogram(a), Cell::Histogram(b)) => !equals(b, a),
        _ => true,
    }
}

fn is_reset(previous: Cell<'_>, current: Cell<'_>) -> bool {
    match (previous, current) {
        (Cell::Float(a), Cell::Float(b)) => b < a,
        (Cell::Histogram(a), Cell::Histogram(b)) => detect_reset(b, a),
        _ => true,
    }
}
