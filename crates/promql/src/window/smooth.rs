//! `smoothed` instant selectors: the value at the exact time, between its neighbours.

use std::ops::Range;
use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::ResetHint;
use norn_model::labels::Labels;

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::grid::Grid;
use crate::plan::SelectPlan;
use crate::query::Query;
use crate::window::extended::{Quantity, Reconciled, Way};

/// What all steps of one series share.
pub struct Smooth<'a> {
    /// The query, for annotations.
    pub q: &'a Query,
    /// The selector.
    pub plan: &'a SelectPlan,
    /// Labels of the series.
    pub labels: &'a Labels,
}

impl Smooth<'_> {
    /// Writes the values at every step.
    pub fn evaluate(&self, grid: &Grid, samples: &mut Samples, out: &mut RowMut<'_>) {
        samples.drop_stale();
        for k in 0..grid.steps {
            let at = self.plan.map.map(grid.time(k));
            let floats = self.around(&samples.times, at);
            let histograms = self.around(&samples.histogram_times, at);
            if !floats.is_empty() && !histograms.is_empty() {
                self.note(NoteKind::MixedRange, self.labels.metric_name());
            } else if !floats.is_empty() {
                let values = &samples.values[floats.clone()];
                if let Some(value) = Place::of(&samples.times[floats], at).and_then(|p| self.value(values, p))
                {
                    out.set(k, value);
                }
            } else if let Some(place) = Place::of(&samples.histogram_times[histograms.clone()], at)
                && let Some(value) = self.histogram(&samples.histograms[histograms], place)
            {
                out.push(k, value);
            }
        }
    }

    /// Samples within the lookback on both sides of `at`.
    fn around(&self, times: &[Millis], at: Millis) -> Range<usize> {
        let lookback = self.plan.lookback;
        let first = times.partition_point(|t| *t <= at.saturating_sub(lookback));
        let end = times.partition_point(|t| *t <= at.saturating_add(lookback));
        first..end.max(first)
    }

    fn histogram(&self, values: &[Histogram], place: Place) -> Option<Histogram> {
        if let Place::Between(i, _) = place
            && values[i].has_custom_buckets() != values[i + 1].has_custom_buckets()
        {
            self.note(NoteKind::MixedSchemas, self.labels.metric_name());
            return None;
        }
        let mut value = self.value(values, place)?;
        // A hint tells of the way from one sample to the next, not of a value that is carried on.
        if matches!(place, Place::Behind(_)) && value.reset_hint != ResetHint::Unknown {
            Arc::make_mut(&mut value).reset_hint = ResetHint::Unknown;
        }
        Some(value)
    }

    fn value<T: Quantity>(&self, values: &[T], place: Place) -> Option<T> {
        let (before, way) = match place {
            Place::At(i) | Place::Behind(i) => return values.get(i).cloned(),
            Place::Between(i, way) => (i, way),
        };
        let (a, b) = (values.get(before)?, values.get(before + 1)?);
        let mut reconciled = Reconciled::default();
        let Ok(value) = a.between(b, way, a.may_count() || b.may_count(), &mut reconciled) else {
            self.note(NoteKind::MixedSchemas, self.labels.metric_name());
            return None;
        };
        reconciled.operations().for_each(|name| self.note(NoteKind::ReconciledBounds, name));
        Some(value)
    }

    fn note(&self, kind: NoteKind, subject: &str) {
        self.q.notes.add(kind, self.plan.position, subject);
    }
}

/// Where a time lies among samples.
#[derive(Clone, Copy)]
enum Place {
    At(usize),
    Between(usize, Way),
    Behind(usize),
}

impl Place {
    fn of(times: &[Millis], at: Millis) -> Option<Self> {
        let next = times.partition_point(|t| *t < at);
        match (next.checked_sub(1), times.get(next)) {
            (_, Some(time)) if *time == at => Some(Self::At(next)),
            (Some(before), Some(time)) => Some(Self::Between(before, Way::new(times[before], at, *time))),
            (Some(before), None) => Some(Self::Behind(before)),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_multiplied_before_it_is_divided() {
        let way = Way::new(0, 3, 10);
        let value = 0.0f64.between(&0.1, way, false, &mut Reconciled::default()).expect("compatible");
        assert_eq!(value.to_bits(), (0.1f64 * 3.0 / 10.0).to_bits());
        assert_ne!(value.to_bits(), (0.1f64 * (3.0 / 10.0)).to_bits());
    }
}
