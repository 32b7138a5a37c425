//! Room on the disk: it runs full at any moment, and what is let go is bounded.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_contract::fs::{FileSystem, OpenMode};
use norn_contract::log::{IngestLog, LogError, Offset, Record};
use norn_log::EmbeddedLog;
use norn_log::contract_tests::{read_all, record};
use norn_log::memory::{Dice, MemoryFs};
use norn_log::options::{Compression, Options, Retention};
use norn_log::step::{Step, Steps};

const SEGMENT: usize = 64 << 10;

fn options(spares: usize, recycled: usize) -> Options {
    let mut options = Options::new("/log");
    options.segment_bytes = SEGMENT as u64;
    options.max_record_bytes = 20 << 10;
    (options.spare_segments, options.recycled_segments, options.memory_bytes) = (spares, recycled, 0);
    options.compression = Compression::None;
    options.salt = 1;
    options
}

struct Log {
    log: Arc<EmbeddedLog>,
    steps: Steps,
}

impl Log {
    fn open(fs: &MemoryFs, options: Options) -> Result<Self, LogError> {
        let (log, steps) = EmbeddedLog::open_stepped(options, Arc::new(fs.clone()))?;
        Ok(Self { log, steps })
    }

    fn append(&mut self, record: Record) -> Result<Offset, LogError> {
        let answer = self.log.append(0, record);
        self.steps.write();
        block_on(answer)
    }

    fn tidy(&mut self) {
        while self.steps.keep() == Step::Worked {}
    }
}

type Kept = BTreeMap<Offset, Record>;

fn check(log: &Log, kept: &Kept, context: &str) {
    let range = log.log.range(0);
    let got: Kept = read_all(&*log.log, 0, range.start).into_iter().collect();
    for (offset, want) in kept.range(range.start..) {
        assert!(got.get(offset) == Some(want), "{context}: record {offset} of {range:?}");
    }
}

/// The disk is full at the change after `at` others, whatever it is; whether there were so many.
fn fill_at(at: u64, spares: usize, recycled: usize) -> bool {
    let context = format!("at {at}, {spares} and {recycled} spares");
    let fs = MemoryFs::default();
    let mut log = Log::open(&fs, options(spares, recycled)).unwrap();
    let mut kept = Kept::new();
    let mut tag = 0;
    let mut refused = 0;
    let start = fs.operations();
    fs.fill_after(at);
    for _ in 0..16 {
        tag += 1;
        match log.append(record(tag, 15_000)) {
            Ok(offset) => drop(kept.insert(offset, record(tag, 15_000))),
            Err(LogError::Unavailable(text)) => {
                assert!(text.contains("No space left") || log.log.stats().failed, "{context}: {text}");
                refused += 1;
            }
            Err(e) => panic!("{context}: {e}"),
        }
        let end = log.log.range(0).end;
        log.log.trim(0, end.saturating_sub(3)).unwrap();
        log.tidy();
    }
    // Only a sync that fails ends the log: what it lost can not be known.
    let failed = log.log.stats().failed;
    assert!(failed || refused <= 1, "{context}: {refused} refused");
    assert!(failed || kept.keys().copied().eq(0..kept.len() as u64), "{context}");
    let reached = fs.operations() > start + at;
    drop(log);
    fs.restart(&mut Dice::new(at));
    let mut log = Log::open(&fs, options(spares, recycled)).unwrap_or_else(|e| panic!("{context}: {e}"));
    check(&log, &kept, &context);
    assert!(log.append(record(0, 10)).is_ok());
    reached
}

#[test]
fn a_full_disk_at_any_change_loses_nothing() {
    for (spares, recycled) in [(0, 0), (0, 2), (1, 0), (2, 2)] {
        let changes = (0..).take_while(|at| fill_at(*at, spares, recycled)).count();
        assert!(changes > 40, "{changes}");
    }
}

/// Spares are numbered apart from segments: the thread that makes them may be at the number of the
/// segment that is made, and each removes what it can not finish.
#[test]
fn a_segment_in_the_making_is_not_taken_for_a_spare_in_the_making() {
    let fs = MemoryFs::default();
    let mut log = Log::open(&fs, options(0, 0)).unwrap();
    let spare = std::path::Path::new("/log/00000000000000000001.tmp");
    drop(fs.open(spare, OpenMode::Create).unwrap());
    for tag in 0..8 {
        log.append(record(tag, 15_000)).unwrap();
    }
    assert!(log.log.stats().segments > 1);
    assert!(fs.open(spare, OpenMode::Read).is_ok());
}

