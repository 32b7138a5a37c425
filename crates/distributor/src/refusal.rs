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

/// A remote write 2 series whose labels can not be resolved.
pub fn bad_reference(error: &SeriesError) -> Rejection {
    Rejection::new(
        "label-invalid",
        "label_invalid",
        format!("received a series whose labels cannot be resolved: {error}"),
    )
}

/// A label set with a problem.
pub fn label(problem: Problem, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let shown = series(labels);
    let name = |i: usize| text(labels[i].0);
    let value = |i: usize| text(labels[i].1);
    match problem {
        Problem::NoMetricName => Rejection::new(
            "missing-metric-name",
            "missing_metric_name",
            "received series has no metric name",
        ),
        Problem::MetricName => Rejection::new(
            "metric-name-invalid",
            "metric_name_invalid",
            format!("received a series with invalid metric name: '{}'", metric_name(labels)),
        ),
        Problem::TooMany { info } => too_many(info, labels, limits),
        Problem::LabelName(i) => Rejection::new(
            "label-invalid",
            "label_invalid",
            format!("received a series with an invalid label: '{}' series: '{shown}'", name(i)),
        ),
        Problem::NameTooLong(i) => Rejection::new(
            "label-name-too-long",
            "label_name_too_long",
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
            "label_value_invalid",
            format!(
                "received a series with invalid value in label '{}': '{}' metric: '{}'",
                name(i),
                value(i),
                metric_name(labels)
            ),
        ),
        Problem::ValueTooLong(i) => Rejection::new(
            "label-value-too-long",
            "label_value_too_long",
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
            "duplicate_label_names",
            format!("received a series with duplicate label name, label: '{}' series: '{shown}'", name(i)),
        ),
    }
}

fn too_many(info: bool, labels: &[Label<'_>], limits: &Limits) -> Rejection {
    let (id, reason, limit, flag) = if info {
        (
            "max-label-names-per-info-series",
            "max_label_names_per_info_series",
            limits.max_label_names_per_info_series,
            "validation.max-label-names-per-info-series",
        )
    } else {
        (
            "max-label-names-per-series",
            "max_label_names_per_series",
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
    let metric = metric_name(labels);
    if future {
        let text = format!(
            "received a sample whose timestamp is too far in the future, timestamp: {timestamp} series: '{metric}'; timestamps may be at most {:?} ahead of the server's clock",
            limits.creation_grace_period
        );
        return Rejection::new("too-far-in-future", "too_far_in_future", text)
            .with_tenant_flags(&["validation.create-grace-period"]);
    }
    let text = format!(
        "received a sample whose timestamp is too far in the past, timestamp: {timestamp} series: '{metric}'"
    );
    Rejection::new("too-far-in-past", "too_far_in_past", text)
        .with_tenant_flags(&["validation.past-grace-period"])
}

/// A histogram of unknown resolution.
pub fn schema(schema: i32) -> Rejection {
    Rejection::new(
        "invalid-native-histogram-schema",
        "invalid_native_histogram_schema",
        format!("received a native histogram sample with an invalid schema: {schema}"),
    )
}

/// A histogram with more buckets than allowed.
pub fn too_many_buckets(
    timestamp: Millis,
    buckets: usize,
    labels: &[Label<'_>],
    limits: &Limits,
) -> Rejection {
    let text = format!(
        "received a native histogram sample with too many buckets, timestamp: {timestamp} series: '{}', buckets: {buckets}, limit: {}",
        series(labels),
        limits.max_native_histogram_buckets
    );
    Rejection::new("max-native-histogram-buckets", "max_native_histogram_buckets", text)
        .with_tenant_flags(&["validation.max-native-histogram-buckets"])
}

/// An exemplar; `id` says what is wrong with it.
pub fn exemplar(id: &'static str, timestamp: Millis, labels: &[Label<'_>]) -> Rejection {
    let (reason, what) = match id {
        "exemplar-labels-missing" => ("exemplar_labels_missing", "with no valid labels"),
        "exemplar-timestamp-invalid" => ("exemplar_timestamp_invalid", "without a timestamp"),
        _ => ("exemplar_labels_too_long", "whose labels exceed 128 characters"),
    };
    let text = format!("received an exemplar {what}, timestamp: {timestamp} series: '{}'", series(labels));
    Rejection::new(id, reason, text)
}

/// A metadata entry; `id` says what is wrong with it.
pub fn metadata(id: &'static str, family: &str, limits: &Limits) -> Rejection {
    let limit = limits.max_metadata_length;
    let shown = &family[..family.floor_char_boundary(SERIES_TEXT)];
    match id {
        "metric-name-too-long" => {
            let text = format!(
                "received a metric metadata whose metric name length exceeds the limit of {limit}, metric: '{shown}'"
            );
            Rejection::new(id, "metric_name_too_long", text)
                .with_tenant_flags(&["validation.max-metadata-length"])
        }
        "unit-too-long" => {
            let text = format!(
                "received a metric metadata whose unit length exceeds the limit of {limit}, metric: '{shown}'"
            );
            Rejection::new(id, "unit_too_long", text).with_tenant_flags(&["validation.max-metadata-length"])
        }
        _ => Rejection::new(
            "metadata-missing-metric-name",
            "metadata_missing_metric_name",
            "received a metric metadata with no metric name",
        ),
    }
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
