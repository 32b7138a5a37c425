//! Refusals as clients read them: Mimir's ids, our words.

use std::fmt;

use jiff::Timestamp;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::rejection::Rejection;

use crate::fold::Refusal;
use crate::resolve::LabelFault;

const SERIES_LIMIT: &str = "ingester.max-global-series-per-user";
const METRIC_LIMIT: &str = "ingester.max-global-series-per-metric";

/// Why a series is not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Series of the tenant.
    Series(u64),
    /// Series of one metric.
    MetricSeries(u64),
    /// The partition's numbers or its memory for labels are used up.
    Partition,
}

/// ` The affected sample has timestamp … and is from series …`.
struct Affected<'a>(&'a str, Millis, &'a Labels);

impl fmt::Display for Affected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, t, labels) = self;
        match Timestamp::from_millisecond(*t) {
            Ok(time) => write!(f, "The affected {what} has timestamp {time:.3} and is from series {labels}"),
            Err(_) => write!(f, "The affected {what} has timestamp {t} ms and is from series {labels}"),
        }
    }
}

/// The refusal of a sample at `t`.
pub(crate) fn sample(refusal: &Refusal, t: Millis, labels: &Labels) -> Rejection {
    let affected = Affected("sample", t, labels);
    match refusal {
        Refusal::OutOfOrder => Rejection::new(
            "sample-out-of-order",
            "sample-out-of-order",
            format_args!(
                "the sample has been rejected because another sample with a more recent timestamp has already \
                 been ingested and out-of-order samples are not allowed. {affected}"
            ),
        ),
        Refusal::Duplicate => Rejection::new(
            "sample-duplicate-timestamp",
            "new-value-for-timestamp",
            format_args!(
                "the sample has been rejected because another value is already stored for the same timestamp. \
                 {affected}"
            ),
        ),
        Refusal::TooOld { window } => Rejection::new(
            "sample-timestamp-too-old",
            "sample-too-old",
            format_args!(
                "the sample has been rejected because it is further behind the newest sample than the \
                 out-of-order window of {}s allows. {affected}",
                *window as f64 / 1e3
            ),
        ),
        Refusal::Invalid(error) => Rejection::new(
            error.id(),
            "invalid-native-histogram",
            format_args!("the native histogram has been rejected: {error}. {affected}"),
        ),
        Refusal::Histogram(error) => Rejection::new(
            "native-histogram-spans-buckets-mismatch",
            "invalid-native-histogram",
            format_args!("the native histogram has been rejected: {error}. {affected}"),
        ),
        Refusal::Full => Rejection::new(
            "ingester-max-series",
            "per_instance_limit",
            format_args!(
                "the sample has been rejected because the partition's memory is used up. {affected}"
            ),
        ),
    }
}

/// The refusal of a new series.
pub(crate) fn series(limit: Limit, labels: &Labels) -> Rejection {
    match limit {
        Limit::Series(limit) => Rejection::new(
            "max-series-per-user",
            "per_user_series_limit",
            format_args!("per-user series limit of {limit} exceeded"),
        )
        .with_tenant_flags(&[SERIES_LIMIT]),
        Limit::MetricSeries(limit) => Rejection::new(
            "max-series-per-metric",
            "per_metric_series_limit",
            format_args!("per-metric series limit of {limit} exceeded by series {labels}"),
        )
        .with_tenant_flags(&[METRIC_LIMIT]),
        Limit::Partition => Rejection::new(
            "ingester-max-series",
            "per_instance_limit",
            format_args!("the partition has no room for series {labels}"),
        ),
    }
}

/// The refusal of labels that name no series.
pub(crate) fn labels(fault: &LabelFault, labels: &Labels) -> Rejection {
    match fault {
        LabelFault::None => {
            Rejection::new("missing-metric-name", "missing_metric_name", "received a series without labels")
        }
        LabelFault::Duplicate(name) => Rejection::new(
            "duplicate-label-names",
            "duplicate_label_names",
            format_args!("received a series with the label name {name:?} twice, series: {labels}"),
        ),
        LabelFault::EmptyName => Rejection::new(
            "label-invalid",
            "label_invalid",
            format_args!("received a series with an empty label name, series: {labels}"),
        ),
        LabelFault::TooLong(name) => Rejection::new(
            "label-value-too-long",
            "label_value_too_long",
            format_args!("received a series whose label {:.40?} is longer than can be stored", name),
        ),
        LabelFault::TooMany(count) => Rejection::new(
            "max-label-names-per-series",
            "max_label_names_per_series",
            format_args!("received a series with {count} labels, more than can be stored"),
        ),
    }
}

/// The refusal of an exemplar of a series that is not there.
pub(crate) fn exemplar(t: Millis, labels: &Labels) -> Rejection {
    Rejection::new(
        "exemplar-series-missing",
        "exemplar-series-missing",
        format_args!(
            "the exemplar has been rejected because its series has not been ingested. {}",
            Affected("exemplar", t, labels)
        ),
    )
}
