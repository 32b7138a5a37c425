//! What a newcomer sees: no configuration, a printed first query that answers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_tests::norn::Norn;

use crate::support::text;

#[test]
fn the_printed_first_query_answers() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.interval=1s"])?;
    let log = norn.log();
    ensure!(log.contains("remote_write:") && log.contains("/api/v1/push"), "no snippet in:\n{log}");
    let url = log
        .lines()
        .filter_map(|l| l.split("http://").nth(1))
        .find(|l| l.contains("/api/v1/query?"))
        .context("no first query printed")?;
    let path = &url[url.find('/').context("no path")?..];
    let path = path.trim_end_matches(['\'', '"']).to_owned();
    norn.server.wait_for("an answer to the first query", Duration::from_secs(20), || {
        let answer: serde_json::Value = serde_json::from_slice(&norn.server.get(&path)?.body)?;
        Ok(answer["data"]["result"].as_array().is_some_and(|r| !r.is_empty()))
    })
}

#[test]
fn operational_endpoints_answer() -> Result<()> {
    let norn = Norn::start(&[])?;
    for (path, has) in [
        ("/ready", "ready"),
        ("/services", "Running"),
        ("/config", "multitenancy_enabled: false"),
        ("/config?mode=diff", "http_listen_port"),
        ("/metrics", "cortex_build_info"),
        ("/", "Norn"),
        ("/prometheus/api/v1/status/buildinfo", "Grafana Mimir"),
        ("/api/v1/status/buildinfo", "Grafana Mimir"),
        ("/api/v1/query?query=1%2B1", "\"2\""),
        ("/prometheus/api/v1/query?query=1%2B1", "\"2\""),
    ] {
        let response = norn.server.get(path)?;
        ensure!(response.status == 200 && text(&response).contains(has), "{path}: {}", text(&response));
    }
    ensure!(norn.server.get("/no/such/path")?.status == 404);
    Ok(())
}
