//! Queries end with their clients, and those that ran at a crash are named afterwards.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use norn_benches::process::usage;
use norn_tests::api::form;
use norn_tests::norn::Norn;
use norn_tests::push::push;

use crate::support::now_ms;

/// Seconds of work over the data of [`norn`].
const HEAVY: &str = "quantile_over_time(0.5, quantile_over_time(0.5, x[10m])[10m:100ms])";
const STEP: i64 = 15_000;

/// A server with 1,000 series of 40 samples.
fn norn() -> Result<(Norn, i64)> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let end = now_ms();
    let names: Vec<String> = (0..1000).map(|i| format!("{i}")).collect();
    for n in (0..40).rev() {
        let series: Vec<_> = names.iter().map(|i| [("__name__", "x"), ("i", i.as_str())]).collect();
        let series: Vec<_> = series.iter().map(|l| (&l[..], end - n * STEP, (n * n % 17) as f64)).collect();
        let response = push(&norn.server, &series)?;
        ensure!(response.status == 200, "{}", String::from_utf8_lossy(&response.body));
    }
    Ok((norn, end))
}

/// Asks and does not wait for the answer.
fn ask(norn: &Norn, end: i64) -> Result<TcpStream> {
    let at = |t: i64| (t / 1000).to_string();
    let (start, end) = (at(end - 600_000), at(end));
    let params = form(&[("query", HEAVY), ("start", &start), ("end", &end), ("step", "1")]);
    let mut stream = TcpStream::connect(&norn.server.host)?;
    let path = format!("/prometheus/api/v1/query_range?{params}");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", norn.server.host)?;
    Ok(stream)
}

fn active(norn: &Norn) -> Result<String> {
    let text = std::fs::read_to_string(norn.data_dir().join("queries.active")).context("queries.active")?;
    Ok(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !is_so()? {
        ensure!(began.elapsed() < Duration::from_secs(10), "{what} did not happen");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn a_query_stops_when_its_client_leaves() -> Result<()> {
    let (norn, end) = norn()?;
    let cpu = || Ok::<_, anyhow::Error>(usage(norn.process.id())?.cpu_seconds);
    let idle = cpu()?;
    let client = ask(&norn, end)?;
    // It is heavy: it runs for a while, and it is named.
    wait_until("work", || Ok(cpu()? > idle + 0.5))?;
    ensure!(active(&norn)?.contains("quantile_over_time"), "{}", active(&norn)?);
    drop(client);
    let left = Instant::now();
    sleep(Duration::from_millis(100));
    let (stopped, after) = (active(&norn)?, left.elapsed());
    let before = cpu()?;
    sleep(Duration::from_millis(700));
    let used = cpu()? - before;
    ensure!(stopped.is_empty(), "still active {after:?} after the client left: {stopped}");
    ensure!(used < 0.1, "{used} s of CPU in the 0.7 s after");
    Ok(())
}

#[test]
fn what_ran_at_a_crash_is_named_at_the_start() -> Result<()> {
    let (mut norn, end) = norn()?;
    let said = "queries that were running when the process ended";
    let client = ask(&norn, end)?;
    wait_until("the query", || Ok(active(&norn)?.contains("quantile_over_time")))?;
    norn.crash_and_restart()?;
    drop(client);
    let log = norn.log();
    let line = log.lines().find(|l| l.contains(said)).with_context(|| log.clone())?;
    ensure!(line.contains("quantile_over_time") && line.contains("anonymous"), "{line}");
    ensure!(active(&norn)?.is_empty(), "{}", active(&norn)?);
    // Once is enough.
    norn.crash_and_restart()?;
    ensure!(norn.log().matches(said).count() == 1, "{}", norn.log());
    Ok(())
}
