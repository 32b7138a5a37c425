//! Functions over a window of samples.
//!
//! A series is decoded once into columns. Two cursors walk it along the grid, and each function
//! sees its window as a range of those columns: nothing is copied from step to step.
//!
//! | module | functions |
//! |---|---|
//! | [`rate`] | `rate`, `increase`, `delta` |
//! | [`last_two`] | `irate`, `idelta` |
//! | [`over_time`] | `sum_over_time` and relatives |
//! | [`extreme`] | minima and maxima, by a sliding queue |
//! | [`ordered`] | quantiles and deviations from the median |
//! | [`change`] | `changes`, `resets` |
//! | [`start`] | what start timestamps tell of counters |
//! | [`regression`] | `deriv`, `predict_linear`, smoothing |
//! | [`extended`] | `anchored` and `smoothed` ranges |
//! | [`smooth`] | `smoothed` instant selectors |

use std::cell::Cell;
use std::ops::Range;

use norn_model::Millis;
use norn_model::labels::Labels;

use crate::annotation::NoteKind;
use crate::block::{Histogram, RowMut};
use crate::decode::Samples;
use crate::error::QueryError;
use crate::grid::{Grid, TimeMap};
use crate::histogram::text::size_samples;
use crate::operator::scalar::Scalar;
use crate::plan::{Extension, Position};
use crate::query::Query;
use crate::window::start::Moments;

pub mod change;
pub mod extended;
pub mod extreme;
pub mod last_two;
pub mod ordered;
pub mod over_time;
pub mod rate;
pub mod regression;
pub mod smooth;
pub mod start;

/// Samples that are presented to a function between two looks at whether the query should stop.
const CHECK_SAMPLES: usize = 1 << 20;

/// A function over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFn {
    /// `rate`
    Rate,
    /// `increase`
    Increase,
    /// `delta`
    Delta,
    /// `irate`
    InstantRate,
    /// `idelta`
    InstantDelta,
    /// `deriv`
    Derivative,
    /// `predict_linear`
    Predict,
    /// `double_exponential_smoothing`
    Smoothing,
    /// `changes`
    Changes,
    /// `resets`
    Resets,
    /// `sum_over_time`
    Sum,
    /// `avg_over_time`
    Average,
    /// `count_over_time`
    Count,
    /// `present_over_time`
    Present,
    /// `min_over_time`
    Min,
    /// `max_over_time`
    Max,
    /// `ts_of_min_over_time`
    TimeOfMin,
    /// `ts_of_max_over_time`
    TimeOfMax,
    /// `first_over_time`
    First,
    /// `last_over_time`
    Last,
    /// `ts_of_first_over_time`
    TimeOfFirst,
    /// `ts_of_last_over_time`
    TimeOfLast,
    /// `stddev_over_time`
    Stddev,
    /// `stdvar_over_time`
    Stdvar,
    /// `mad_over_time`
    MedianDeviation,
    /// `quantile_over_time`
    Quantile,
}

