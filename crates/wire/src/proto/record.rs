//! Package `cortexpb`: the value of a record in Mimir's log, all versions.

use prost::Message;

use super::{Histogram, MetricMetadata, RefExemplar, RefMetadata, Sample};

/// A record.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// Versions 0 and 1: series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// 0 API, 1 rule, 2 OTLP.
    #[prost(int32, tag = "2")]
    pub source: i32,
    /// Versions 0 and 1: metadata of metric families.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
    /// Version 2: texts of references from 64 on.
    #[prost(string, repeated, tag = "4")]
    pub symbols_rw2: Vec<String>,
    /// Version 2: series.
    #[prost(message, repeated, tag = "5")]
    pub timeseries_rw2: Vec<TimeSeriesRw2>,
    /// Names need not be checked.
    #[prost(bool, tag = "1000")]
    pub skip_label_validation: bool,
    /// The number of labels need not be checked.
    #[prost(bool, tag = "1001")]
    pub skip_label_count_validation: bool,
}

/// A series of versions 0 and 1.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Labels, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    /// Float samples, sorted by time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Histograms, sorted by time.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
    /// When counting began, in Unix milliseconds.
    #[prost(int64, tag = "6")]
    pub created_timestamp: i64,
}

/// A label.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LabelPair {
    /// Name.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    /// Value.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// An exemplar of versions 0 and 1.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Its own labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    /// The observed value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// A series of version 2.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeriesRw2 {
    /// Name, value, name, value…
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Float samples, sorted by time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Histograms, sorted by time.
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
    /// Exemplars.
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<RefExemplar>,
    /// Metadata of the series' family.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<RefMetadata>,
    /// When counting began, in Unix milliseconds.
    #[prost(int64, tag = "6")]
    pub created_timestamp: i64,
}
