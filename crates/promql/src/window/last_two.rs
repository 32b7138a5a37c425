//! `irate` and `idelta`: from the last two samples.

use std::sync::Arc;

use norn_model::histogram::{FloatHistogram, ResetHint};

use crate::annotation::NoteKind;
use crate::block::{Cell, Histogram, RowMut};
use crate::decode::Samples;
use crate::histogram::arithmetic::{div, sub};
use crate::histogram::compare::detect_reset;
use crate::histogram::layout::compact;
use crate::window::start::Moment;
use crate::window::{Frame, Window, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let per_second = func == WindowFn::InstantRate;
    for window in frame.windows(samples) {
        let Some(((m0, first), (m1, last))) = last_two(&window) else { continue };
        if m0.time == m1.time {
            continue;
        }
        let seconds = (m1.time - m0.time) as f64 / 1000.0;
        let restarted = m1.is_reset(m0);
        match (first, last) {
            (Cell::Float(a), Cell::Float(b)) => {
                let change = if per_second && (b < a || restarted) { b } else { b - a };
                out.set(window.k, if per_second { change / seconds } else { change });
            }
            (Cell::Histogram(a), Cell::Histogram(b)) => {
                let Some(mut change) = histogram_change(a, b, per_second, restarted, frame) else { continue };
                if per_second {
                    div(&mut change, seconds);
                }
                out.push(window.k, Arc::new(change));
            }
            _ => frame.note(NoteKind::MixedRange),
        }
    }
}

type Timed<'s> = (Moment, Cell<'s>);

/// The last two samples of either kind, in time order.
fn last_two<'s>(window: &Window<'s>) -> Option<(Timed<'s>, Timed<'s>)> {
    let (ft, fv) = (window.times(), window.values());
    let (ht, hv) = (window.histogram_times(), window.histograms());
    let (moments, histogram_moments) = (window.moments(), window.histogram_moments());
    let (mut f, mut h) = (ft.len(), ht.len());
    let mut take = || -> Option<Timed<'s>> {
        if f > 0 && (h == 0 || ft[f - 1] >= ht[h - 1]) {
            f -= 1;
            return Some((moments.at(f), Cell::Float(fv[f])));
        }
        h = h.checked_sub(1)?;
        Some((histogram_moments.at(h), Cell::Histogram(&hv[h])))
    };
    let last = take()?;
    Some((take()?, last))
}

fn histogram_change(
    a: &Histogram,
    b: &Histogram,
    per_second: bool,
    restarted: bool,
    frame: &Frame<'_>,
) -> Option<FloatHistogram> {
    let gauges = [a, b].map(|h| h.reset_hint == ResetHint::Gauge);
    if per_second && gauges.contains(&true) {
        frame.note(NoteKind::NotCounter);
    }
    if !per_second && gauges.contains(&false) {
        frame.note(NoteKind::NotGauge);
    }
    let mut change = (**b).clone();
    if !per_second || !(restarted || detect_reset(b, a)) {
        match sub(&mut change, a) {
            Ok(notes) if notes.bounds_reconciled => {
                frame.note_about(NoteKind::ReconciledBounds, "subtraction");
            }
            Ok(_) => {}
            Err(_) => {
                frame.note(NoteKind::MixedSchemas);
                return None;
            }
        }
    }
    change.reset_hint = ResetHint::Gauge;
    compact(&mut change);
    Some(change)
}
