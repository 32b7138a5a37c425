//! Exemplars as a real Prometheus keeps and gives them, and numbers of series over HTTP.

use anyhow::{Result, ensure};
use norn_tests::norn::Norn;
use norn_tests::prometheus::Prometheus;
use norn_tests::push::{V1, snappy};
use norn_wire::proto::v1::{Exemplar, Label, TimeSeries, WriteRequest};
use norn_wire::proto::{Message, Sample};

use crate::support::now_ms;

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(n, v)| Label { name: (*n).to_owned(), value: (*v).to_owned() }).collect()
}

/// Two metrics of three jobs with an exemplar each; `n` is the number of the request.
fn request(start: i64, n: i64) -> WriteRequest {
    let series = |metric: &str, job: i64| {
        let timestamp = start + n * 15_000;
        // Job 2 repeats its exemplar, as clients do that have no newer one.
        let seen = if job == 2 { start + 1 } else { timestamp + job };
        let trace = format!("{metric} <{}>", seen - start);
        let exemplar = Exemplar {
            labels: labels(&[("trace_id", &trace)]),
            value: (seen - start) as f64 / 7.0,
            timestamp: seen,
        };
        TimeSeries {
            labels: labels(&[("__name__", metric), ("job", &format!("{job}"))]),
            samples: vec![Sample { value: n as f64, timestamp }],
            exemplars: vec![exemplar],
            ..TimeSeries::default()
        }
    };
    let timeseries = ["a_total", "b_total"].iter().flat_map(|m| (0..3).map(move |job| series(m, job)));
    WriteRequest { timeseries: timeseries.collect(), ..WriteRequest::default() }
}

fn start() -> Result<(Norn, i64)> {
    let norn = Norn::start(&[
        "-self-monitoring.enabled=false",
        "-ingester.max-global-exemplars-per-user=1000",
        "-querier.cardinality-analysis-enabled=true",
    ])?;
    Ok((norn, now_ms() / 1000 * 1000 - 300_000))
}

#[test]
fn exemplars_are_those_that_prometheus_gives() -> Result<()> {
    let (norn, start) = start()?;
    let prometheus = Prometheus::receiver(&["--enable-feature=exemplar-storage"])?;
    for n in 0..10 {
        let body = snappy(&request(start, n).encode_to_vec());
        for (server, path) in [(&norn.server, "/api/v1/push"), (&prometheus.server, "/api/v1/write")] {
            let response = server.post(path, V1, &body)?;
            ensure!(response.status / 100 == 2, "{}", String::from_utf8_lossy(&response.body));
        }
    }
    let at = |t: i64| format!("{}.{:03}", (start + t) / 1000, (start + t) % 1000);
    let mut seen = 0;
    for (query, from, to) in [
        ("a_total", 0, 200_000),
        ("{__name__=~\".+\"}", 0, 200_000),
        ("sum(rate(a_total{job=\"1\"}[5m])) / on () b_total{job!=\"0\"}", 0, 200_000),
        ("b_total", 15_000, 30_001),
        ("a_total{job=\"2\"}", 2, 200_000),
        ("a_total{job=\"2\"}", 1, 1),
        ("c_total", 0, 200_000),
    ] {
        let params = [("query", query), ("start", &at(from)), ("end", &at(to))];
        let want = prometheus.server.api("query_exemplars", &params)?;
        let got = norn.server.api("query_exemplars", &params)?;
        ensure!(want == got, "{query} {from} {to}\nwant {want}\ngot  {got}");
        let series = want["data"].as_array().map_or(&[][..], |s| s);
        seen += series.iter().filter_map(|s| s["exemplars"].as_array()).map(Vec::len).sum::<usize>();
    }
    ensure!(seen > 80, "only {seen} exemplars");
    Ok(())
}

#[test]
fn series_are_counted() -> Result<()> {
    let (norn, start) = start()?;
    let response = norn.server.post("/api/v1/push", V1, &snappy(&request(start, 0).encode_to_vec()))?;
    ensure!(response.status == 200);
    let names = norn.server.api("cardinality/label_names", &[])?;
    ensure!(names["label_names_count"] == 2 && names["label_values_count_total"] == 5, "{names}");
    let params = [("label_names[]", "job"), ("selector", "a_total"), ("count_method", "active")];
    let values = norn.server.api("cardinality/label_values", &params)?;
    ensure!(values["series_count_total"] == 3, "{values}");
    ensure!(values["labels"][0]["label_values_count"] == 3, "{values}");
    let active = norn.server.api("cardinality/active_series", &[("selector", "{job=\"1\"}")])?;
    let jobs = active["data"].as_array().map(|all| all.iter().filter(|l| l["job"] == "1").count());
    ensure!(jobs == Some(2) && active.get("status").is_none(), "{active}");
    Ok(())
}
