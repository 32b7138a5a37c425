//! Native histograms: sparse exponential buckets or custom buckets.
//!
//! Bucket bounds are implied by [`schema`](Histogram::schema): −4…8 are exponential with base
//! `2^(2^-schema)`, [`CUSTOM_BUCKETS_SCHEMA`] takes its upper bounds from `custom_values`. Spans
//! say which bucket indices are populated; bucket values follow in span order.

mod reduce;

pub use reduce::Irreducible;

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

    /// Checks what a writer may send: layout, bounds, and that buckets add up to the count.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        self.layout().validate()?;
        let negative = sum_deltas(&self.negative_buckets)?;
        let positive = sum_deltas(&self.positive_buckets)?;
        let sum = u128::from(self.zero_count) + negative + positive;
        let count = u128::from(self.count);
        if self.sum.is_nan() {
            // Observations of NaN are counted and lie in no bucket.
            if sum > count {
                return Err(InvalidHistogram::CountNotBigEnough { count: self.count, buckets: sum });
            }
        } else if sum != count {
            return Err(InvalidHistogram::CountMismatch { count: self.count, buckets: sum });
        }
        Ok(())
    }

    fn layout(&self) -> Layout<'_> {
        Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_is_empty: self.zero_count == 0,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            custom_values: &self.custom_values,
        }
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

    /// Checks what a writer may send: layout, bounds and signs. Rounded counts need not add up.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        let layout = Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_is_empty: self.zero_count == 0.0,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            custom_values: &self.custom_values,
        };
        layout.validate()?;
        if let Some(count) = self.negative_buckets.iter().chain(&self.positive_buckets).find(|c| **c < 0.0) {
            return Err(InvalidHistogram::NegativeBucketCount { count: *count });
        }
        match [self.zero_count, self.count].into_iter().find(|c| *c < 0.0) {
            Some(count) => Err(InvalidHistogram::NegativeCount { count }),
            None => Ok(()),
        }
    }

    /// Whether bounds are listed rather than implied.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

/// Why a histogram can not be taken.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq)]
pub enum InvalidHistogram {
    /// Neither exponential nor custom.
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets: schema {0}"
    )]
    Schema(i32),
    /// Buckets and zero bucket are not what was counted.
    #[error(
        "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
    )]
    CountMismatch {
        /// As sent.
        count: u64,
        /// As added up.
        buckets: u128,
    },
    /// Buckets hold more than was counted, NaN observations set aside.
    #[error(
        "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count should be at least the number of observations found in the buckets"
    )]
    CountNotBigEnough {
        /// As sent.
        count: u64,
        /// As added up.
        buckets: u128,
    },
    /// A bucket with less than nothing in it.
    #[error("histogram has a bucket whose observation count is negative: {count}")]
    NegativeBucketCount {
        /// The bucket's count.
        count: f64,
    },
    /// The count, or the zero bucket's, is below zero.
    #[error("histogram's observation count is negative: {count}")]
    NegativeCount {
        /// The count.
        count: f64,
    },
    /// Spans go backwards.
    #[error("histogram has a span whose offset is negative: span number {number} has offset {offset}")]
    SpanNegativeOffset {
        /// Which span, from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans and buckets do not fit together.
    #[error(
        "histogram spans specify different number of buckets than provided: spans need {spans} buckets, have {buckets}"
    )]
    SpansBucketsMismatch {
        /// Sum of span lengths.
        spans: u64,
        /// Buckets present.
        buckets: usize,
    },
    /// Spans reach beyond the custom bounds.
    #[error(
        "histogram custom bounds are too few: only {bounds} custom bounds defined which is insufficient to cover total span length of {spans}"
    )]
    CustomBucketsMismatch {
        /// Bounds listed.
        bounds: usize,
        /// Buckets the spans reach over.
        spans: u64,
    },
    /// Custom bounds that are no bounds, or parts that do not go with the schema.
    #[error("{0}")]
    CustomBucketsInvalid(&'static str),
    /// +Inf is listed, though it is implied.
    #[error("histogram custom bounds must be finite: last +Inf bound must not be explicitly defined")]
    CustomBucketsInfinite,
}

