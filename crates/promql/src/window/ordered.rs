//! Functions of a window's values in order: `quantile_over_time`, `mad_over_time`.
//!
//! The sorted window is kept from step to step: samples that leave are taken out and samples that
//! enter are put in at their places.

use crate::annotation::NoteKind;
use crate::block::RowMut;
use crate::decode::Samples;
use crate::numeric::format::general;
use crate::numeric::quantile::{nan_first, quantile, quantile_sorted};
use crate::window::{Frame, Window, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(
    func: WindowFn,
    frame: &Frame<'_>,
    samples: &Samples,
    scratch: &mut Vec<f64>,
    out: &mut RowMut<'_>,
) {
    if func == WindowFn::MedianDeviation {
        for window in frame.windows(samples).filter(|w| !w.floats.is_empty()) {
            frame.note_ignored(&window);
            out.set(window.k, median_deviation(window.values(), scratch));
        }
        return;
    }
    // Zeros of both signs are equal in order but not in their bits: then each window is sorted.
    let zero = |negative| samples.values.iter().any(|v| *v == 0.0 && v.is_sign_negative() == negative);
    let plain = zero(true) && zero(false);
    let mut sorted = Sorted { values: scratch, covers: 0..0 };
    sorted.values.clear();
    for window in frame.windows(samples).filter(|w| !w.floats.is_empty()) {
        let q = frame.arg(0, window.k);
        if !(0.0..=1.0).contains(&q) {
            frame.q.notes.add(NoteKind::Quantile, frame.arg_position, &general(q));
        }
        if !window.histograms.is_empty() {
            frame.q.notes.add(NoteKind::IgnoredInRange, frame.arg_position, frame.labels.metric_name());
        }
        let value = if plain {
            sorted.values.clear();
            sorted.values.extend_from_slice(window.values());
            quantile(q, sorted.values)
        } else {
            sorted.move_to(&window, samples);
            of_sorted(q, sorted.values)
        };
        out.set(window.k, value);
    }
}

fn of_sorted(q: f64, sorted: &[f64]) -> f64 {
    if q.is_nan() {
        f64::NAN
    } else if q < 0.0 {
        f64::NEG_INFINITY
    } else if q > 1.0 {
        f64::INFINITY
    } else {
        quantile_sorted(q, sorted)
    }
}

struct Sorted<'a> {
    values: &'a mut Vec<f64>,
    covers: std::ops::Range<usize>,
}

impl Sorted<'_> {
    fn move_to(&mut self, window: &Window<'_>, samples: &Samples) {
        let (old, new) = (self.covers.clone(), window.floats.clone());
        self.covers = new.clone();
        // Where little stays, sorting anew is cheaper than moving one by one.
        let stays = old.end.saturating_sub(new.start);
        if stays == 0 || stays < new.len() / 2 || new.len() > 4096 {
            self.values.clear();
            self.values.extend_from_slice(window.values());
            self.values.sort_unstable_by(nan_first);
            return;
        }
        let (leave, enter) = (&samples.values[old.start..new.start], &samples.values[old.end..new.end]);
        let both = leave.len().min(enter.len());
        for (old, new) in leave.iter().zip(enter) {
            self.replace(*old, *new);
        }
        for v in &leave[both..] {
            self.values.remove(self.place(*v));
        }
        for v in &enter[both..] {
            self.values.insert(self.place(*v), *v);
        }
    }

    /// Where `v` is, or belongs.
    fn place(&self, v: f64) -> usize {
        self.values.partition_point(|other| nan_first(other, &v).is_lt())
    }

    /// Takes `old` out and puts `new` in: only what lies between them moves.
    fn replace(&mut self, old: f64, new: f64) {
        let (from, to) = (self.place(old), self.place(new));
        if to > from {
            self.values.copy_within(from + 1..to, from);
            self.values[to - 1] = new;
        } else {
            self.values.copy_within(to..from, to + 1);
            self.values[to] = new;
        }
    }
}

/// Median of the distances from the median.
fn median_deviation(values: &[f64], scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(values);
    let median = quantile(0.5, scratch);
    scratch.clear();
    scratch.extend(values.iter().map(|v| (v - median).abs()));
    if scratch.iter().any(|v| v.is_nan()) { f64::NAN } else { quantile(0.5, scratch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_keeps_order() {
        let mut values = vec![f64::NAN, 1.0, 2.0, 2.0, 5.0];
        let mut sorted = Sorted { values: &mut values, covers: 0..0 };
        for (old, new) in [(2.0, 7.0), (5.0, 0.0), (7.0, 7.0), (1.0, f64::NAN), (0.0, 3.0)] {
            sorted.replace(old, new);
        }
        assert!(values[0].is_nan() && values[1].is_nan());
        assert_eq!(values[2..], [2.0, 3.0, 7.0]);
    }

    #[test]
    fn median_deviations() {
        let mut scratch = Vec::new();
        assert_eq!(median_deviation(&[4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0], &mut scratch), 1.0);
        assert!(median_deviation(&[1.0, f64::NAN, 2.0], &mut scratch).is_nan());
    }
}
