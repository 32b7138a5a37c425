//! `changes` and `resets`: counts of what happens between neighbouring samples.

use crate::block::{Cell, RowMut};
use crate::decode::Samples;
use crate::histogram::compare::{detect_reset, equals};
use crate::plan::Extension;
use crate::window::start::{Moment, Moments};
use crate::window::{Frame, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let pairs = merged(samples);
    let happened: fn(Timed<'_>, Timed<'_>) -> bool =
        if func == WindowFn::Resets { is_reset } else { is_change };
    // How often it happened up to and including each sample.
    let mut counts = Vec::with_capacity(pairs.len());
    let mut count = 0u32;
    for (i, pair) in pairs.iter().enumerate() {
        count += u32::from(i > 0 && happened(pairs[i - 1], *pair));
        counts.push(count);
    }
    let (mut first, mut end) = (0, 0);
    for k in 0..frame.grid.steps {
        let last = frame.map.map(frame.grid.time(k));
        let start = last.saturating_sub(frame.range);
        while end < pairs.len() && pairs[end].0.time <= last {
            end += 1;
        }
        while first < end && pairs[first].0.time <= start {
            first += 1;
        }
        if first == end {
            continue;
        }
        frame.present(end - first);
        // An anchored window starts at the newest sample before it, if that is not too old.
        let from = match frame.extension {
            Extension::Anchored(lookback)
                if first > 0 && pairs[first - 1].0.time > start.saturating_sub(lookback) =>
            {
                first - 1
            }
            _ => first,
        };
        out.set(k, f64::from(counts[end - 1] - counts[from]));
    }
}

type Timed<'s> = (Moment, Cell<'s>);

/// Samples of both kinds in time order.
fn merged(samples: &Samples) -> Vec<Timed<'_>> {
    let moments = Moments { times: &samples.times, starts: &samples.starts };
    let floats = samples.values.iter().enumerate().map(|(i, v)| (moments.at(i), Cell::Float(*v)));
    let moments = Moments { times: &samples.histogram_times, starts: &samples.histogram_starts };
    let histograms = samples.histograms.iter().enumerate().map(|(i, h)| (moments.at(i), Cell::Histogram(h)));
    let mut all: Vec<_> = floats.chain(histograms).collect();
    if !samples.times.is_empty() && !samples.histogram_times.is_empty() {
        all.sort_by_key(|(moment, _)| moment.time);
    }
    all
}

fn is_change((_, previous): Timed<'_>, (_, current): Timed<'_>) -> bool {
    match (previous, current) {
        (Cell::Float(a), Cell::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Cell::Histogram(a), Cell::Histogram(b)) => !equals(b, a),
        _ => true,
    }
}

fn is_reset((before, previous): Timed<'_>, (moment, current): Timed<'_>) -> bool {
    moment.is_reset(before)
        || match (previous, current) {
            (Cell::Float(a), Cell::Float(b)) => b < a,
            (Cell::Histogram(a), Cell::Histogram(b)) => detect_reset(b, a),
            _ => true,
        }
}
