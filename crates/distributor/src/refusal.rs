//! Texts of refusals: what was wrong, the series it was found in, the flag that changes it.

use norn_limits::Limits;
use norn_model::Millis;
use norn_model::labels::METRIC_NAME;
use norn_model::rejection::Rejection;
use norn_wire::remote_write::SeriesError;

/// Longest series text in a refusal, in bytes.
const SERIES_TEXT: usize = 200;

/// A label as bytes; both are UTF-8 once the series has been checked.
pub type Label<'a> = (&'a [u8], &'a [u8]);

/// What is wrong with a label set; numbers are positions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No `__name__`.
    NoMetricName,
    /// `__name__` is not a metric name.
    MetricName,
    /// Too many labels.
    TooMany {
        /// Whether the limit of `_info` series holds.
        info: bool,
    },
    /// Not a label name.
    LabelName(usize),
    /// A name above the limit.
    NameTooLong(usize),
    /// A value that is not UTF-8.
    ValueNotUtf8(usize),
    /// A value above the limit.
    ValueTooLong(usize),
    /// A name that is there twice.
    Duplicate(usize),
}

impl Problem {
    /// The reason that discarded samples are counted under.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoMetricName => "missing_metric_name",
            Self::MetricName => "metric_name_invalid",
            Self::TooMany { info: true } => "max_label_names_per_info_series",
            Self::TooMany { info: false } => "max_label_names_per_series",
            Self::LabelName(_) => "label_invalid",
            Self::NameTooLong(_) => "label_name_too_long",
            Self::ValueNotUtf8(_) => "label_value_invalid",
            Self::ValueTooLong(_) => "label_value_too_long",
            Self::Duplicate(_) => "duplicate_label_names",
        }
    }
}

/// What is wrong with a histogram; numbers are its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHistogram {
    /// Its schema is not known.
    Schema(i32),
    /// Above the limit, and the tenant does not want it reduced.
    TooManyBuckets(usize),
    /// Above the limit at the lowest resolution.
    NotReducible(usize),
    /// Above the limit, and custom bounds have no lower resolution.
    CustomBucketsNotReducible(usize),
}

impl BadHistogram {
    /// The reason that discarded samples are counted under.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Schema(_) => "invalid_native_histogram_schema",
            _ => "max_native_histogram_buckets",
        }
    }
}

/// What is wrong with an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadExemplar {
    /// No labels, or some that are not UTF-8.
    LabelsMissing,
    /// No timestamp.
    TimestampInvalid,
    /// More characters than allowed.
    LabelsTooLong,
    /// Nothing but labels without name or value.
    LabelsBlank,
    /// Long before the samples of its request.
    TooOld,
    /// Ahead of the clock.
    TooFarInFuture,
}

impl BadExemplar {
    /// Whether it is left out without an error.
    pub fn is_silent(self) -> bool {
        matches!(self, Self::LabelsBlank | Self::TooOld | Self::TooFarInFuture)
    }

    /// The reason that discarded exemplars are counted under.
    pub fn reason(self) -> &'static str {
        match self {
            Self::LabelsMissing => "exemplar_labels_missing",
            Self::TimestampInvalid => "exemplar_timestamp_invalid",
            Self::LabelsTooLong => "exemplar_labels_too_long",
            Self::LabelsBlank => "exemplar_labels_blank",
            Self::TooOld => "exemplar_too_old",
            Self::TooFarInFuture => "exemplar_too_far_in_future",
        }
    }
}

/// What is wrong with a metadata entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMetadata {
    /// No metric name, or texts that are not UTF-8.
    NoName,
    /// A metric name above the limit.
    NameTooLong,
    /// A unit above the limit.
    UnitTooLong,
}

impl BadMetadata {
    /// The reason that discarded metadata is counted under.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoName => "metadata_missing_metric_name",
            Self::NameTooLong => "metric_name_too_long",
            Self::UnitTooLong => "unit_too_long",
        }
    }
}