/// Room comes and goes, and the power goes sometimes.
fn life(seed: u64) {
    let mut dice = Dice::new(seed);
    let fs = MemoryFs::default();
    let mut kept = Kept::new();
    let (spares, recycled) = (dice.below(3) as usize, dice.below(3) as usize);
    let mut log = Log::open(&fs, options(spares, recycled)).unwrap();
    let mut refused = 0;
    for tag in 0..150 {
        match dice.below(12) {
            0 => fs.limit_bytes(Some(fs.used_bytes() + dice.below(40_000) as usize)),
            1 => fs.limit_bytes(None),
            2 => log.tidy(),
            3 => log.log.trim(0, log.log.range(0).end.saturating_sub(dice.below(9))).unwrap(),
            4 if dice.below(4) == 0 => {
                drop(log);
                fs.restart(&mut dice);
                // A log needs room for a header to open.
                fs.limit_bytes(None);
                log = Log::open(&fs, options(spares, recycled)).unwrap();
                check(&log, &kept, &format!("seed {seed}"));
                let end = log.log.range(0).end;
                kept.retain(|offset, _| *offset < end);
            }
            _ => {}
        }
        let record = record(tag, dice.below(16_000) as usize);
        match log.append(record.clone()) {
            Ok(offset) => drop(kept.insert(offset, record)),
            Err(LogError::Unavailable(text)) if text.contains("storage") || text.contains("space") => {
                refused += 1
            }
            Err(e) => panic!("seed {seed}: {e}"),
        }
    }
    assert!(!log.log.stats().failed);
    // With room again the next record is taken, without a new start.
    fs.limit_bytes(None);
    log.append(record(1, 15_000)).unwrap_or_else(|e| panic!("seed {seed}, {refused} refused: {e}"));
    check(&log, &kept, &format!("seed {seed}"));
}

#[test]
fn a_disk_that_runs_full_now_and_then_loses_nothing() {
    (0..100).for_each(life);
}

#[test]
fn closing_on_a_full_disk_loses_nothing() {
    for room in 0..60 {
        let fs = MemoryFs::default();
        let mut log = Log::open(&fs, options(0, 0)).unwrap();
        log.append(record(1, 100)).unwrap();
        fs.limit_bytes(Some(fs.used_bytes() + room));
        log.log.close();
        assert_eq!(log.steps.write(), Step::Ended);
        drop(log);
        fs.restart(&mut Dice::new(room as u64));
        fs.limit_bytes(None);
        let log = Log::open(&fs, options(0, 0)).unwrap();
        assert!(read_all(&*log.log, 0, 0) == [(0, record(1, 100))]);
    }
}

#[test]
fn what_was_let_go_takes_bounded_room_and_is_used_again() {
    let fs = MemoryFs::default();
    let mut log = Log::open(&fs, options(0, 2)).unwrap();
    let spares = || fs.paths().iter().filter(|p| p.extension().is_some_and(|e| e == "spare")).count();
    let mut seen = 0;
    for tag in 0..300 {
        let offset = log.append(record(tag, 15_000)).unwrap();
        log.log.trim(0, offset).unwrap();
        log.tidy();
        seen = seen.max(spares());
        // The segment that is written, the one before, and two spares.
        assert!(fs.used_bytes() <= 4 * SEGMENT, "{} at {tag}", fs.used_bytes());
    }
    assert!(seen > 0, "nothing is used again");
}

#[test]
fn history_stays_within_its_limits() {
    let minute = |tag: u64| Record { timestamp: 60_000 * tag as i64, ..record(tag, 15_000) };
    for (period, bytes, most) in [(0, 6, 7), (20, 0, 9), (20, 3, 4), (1000, 5, 6)] {
        let retention = Retention { period: Duration::from_secs(60 * period), bytes: bytes * SEGMENT as u64 };
        let options = || Options { retention, ..options(0, 1) };
        let fs = MemoryFs::default();
        let mut log = Log::open(&fs, options()).unwrap();
        for tag in 0..100 {
            let offset = log.append(minute(tag)).unwrap();
            // The last ten are not safe elsewhere.
            log.log.trim(0, offset.saturating_sub(10)).unwrap();
            log.tidy();
            assert!(log.log.range(0).start <= offset.saturating_sub(10));
            let segments = log.log.stats().segments;
            assert!(segments <= most, "{segments} of {most} at {tag}");
        }
        let range = log.log.range(0);
        assert!(range.start > 0 && range.start + 10 < 100, "{range:?}");
        drop(log);
        // A new start keeps it all until it is told again what may go.
        let log = Log::open(&fs, options()).unwrap();
        assert_eq!(log.log.range(0), range);
        let got = read_all(&*log.log, 0, range.start);
        assert!(got.iter().all(|(offset, r)| *r == minute(*offset)));
    }
}

/// A segment that got its name though making it failed says where the one before it ends.
#[test]
fn nothing_is_written_behind_the_end_that_a_successor_told() {
    for at in 0..8 {
        let fs = MemoryFs::default();
        let mut log = Log::open(&fs, options(1, 0)).unwrap();
        log.append(record(0, 100)).unwrap();
        // A spare is ready now, and the next record would rather go there.
        log.tidy();
        fs.fill_after(at);
        let outcomes: Vec<_> = (1..4).map(|tag| (tag, log.append(record(tag, 100)))).collect();
        let failed = log.log.stats().failed;
        drop(log);
        fs.kill();
        let log = Log::open(&fs, options(1, 0)).unwrap();
        let got = read_all(&*log.log, 0, 0);
        for (tag, outcome) in outcomes {
            let Ok(offset) = outcome else { continue };
            assert!(got.get(offset as usize) == Some(&(offset, record(tag, 100))), "at {at}: {tag}");
        }
        assert!(failed || got.len() >= 3, "at {at}");
    }
}
