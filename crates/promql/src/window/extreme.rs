//! Minima and maxima by a sliding queue of candidates: each sample enters and leaves once.

use std::collections::VecDeque;

use crate::block::RowMut;
use crate::decode::Samples;
use crate::window::{Frame, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    let times = matches!(func, WindowFn::TimeOfMin | WindowFn::TimeOfMax);
    // Of equal values the earliest is the extreme, but its time is that of the latest.
    let beats: fn(f64, f64) -> bool = match func {
        WindowFn::Min => |new, old| new < old,
        WindowFn::Max => |new, old| new > old,
        WindowFn::TimeOfMin => |new, old| new <= old,
        _ => |new, old| new >= old,
    };
    // Candidates from best to worst, each better than all that follow it in time. NaN only wins
    // among themselves, so they are left out of the queue.
    let mut queue: VecDeque<usize> = VecDeque::new();
    let mut entered = 0;
    for window in frame.windows(samples) {
        if window.floats.is_empty() {
            continue;
        }
        frame.note_ignored(&window);
        for i in entered.max(window.floats.start)..window.floats.end {
            let value = samples.values[i];
            if value.is_nan() {
                continue;
            }
            while queue.back().is_some_and(|last| beats(value, samples.values[*last])) {
                queue.pop_back();
            }
            queue.push_back(i);
        }
        entered = window.floats.end;
        while queue.front().is_some_and(|first| *first < window.floats.start) {
            queue.pop_front();
        }
        // A window of NaN alone ends at its last one.
        let best = queue.front().copied().unwrap_or(window.floats.end - 1);
        let value = if times { samples.times[best] as f64 / 1000.0 } else { samples.values[best] };
        out.set(window.k, value);
    }
}