impl WindowFn {
    /// The function called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "delta" => Self::Delta,
            "irate" => Self::InstantRate,
            "idelta" => Self::InstantDelta,
            "deriv" => Self::Derivative,
            "predict_linear" => Self::Predict,
            "double_exponential_smoothing" => Self::Smoothing,
            "changes" => Self::Changes,
            "resets" => Self::Resets,
            "sum_over_time" => Self::Sum,
            "avg_over_time" => Self::Average,
            "count_over_time" => Self::Count,
            "present_over_time" => Self::Present,
            "min_over_time" => Self::Min,
            "max_over_time" => Self::Max,
            "ts_of_min_over_time" => Self::TimeOfMin,
            "ts_of_max_over_time" => Self::TimeOfMax,
            "first_over_time" => Self::First,
            "last_over_time" => Self::Last,
            "ts_of_first_over_time" => Self::TimeOfFirst,
            "ts_of_last_over_time" => Self::TimeOfLast,
            "stddev_over_time" => Self::Stddev,
            "stdvar_over_time" => Self::Stdvar,
            "mad_over_time" => Self::MedianDeviation,
            "quantile_over_time" => Self::Quantile,
            _ => return None,
        })
    }

    /// Whether it takes `anchored` ranges.
    pub fn anchored(self) -> bool {
        self.smoothed() || matches!(self, Self::Changes | Self::Resets)
    }

    /// Whether it takes `smoothed` ranges.
    pub fn smoothed(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::Delta)
    }

    /// Whether it makes use of start timestamps.
    pub fn reads_starts(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::InstantRate | Self::Resets)
    }

    /// Whether results keep the metric name: those that are samples of the series do.
    pub fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Evaluates the function at every step.
    pub fn evaluate(
        self,
        frame: &Frame<'_>,
        samples: &Samples,
        scratch: &mut Vec<f64>,
        out: &mut RowMut<'_>,
    ) -> Result<(), QueryError> {
        if frame.extension != Extension::None {
            match self {
                Self::Changes | Self::Resets => change::evaluate(self, frame, samples, out),
                _ => extended::evaluate(self, frame, samples, out),
            }
            return Ok(());
        }
        match self {
            Self::Rate | Self::Increase | Self::Delta => rate::evaluate(self, frame, samples, out),
            Self::InstantRate | Self::InstantDelta => last_two::evaluate(self, frame, samples, out),
            Self::Derivative | Self::Predict => regression::evaluate(self, frame, samples, out),
            Self::Smoothing => regression::smooth(frame, samples, out)?,
            Self::Changes | Self::Resets => change::evaluate(self, frame, samples, out),
            Self::Min | Self::Max | Self::TimeOfMin | Self::TimeOfMax => {
                extreme::evaluate(self, frame, samples, out);
            }
            Self::MedianDeviation | Self::Quantile => {
                ordered::evaluate(self, frame, samples, scratch, out);
            }
            _ => over_time::evaluate(self, frame, samples, out),
        }
        Ok(())
    }
}

/// What all windows of one series share.
pub struct Frame<'a> {
    /// The query, for annotations.
    pub q: &'a Query,
    /// Steps.
    pub grid: Grid,
    /// Where windows lie.
    pub map: TimeMap,
    /// Their length.
    pub range: Millis,
    /// What happens at their edges.
    pub extension: Extension,
    /// Scalar arguments.
    pub args: &'a [Scalar],
    /// Where annotations about the range point.
    pub position: Position,
    /// Where annotations about the first argument point.
    pub arg_position: Position,
    /// Labels of the series.
    pub labels: &'a Labels,
    /// Samples in all windows so far, as the reference counts them.
    pub presented: Cell<u64>,
}

impl Frame<'_> {
    /// Adds an annotation about this series' metric.
    pub fn note(&self, kind: NoteKind) {
        self.q.notes.add(kind, self.position, self.labels.metric_name());
    }

    /// Adds an annotation whose subject is not the metric.
    pub fn note_about(&self, kind: NoteKind, subject: &str) {
        self.q.notes.add(kind, self.position, subject);
    }

    /// Counts a window in which a series began before the previous sample.
    pub fn note_overlap(&self) {
        self.q.notes.count(NoteKind::OverlappingStart, self.position, self.labels.metric_name());
    }

    /// Tells that histograms between floats are left out.
    pub fn note_ignored(&self, window: &Window<'_>) {
        if !window.histograms.is_empty() {
            self.note(NoteKind::IgnoredInRange);
        }
    }

    /// Argument `i` at step `k`.
    pub fn arg(&self, i: usize, k: usize) -> f64 {
        self.args.get(i).map_or(f64::NAN, |s| s.at(k))
    }

    /// Length of the windows in seconds, rounded as the reference does.
    pub fn range_seconds(&self) -> f64 {
        let (whole, rest) = (self.range / 1000, self.range % 1000);
        whole as f64 + (rest * 1_000_000) as f64 / 1e9
    }

    /// The windows that hold a sample, in step order. They end early when the query should stop.
    pub fn windows<'s>(&self, samples: &'s Samples) -> impl Iterator<Item = Window<'s>> + use<'s, '_> {
        let mut unchecked = 0;
        Windows::new(samples, self.grid, self.map, self.range).take_while(move |window| {
            let weight = window.weight();
            self.present(weight);
            unchecked += weight;
            if unchecked < CHECK_SAMPLES {
                return true;
            }
            unchecked = 0;
            self.q.check().is_ok()
        })
    }

    /// Counts samples that are presented to the function.
    pub fn present(&self, samples: usize) {
        self.presented.set(self.presented.get() + samples as u64);
    }
}

