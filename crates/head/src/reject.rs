//! Refusals as clients read them: Mimir's ids, our words.

use std::fmt;

use jiff::Timestamp;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::rejection::Rejection;

use crate::fold::Refusal;
use crate::resolve::LabelFault;
use crate::tenant::MetadataLimit;

const SERIES_LIMIT: &str = "ingester.max-global-series-per-user";
const METRIC_LIMIT: &str = "ingester.max-global-series-per-metric";

/// Reason and id of exemplars whose series is not there.
pub(crate) const SERIES_MISSING: &str = "exemplar-series-missing";

/// Reason of exemplars that come before the newest of their series. Mimir has no id for them.
pub(crate) const LATE_EXEMPLAR: &str = "exemplar-out-of-order";

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

impl Limit {
    /// The reason that discarded samples are counted under.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Series(_) => "per_user_series_limit",
            Self::MetricSeries(_) => "per_metric_series_limit",
            Self::Partition => "per_instance_limit",
        }
    }
}

impl MetadataLimit {
    /// The reason that discarded metadata is counted under.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Metrics(_) => "per_user_metadata_limit",
            Self::Descriptions(_) => "per_metric_metadata_limit",
        }
    }
}

impl Refusal {
    /// The reason that discarded samples are counted under.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::OutOfOrder => "sample-out-of-order",
            Self::Duplicate => "new-value-for-timestamp",
            Self::TooOld { .. } => "sample-too-old",
            Self::OutOfBounds => "sample-timestamp-too-old",
            Self::Invalid(_) | Self::Histogram(_) => "invalid-native-histogram",
            Self::Full => Limit::Partition.reason(),
        }
    }

    fn id(&self) -> &'static str {
        match self {
            Self::OutOfOrder => "sample-out-of-order",
            Self::Duplicate => "sample-duplicate-timestamp",
            Self::TooOld { .. } | Self::OutOfBounds => "sample-timestamp-too-old",
            Self::Invalid(error) => error.id(),
            Self::Histogram(_) => "native-histogram-spans-buckets-mismatch",
            Self::Full => "ingester-max-series",
        }
    }
}

impl LabelFault {
    /// The reason that discarded samples are counted under.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::None => "missing_metric_name",
            Self::Duplicate(_) => "duplicate_label_names",
            Self::EmptyName => "label_invalid",
            Self::TooLong(_) => "label_value_too_long",
            Self::TooMany(_) => "max_label_names_per_series",
        }
    }
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
    let what = fmt::from_fn(|f| match refusal {
        Refusal::OutOfOrder => f.write_str(
            "the sample has been rejected because another sample with a more recent timestamp has already \
             been ingested and out-of-order samples are not allowed",
        ),
        Refusal::Duplicate => f.write_str(
            "the sample has been rejected because another value is already stored for the same timestamp",
        ),
        Refusal::TooOld { window } => write!(
            f,
            "the sample has been rejected because it is further behind the newest sample than the \
             out-of-order window of {}s allows",
            *window as f64 / 1e3
        ),
        Refusal::OutOfBounds => f.write_str(
            "the sample has been rejected because it is too far behind the newest sample of the tenant to be \
             taken in order, and out-of-order samples are not allowed",
        ),
        Refusal::Invalid(error) => write!(f, "the native histogram has been rejected: {error}"),
        Refusal::Histogram(error) => write!(f, "the native histogram has been rejected: {error}"),
        Refusal::Full => {
            f.write_str("the sample has been rejected because the partition's memory is used up")
        }
    });
    Rejection::new(refusal.id(), refusal.reason(), format_args!("{what}. {affected}"))
}

/// The refusal of a new series.
pub(crate) fn series(limit: Limit, labels: &Labels) -> Rejection {
    let reason = limit.reason();
    match limit {
        Limit::Series(limit) => Rejection::new(
            "max-series-per-user",
            reason,
            format_args!("per-user series limit of {limit} exceeded"),
        )
        .with_tenant_flags(&[SERIES_LIMIT]),
        Limit::MetricSeries(limit) => Rejection::new(
            "max-series-per-metric",
            reason,
            format_args!("per-metric series limit of {limit} exceeded by series {labels}"),
        )
        .with_tenant_flags(&[METRIC_LIMIT]),
        Limit::Partition => Rejection::new(
            "ingester-max-series",
            reason,
            format_args!("the partition has no room for series {labels}"),
        ),
    }
}

/// The refusal of labels that name no series.
pub(crate) fn labels(fault: &LabelFault, labels: &Labels) -> Rejection {
    let id = match fault {
        LabelFault::None => "missing-metric-name",
        LabelFault::Duplicate(_) => "duplicate-label-names",
        LabelFault::EmptyName => "label-invalid",
        LabelFault::TooLong(_) => "label-value-too-long",
        LabelFault::TooMany(_) => "max-label-names-per-series",
    };
    let text = fmt::from_fn(|f| match fault {
        LabelFault::None => f.write_str("received a series without labels"),
        LabelFault::Duplicate(name) => {
            write!(f, "received a series with the label name {name:?} twice, series: {labels}")
        }
        LabelFault::EmptyName => write!(f, "received a series with an empty label name, series: {labels}"),
        LabelFault::TooLong(name) => {
            write!(f, "received a series whose label {name:.40?} is longer than can be stored")
        }
        LabelFault::TooMany(count) => {
            write!(f, "received a series with {count} labels, more than can be stored")
        }
    });
    Rejection::new(id, fault.reason(), text)
}

/// The refusal of an exemplar of a series that is not there.
pub(crate) fn exemplar(t: Millis, labels: &Labels) -> Rejection {
    Rejection::new(
        SERIES_MISSING,
        SERIES_MISSING,
        format_args!(
            "the exemplar has been rejected because its series has not been ingested. {}",
            Affected("exemplar", t, labels)
        ),
    )
}

/// The refusal of an exemplar that comes before the newest of its series.
pub(crate) fn late_exemplar(t: Millis, labels: &Labels) -> Rejection {
    let affected = Affected("exemplar", t, labels);
    let text = format!("the exemplar has been rejected because it is out of order. {affected}");
    Rejection { id: LATE_EXEMPLAR, reason: LATE_EXEMPLAR, text }
}

/// The refusal of metadata.
pub(crate) fn metadata(limit: MetadataLimit, metric: &str) -> Rejection {
    let metric = &metric[..metric.floor_char_boundary(200)];
    let (id, flag, text) = match limit {
        MetadataLimit::Metrics(n) => (
            "max-metadata-per-user",
            "ingester.max-global-metadata-per-user",
            format!("per-user metric metadata limit of {n} exceeded"),
        ),
        MetadataLimit::Descriptions(n) => (
            "max-metadata-per-metric",
            "ingester.max-global-metadata-per-metric",
            format!("per-metric metadata limit of {n} exceeded by metric {metric}"),
        ),
    };
    Rejection::new(id, limit.reason(), text).with_tenant_flags(&[flag])
}
