//! Package `io.prometheus.write.v2`: remote write 2.

use prost::Message;

use super::{Histogram, RefExemplar, RefMetadata};

/// A request.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Texts that references name; the first is empty.
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    /// Series.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

/// A series.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
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
    /// Of early drafts, and Mimir: when counting began, in Unix milliseconds.
    #[prost(int64, tag = "6")]
    pub created_timestamp: i64,
}

/// A float sample.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// When counting began, in Unix milliseconds; 0 = not known.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}
