//! Straight lines and smoothing: `deriv`, `predict_linear`, `double_exponential_smoothing`.

use norn_model::Millis;

use crate::block::RowMut;
use crate::decode::Samples;
use crate::error::QueryError;
use crate::numeric::sum::Sum;
use crate::window::{Frame, WindowFn};

/// Evaluates `func` at every step.
pub fn evaluate(func: WindowFn, frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) {
    for window in frame.windows(samples).filter(|w| !w.floats.is_empty()) {
        frame.note_ignored(&window);
        if window.floats.len() < 2 {
            continue;
        }
        let (times, values) = (window.times(), window.values());
        let value = if func == WindowFn::Derivative {
            // A reference near the samples keeps precision.
            line(times, values, times[0]).0
        } else {
            let (slope, intercept) = line(times, values, frame.grid.time(window.k));
            slope * frame.arg(0, window.k) + intercept
        };
        out.set(window.k, value);
    }
}

/// Slope and intercept at `reference` by least squares.
fn line(times: &[Millis], values: &[f64], reference: Millis) -> (f64, f64) {
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Sum::default(); 4];
    let mut n = 0.0;
    for (t, y) in times.iter().zip(values) {
        n += 1.0;
        let x = (t - reference) as f64 / 1e3;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let first = values[0];
    if values.iter().skip(1).all(|y| *y == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let total = |s: Sum| s.sum + s.compensation;
    let (x_sum, y_sum, xy_sum, xx_sum) = (total(x_sum), total(y_sum), total(xy_sum), total(xx_sum));
    let covariance = xy_sum - x_sum * y_sum / n;
    let variance = xx_sum - x_sum * x_sum / n;
    let slope = covariance / variance;
    (slope, y_sum / n - slope * x_sum / n)
}

/// `double_exponential_smoothing(m, sf, tf)` at every step.
pub fn smooth(frame: &Frame<'_>, samples: &Samples, out: &mut RowMut<'_>) -> Result<(), QueryError> {
    for window in frame.windows(samples) {
        let (smoothing, trend) = (frame.arg(0, window.k), frame.arg(1, window.k));
        for (name, got) in
            [("smoothing factor. Expected: 0 < sf", smoothing), ("trend factor. Expected: 0 < tf", trend)]
        {
            if got <= 0.0 || got >= 1.0 {
                return Err(QueryError::execution(format!("invalid {name} < 1, got: {got:.6}")));
            }
        }
        if window.floats.is_empty() {
            continue;
        }
        frame.note_ignored(&window);
        if window.floats.len() > 1 {
            out.set(window.k, smoothed(window.values(), smoothing, trend));
        }
    }
    Ok(())
}

fn smoothed(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let mut previous = 0.0;
    let mut current = values[0];
    let mut slope = values[1] - values[0];
    for (i, value) in values.iter().enumerate().skip(1) {
        let scaled = smoothing * value;
        if i > 1 {
            let change = trend * (current - previous);
            slope = change + (1.0 - trend) * slope;
        }
        let kept = (1.0 - smoothing) * (current + slope);
        (previous, current) = (current, scaled + kept);
    }
    current
}
