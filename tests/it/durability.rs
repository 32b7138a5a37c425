//! What was acknowledged is there after `kill -9` and after a graceful stop.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_tests::norn::Norn;
use norn_tests::push::push;

use crate::support::now_ms;

/// Samples of `acked`, as the range selector gives them.
fn stored(norn: &Norn, until: i64) -> Result<Vec<i64>> {
    let result = norn.server.instant("acked[1h]", until as f64 / 1000.0)?;
    let values = result[0]["values"].as_array().context("no series")?;
    Ok(values.iter().filter_map(|v| v[1].as_str()?.parse().ok()).collect())
}

#[test]
fn acknowledged_samples_survive_kill_9() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let first = now_ms() - 600_000;
    let mut next = 0;
    for _ in 0..3 {
        let (acked, last) = (&AtomicI64::new(next - 1), next);
        std::thread::scope(|scope| {
            let server = norn.server.clone();
            let sender = scope.spawn(move || {
                for i in last..last + 100_000 {
                    let labels: &[(&str, &str)] = &[("__name__", "acked")];
                    match push(&server, &[(labels, first + i, i as f64)]) {
                        Ok(r) if r.status == 200 => acked.store(i, Ordering::SeqCst),
                        _ => return,
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(700));
            norn.process.kill().and_then(|()| sender.join().map_err(|_| anyhow::anyhow!("sender")))
        })?;
        norn.restart()?;
        let acked = acked.load(Ordering::SeqCst);
        let found = stored(&norn, first + acked + 10)?;
        ensure!(acked >= next, "nothing was written");
        let whole: Vec<i64> = (0..=acked).collect();
        ensure!(found.starts_with(&whole), "acknowledged {} samples, found {}", acked + 1, found.len());
        ensure!(found.len() as i64 <= acked + 2, "more samples than were sent");
        next = found.len() as i64;
    }
    Ok(())
}

#[test]
fn a_graceful_stop_ends_in_time_and_loses_nothing() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let t = now_ms();
    for i in 0..50 {
        ensure!(push(&norn.server, &[(&[("__name__", "acked")], t + i, i as f64)])?.status == 200);
    }
    let status = norn.process.terminate(Duration::from_secs(30))?;
    ensure!(status.success(), "{status}: {}", norn.log());
    norn.restart()?;
    ensure!(stored(&norn, t + 100)?.len() == 50);
    Ok(())
}

#[test]
fn a_second_process_on_the_same_data_is_refused() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let log = norn.data_dir().join("second.log");
    let dir = format!("-data-dir={}", norn.data_dir().display());
    let args = ["-server.http-listen-port=0".to_owned(), dir];
    let mut second = norn_tests::process::Process::start(&norn_tests::norn::binary()?, &args, &log)?;
    let status = second.wait(Duration::from_secs(20))?;
    ensure!(!status.success(), "a second process ran on the same data");
    Ok(())
}
