//! Starts from a snapshot of the head.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_contract::clock::Clock;
use norn_contract::fs::{FileSystem, OpenMode};
use norn_ingester::Ingester;
use norn_ingester::cutter::Cutter;
use norn_log::EmbeddedLog;
use norn_log::disk::Disk;
use support::{Process, all_samples, parts};

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn path(dir: &Path) -> PathBuf {
    dir.join("head/partition-0.snapshot")
}

/// The first record that the snapshot has not seen.
fn next_offset(dir: &Path) -> u64 {
    let file = Disk.open(&path(dir), OpenMode::Read).unwrap();
    norn_head::load(norn_head::Options::default(), &*file).unwrap().0.next_offset()
}

fn write(process: &Process, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        for (name, value) in [("one", minute as f64), ("two", 0.5)] {
            process.append(0, "a", name, START + minute * 60_000, value);
        }
        process.append(0, "b", "other", START + minute * 60_000, -1.0);
    }
}

#[test]
fn an_end_leaves_one_and_a_start_goes_on_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 1);
    write(&process, 0..50);
    let before = all_samples(&process.ingester, "a");
    process.stop();
    assert_eq!(next_offset(dir.path()), 150);
    let process = Process::start(dir.path(), 1);
    assert!(path(dir.path()).exists(), "it was not left aside");
    assert_eq!(all_samples(&process.ingester, "a"), before);
    write(&process, 50..60);
    let before = all_samples(&process.ingester, "a");
    assert_eq!(before["one"].len(), 60);
    process.stop();
    assert_eq!(next_offset(dir.path()), 180);

    // One that is damaged, or newer than the log, is left aside.
    let mut bytes = std::fs::read(path(dir.path())).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path(dir.path()), &bytes).unwrap();
    let process = Process::start(dir.path(), 1);
    assert_eq!(all_samples(&process.ingester, "a"), before);
    process.stop();
    std::fs::remove_dir_all(dir.path().join("log")).unwrap();
    let process = Process::start(dir.path(), 1);
    assert!(all_samples(&process.ingester, "a").is_empty());
    process.stop();
}

/// A clock that stands where it is put.
struct Still(i64);

impl Clock for Still {
    fn now(&self) -> i64 {
        self.0
    }
}

#[test]
fn records_that_come_while_it_is_written_are_read_again_and_a_cut_makes_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let log =
        EmbeddedLog::open(norn_log::options::Options::new(dir.path().join("log")), Arc::new(Disk)).unwrap();
    let clock = Arc::new(Still(START + 6 * HOUR));
    let all = || norn_ingester::Parts { clock: clock.clone(), ..parts(dir.path(), log.clone()) };
    let (ingester, mut workers, mut cutter) = Ingester::start_stepped(all()).unwrap();
    let process = Process { log: log.clone(), ingester };
    let append =
        |name: &str, minute: i64| support::send(&process.log, 0, "a", name, START + minute * 60_000, 1.0);
    for minute in 0..200 {
        append("one", minute);
    }
    let mut work = |cutter: &mut Cutter, now: i64, rounds: usize| {
        for _ in 0..rounds {
            cutter.step(now);
            for worker in &mut workers {
                worker.step(std::time::Duration::ZERO).unwrap();
            }
        }
    };
    let now = START + 6 * HOUR;
    work(&mut cutter, now, 10);
    // The first look is due a while after the start.
    work(&mut cutter, now + 11 * 60_000, 2);
    append("two", 201);
    work(&mut cutter, now + 11 * 60_000, 3000);
    assert!(cutter.is_idle());
    let first = next_offset_of(dir.path());
    assert!(first >= 200, "{first}");
    append("three", 202);
    work(&mut cutter, now + 11 * 60_000, 5);
    let before = all_samples(&process.ingester, "a");
    assert_eq!(before.len(), 3);
    // A crash: nothing is told to end.
    drop((process, cutter, workers));
    log.close();
    let process = Process::start(dir.path(), 1);
    assert_eq!(all_samples(&process.ingester, "a"), before);
    futures::executor::block_on(process.ingester.flush());
    // The one from before the cut can not be used, and is replaced soon.
    while next_offset_of(dir.path()) <= first {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(all_samples(&process.ingester, "a"), before);
    process.append(0, "a", "one", START + 400 * 60_000, 2.0);
    let before = all_samples(&process.ingester, "a");
    process.stop();
    let process = Process::start(dir.path(), 1);
    assert!(dir.path().join("head/partition-0.checkpoint").exists());
    assert!(path(dir.path()).exists(), "it was not left aside");
    assert_eq!(all_samples(&process.ingester, "a"), before);
    process.stop();
}

fn next_offset_of(dir: &Path) -> u64 {
    if path(dir).exists() { next_offset(dir) } else { 0 }
}