/// Reason of samples beside another one with their timestamp. No refusal: nobody is told.
pub const DUPLICATE: &str = "sample_duplicate_timestamp";
/// Reason of series whose labels can not be resolved.
pub const BAD_REFERENCE: &str = "label_invalid";

/// Reason of series with a sample outside of the accepted times.
pub fn time_reason(future: bool) -> &'static str {
    if future { "too_far_in_future" } else { "too_far_in_past" }
}

/// A remote write 2 series whose labels can not be resolved.
pub fn bad_reference(error: &SeriesError) -> Rejection {
    Rejection::new(
        "label-invalid",
        BAD_REFERENCE,
        format!("received a series whose labels cannot be resolved: {error}"),
    )
}

/// A label set with a problem.
pub fn label(problem: Problem, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let (shown, reason) = (series(labels), problem.reason());
    let name = |i: usize| text(labels[i].0);
    let value = |i: usize| text(labels[i].1);
    match problem {
        Problem::NoMetricName => Rejection::new(
            "missing-metric-name",
            reason,
            "received series has no metric name",
        ),
        Problem::MetricName => Rejection::new(
            "metric-name-invalid",
            reason,
            format!("received a series with invalid metric name: '{}'", metric_name(labels)),
        ),
        Problem::TooMany { info } => too_many(info, reason, labels, limits),
        Problem::LabelName(i) => Rejection::new(
            "label-invalid",
            reason,
            format!("received a series with an invalid label: '{}' series: '{shown}'", name(i)),
        ),
        Problem::NameTooLong(i) => Rejection::new(
            "label-name-too-long",
            reason,
            format!(
                "received a series whose label name length of {} exceeds the limit of {}, label: '{}' series: '{shown}'",
                labels[i].0.len(),
                limits.max_label_name_length,
                name(i)
            ),
        )
        .with_tenant_flags(&["validation.max-length-label-name"]),
        Problem::ValueNotUtf8(i) => Rejection::new(
            "label-value-invalid",
            reason,
            format!(
                "received a series with invalid value in label '{}': '{}' metric: '{}'",
                name(i),
                value(i),
                metric_name(labels)
            ),
        ),
        Problem::ValueTooLong(i) => Rejection::new(
            "label-value-too-long",
            reason,
            format!(
                "received a series whose label value length of {} exceeds the limit of {}, label: '{}', value: '{}' series: '{shown}'",
                labels[i].1.len(),
                limits.max_label_value_length,
                name(i),
                value(i)
            ),
        )
        .with_tenant_flags(&["validation.max-length-label-value"]),
        Problem::Duplicate(i) => Rejection::new(
            "duplicate-label-names",
            reason,
            format!("received a series with duplicate label name, label: '{}' series: '{shown}'", name(i)),
        ),
    }
}

fn too_many(info: bool, reason: &'static str, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let (id, limit, flag) = if info {
        (
            "max-label-names-per-info-series",
            limits.max_label_names_per_info_series,
            "validation.max-label-names-per-info-series",
        )
    } else {
        (
            "max-label-names-per-series",
            limits.max_label_names_per_series,
            "validation.max-label-names-per-series",
        )
    };
    let text = format!(
        "received a series whose number of labels exceeds the limit (actual: {}, limit: {limit}) series: '{}'",
        labels.len(),
        series(labels)
    );
    Rejection::new(id, reason, text).with_tenant_flags(&[flag])
}

/// A sample outside of the accepted times.
pub fn time(timestamp: Millis, future: bool, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let (metric, reason) = (metric_name(labels), time_reason(future));
    if future {
        let text = format!(
            "received a sample whose timestamp is too far in the future, timestamp: {timestamp} series: '{metric}'; timestamps may be at most {:?} ahead of the server's clock",
            limits.creation_grace_period
        );
        return Rejection::new("too-far-in-future", reason, text)
            .with_tenant_flags(&["validation.create-grace-period"]);
    }
    let text = format!(
        "received a sample whose timestamp is too far in the past, timestamp: {timestamp} series: '{metric}'"
    );
    Rejection::new("too-far-in-past", reason, text).with_tenant_flags(&["validation.past-grace-period"])
}

