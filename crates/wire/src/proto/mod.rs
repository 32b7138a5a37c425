//! Messages as plain structs, encoded and decoded by prost.
//!
//! For whoever makes requests (self-monitoring, load generators) and reads other people's, where
//! speed does not matter; the decoders of this crate are tested against them. Numbers are those
//! of `docs/formats/remote-write.md` and `docs/formats/record.md`.
//!
//! | module | package |
//! |---|---|
//! | [`v1`] | `prometheus`: remote write 1 |
//! | [`v2`] | `io.prometheus.write.v2`: remote write 2 |
//! | [`read`] | `prometheus`: remote read |
//! | [`record`] | `cortexpb`: Mimir's records |

pub mod read;
pub mod record;
pub mod v1;
pub mod v2;

pub use prost::Message;

/// A run of populated buckets.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BucketSpan {
    /// Gap to the span before, or the first bucket's index.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Number of buckets.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// A count that is an integer or a float; the float makes a float histogram.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum Count {
    /// Integer.
    #[prost(uint64, tag = "1")]
    Int(u64),
    /// Float.
    #[prost(double, tag = "2")]
    Float(f64),
}

/// The zero bucket's count.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum ZeroCount {
    /// Integer.
    #[prost(uint64, tag = "6")]
    Int(u64),
    /// Float.
    #[prost(double, tag = "7")]
    Float(f64),
}

/// A native histogram at one time; the same message everywhere.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// All observations.
    #[prost(oneof = "Count", tags = "1, 2")]
    pub count: Option<Count>,
    /// Sum of observations.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Resolution.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Width of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub zero_count: Option<ZeroCount>,
    /// Layout of negative buckets.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Integer histogram: differences to the bucket before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Float histogram: absolute counts.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Layout of positive buckets.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Integer histogram: differences to the bucket before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Float histogram: absolute counts.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// 0 unknown, 1 reset, 2 no reset, 3 gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Unix milliseconds.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Upper bounds of custom buckets.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    /// When counting began; only in remote write 2.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

/// A float sample of remote write 1 and of records.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// Metadata by symbol references: of a remote write 2 series and of a version 2 record's.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RefMetadata {
    /// Metric type.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// Help text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// Unit.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

/// An exemplar with labels by symbol references.
#[derive(Clone, PartialEq, Message)]
pub struct RefExemplar {
    /// Name, value, name, value…
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// The observed value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// Metadata of a metric family: in remote write 1 and in records of versions 0 and 1.
#[derive(Clone, PartialEq, Message)]
pub struct MetricMetadata {
    /// Metric type.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// Name of the family.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// Help text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}
