//! Remote read as a real Prometheus answers it, and as a real Prometheus understands it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use norn_tests::api::Server;
use norn_tests::differential::servers::Servers;
use norn_tests::generator::data::{SLICE, SLICES, START};
use norn_tests::prometheus::Prometheus;
use norn_tests::push::snappy;
use norn_wire::content;
use norn_wire::proto::read::{LabelMatcher, Query, QueryResult, ReadRequest, ReadResponse};
use norn_wire::proto::v1::TimeSeries;
use norn_wire::proto::{BucketSpan, Count, Histogram, Message, ZeroCount};

const END: i64 = START + SLICE * SLICES;

fn query(matchers: &[(i32, &str, &str)], start: i64, end: i64) -> Query {
    let matcher = |(kind, name, value): &(i32, &str, &str)| LabelMatcher {
        r#type: *kind,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let matchers = matchers.iter().map(matcher).collect();
    Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers }
}

fn read(server: &Server, request: &ReadRequest) -> Result<Vec<QueryResult>> {
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    let path = format!("{}/api/v1/read", server.prefix);
    let response = server.post(&path, headers, &snappy(&request.encode_to_vec()))?;
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
fn shown(h: &Histogram) -> String {
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

fn lines(series: &TimeSeries) -> Vec<String> {
    let labels = series.labels.iter().map(|l| format!("{}={:?} ", l.name, l.value)).collect();
    let floats = series.samples.iter().map(|s| format!("{} {:x}", s.timestamp, s.value.to_bits()));
    std::iter::once(labels).chain(floats).chain(series.histograms.iter().map(shown)).collect()
}

#[test]
fn samples_are_those_that_prometheus_gives() -> Result<()> {
    let servers = Servers::start(1)?;
    let middle = START + (END - START) / 2;
    let queries = vec![
        query(&[(2, "__name__", ".+")], START, END),
        query(&[(2, "__name__", ".+")], middle, middle + 60_000),
        query(&[(3, "__name__", "[a-h].*")], middle, middle),
        query(&[(0, "__name__", "not there")], START, END),
        query(&[(1, "__name__", ""), (2, "job", ".*")], END, i64::MAX),
    ];
    let request = ReadRequest { queries, accepted_response_types: vec![] };
    let want = read(&servers.prometheus.server, &request)?;
    let got = read(&servers.norn.server, &request)?;
    ensure!(want.len() == got.len());
    let (mut samples, mut histograms) = (0, 0);
    for (i, (want, got)) in want.iter().zip(&got).enumerate() {
        // The reference also gives series of which nothing lies within the range.
        let want: Vec<_> =
            want.timeseries.iter().filter(|s| !s.samples.is_empty() || !s.histograms.is_empty()).collect();
        let (wanted, given) = (want.len(), got.timeseries.len());
        ensure!(wanted == given, "query {i}: {given} series instead of {wanted}");
        for (want, got) in want.into_iter().zip(&got.timeseries) {
            let (wanted, given) = (lines(want), lines(got));
            let differs = wanted.iter().zip(&given).find(|(a, b)| a != b);
            ensure!(differs.is_none() && wanted.len() == given.len(), "query {i}: {} {differs:?}", wanted[0]);
            samples += want.samples.len();
            histograms += want.histograms.len();
        }
    }
    ensure!(samples > 10_000 && histograms > 100, "only {samples} samples and {histograms} histograms");
    Ok(())
}

#[test]
fn prometheus_reads_streamed_chunks() -> Result<()> {
    let servers = Servers::start(1)?;
    let reader = Prometheus::reader(&servers.norn.server.host)?;
    let end = END as f64 / 1000.0;
    let query = "{__name__=~\".+\"}[2h]";
    let want = servers.norn.server.instant(query, end)?;
    let got = reader.server.instant(query, end)?;
    let (want, got) = (want.as_array().context("series")?, got.as_array().context("series")?);
    ensure!(want.len() == got.len() && want.len() > 50, "{} of {} series", got.len(), want.len());
    for (want, got) in want.iter().zip(got) {
        ensure!(want == got, "{}\n{}", want["metric"], got["metric"]);
    }
    Ok(())
}