impl InvalidHistogram {
    /// Mimir's error id, without `err-mimir-`.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Schema(_) => "invalid-native-histogram-schema",
            Self::CountMismatch { .. } => "native-histogram-count-mismatch",
            Self::CountNotBigEnough { .. } => "native-histogram-count-not-big-enough",
            Self::NegativeBucketCount { .. } | Self::NegativeCount { .. } => {
                "native-histogram-negative-bucket-count"
            }
            Self::SpanNegativeOffset { .. } => "native-histogram-span-negative-offset",
            Self::SpansBucketsMismatch { .. } => "native-histogram-spans-buckets-mismatch",
            Self::CustomBucketsMismatch { .. } => "native-histogram-custom-buckets-mismatch",
            Self::CustomBucketsInvalid(_) => "native-histogram-custom-buckets-invalid",
            Self::CustomBucketsInfinite => "native-histogram-custom-buckets-infinite",
        }
    }
}

/// What both kinds of histogram are checked for.
struct Layout<'a> {
    schema: i32,
    zero_threshold: f64,
    zero_is_empty: bool,
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    custom_values: &'a [f64],
}

impl Layout<'_> {
    fn validate(&self) -> Result<(), InvalidHistogram> {
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => self.validate_custom(),
            MIN_SCHEMA..=MAX_SCHEMA => self.validate_exponential(),
            other => Err(InvalidHistogram::Schema(other)),
        }
    }

    fn validate_exponential(&self) -> Result<(), InvalidHistogram> {
        if !self.custom_values.is_empty() {
            let text = "histogram with exponential schema must not have custom bounds";
            return Err(InvalidHistogram::CustomBucketsInvalid(text));
        }
        for (spans, buckets) in [self.negative, self.positive] {
            check_offsets(spans, 1)?;
            check_lengths(spans, buckets)?;
        }
        Ok(())
    }

    fn validate_custom(&self) -> Result<(), InvalidHistogram> {
        let mistake = if !self.zero_is_empty {
            Some("custom buckets: must have zero count of 0")
        } else if self.zero_threshold != 0.0 {
            Some("custom buckets: must have zero threshold of 0")
        } else if !self.negative.0.is_empty() {
            Some("custom buckets: must not have negative spans")
        } else if self.negative.1 != 0 {
            Some("custom buckets: must not have negative buckets")
        } else if self.custom_values.iter().any(|b| b.is_nan()) {
            Some("histogram custom bounds must not be NaN")
        } else if !self.custom_values.is_sorted_by(|a, b| a < b) {
            Some("histogram custom bounds must be in strictly increasing order")
        } else {
            None
        };
        if let Some(text) = mistake {
            return Err(InvalidHistogram::CustomBucketsInvalid(text));
        }
        if self.custom_values.last() == Some(&f64::INFINITY) {
            return Err(InvalidHistogram::CustomBucketsInfinite);
        }
        let (spans, buckets) = self.positive;
        check_offsets(spans, 0)?;
        let reach = spans.iter().map(|s| u64::from(s.length) + s.offset as u64).sum();
        let bounds = self.custom_values.len();
        if reach > bounds as u64 + 1 {
            return Err(InvalidHistogram::CustomBucketsMismatch { bounds, spans: reach });
        }
        check_lengths(spans, buckets)
    }
}

/// Offsets from span `first` on must not be negative.
fn check_offsets(spans: &[Span], first: usize) -> Result<(), InvalidHistogram> {
    match spans.iter().enumerate().skip(first).find(|(_, s)| s.offset < 0) {
        Some((i, s)) => Err(InvalidHistogram::SpanNegativeOffset { number: i + 1, offset: s.offset }),
        None => Ok(()),
    }
}

fn check_lengths(spans: &[Span], buckets: usize) -> Result<(), InvalidHistogram> {
    let sum = spans.iter().map(|s| u64::from(s.length)).sum();
    if sum == buckets as u64 {
        Ok(())
    } else {
        Err(InvalidHistogram::SpansBucketsMismatch { spans: sum, buckets })
    }
}

