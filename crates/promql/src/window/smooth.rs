//! `smoothed` instant selectors: the value at the exact time, between its neighbours.

use norn_model::Millis;
use norn_model::histogram::ResetHint;

use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::grid::Grid;
use crate::plan::SelectPlan;
use crate::window::extended::{Quantity, Way};

/// Writes the values at every step.
pub fn instant(plan: &SelectPlan, grid: &Grid, samples: &mut Samples, out: &mut RowMut<'_>) {
    samples.drop_stale();
    for k in 0..grid.steps {
        let at = plan.map.map(grid.time(k));
        let float = neighbours(&samples.times, at, plan.lookback);
        let histogram = neighbours(&samples.histogram_times, at, plan.lookback);
        match (float, histogram) {
            (Some(near), other) if other.as_ref().is_none_or(|o| o.time < near.time) => {
                let values = &samples.values;
                out.set(k, value(values, &near, |_, _| false).unwrap_or(values[near.before]));
            }
            (_, Some(near)) => {
                let values = &samples.histograms;
                let counter = |a: &Histogram, b: &Histogram| {
                    a.reset_hint != ResetHint::Gauge || b.reset_hint != ResetHint::Gauge
                };
                out.push(k, value(values, &near, counter).unwrap_or_else(|| values[near.before].clone()));
            }
            _ => {}
        }
    }
}

/// The newest sample at or before a time, and how far the time lies on the way to the next.
struct Near {
    before: usize,
    time: Millis,
    way: Option<Way>,
}

fn neighbours(times: &[Millis], at: Millis, lookback: Millis) -> Option<Near> {
    let after = times.partition_point(|t| *t <= at);
    let before = after.checked_sub(1)?;
    let time = times[before];
    if time <= at.saturating_sub(lookback) {
        return None;
    }
    let next = times.get(after).filter(|t| time < at && **t <= at.saturating_add(lookback));
    let way = next.map(|next| Way { gone: (at - time) as f64, whole: (next - time) as f64 });
    Some(Near { before, time, way })
}

fn value<T: Quantity>(values: &[T], near: &Near, counter: impl Fn(&T, &T) -> bool) -> Option<T> {
    let (a, b) = (&values[near.before], values.get(near.before + 1)?);
    let (value, _) = a.between(b, near.way?, counter(a, b)).ok()?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_multiplied_before_it_is_divided() {
        let way = Way { gone: 3.0, whole: 10.0 };
        let (value, _) = 0.0f64.between(&0.1, way, false).expect("floats are compatible");
        assert_eq!(value.to_bits(), (0.1f64 * 3.0 / 10.0).to_bits());
        assert_ne!(value.to_bits(), (0.1f64 * (3.0 / 10.0)).to_bits());
    }
}
