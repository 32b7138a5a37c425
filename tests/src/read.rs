//! Remote read by hand, and samples in words.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use norn_wire::content;
use norn_wire::proto::read::{LabelMatcher, Query, QueryResult, ReadRequest, ReadResponse};
use norn_wire::proto::v1::TimeSeries;
use norn_wire::proto::{BucketSpan, Count, Histogram, Message, ZeroCount};

use crate::api::Server;
use crate::push::{V1, snappy};

/// A query by matchers (kind, name, value; kinds are those of [`LabelMatcher`]) and milliseconds,
/// both included.
pub fn query(matchers: &[(i32, &str, &str)], start: i64, end: i64) -> Query {
    let matcher = |(kind, name, value): &(i32, &str, &str)| LabelMatcher {
        r#type: *kind,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let matchers = matchers.iter().map(matcher).collect();
    Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers }
}

/// Asks for samples, with extra header lines.
pub fn read(server: &Server, headers: &str, queries: Vec<Query>) -> Result<Vec<QueryResult>> {
    let request = ReadRequest { queries, accepted_response_types: vec![] };
    let path = format!("{}/api/v1/read", server.prefix);
    let response = server.post(&path, &format!("{V1}{headers}"), &snappy(&request.encode_to_vec()))?;
    ensure!(response.status == 200, "{}: {}", response.status, String::from_utf8_lossy(&response.body));
    let mut raw = Vec::new();
    content::snappy(&response.body, 1 << 30, &mut raw)?;
    Ok(ReadResponse::decode(&*raw)?.results)
}

/// Buckets that are not empty, by index. Layouts may have more empty ones, by chunk.
fn buckets(spans: &[BucketSpan], deltas: &[i64], counts: &[f64]) -> BTreeMap<i32, u64> {
    let (mut index, mut total, mut at) = (0, 0, 0);
    let mut out = BTreeMap::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            total += deltas.get(at).copied().unwrap_or(0);
            let count = counts.get(at).copied().unwrap_or(total as f64);
            if count != 0.0 {
                out.insert(index, count.to_bits());
            }
            (index, at) = (index + 1, at + 1);
        }
    }
    out
}

/// A histogram in words: what it counted, not how it lies in its chunk.
pub fn shown(h: &Histogram) -> String {
    let Histogram { timestamp, schema, custom_values, .. } = h;
    let count = match h.count {
        Some(Count::Int(n)) => format!("{n}"),
        Some(Count::Float(n)) => format!("{n:?} float"),
        None => String::new(),
    };
    let zero = match h.zero_count {
        Some(ZeroCount::Int(n)) => n as f64,
        Some(ZeroCount::Float(n)) => n,
        None => 0.0,
    };
    let is_gauge = h.reset_hint == 3;
    let positive = buckets(&h.positive_spans, &h.positive_deltas, &h.positive_counts);
    let negative = buckets(&h.negative_spans, &h.negative_deltas, &h.negative_counts);
    let (sum, width) = (h.sum.to_bits(), h.zero_threshold);
    format!(
        "{timestamp} {count} {sum:x} {schema} {width:?} {zero:?} {is_gauge} {custom_values:?} {positive:?} {negative:?}"
    )
}

/// A series in lines: its labels, then its samples.
pub fn lines(series: &TimeSeries) -> Vec<String> {
    let labels = series.labels.iter().map(|l| format!("{}={:?} ", l.name, l.value)).collect();
    let floats = series.samples.iter().map(|s| format!("{} {:x}", s.timestamp, s.value.to_bits()));
    std::iter::once(labels).chain(floats).chain(series.histograms.iter().map(shown)).collect()
}
