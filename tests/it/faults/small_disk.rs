//! Disks that are full, stop taking writes, or lose them: real ones.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_tests::api::form;
use norn_tests::disk::Disk;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, body, raw, snappy};

use super::{FLAGS, load};
use crate::support::now_ms;

const PATIENCE: Duration = Duration::from_secs(30);

fn start(disk: &Disk) -> Result<Norn> {
    let data = format!("-data-dir={}", disk.path().join("data").display());
    let wrapper = disk.wrapper();
    Norn::start_under(&wrapper.each_ref().map(String::as_str), &[&FLAGS[..], &[&data]].concat())
}

/// What a push of one sample is answered with, head included, in lower case.
fn probe(norn: &Norn) -> Result<String> {
    let body = snappy(&body(&[(&[("__name__", "probe")], now_ms(), 1.0)]));
    let length = body.len();
    let head = format!(
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{V1}X-Scope-OrgID: probe\r\nContent-Length: {length}\r\n\r\n"
    );
    Ok(raw(&norn.server, &[head.as_bytes(), &body].concat(), PATIENCE)?.to_lowercase())
}

fn wait_for_answer(norn: &Norn, status: &str) -> Result<String> {
    let mut last = String::new();
    let wanted = format!("http/1.1 {status}");
    norn.server.wait_for(&wanted, PATIENCE, || {
        last = probe(norn)?;
        Ok(last.starts_with(&wanted))
    })?;
    Ok(last)
}

fn query(norn: &Norn) -> Result<()> {
    let headers = "X-Scope-OrgID: ledger-0\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let query = form(&[("query", "count(last_over_time({client=\"0\"}[100h]))")]);
    let response = norn.server.post("/prometheus/api/v1/query", headers, query.as_bytes())?;
    let answer = String::from_utf8_lossy(&response.body);
    ensure!(response.status == 200 && answer.contains("\"value\""), "{}: {answer}", response.status);
    Ok(())
}

fn sleep(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// A full disk refuses writes with 503 and nothing else; they go on by themselves when there is
/// room again.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() -> Result<()> {
    let disk = Disk::new(96)?;
    let mut norn = start(&disk)?;
    let mut load = load(6, false);
    let server = norn.server.clone();
    load.run(&server, || {
        sleep(300);
        disk.fill(6_000)?;
        let answer = wait_for_answer(&norn, "503")?;
        ensure!(
            answer.contains("\r\nretry-after: ") && answer.contains("no space left on device"),
            "{answer}"
        );
        ensure!(answer.contains("content-type: text/plain"), "{answer}");
        for _ in 0..20 {
            query(&norn)?;
            sleep(50);
        }
        ensure!(norn.process.is_running(), "{}", norn.log());
        Ok(())
    })?;
    load.verify(&norn.server).context("while the disk is full")?;
    load.run(&server, || {
        sleep(200);
        disk.free()?;
        wait_for_answer(&norn, "200")?;
        sleep(500);
        norn.process.kill()
    })?;
    norn.restart()?;
    load.verify_all(&norn.server)?;
    Ok(())
}

/// A start on a full disk says so, and loses nothing.
#[test]
fn a_start_on_a_full_disk_waits_for_room() -> Result<()> {
    let disk = Disk::new(64)?;
    let mut norn = start(&disk)?;
    let mut load = load(4, false);
    let server = norn.server.clone();
    load.run(&server, || {
        disk.fill(3_000)?;
        wait_for_answer(&norn, "503")?;
        sleep(500);
        Ok(())
    })?;
    load.verify(&norn.server).context("while the disk is full")?;
    norn.process.kill()?;
    disk.fill_up()?;
    norn.spawn()?;
    let status = norn.process.wait(PATIENCE)?;
    let log = norn.log();
    ensure!(status.code() == Some(1) && log.contains("No space left on device"), "{status}: {log}");
    disk.free()?;
    norn.restart()?;
    load.verify_all(&norn.server)?;
    Ok(())
}

/// Load, `fault` at a random moment, an end with an error; then the disk is well again, and
/// everything acknowledged is there.
fn under_faults(fault: fn(&Disk) -> Result<()>) -> Result<()> {
    let disk = Disk::new(192)?;
    let mut load = load(8, false);
    let mut random = load.faults();
    let mut norn = start(&disk)?;
    for _ in 0..3 {
        let server = norn.server.clone();
        load.run(&server, || {
            sleep(random.between(50, 1000) as u64);
            // An ext4 that is aborted while it syncs may call that a success.
            norn.process.pause()?;
            fault(&disk)?;
            norn.process.resume()?;
            let (status, log) = (norn.process.wait(PATIENCE)?, norn.log());
            ensure!(status.code() == Some(1), "{status}: {log}");
            ensure!(log.contains("the ingest log failed") && log.contains("/data/log"), "{log}");
            Ok(())
        })?;
        disk.remount()?;
        norn.restart()?;
        load.verify(&norn.server)?;
    }
    load.verify_all(&norn.server)?;
    Ok(())
}

/// The file system turns read-only, as ext4 does after an error, and forgets what was not synced,
/// as in a power cut.
#[test]
fn a_disk_that_turns_read_only_loses_nothing_acknowledged() -> Result<()> {
    under_faults(Disk::abort)
}

/// Writes go well and `fdatasync` fails: nobody is told that anything was stored.
#[test]
fn a_sync_that_fails_ends_the_process() -> Result<()> {
    under_faults(Disk::abort_device)
}
