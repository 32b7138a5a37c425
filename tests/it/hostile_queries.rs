//! Hostile PromQL and API parameters: right status and type, and the process goes on.

use anyhow::{Result, ensure};
use norn_benches::process::usage;
use norn_tests::norn::Norn;
use serde_json::Value;

fn ask(norn: &Norn, query: &str) -> Result<(u16, Value)> {
    let body = norn_tests::api::form(&[("query", query), ("time", "1000")]);
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let response = norn.server.post("/prometheus/api/v1/query", headers, body.as_bytes())?;
    Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
}

#[test]
fn deep_and_gigantic_queries_are_refused() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let before = usage(norn.process.id())?;
    let queries = [
        format!("{}1{}", "(".repeat(200_000), ")".repeat(200_000)),
        "(".repeat(1_000_000),
        "-".repeat(300_000) + "1",
        format!("{}1", "1+".repeat(300_000)),
        format!("{}1", "2^".repeat(300_000)),
        format!("{}x{}", "sum(".repeat(100_000), ")".repeat(100_000)),
        format!("x{}", "[5m:1m]".repeat(100_000)),
        format!("up{{a=~\"{}\"}}", "(a{1000}){1000}".repeat(100)),
        format!("up{{a=~\"{}\"}}", "a?".repeat(500_000)),
        format!("up{{a=~\"{}\"}}", "(".repeat(500_000)),
        "up{a=~\"(?:(?:(?:(?:a{100}){100}){100}){100})\"}".to_owned(),
    ];
    for query in &queries {
        let (status, answer) = ask(&norn, query)?;
        let shown = &query[..query.len().min(30)];
        ensure!(status == 400 && answer["errorType"] == "bad_data", "{shown}…: {status} {answer}");
        ensure!(norn.process.is_running(), "{shown}… ended the process");
    }
    let after = usage(norn.process.id())?;
    ensure!(after.peak_rss < before.rss + 500_000_000, "peak {} MB", after.peak_rss / 1_000_000);
    Ok(())
}

#[test]
fn parameters_are_checked_as_prometheus_does() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    for (endpoint, params, has) in [
        ("query", "query=up%20%2B", "parse error"),
        ("query", "query=foo(1)", "unknown function with name"),
        ("query_range", "query=1&start=0&end=100000&step=1", "exceeded maximum resolution of 11,000 points"),
        ("query_range", "query=1&start=10&end=0&step=1", "end timestamp must not be before start time"),
        ("query_range", "query=1&start=0&end=10&step=0", "zero or negative query resolution step widths"),
        ("query_range", "query=x%5B5m%5D&start=0&end=10&step=1", "invalid expression type"),
        ("series", "", "no match[] parameter provided"),
        ("query", "query=1&time=abc", "invalid parameter"),
    ] {
        let response = norn.server.get(&format!("/prometheus/api/v1/{endpoint}?{params}"))?;
        let answer: Value = serde_json::from_slice(&response.body)?;
        let error = answer["error"].as_str().unwrap_or_default();
        ensure!(response.status == 400 && error.contains(has), "{endpoint}?{params}: {answer}");
    }
    Ok(())
}
