//! The write road at its edges: headers of refusals, memory, files, damage, other partitions.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_benches::process::usage;
use norn_tests::norn::{Norn, refused};
use norn_tests::push::{V1, V2, body, push, raw, snappy};

use crate::support::{now_ms, text};

const PATIENCE: Duration = Duration::from_secs(10);

/// What the server answers to a push, head included.
fn answer(norn: &Norn, headers: &str, body: &[u8]) -> Result<String> {
    let length = body.len();
    let head = format!(
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    Ok(raw(&norn.server, &[head.as_bytes(), body].concat(), PATIENCE)?.to_lowercase())
}

#[test]
fn refusals_carry_what_senders_expect() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false", "-distributor.ingestion-burst-size=1"])?;
    let written = "x-prometheus-remote-write-samples-written: 0";
    let gzip = V2.replace("snappy", "gzip");
    for (headers, status) in [(V2, "400"), (&gzip, "415")] {
        let got = answer(&norn, headers, b"junk")?;
        ensure!(got.starts_with(&format!("http/1.1 {status}")) && got.contains(written), "{got}");
    }
    ensure!(!answer(&norn, V1, b"junk")?.contains("-written"));
    let two = body(&[(&[("__name__", "a")], now_ms(), 1.0), (&[("__name__", "b")], now_ms(), 1.0)]);
    let got = answer(&norn, V1, &snappy(&two))?;
    ensure!(got.starts_with("http/1.1 429") && got.contains("retry-after: "), "{got}");
    ensure!(got.contains("(err-mimir-tenant-max-ingestion-rate)"), "{got}");
    Ok(())
}

#[test]
fn a_small_request_may_not_decode_to_gigabytes() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let before = usage(norn.process.id())?;
    // Empty series: two bytes each.
    let response = norn.server.post("/api/v1/push", V1, &snappy(&[0x0a, 0x00].repeat(45 << 20)))?;
    ensure!(response.status == 400, "{}: {}", response.status, text(&response));
    let after = usage(norn.process.id())?;
    ensure!(after.peak_rss < before.rss + 900_000_000, "peak {} MB", after.peak_rss / 1_000_000);
    Ok(())
}

#[test]
fn bodies_in_memory_are_counted() -> Result<()> {
    let flag = "-distributor.instance-limits.max-inflight-push-requests-bytes=1000000";
    let norn = Norn::start(&["-self-monitoring.enabled=false", flag])?;
    let got = answer(&norn, V2, &vec![0; 2_000_000])?;
    ensure!(got.starts_with("http/1.1 503") && got.contains("retry-after: "), "{got}");
    ensure!(got.contains("(err-mimir-distributor-max-inflight-push-requests-bytes)"), "{got}");
    ensure!(push(&norn.server, &[(&[("__name__", "m")], now_ms(), 1.0)])?.status == 200);
    Ok(())
}

#[test]
fn a_tenant_is_whole_whatever_the_number_of_partitions() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false", "-embedded-log.partitions=7"])?;
    let t = now_ms() - 10_000;
    for (step, partitions) in [7, 1, 4, 2].iter().enumerate() {
        let name: &[(&str, &str)] = &[("__name__", "moved")];
        norn.process.terminate(PATIENCE)?;
        norn.restart_with(&[&format!("-embedded-log.partitions={partitions}")])?;
        ensure!(push(&norn.server, &[(name, t + step as i64, step as f64)])?.status == 200);
        let result = norn.server.instant("moved[1m]", t as f64 / 1000.0 + 1.0)?;
        let values = result[0]["values"].as_array().context("no values")?;
        ensure!(values.len() == step + 1 && result.as_array().map(Vec::len) == Some(1), "{result}");
    }
    Ok(())
}

#[test]
fn targets_that_do_not_exist_yet_are_refused_by_name() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = format!("-data-dir={}", dir.path().display());
    for target in ["distributor", "all,alertmanager"] {
        let said = refused(&[format!("-target={target}"), data.clone()])?;
        let name = target.trim_start_matches("all,");
        ensure!(said.contains(&format!("-target (YAML target) names \"{name}\"")), "{said}");
    }
    ensure!(std::fs::read_dir(dir.path())?.next().is_none(), "something was made all the same");
    Ok(())
}

/// Idle connections may not take the file descriptors that the log needs.
#[test]
fn connections_leave_files_for_the_log() -> Result<()> {
    let norn = Norn::start_with_open_files(
        100,
        &[
            "-self-monitoring.enabled=false",
            "-embedded-log.segment-size-bytes=65536",
            "-distributor.ingestion-burst-size=1000000",
        ],
    )?;
    let idle: Vec<_> =
        (0..200).filter_map(|_| std::net::TcpStream::connect(&norn.server.host).ok()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let held = idle.len();
    drop(idle);
    // Texts that stay long in the log, so that it needs new segments.
    let mut random = norn_tests::generator::random::Random::new(1, 0);
    for i in 0..200 {
        let long: String = (0..125).map(|_| format!("{:016x}", random.bits())).collect();
        let labels = [("__name__", "m"), ("long", long.as_str()), ("i", &i.to_string())];
        let response = push(&norn.server, &[(&labels, now_ms(), 1.0)])?;
        ensure!(response.status == 200, "{held} held, {i}: {}", text(&response));
    }
    Ok(())
}

#[test]
fn the_log_tells_how_far_it_is() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false", "-embedded-log.partitions=1"])?;
    for i in 0..3 {
        ensure!(push(&norn.server, &[(&[("__name__", "m")], now_ms() + i, 1.0)])?.status == 200);
    }
    let metrics = text(&norn.server.get("/metrics")?);
    let figure = |name: &str| -> Result<f64> {
        let line = metrics.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("{name} is missing:\n{metrics}"))?.parse()?)
    };
    // Settings of the tenant are records, too.
    let durable = figure("norn_log_records_total")?;
    ensure!(durable >= 3.0);
    ensure!(figure("norn_log_next_offset{partition=\"0\"}")? == durable);
    ensure!(figure("cortex_ingest_storage_reader_last_consumed_offset{partition=\"0\"}")? == durable - 1.0);
    ensure!(figure("norn_log_lag_records{partition=\"0\"}")? == 0.0);
    ensure!(figure("norn_log_first_offset{partition=\"0\"}")? == 0.0);
    let syncs = figure("norn_log_sync_duration_seconds_count")?;
    ensure!(syncs >= 3.0 && figure("norn_log_sync_duration_seconds_bucket{le=\"+Inf\"}")? == syncs);
    ensure!(figure("cortex_ingest_storage_writer_buffered_produce_bytes")? == 0.0);
    Ok(())
}