/// One window `(start, end]`.
#[derive(Clone, Debug)]
pub struct Window<'s> {
    /// The step.
    pub k: usize,
    /// Before the first millisecond.
    pub start: Millis,
    /// The last millisecond.
    pub end: Millis,
    /// Its floats, as a range of the series'.
    pub floats: Range<usize>,
    /// Its histograms, as a range of the series'.
    pub histograms: Range<usize>,
    samples: &'s Samples,
}

impl<'s> Window<'s> {
    /// Times of floats.
    pub fn times(&self) -> &'s [Millis] {
        &self.samples.times[self.floats.clone()]
    }

    /// Floats.
    pub fn values(&self) -> &'s [f64] {
        &self.samples.values[self.floats.clone()]
    }

    /// Times of histograms.
    pub fn histogram_times(&self) -> &'s [Millis] {
        &self.samples.histogram_times[self.histograms.clone()]
    }

    /// Histograms.
    pub fn histograms(&self) -> &'s [Histogram] {
        &self.samples.histograms[self.histograms.clone()]
    }

    /// Times and starts of floats.
    pub fn moments(&self) -> Moments<'s> {
        Moments { times: self.times(), starts: part(&self.samples.starts, &self.floats) }
    }

    /// Times and starts of histograms.
    pub fn histogram_moments(&self) -> Moments<'s> {
        let starts = part(&self.samples.histogram_starts, &self.histograms);
        Moments { times: self.histogram_times(), starts }
    }

    /// What its samples weigh.
    fn weight(&self) -> usize {
        self.floats.len() + self.histograms().iter().map(|h| size_samples(h)).sum::<usize>()
    }
}

/// A part of a column that may be absent.
fn part<'s>(column: &'s [Millis], range: &Range<usize>) -> &'s [Millis] {
    column.get(range.clone()).unwrap_or_default()
}

/// Iterator over the windows of a series.
struct Windows<'s> {
    samples: &'s Samples,
    grid: Grid,
    map: TimeMap,
    range: Millis,
    k: usize,
    floats: Range<usize>,
    histograms: Range<usize>,
}

impl<'s> Windows<'s> {
    fn new(samples: &'s Samples, grid: Grid, map: TimeMap, range: Millis) -> Self {
        Self { samples, grid, map, range, k: 0, floats: 0..0, histograms: 0..0 }
    }
}

impl<'s> Iterator for Windows<'s> {
    type Item = Window<'s>;

    fn next(&mut self) -> Option<Window<'s>> {
        while self.k < self.grid.steps {
            let k = self.k;
            self.k += 1;
            let end = self.map.map(self.grid.time(k));
            let start = end.saturating_sub(self.range);
            slide(&self.samples.times, start, end, &mut self.floats);
            slide(&self.samples.histogram_times, start, end, &mut self.histograms);
            if !self.floats.is_empty() || !self.histograms.is_empty() {
                let (floats, histograms) = (self.floats.clone(), self.histograms.clone());
                return Some(Window { k, start, end, floats, histograms, samples: self.samples });
            }
        }
        None
    }
}

/// Moves `range` on to the times in `(start, end]`.
fn slide(times: &[Millis], start: Millis, end: Millis, range: &mut Range<usize>) {
    while range.end < times.len() && times[range.end] <= end {
        range.end += 1;
    }
    while range.start < range.end && times[range.start] <= start {
        range.start += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_to_the_left() {
        let samples = Samples { times: vec![0, 10, 20, 30], values: vec![0.0; 4], ..Samples::default() };
        let windows = Windows::new(&samples, Grid::range(20, 60, 20), TimeMap::default(), 20);
        let ranges: Vec<_> = windows.map(|w| (w.k, w.floats)).collect();
        assert_eq!(ranges, [(0, 1..3), (1, 3..4)]);
    }
}
