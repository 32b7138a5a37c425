//! Many senders at once: whatever is acknowledged is there, exactly, however the process ends.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use norn_benches::body::{labels_v1, series_v1};
use norn_benches::http::Client;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, snappy};

use crate::support::{now_ms, text};

const SERIES: usize = 2000;
const FLAGS: [&str; 4] = [
    "-self-monitoring.enabled=false",
    "-distributor.ingestion-rate-limit=1000000000",
    "-distributor.ingestion-burst-size=1000000000",
    // Small, so that segments are finished and begun all the time.
    "-embedded-log.segment-size-bytes=1048576",
];

/// The value of series `i` of sender `c` in its request `k`.
fn value(c: usize, i: usize, k: u64) -> f64 {
    (k * 1_000_000 + i as u64) as f64 + c as f64 / 128.0
}

fn request(c: usize, k: u64, start: i64) -> Vec<u8> {
    let (mut raw, mut scratch) = (Vec::new(), Vec::new());
    for i in 0..SERIES {
        let pairs = [("__name__", "heavy".to_owned()), ("c", c.to_string()), ("i", i.to_string())];
        let pairs = pairs.map(|(n, v)| (n.to_owned(), v));
        series_v1(&mut raw, &labels_v1(&pairs), start + k as i64, value(c, i, k), &mut scratch);
    }
    snappy(&raw)
}

/// Sends request after request until the server is gone; notes what was acknowledged.
fn send(host: &str, c: usize, next: &AtomicU64, start: i64, acked: &Mutex<Vec<(usize, u64)>>) -> Result<()> {
    let mut client = Client::connect(host)?;
    loop {
        let k = next.fetch_add(1, Ordering::SeqCst);
        let response = client.post("/api/v1/push", V1, &request(c, k, start))?;
        if response.status == 200 {
            acked.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.push((c, k));
        } else {
            ensure!(response.status == 503, "answered {}: {}", response.status, text(&response));
        }
    }
}

/// Every acknowledged request is there whole, and nothing is there that was never sent.
fn check(norn: &Norn, senders: usize, start: i64, acked: &[(usize, u64)], sent: &[AtomicU64]) -> Result<()> {
    for c in 0..senders {
        let result =
            norn.server.instant(&format!("heavy{{c=\"{c}\"}}[1h]"), (start + 3_000_000) as f64 / 1000.0)?;
        let mut found: HashMap<u64, usize> = HashMap::new();
        for series in result.as_array().context("no array")? {
            let i: usize = series["metric"]["i"].as_str().context("no i")?.parse()?;
            for point in series["values"].as_array().context("no values")? {
                let k = ((point[0].as_f64().context("no time")? * 1000.0).round() as i64 - start) as u64;
                let stored: f64 = point[1].as_str().context("no value")?.parse()?;
                ensure!(stored == value(c, i, k), "sender {c} series {i} request {k}: {stored}");
                *found.entry(k).or_default() += 1;
            }
        }
        for (_, k) in acked.iter().filter(|(of, _)| *of == c) {
            ensure!(found.get(k) == Some(&SERIES), "sender {c} request {k}: {:?}", found.get(k));
        }
        let sent = sent[c].load(Ordering::SeqCst);
        ensure!(found.keys().all(|k| *k < sent), "sender {c}: something was invented");
    }
    Ok(())
}

fn under_load(norn: &mut Norn, senders: usize, end: impl Fn(&mut Norn) -> Result<()>) -> Result<()> {
    let start = now_ms() - 3_000_000;
    let acked = Mutex::new(Vec::new());
    let next: Vec<AtomicU64> = (0..senders).map(|_| AtomicU64::new(0)).collect();
    for _ in 0..3 {
        let host = norn.server.host.clone();
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..senders)
                .map(|c| {
                    let (host, next, acked) = (&host, &next[c], &acked);
                    scope.spawn(move || send(host, c, next, start, acked))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(1500));
            let ended = end(norn);
            for handle in handles {
                // A sender ends with a broken connection; anything else is a finding.
                let error = handle.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?.err();
                let error = error.context("a sender ended by itself")?;
                ensure!(!error.to_string().starts_with("answered"), "{error}");
            }
            ended
        })?;
        norn.restart()?;
        let acked = acked.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        ensure!(acked.len() > senders, "only {} requests were acknowledged", acked.len());
        check(norn, senders, start, &acked, &next)?;
    }
    let segments = std::fs::read_dir(norn.data_dir().join("log"))?.count();
    ensure!(segments > 6, "{segments} files: segments were never finished");
    Ok(())
}

#[test]
fn what_16_senders_were_told_survives_kill_9() -> Result<()> {
    let mut norn = Norn::start(&FLAGS)?;
    under_load(&mut norn, 16, |norn| norn.process.kill())
}

#[test]
fn what_16_senders_were_told_survives_a_graceful_stop() -> Result<()> {
    let mut norn = Norn::start(&FLAGS)?;
    under_load(&mut norn, 16, |norn| {
        let begun = Instant::now();
        let status = norn.process.terminate(Duration::from_secs(30))?;
        ensure!(status.success(), "{status} after {:?}: {}", begun.elapsed(), norn.log());
        Ok(())
    })
}

#[test]
fn a_thousand_tenants_over_64_connections_do_not_mix() -> Result<()> {
    let flags = [&FLAGS[..], &["-auth.multitenancy-enabled"]].concat();
    let mut norn = Norn::start(&flags)?;
    let (host, t, failed) = (norn.server.host.clone(), now_ms(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for connection in 0..64 {
            let (host, failed) = (&host, &failed);
            scope.spawn(move || {
                let push = || -> Result<()> {
                    let mut client = Client::connect(host)?;
                    for tenant in (connection..1000).step_by(64) {
                        let mut raw = Vec::new();
                        let pairs = [("__name__".to_owned(), "mine".to_owned())];
                        series_v1(&mut raw, &labels_v1(&pairs), t, tenant as f64, &mut Vec::new());
                        let headers = format!("{V1}X-Scope-OrgID: tenant-{tenant}\r\n");
                        let response = client.post("/api/v1/push", &headers, &snappy(&raw))?;
                        ensure!(response.status == 200, "{}: {}", response.status, text(&response));
                    }
                    Ok(())
                };
                if let Err(e) = push() {
                    eprintln!("connection {connection}: {e:#}");
                    failed.store(true, Ordering::SeqCst);
                }
            });
        }
    });
    ensure!(!failed.load(Ordering::SeqCst), "a tenant could not write");
    norn.crash_and_restart()?;
    for tenant in 0..1000 {
        let headers =
            format!("X-Scope-OrgID: tenant-{tenant}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let body = format!("query=mine&time={}", t as f64 / 1000.0);
        let response = norn.server.post("/prometheus/api/v1/query", &headers, body.as_bytes())?;
        let answer = text(&response);
        ensure!(answer.contains(&format!("\"{tenant}\"]")), "tenant {tenant}: {answer}");
    }
    Ok(())
}
