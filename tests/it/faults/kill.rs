//! Processes that end while everybody writes.

use std::time::Duration;

use anyhow::{Result, ensure};
use norn_tests::norn::Norn;

use super::{FLAGS, LATE, load};

/// `kill -9` at random moments, also while the log is replayed; `$NORN_KILLS` says how often.
#[test]
fn kill_9_loses_doubles_and_alters_nothing() -> Result<()> {
    let kills = std::env::var("NORN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut load = load(10, true);
    let mut random = load.faults();
    let mut norn = Norn::start(&[&FLAGS[..], &[LATE]].concat())?;
    let (mut done, mut samples) = (0, 0);
    while done < kills {
        let server = norn.server.clone();
        let wait = Duration::from_millis(random.between(1, 1500) as u64);
        load.run(&server, || {
            std::thread::sleep(wait);
            norn.process.kill()
        })?;
        done += 1;
        while done < kills && random.chance(25) {
            // Again, before it is ready.
            norn.spawn()?;
            std::thread::sleep(Duration::from_millis(random.between(1, 150) as u64));
            norn.process.kill()?;
            done += 1;
        }
        match random.below(4) {
            0 => norn.restart_with(&[&format!("-embedded-log.partitions={}", random.between(1, 4))])?,
            _ => norn.restart()?,
        }
        samples += load.verify(&norn.server)?;
    }
    let all = load.verify_all(&norn.server)?;
    println!(
        "{kills} kills, {samples} samples compared, {all} in the end, requests: {:?}",
        load.ledger.counts()
    );
    ensure!(load.ledger.counts().acknowledged > 10 * kills, "there was no load: {:?}", load.ledger.counts());
    Ok(())
}

/// SIGTERM: what was answered is there, what was not was refused or cut off, and the exit is clean.
#[test]
fn sigterm_under_load_ends_cleanly_and_loses_nothing() -> Result<()> {
    let mut load = load(8, false);
    let mut norn = Norn::start(&FLAGS)?;
    for _ in 0..3 {
        let server = norn.server.clone();
        load.run(&server, || {
            std::thread::sleep(Duration::from_millis(700));
            let status = norn.process.terminate(Duration::from_secs(30))?;
            ensure!(status.code() == Some(0), "{status}: {}", norn.log());
            Ok(())
        })?;
        norn.restart()?;
        load.verify(&norn.server)?;
    }
    load.verify_all(&norn.server)?;
    let counts = load.ledger.counts();
    ensure!(counts.acknowledged > 100, "there was no load: {counts:?}");
    Ok(())
}
