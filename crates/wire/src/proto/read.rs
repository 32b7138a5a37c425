//! Package `prometheus`: remote read.

use prost::Message;

use super::v1::{Label, TimeSeries};

/// A request.
#[derive(Clone, PartialEq, Message)]
pub struct ReadRequest {
    /// What is asked for.
    #[prost(message, repeated, tag = "1")]
    pub queries: Vec<Query>,
    /// Forms of answers the client takes, the best first: numbers of [`ResponseType`].
    #[prost(int32, repeated, tag = "2")]
    pub accepted_response_types: Vec<i32>,
}

/// Forms of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// One [`ReadResponse`] with all samples.
    Samples = 0,
    /// Frames of [`ChunkedReadResponse`].
    StreamedXorChunks = 1,
}

/// Series by matchers and time.
#[derive(Clone, PartialEq, Message)]
pub struct Query {
    /// First Unix millisecond.
    #[prost(int64, tag = "1")]
    pub start_timestamp_ms: i64,
    /// Last Unix millisecond.
    #[prost(int64, tag = "2")]
    pub end_timestamp_ms: i64,
    /// All must pass.
    #[prost(message, repeated, tag = "3")]
    pub matchers: Vec<LabelMatcher>,
}

/// A condition on a label.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LabelMatcher {
    /// 0 equal, 1 not equal, 2 matches, 3 does not match.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// The label's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// A value or a pattern.
    #[prost(string, tag = "3")]
    pub value: String,
}

/// All samples, by query.
#[derive(Clone, PartialEq, Message)]
pub struct ReadResponse {
    /// In the order of the queries.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<QueryResult>,
}

/// The samples of one query.
#[derive(Clone, PartialEq, Message)]
pub struct QueryResult {
    /// Series in label order.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

/// A frame of a streamed answer.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedReadResponse {
    /// Series in label order; one that needs several frames is in each of them.
    #[prost(message, repeated, tag = "1")]
    pub chunked_series: Vec<ChunkedSeries>,
    /// The query it belongs to.
    #[prost(int64, tag = "2")]
    pub query_index: i64,
}

/// Chunks of a series.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedSeries {
    /// Labels, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Chunks by time; they do not overlap.
    #[prost(message, repeated, tag = "2")]
    pub chunks: Vec<Chunk>,
}

/// A chunk.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Chunk {
    /// Unix milliseconds of the first sample.
    #[prost(int64, tag = "1")]
    pub min_time_ms: i64,
    /// Unix milliseconds of the last sample.
    #[prost(int64, tag = "2")]
    pub max_time_ms: i64,
    /// Number of the encoding, as on disk.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
    /// Bytes in that encoding.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}