/// A histogram.
pub fn histogram(bad: BadHistogram, t: Millis, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let (id, buckets, what) = match bad {
        BadHistogram::Schema(schema) => {
            let text = format!("received a native histogram sample with an invalid schema: {schema}");
            return Rejection::new("invalid-native-histogram-schema", bad.reason(), text);
        }
        BadHistogram::TooManyBuckets(n) => ("max-native-histogram-buckets", n, "with too many buckets"),
        BadHistogram::NotReducible(n) => (
            "not-reducible-native-histogram",
            n,
            "with too many buckets, and its resolution can not be lowered far enough",
        ),
        BadHistogram::CustomBucketsNotReducible(n) => (
            "native-histogram-custom-buckets-not-reducible",
            n,
            "with too many custom buckets, which can not be merged",
        ),
    };
    let text = format!(
        "received a native histogram sample {what}, timestamp: {t} series: '{}', buckets: {buckets}, limit: {}",
        series(labels),
        limits.max_native_histogram_buckets
    );
    Rejection::new(id, bad.reason(), text).with_tenant_flags(&["validation.max-native-histogram-buckets"])
}

/// An exemplar.
pub fn exemplar(bad: BadExemplar, timestamp: Millis, labels: &[Label<'_>]) -> Rejection {
    let (id, what) = match bad {
        BadExemplar::LabelsMissing => ("exemplar-labels-missing", "with no valid labels"),
        BadExemplar::TimestampInvalid => ("exemplar-timestamp-invalid", "without a timestamp"),
        BadExemplar::LabelsTooLong => ("exemplar-labels-too-long", "whose labels exceed 128 characters"),
        BadExemplar::LabelsBlank => ("exemplar-labels-missing", "with blank labels only"),
        BadExemplar::TooOld => ("exemplar-too-far-in-past", "that is too far in the past"),
        BadExemplar::TooFarInFuture => ("exemplar-too-far-in-future", "that is too far in the future"),
    };
    let text = format!("received an exemplar {what}, timestamp: {timestamp} series: '{}'", series(labels));
    Rejection::new(id, bad.reason(), text)
}

/// A metadata entry.
pub fn metadata(bad: BadMetadata, family: &str, limits: &Limits) -> Rejection {
    let (id, part) = match bad {
        BadMetadata::NoName => {
            let text = "received a metric metadata with no metric name";
            return Rejection::new("metadata-missing-metric-name", bad.reason(), text);
        }
        BadMetadata::NameTooLong => ("metric-name-too-long", "metric name"),
        BadMetadata::UnitTooLong => ("unit-too-long", "unit"),
    };
    let text = format!(
        "received a metric metadata whose {part} length exceeds the limit of {}, metric: '{}'",
        limits.max_metadata_length,
        &family[..family.floor_char_boundary(SERIES_TEXT)]
    );
    Rejection::new(id, bad.reason(), text).with_tenant_flags(&["validation.max-metadata-length"])
}

fn metric_name(labels: &[Label<'_>]) -> String {
    labels.iter().find(|l| l.0 == METRIC_NAME.as_bytes()).map(|l| text(l.1)).unwrap_or_default()
}

/// A label set as Prometheus writes it, cut to a readable length.
fn series(labels: &[Label<'_>]) -> String {
    let mut out = metric_name(labels);
    out.push('{');
    let rest = labels.iter().filter(|l| l.0 != METRIC_NAME.as_bytes());
    for (i, (name, value)) in rest.enumerate() {
        if out.len() > SERIES_TEXT {
            out.push('…');
            return out;
        }
        let separator = if i == 0 { "" } else { ", " };
        out.push_str(&format!("{separator}{}={:?}", text(name), text(value)));
    }
    out.push('}');
    out
}

/// Bytes from outside as text of at most [`SERIES_TEXT`] bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SERIES_TEXT)]).into_owned()
}
