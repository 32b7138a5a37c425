//! A real Prometheus scrapes, writes to Norn for two minutes across a `kill -9`, and then both
//! answer the same queries.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use norn_tests::api::Server;
use norn_tests::compare;
use norn_tests::norn::Norn;
use norn_tests::prometheus::{Job, NodeExporter, Prometheus};

const QUERIES: &str = include_str!("../data/queries.txt");
const WRITE_FOR: Duration = Duration::from_secs(120);
/// Queries that must have answers on both sides.
const AT_LEAST: usize = 60;

#[test]
fn remote_write_1() -> Result<()> {
    write_crash_compare(1)
}

#[test]
fn remote_write_2() -> Result<()> {
    write_crash_compare(2)
}

fn write_crash_compare(protocol: u8) -> Result<()> {
    let node = NodeExporter::start()?;
    let mut norn = Norn::start(&[
        "-self-monitoring.enabled=false",
        "-query-frontend.enabled-promql-experimental-functions=all",
    ])?;
    let job = Job { node: &node.host, norn: &norn.server.host, protocol, interval: 2 };
    let prometheus = Prometheus::start(&job)?;
    let start = Instant::now();
    std::thread::sleep(WRITE_FOR / 2);
    norn.crash_and_restart()?;
    std::thread::sleep(WRITE_FOR.saturating_sub(start.elapsed()));
    let end = now();
    caught_up(&prometheus.server, &norn.server, end)?;
    let compared = compare_all(&prometheus.server, &norn.server, end)
        .with_context(|| format!("norn's log:\n{}", norn.log()))?;
    println!("protocol {protocol}: {compared} queries with answers agree");
    Ok(())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs() as f64)
}

/// Waits until Norn has every sample that Prometheus had at `end`.
fn caught_up(prometheus: &Server, norn: &Server, end: f64) -> Result<()> {
    let all = "count({__name__=~\".+\"}) + sum(count_over_time(up[3m]))";
    let newest = "max by (job) (timestamp(up))";
    norn.wait_for("everything Prometheus wrote", Duration::from_secs(30), || {
        let same = |query: &str| -> Result<()> {
            compare::results(&prometheus.instant(query, end)?, &norn.instant(query, end)?)
        };
        same(all)?;
        same(newest)?;
        Ok(true)
    })
}

fn compare_all(prometheus: &Server, norn: &Server, end: f64) -> Result<usize> {
    let mut compared = 0;
    let mut differences = Vec::new();
    for query in QUERIES.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let instant = (prometheus.instant(query, end)?, norn.instant(query, end));
        let range = (prometheus.range(query, end - 90.0, end, 7.0)?, norn.range(query, end - 90.0, end, 7.0));
        let mut empty = true;
        for (oracle, answer) in [instant, range] {
            empty &= compare::is_empty(&oracle);
            if let Err(e) = answer.and_then(|answer| compare::results(&oracle, &answer)) {
                differences.push(format!("{query}: {e:#}"));
            }
        }
        compared += usize::from(!empty);
    }
    if !differences.is_empty() {
        bail!("{} differences:\n{}", differences.len(), differences.join("\n"));
    }
    if compared < AT_LEAST {
        bail!("only {compared} queries had an answer; {AT_LEAST} are needed");
    }
    Ok(compared)
}
