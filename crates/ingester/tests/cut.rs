//! Samples on their way from the log through heads into blocks, and what is there after a crash at
//! any moment.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use norn_contract::clock::Clock;
use norn_contract::fs::FileSystem;
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_ingester::cutter::Cutter;
use norn_ingester::partition::Worker;
use norn_ingester::{Ingester, Parts, StartError};
use norn_limits::{Limits, TenantLimits};
use norn_log::EmbeddedLog;
use norn_log::disk::Disk;
use norn_log::memory::{Dice, MemoryFs};
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;
use support::{Samples, all_samples, tenant};

const HOUR: i64 = 3_600_000;
/// A window of two hours begins here.
const START: i64 = 1_699_999_200_000;
const PARTITIONS: u32 = 2;

/// A clock that stands still until it is set.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A process without threads of its own but for the log's, and what was written to it.
struct Life {
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
    workers: Vec<Worker>,
    cutter: Cutter,
    clock: Arc<Hands>,
}

/// By tenant and metric, time and value.
type Written = BTreeMap<(&'static str, String), BTreeMap<i64, f64>>;

impl Life {
    fn start(
        fs: Arc<dyn FileSystem>,
        dir: &std::path::Path,
        retention: Duration,
    ) -> Result<Self, StartError> {
        let mut options = norn_log::options::Options::new(dir.join("log"));
        options.partitions = PARTITIONS;
        options.segment_bytes = 64 << 10;
        options.max_record_bytes = 1 << 14;
        let log = EmbeddedLog::open(options, Arc::clone(&fs))?;
        let clock = Arc::new(Hands(AtomicI64::new(START + 6 * HOUR)));
        let limits = Limits { compactor_blocks_retention_period: retention, ..Limits::default() };
        let parts = Parts {
            fs,
            clock: clock.clone(),
            limits: TenantLimits::new(limits),
            ..support::parts(dir, log.clone())
        };
        let (ingester, workers, cutter) = Ingester::start_stepped(parts)?;
        let mut life = Self { log, ingester, workers, cutter, clock };
        life.apply();
        Ok(life)
    }

    fn apply(&mut self) {
        for worker in &mut self.workers {
            while worker.progress.next() < self.log.range(worker.partition).end {
                worker.step(Duration::ZERO).unwrap();
            }
        }
    }

    fn send(&self, partition: u32, of: &str, kind: RecordKind, value: bytes::Bytes) {
        let record = Record { tenant: tenant(of), kind, timestamp: 0, value };
        block_on(self.log.append(partition, record)).unwrap();
    }

    fn write(&self, written: &mut Written, of: &'static str, name: &str, samples: &[i64]) {
        let mut builder = Builder::new();
        let mut series = builder.series([("__name__", name)]);
        let kept = written.entry((of, name.to_owned())).or_default();
        for &t in samples {
            let v = (t.wrapping_mul(2_654_435_761) % 1_000_003) as f64 / 7.0;
            series.sample(t, v);
            kept.insert(t, v);
        }
        drop(series);
        let partition = name.len() as u32 % PARTITIONS;
        self.send(partition, of, RecordKind::Write(2), builder.finish());
    }

    /// Six hours of two tenants, some of it late, and a series of which half is in each partition.
    fn fill(&mut self) -> Written {
        self.fill_behind(0)
    }

    /// The same behind some segments' worth of samples of the first hour.
    fn fill_behind(&mut self, bulk: usize) -> Written {
        let mut written = Written::new();
        let settings = FoldSettings { out_of_order_window: 12 * HOUR, ..FoldSettings::default() };
        for partition in 0..PARTITIONS {
            self.send(partition, "a", RecordKind::Settings, settings.encode().into());
        }
        let minutes = |from: i64, to: i64| -> Vec<i64> {
            (from..to).map(|m| START + m * 60_000).filter(|t| t / 60_000 % 10 != 7).collect()
        };
        let seconds: Vec<i64> = (0..720).map(|i| START + i * 5000).collect();
        for i in 0..bulk {
            self.write(&mut written, "b", &format!("bulk{}", ".".repeat(i)), &seconds);
        }
        for (from, to) in (0..12).map(|i| (i * 30, i * 30 + 30)) {
            for (of, name) in [("a", "one"), ("a", "twos"), ("b", "one"), ("b", "four")] {
                self.write(&mut written, of, name, &minutes(from, to));
            }
            let ephemeral = format!("until_{to}");
            self.write(&mut written, "a", &ephemeral, &minutes(from, to));
        }
        for late in [20, 130, 17] {
            let at = START + late * 60_000 + 7_000;
            self.write(&mut written, "a", "one", &[at]);
            self.write(&mut written, "a", "twos", &[at, at + 1]);
        }
        self.apply();
        written
    }

    /// Steps until the cutter has nothing left to do, at most `steps` times. Says whether it has.
    fn cut(&mut self, steps: usize) -> bool {
        self.clock.0.fetch_add(61_000, Ordering::Relaxed);
        self.cutter.step(self.clock.now() - 61_000);
        for _ in 0..steps {
            for worker in &mut self.workers {
                worker.step(Duration::ZERO).unwrap();
            }
            let has_more = self.cutter.step(self.clock.now());
            if !has_more && self.cutter.is_idle() {
                // The heads take what they let go away in slices.
                for _ in 0..200 {
                    self.workers.iter_mut().for_each(|w| assert!(w.step(Duration::ZERO).unwrap()));
                }
                return true;
            }
        }
        false
    }

    fn check(&self, written: &Written) {
        for of in ["a", "b"] {
            let wanted: BTreeMap<String, Samples> = written
                .iter()
                .filter(|((tenant, _), _)| *tenant == of)
                .map(|((_, name), samples)| (name.clone(), samples.iter().map(|(t, v)| (*t, *v)).collect()))
                .collect();
            assert_eq!(all_samples(&self.ingester, of), wanted);
        }
    }

    fn series(&self) -> u64 {
        self.ingester.heads().flat_map(|head| head.tenants()).map(|(_, stats)| stats.series).sum()
    }

    fn memory(&self) -> usize {
        self.ingester.heads().map(|head| head.memory().total()).sum()
    }

    fn end(self) {
        self.log.close();
    }
}

#[test]
fn closed_windows_become_blocks_and_heads_and_log_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let fs: Arc<dyn FileSystem> = Arc::new(Disk);
    let mut life = Life::start(Arc::clone(&fs), dir.path(), Duration::ZERO).unwrap();
    let mut written = life.fill_behind(40);
    life.check(&written);
    let (series, memory, segments) = (life.series(), life.memory(), life.log.stats().segments);
    assert!(segments > 2, "{segments} segments");
    assert!(life.cut(1000));
    life.check(&written);
    let blocks = |life: &Life, of| life.ingester.blocks().of(&tenant(of)).len();
    assert_eq!((blocks(&life, "a"), blocks(&life, "b")), (2, 2));
    assert_eq!(life.series(), series - 48, "series that ended in the windows that were cut");
    assert!(life.memory() < memory, "{} bytes of {memory}", life.memory());
    assert!((0..PARTITIONS).all(|p| life.log.range(p).start > 0));
    assert!(life.log.stats().segments < segments);

    // Nothing new: nothing is cut. A late sample waits for the next window.
    life.write(&mut written, "a", "one", &[START + 1]);
    life.apply();
    assert!(life.cut(1000));
    assert_eq!(blocks(&life, "a"), 2);
    life.end();
    let mut life = Life::start(Arc::clone(&fs), dir.path(), Duration::ZERO).unwrap();
    life.check(&written);
    let next: Vec<i64> = (360..500).map(|m| START + m * 60_000).collect();
    life.write(&mut written, "a", "one", &next);
    life.apply();
    assert!(life.cut(1000));
    life.check(&written);
    assert_eq!((blocks(&life, "a"), blocks(&life, "b")), (4, 3));
    life.end();
    Life::start(fs, dir.path(), Duration::ZERO).unwrap().check(&written);
}

