//! Files that are not as they were left, or belong to another process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use norn_tests::ledger::Load;
use norn_tests::norn::{Norn, refused};

use super::{FLAGS, load};

/// A server that ended under load, and the ledger.
fn killed() -> Result<(Norn, Load)> {
    let mut load = load(4, false);
    let mut norn = Norn::start(&FLAGS)?;
    let server = norn.server.clone();
    load.run(&server, || {
        // Some segments are finished, and one is not.
        server.wait_for("4 segments", Duration::from_secs(60), || Ok(segments(&norn)?.len() > 3))?;
        norn.process.kill()
    })?;
    norn.restart()?;
    load.verify_all(&norn.server)?;
    norn.process.kill()?;
    Ok((norn, load))
}

/// Segments with bytes, oldest first.
fn segments(norn: &Norn) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(norn.data_dir().join("log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn start_again(norn: &Norn) -> Result<String> {
    let data = format!("-data-dir={}", norn.data_dir().display());
    refused(&["-server.http-listen-port=0".to_owned(), data])
}

/// A bit of a durable record is another one: the start says where and what to do, and ends.
#[test]
fn a_flipped_bit_in_a_durable_record_is_named() -> Result<()> {
    let (mut norn, load) = killed()?;
    let mut random = load.faults();
    let segments = segments(&norn)?;
    // The last but one is the one that was written to; the last was made by the second start.
    for path in [&segments[0], &segments[segments.len() / 2]] {
        let whole = fs::read(path)?;
        let mut flipped = whole.clone();
        let at = whole.len() / 4 + random.below(whole.len() / 2);
        flipped[at] ^= 1 << random.below(8);
        fs::write(path, flipped)?;
        let said = start_again(&norn)?;
        let name = path.file_name().context("no name")?.to_string_lossy();
        let place = said.split(&format!("{name} at byte ")).nth(1).context(said.clone())?;
        let position: usize = place.split(':').next().unwrap_or_default().parse().context(said.clone())?;
        ensure!(
            position <= at && said.contains("ingest log is corrupt") && said.contains("Restore"),
            "{said}"
        );
        fs::write(path, whole)?;
    }
    norn.restart()?;
    load.verify_all(&norn.server)?;
    Ok(())
}

/// What a crash left half written at the end goes; nothing before it does.
#[test]
fn a_torn_tail_is_cut_off() -> Result<()> {
    let (mut norn, mut load) = killed()?;
    let mut random = load.faults();
    for torn in [&b"\x01"[..], &[0; 4096], &(0..5000).map(|_| random.bits() as u8).collect::<Vec<_>>()] {
        let path = segments(&norn)?.pop().context("no segments")?;
        let whole = fs::read(&path)?;
        fs::write(&path, [&whole, torn].concat())?;
        norn.restart()?;
        load.verify_all(&norn.server)?;
        let server = norn.server.clone();
        load.run(&server, || {
            std::thread::sleep(Duration::from_millis(100));
            norn.process.kill()
        })?;
    }
    norn.restart()?;
    load.verify_all(&norn.server)?;
    Ok(())
}

/// The ledger itself: when an acknowledged record is gone, it says so.
#[test]
fn the_ledger_notices_a_lost_record() -> Result<()> {
    let mut load = load(4, false);
    let mut norn = Norn::start(&FLAGS)?;
    let server = norn.server.clone();
    load.run(&server, || {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    })?;
    norn.process.kill()?;
    let path = segments(&norn)?.pop().context("no segments")?;
    let whole = fs::read(&path)?;
    fs::write(&path, &whole[..whole.len() - 1])?;
    norn.restart()?;
    let error = load.verify_all(&norn.server).err().context("a record was lost and nobody noticed")?;
    ensure!(format!("{error:#}").contains(": 0 of "), "{error:#}");
    Ok(())
}

#[test]
fn a_second_process_on_the_same_data_is_refused() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let said = start_again(&norn)?;
    let log = norn.data_dir().join("log");
    ensure!(said.contains(&format!("another process has {} open", log.display())), "{said}");
    ensure!(norn.server.get("/ready")?.status == 200);
    Ok(())
}
