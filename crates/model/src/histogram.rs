//! Native histograms: sparse exponential buckets or custom buckets.
//!
//! Bucket bounds are implied by [`schema`](Histogram::schema): −4…8 are exponential with base
//! `2^(2^-schema)`, [`CUSTOM_BUCKETS_SCHEMA`] takes its upper bounds from `custom_values`. Spans
//! say which bucket indices are populated; bucket values follow in span order.

use crate::sample::is_stale_nan;

/// Schema number of histograms whose bounds are listed (NHCB).
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// Smallest exponential schema that may be written.
pub const MIN_SCHEMA: i32 = -4;
/// Largest exponential schema that may be written.
pub const MAX_SCHEMA: i32 = 8;

/// What is known about a counter reset before this sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ResetHint {
    /// Not known; must be detected by comparing.
    #[default]
    Unknown = 0,
    /// The counter was reset before this sample.
    Reset = 1,
    /// It was not.
    NotReset = 2,
    /// A gauge histogram: resets mean nothing.
    Gauge = 3,
}

/// A run of consecutive populated buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Gap to the previous span, or the first bucket's index in the first span.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// A histogram with integer counts; bucket values are deltas to the previous bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// See [`ResetHint`].
    pub reset_hint: ResetHint,
    /// Resolution; see the module doc.
    pub schema: i32,
    /// Width of the zero bucket on each side.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Sum of observations; the stale NaN marks a stale histogram.
    pub sum: f64,
    /// Layout of positive buckets.
    pub positive_spans: Vec<Span>,
    /// Layout of negative buckets.
    pub negative_spans: Vec<Span>,
    /// Deltas of positive buckets, the first absolute.
    pub positive_buckets: Vec<i64>,
    /// Deltas of negative buckets, the first absolute.
    pub negative_buckets: Vec<i64>,
    /// Upper bounds for [`CUSTOM_BUCKETS_SCHEMA`], without +Inf.
    pub custom_values: Vec<f64>,
}

/// A histogram with float counts; bucket values are absolute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// See [`ResetHint`].
    pub reset_hint: ResetHint,
    /// Resolution; see the module doc.
    pub schema: i32,
    /// Width of the zero bucket on each side.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of observations; the stale NaN marks a stale histogram.
    pub sum: f64,
    /// Layout of positive buckets.
    pub positive_spans: Vec<Span>,
    /// Layout of negative buckets.
    pub negative_spans: Vec<Span>,
    /// Counts of positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Counts of negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds for [`CUSTOM_BUCKETS_SCHEMA`], without +Inf.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether this marks the end of a series.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// The same histogram with absolute float counts.
    pub fn to_float(&self) -> FloatHistogram {
        FloatHistogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: accumulate(&self.positive_buckets),
            negative_buckets: accumulate(&self.negative_buckets),
            custom_values: self.custom_values.clone(),
        }
    }
}

impl FloatHistogram {
    /// Whether this marks the end of a series.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether bounds are listed rather than implied.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

fn accumulate(deltas: &[i64]) -> Vec<f64> {
    let mut sum = 0i64;
    deltas
        .iter()
        .map(|d| {
            sum = sum.wrapping_add(*d);
            sum as f64
        })
        .collect()
}
