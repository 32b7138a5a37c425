//! Samples leave memory and log for blocks, in the real process, and `promtool` reads those.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_tests::norn::Norn;
use norn_tests::push::push;
use norn_tests::read::{query, read};
use serde_json::Value;

use crate::blocks::{promtool, run};
use crate::support::{now_ms, text};

const SERIES: usize = 5;
/// Ranges of a minute, and looks at them every second.
const FLAGS: [&str; 6] = [
    "-self-monitoring.enabled=false",
    "-blocks-storage.tsdb.block-ranges-period=1m",
    "-blocks-storage.tsdb.head-compaction-interval=1s",
    "-ingester.active-series-metrics-update-period=1s",
    "-embedded-log.segment-size-bytes=65536",
    "-embedded-log.partitions=2",
];

fn write(norn: &Norn, from: i64, to: i64) -> Result<()> {
    for t in (from..to).step_by(5000) {
        let hosts: Vec<String> = (0..SERIES).map(|i| i.to_string()).collect();
        let pairs: Vec<[(&str, &str); 2]> = hosts.iter().map(|h| [("__name__", "m"), ("host", h)]).collect();
        let series: Vec<_> =
            pairs.iter().enumerate().map(|(i, p)| (&p[..], t, (t / 1000) as f64 + i as f64 / 8.0)).collect();
        let answer = push(&norn.server, &series)?;
        ensure!(answer.status == 200, "{}", text(&answer));
    }
    Ok(())
}

/// Everything there is of the metric.
fn all(norn: &Norn, at: i64) -> Result<Value> {
    norn.server.instant("m[1h]", at as f64 / 1000.0)
}

fn metric(norn: &Norn, name: &str) -> Result<f64> {
    let metrics = text(&norn.server.get("/metrics")?);
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name}"))?.parse()?)
}

fn wait(what: &str, norn: &Norn, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..200 {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("{what} did not happen; norn's log:\n{}", norn.log())
}

/// Has another server take the same samples and gives it the first one's blocks besides: they come
/// out once.
fn beside(first: &Norn, start: i64, end: i64, wanted: &Value) -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    write(&norn, start, end)?;
    norn.process.terminate(Duration::from_secs(20))?;
    for block in fs::read_dir(first.data_dir().join("tsdb/anonymous"))? {
        let block = block?;
        copy(&block.path(), &norn.data_dir().join("tsdb/anonymous").join(block.file_name()))?;
    }
    norn.restart()?;
    ensure!(metric(&norn, "cortex_ingester_memory_series")? == SERIES as f64);
    ensure!(metric(&norn, "cortex_ingester_tsdb_blocks_loaded")? >= 8.0);
    ensure!(all(&norn, end)? == *wanted, "samples in memory and in blocks do not come out once");
    let results = read(&norn.server, "", vec![query(&[(0, "__name__", "m")], start, end)])?;
    let samples: Vec<usize> = results[0].timeseries.iter().map(|s| s.samples.len()).collect();
    ensure!(samples == [120; SERIES], "remote read gives {samples:?}");
    Ok(())
}

fn copy(block: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.join("chunks"))?;
    for file in ["meta.json", "index", "tombstones", "chunks/000001"] {
        fs::copy(block.join(file), to.join(file))?;
    }
    Ok(())
}

/// Samples of blocks as `promtool` lists them, by series and time.
fn dump(promtool: &Path, blocks: &Path) -> Result<BTreeMap<(String, i64), f64>> {
    // It wants a whole database, and writes to it.
    let database = tempfile::tempdir()?;
    fs::create_dir(database.path().join("wal"))?;
    for block in fs::read_dir(blocks)? {
        let block = block?;
        copy(&block.path(), &database.path().join(block.file_name()))?;
    }
    let path = database.path().to_str().context("a path")?;
    let newest = fs::read_dir(blocks)?.filter_map(|e| e.ok()?.file_name().into_string().ok()).max();
    run(promtool, &["tsdb", "analyze", path, &newest.context("no block")?])?;
    let mut samples = BTreeMap::new();
    for line in run(promtool, &["tsdb", "dump", path])?.lines() {
        let (rest, t) = line.rsplit_once(' ').context("a time")?;
        let (series, value) = rest.rsplit_once(' ').context("a value")?;
        let is_new = samples.insert((series.to_owned(), t.parse()?), value.parse()?).is_none();
        ensure!(is_new, "{line} is there twice");
    }
    Ok(samples)
}

fn wanted(from: i64, to: i64) -> BTreeMap<(String, i64), f64> {
    let series = |i: usize| format!("{{__name__=\"m\", host=\"{i}\"}}");
    let times = (from..to).step_by(5000);
    times
        .flat_map(|t| (0..SERIES).map(move |i| ((series(i), t), (t / 1000) as f64 + i as f64 / 8.0)))
        .collect()
}

#[test]
fn closed_ranges_become_blocks_and_every_sample_stays_through_restarts() -> Result<()> {
    let mut norn = Norn::start(&FLAGS)?;
    let end = now_ms() / 5000 * 5000;
    let start = end - 600_000;
    write(&norn, start, end)?;
    let before = all(&norn, end)?;
    let active = "cortex_ingester_active_series{user=\"anonymous\"}";
    wait("a count", &norn, || Ok(metric(&norn, active).unwrap_or(0.0) == SERIES as f64))?;
    ensure!(before.as_array().is_some_and(|s| s.len() == SERIES), "{before}");
    wait("a cut", &norn, || Ok(metric(&norn, "cortex_ingester_tsdb_compactions_total")? >= 1.0))?;
    ensure!(metric(&norn, "cortex_ingester_tsdb_blocks_loaded")? >= 8.0);
    ensure!(all(&norn, end)? == before, "answers change with the cut");
    wait("a checkpoint", &norn, || Ok(norn.data_dir().join("head/partition-0.checkpoint").is_file()))?;

    norn.crash_and_restart()?;
    ensure!(all(&norn, end)? == before, "answers change with a crash");

    let flushed = norn.server.post("/ingester/flush?wait=true", "", b"")?;
    ensure!(flushed.status == 204, "{}", text(&flushed));
    wait("an empty head", &norn, || Ok(metric(&norn, "cortex_ingester_memory_series")? == 0.0))?;
    ensure!(metric(&norn, "cortex_ingester_tsdb_compactions_failed_total")? == 0.0);
    ensure!(all(&norn, end)? == before, "answers change with a flush");

    write(&norn, end, end + 20_000)?;
    norn.process.terminate(Duration::from_secs(20))?;
    norn.restart()?;
    let after = all(&norn, end + 20_000)?;
    let samples = |v: &Value| v[0]["values"].as_array().map_or(0, Vec::len);
    ensure!(samples(&after) == samples(&before) + 4, "{after}");

    beside(&norn, start, end, &before)?;
    let Some(promtool) = promtool() else { return Ok(()) };
    let found = dump(&promtool, &norn.data_dir().join("tsdb/anonymous"))?;
    ensure!(found == wanted(start, end), "{} samples of {}", found.len(), wanted(start, end).len());
    println!(
        "promtool read {} samples of {} blocks",
        found.len(),
        metric(&norn, "cortex_ingester_tsdb_blocks_loaded")?
    );
    Ok(())
}