#[test]
fn a_crash_after_any_change_of_the_disk_loses_and_doubles_nothing() {
    let (mut finished, mut unfinished) = (0, 0);
    for operations in (0..).step_by(7) {
        let fs = MemoryFs::default();
        let dir = std::path::Path::new("/data");
        let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
        let written = life.fill();
        fs.crash_after(operations);
        let is_done = life.cut(1000);
        let power_lasted = !fs.is_out_of_power();
        assert!(is_done, "the cutter goes on or gives up");
        life.check(&written);
        drop(life);
        fs.restart(&mut Dice::new(operations));
        let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
        life.check(&written);
        assert!(life.cut(1000));
        life.check(&written);
        assert!(fs.paths().iter().all(|p| !p.to_string_lossy().contains("tmp-for")), "{:?}", fs.paths());
        if power_lasted {
            finished += 1;
            if finished == 3 {
                break;
            }
        } else {
            unfinished += 1;
        }
    }
    assert!(unfinished > 10, "{unfinished} crashes");
}

#[test]
fn an_end_between_any_two_steps_loses_and_doubles_nothing() {
    let dir = std::path::Path::new("/data");
    for steps in 0.. {
        let fs = MemoryFs::default();
        let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
        let written = life.fill();
        let is_done = life.cut(steps);
        life.check(&written);
        life.end();
        let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
        life.check(&written);
        assert!(life.cut(1000));
        life.check(&written);
        life.end();
        if is_done {
            assert!(steps > 5, "{steps} steps");
            break;
        }
    }
}