/// Sum of the counts that deltas make; none may be negative.
fn sum_deltas(deltas: &[i64]) -> Result<u128, InvalidHistogram> {
    let (mut count, mut sum) = (0i64, 0u128);
    for delta in deltas {
        // As everywhere counts are added up: what does not fit turns negative and is refused.
        count = count.wrapping_add(*delta);
        sum += u128::try_from(count)
            .map_err(|_| InvalidHistogram::NegativeBucketCount { count: count as f64 })?;
    }
    Ok(sum)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential() -> Histogram {
        Histogram {
            schema: 1,
            zero_count: 1,
            count: 7,
            positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1, 1, -1],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            negative_buckets: vec![2],
            ..Histogram::default()
        }
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            custom_values: vec![1.0, 2.0],
            ..FloatHistogram::default()
        }
    }

    fn refused(change: impl FnOnce(&mut Histogram)) -> &'static str {
        let mut h = exponential();
        change(&mut h);
        h.validate().map_or_else(|e| e.id(), |()| "")
    }

    fn refused_custom(change: impl FnOnce(&mut FloatHistogram)) -> &'static str {
        let mut h = custom();
        change(&mut h);
        h.validate().map_or_else(|e| e.id(), |()| "")
    }

    #[test]
    fn takes_what_is_well_formed() {
        assert_eq!(refused(|_| {}), "");
        assert_eq!(exponential().to_float().validate(), Ok(()));
        assert_eq!(refused_custom(|_| {}), "");
        assert_eq!(refused(|h| (h.sum, h.count) = (f64::NAN, 9)), "");
        assert_eq!(refused_custom(|h| h.count = 99.0), "");
    }

    #[test]
    fn refuses_with_an_id() {
        assert_eq!(refused(|h| h.schema = 9), "invalid-native-histogram-schema");
        assert_eq!(refused(|h| h.count = 8), "native-histogram-count-mismatch");
        assert_eq!(refused(|h| (h.sum, h.count) = (f64::NAN, 6)), "native-histogram-count-not-big-enough");
        assert_eq!(refused(|h| h.positive_buckets[2] = -9), "native-histogram-negative-bucket-count");
        assert_eq!(refused(|h| h.positive_spans[1].offset = -1), "native-histogram-span-negative-offset");
        assert_eq!(refused(|h| h.positive_spans[1].length = 2), "native-histogram-spans-buckets-mismatch");
        assert_eq!(refused(|h| h.custom_values = vec![1.0]), "native-histogram-custom-buckets-invalid");
        assert_eq!(
            refused(|h| h.positive_buckets = vec![i64::MAX, i64::MAX, i64::MAX]),
            "native-histogram-negative-bucket-count"
        );
    }

    #[test]
    fn refuses_custom_buckets_with_an_id() {
        let invalid = "native-histogram-custom-buckets-invalid";
        assert_eq!(refused_custom(|h| h.zero_count = 1.0), invalid);
        assert_eq!(refused_custom(|h| h.custom_values = vec![2.0, 1.0]), invalid);
        assert_eq!(refused_custom(|h| h.custom_values = vec![f64::NAN, 1.0]), invalid);
        assert_eq!(
            refused_custom(|h| h.custom_values[1] = f64::INFINITY),
            "native-histogram-custom-buckets-infinite"
        );
        assert_eq!(
            refused_custom(|h| h.custom_values = vec![1.0]),
            "native-histogram-custom-buckets-mismatch"
        );
        assert_eq!(
            refused_custom(|h| h.positive_spans[0].offset = -1),
            "native-histogram-span-negative-offset"
        );
        assert_eq!(
            refused_custom(|h| h.positive_buckets[0] = -1.0),
            "native-histogram-negative-bucket-count"
        );
        assert_eq!(refused_custom(|h| h.count = -1.0), "native-histogram-negative-bucket-count");
    }
}