#[test]
fn a_full_disk_keeps_everything_in_memory_and_in_the_log() {
    let fs = MemoryFs::default();
    let dir = std::path::Path::new("/data");
    let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
    let written = life.fill();
    let room = fs.used_bytes();
    for more in [0, 2000, 6000] {
        fs.limit_bytes(Some(room + more));
        assert!(life.cut(1000));
        life.check(&written);
        assert!(life.ingester.blocks().tenants().is_empty());
        assert!((0..PARTITIONS).all(|p| life.log.range(p).start == 0));
    }
    assert_eq!(life.ingester.cut_stats().cuts.get(), (3, 3));
    fs.limit_bytes(None);
    assert!(life.cut(1000));
    life.check(&written);
    assert_eq!(life.ingester.cut_stats().cuts.get(), (4, 3));
    life.end();
}

#[test]
fn a_flush_and_a_long_silence_cut_everything_and_the_next_sample_goes_on() {
    let fs = MemoryFs::default();
    let dir = std::path::Path::new("/data");
    let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::ZERO).unwrap();
    let mut written = life.fill();
    let flushed = life.ingester.flush();
    assert!(life.cut(1000));
    block_on(flushed);
    life.check(&written);
    assert_eq!(life.series(), 0);
    life.write(&mut written, "b", "one", &[START + 6 * HOUR]);
    life.apply();
    assert!(life.cut(1000));
    life.check(&written);
    assert_eq!(life.series(), 1);
    life.clock.0.fetch_add(2 * HOUR, Ordering::Relaxed);
    assert!(life.cut(1000));
    life.check(&written);
    assert_eq!(life.series(), 0);
    let blocks = life.ingester.blocks().of(&tenant("b")).len();
    assert!(life.cut(1000));
    assert_eq!(life.ingester.blocks().of(&tenant("b")).len(), blocks, "nothing is cut twice");
    life.end();
}

#[test]
fn blocks_go_by_retention() {
    let fs = MemoryFs::default();
    let dir = std::path::Path::new("/data");
    let mut life = Life::start(Arc::new(fs.clone()), dir, Duration::from_secs(10 * 3600)).unwrap();
    let mut written = life.fill();
    assert!(life.cut(1000));
    life.check(&written);
    life.clock.0.store(START + 13 * HOUR, Ordering::Relaxed);
    assert!(life.cut(1000));
    for samples in written.values_mut() {
        samples.retain(|t, _| *t >= START + 2 * HOUR);
    }
    written.retain(|_, samples| !samples.is_empty());
    life.check(&written);
    life.end();
}

#[test]
fn a_checkpoint_that_is_missing_or_damaged_is_told_with_what_to_do() {
    let fs = MemoryFs::default();
    let dir = std::path::Path::new("/data");
    let start = || Life::start(Arc::new(fs.clone()), dir, Duration::ZERO);
    let mut life = start().unwrap();
    let written = life.fill_behind(40);
    assert!(life.cut(1000));
    life.end();
    let path = dir.join("head/partition-0.checkpoint");
    let whole = fs.bytes(&path).unwrap();
    let refused = |what: &str| {
        let error = start().err().unwrap().to_string();
        for part in ["/data/head/partition-0.checkpoint", what, "put an empty file in its place"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    };
    fs.remove(&path).unwrap();
    refused("is missing");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x40;
    fs.put(&path, damaged);
    refused("partition-0.checkpoint: ");
    fs.put(&path, Vec::new());
    let life = start().unwrap();
    life.check(&written);
    life.end();
    fs.put(&path, whole);
    for name in fs.list(&dir.join("log")).unwrap() {
        fs.remove(&dir.join("log").join(name)).unwrap();
    }
    let error = start().err().unwrap().to_string();
    assert!(error.contains("remove the file if the log was removed on purpose"), "{error}");
}
