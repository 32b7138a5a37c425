//! Power cuts at random points: what was acknowledged is there, byte for byte, and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::join_all;
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_log::EmbeddedLog;
use norn_log::contract_tests::{read_all, record};
use norn_log::memory::{Dice, MemoryFs};
use norn_log::options::{Compression, Options};
use norn_log::step::Step;

const PARTITIONS: u64 = 3;
const EIO: i32 = 5;
const EMFILE: i32 = 24;

fn options(dice: &mut Dice) -> Options {
    let mut options = Options::new("/log");
    options.partitions = PARTITIONS as Partition;
    options.segment_bytes = 64 << 10;
    options.max_record_bytes = 20 << 10;
    options.memory_bytes = if dice.below(2) == 0 { 0 } else { 1 << 20 };
    options.spare_segments = dice.below(3) as usize;
    options.recycled_segments = dice.below(3) as usize;
    options.compression = match dice.below(4) {
        0 => Compression::None,
        1 => Compression::Zstd,
        _ => Compression::Columns,
    };
    options.salt = 1;
    options
}

fn open(fs: &MemoryFs, dice: &mut Dice) -> Result<Arc<EmbeddedLog>, LogError> {
    EmbeddedLog::open(options(dice), Arc::new(fs.clone()))
}

/// What is known of one partition.
#[derive(Clone, Default)]
struct Ledger {
    /// Tag and length by offset of what must be there.
    kept: Vec<(u64, usize)>,
    /// What was appended and refused or unanswered since, in order of calls.
    doubtful: Vec<(u64, usize)>,
}

/// Appends in groups until the power goes, noting what was acknowledged.
fn append_until_crash(log: &EmbeddedLog, dice: &mut Dice, tag: &mut u64, ledgers: &mut [Ledger]) {
    loop {
        let calls: Vec<(usize, u64, usize)> = (0..1 + dice.below(12))
            .map(|_| {
                *tag += 1;
                let len = if dice.below(5) == 0 { dice.below(15_000) } else { dice.below(300) };
                (dice.below(PARTITIONS) as usize, *tag, len as usize)
            })
            .collect();
        let appends: Vec<_> =
            calls.iter().map(|(p, tag, len)| log.append(*p as Partition, record(*tag, *len))).collect();
        let outcomes = block_on(join_all(appends));
        for ((p, tag, len), outcome) in calls.iter().zip(&outcomes) {
            let ledger = &mut ledgers[*p];
            match outcome {
                Ok(offset) => {
                    assert!(ledger.doubtful.is_empty(), "acknowledged behind a refused one");
                    assert_eq!(*offset, ledger.kept.len() as u64);
                    ledger.kept.push((*tag, *len));
                }
                Err(_) => ledger.doubtful.push((*tag, *len)),
            }
        }
        if outcomes.iter().any(Result::is_err) {
            return;
        }
        if dice.below(4) == 0 {
            let p = dice.below(PARTITIONS) as Partition;
            let range = log.range(p);
            let _ = log.trim(p, range.start + dice.below(range.end - range.start + 1));
        }
    }
}

/// Checks what is there and takes it as what must be there from now on.
fn check(log: &EmbeddedLog, ledgers: &mut [Ledger]) {
    for (p, ledger) in ledgers.iter_mut().enumerate() {
        let range = log.range(p as Partition);
        assert!(range.end >= ledger.kept.len() as u64, "acknowledged records are lost");
        let extra = (range.end - ledger.kept.len() as u64) as usize;
        assert!(extra <= ledger.doubtful.len(), "records were invented");
        // What was not acknowledged may have survived, from the first on.
        let survived: Vec<_> = ledger.doubtful.drain(..).take(extra).collect();
        ledger.kept.extend(survived);
        let got = read_all(log, p as Partition, range.start);
        let want = range.clone().zip(&ledger.kept[range.start as usize..]);
        assert_eq!(got.len() as u64, range.end - range.start);
        for ((offset, got), (want_offset, (tag, len))) in got.iter().zip(want) {
            assert_eq!(*offset, want_offset);
            assert!(*got == record(*tag, *len), "offset {offset} has other bytes");
        }
    }
}

fn life(seed: u64) {
    let fs = MemoryFs::default();
    let mut dice = Dice::new(seed);
    let mut ledgers = vec![Ledger::default(); PARTITIONS as usize];
    let mut tag = 0;
    for _ in 0..4 {
        // The power may go while the log is opened, too.
        fs.crash_after(dice.below(120));
        match open(&fs, &mut dice) {
            Ok(log) => {
                check(&log, &mut ledgers);
                append_until_crash(&log, &mut dice, &mut tag, &mut ledgers);
            }
            Err(LogError::Unavailable(_)) => {}
            Err(e) => panic!("seed {seed}: {e}"),
        }
        fs.restart(&mut dice);
    }
    let log = open(&fs, &mut dice).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    check(&log, &mut ledgers);
    drop(log);
    fs.restart(&mut dice);
    let log = open(&fs, &mut dice).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    check(&log, &mut ledgers);
}

#[test]
fn acknowledged_records_survive_power_cuts() {
    let count = std::env::var("NORN_CRASH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    for seed in 0..count {
        life(seed);
    }
}

fn append(log: &EmbeddedLog, tag: u64, len: usize) -> Result<Offset, LogError> {
    block_on(log.append(0, record(tag, len)))
}

fn plain(segment_bytes: u64) -> Options {
    let mut options = Options::new("/log");
    options.segment_bytes = segment_bytes;
    options.max_record_bytes = 20 << 10;
    options.spare_segments = 0;
    options.recycled_segments = 0;
    options.compression = Compression::None;
    options
}

#[test]
fn a_failed_sync_ends_the_log_and_loses_nothing_acknowledged() {
    let fs = MemoryFs::default();
    let told = Arc::new(AtomicUsize::new(0));
    let mut options = plain(1 << 20);
    let hook = Arc::clone(&told);
    options.on_fatal = Some(Arc::new(move |_| {
        hook.fetch_add(1, Ordering::Relaxed);
    }));
    let log = EmbeddedLog::open(options, Arc::new(fs.clone())).expect("opens");
    assert_eq!(append(&log, 1, 600).ok(), Some(0));
    fs.fail_syncs(1);
    assert!(matches!(append(&log, 2, 600), Err(LogError::Unavailable(_))));
    // The disk works again, but what it dropped can not be known.
    assert!(matches!(append(&log, 3, 600), Err(LogError::Unavailable(_))));
    assert!(log.stats().failed);
    log.close();
    assert_eq!(told.load(Ordering::Relaxed), 1);
    drop(log);
    // Record 2 is seen in the page cache, written again, and then as durable as any other.
    let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).expect("opens again");
    assert_eq!(append(&log, 4, 600).ok(), Some(2));
    drop(log);
    for seed in 0..20 {
        fs.restart(&mut Dice::new(seed));
        let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).expect("opens after the cut");
        let got = read_all(&*log, 0, 0);
        assert!(got == [(0, record(1, 600)), (1, record(2, 600)), (2, record(4, 600))]);
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let fs = MemoryFs::default();
    let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).expect("opens");
    assert_eq!(append(&log, 1, 1000).ok(), Some(0));
    fs.limit_bytes(Some(9000));
    assert_eq!(append(&log, 2, 1000).ok(), Some(1));
    for _ in 0..3 {
        assert!(matches!(append(&log, 9, 9000), Err(LogError::Unavailable(_))));
    }
    fs.limit_bytes(None);
    assert_eq!(append(&log, 3, 9000).ok(), Some(2));
    let want = [(0, record(1, 1000)), (1, record(2, 1000)), (2, record(3, 9000))];
    assert!(read_all(&*log, 0, 0) == want);
    assert!(!log.stats().failed);
    drop(log);
    let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs)).expect("opens again");
    assert!(read_all(&*log, 0, 0) == want);
}

#[test]
fn a_shortage_of_file_descriptors_passes() {
    let fs = MemoryFs::default();
    let mut options = plain(64 << 10);
    options.memory_bytes = 0;
    let log = EmbeddedLog::open(options, Arc::new(fs.clone())).expect("opens");
    for tag in 0..3 {
        assert_eq!(append(&log, tag, 18_000).ok(), Some(tag));
    }
    // The next record needs a new segment.
    fs.fail_opens(1, EMFILE);
    assert!(matches!(append(&log, 9, 18_000), Err(LogError::Unavailable(_))));
    assert!(!log.stats().failed);
    assert_eq!(append(&log, 3, 18_000).ok(), Some(3));
    // A reader waits, and never says that the log is closed.
    fs.fail_opens(2, EMFILE);
    let mut reader = log.read(0, 0).expect("reader");
    let mut out = Vec::new();
    while out.len() < 4 {
        reader.next(&mut out, Duration::from_millis(1)).expect("waits");
    }
    assert!(out.iter().map(|(offset, _)| *offset).eq(0..4));
}

#[test]
fn a_failed_read_is_not_taken_for_a_closed_log() {
    let fs = MemoryFs::default();
    let mut options = plain(64 << 10);
    options.memory_bytes = 0;
    let log = EmbeddedLog::open(options, Arc::new(fs.clone())).expect("opens");
    append(&log, 0, 100).expect("append");
    let mut reader = log.read(0, 0).expect("reader");
    fs.fail_opens(1, EIO);
    let error = reader.next(&mut Vec::new(), Duration::from_millis(1)).err();
    assert!(matches!(&error, Some(LogError::Unreadable(t)) if t.contains(".log: ")), "{error:?}");
}

fn flip(fs: &MemoryFs, path: &Path, at: usize) {
    let mut bytes = fs.bytes(path).expect("file");
    bytes[at] ^= 0x10;
    fs.put(path, bytes);
}

/// A log of one segment with three records, and where their frames start.
fn three_records(close: bool) -> (MemoryFs, &'static Path, [usize; 4]) {
    let fs = MemoryFs::default();
    let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).expect("opens");
    for tag in 0..3 {
        append(&log, tag, 1000).expect("append");
    }
    let path = Path::new("/log/00000000000000000000.log");
    if !close {
        fs.crash_after(0);
    }
    drop(log);
    let frame = (48 + 6 + 1008usize).next_multiple_of(8);
    (fs, path, [0, 1, 2, 3].map(|i| 4096 + i * frame))
}

#[test]
fn damage_in_front_of_durable_records_refuses_to_open() {
    for closed in [true, false] {
        let (fs, path, frames) = three_records(closed);
        fs.restart(&mut Dice::new(0));
        for at in [frames[0] + 5, frames[0] + 500, frames[1], frames[1] + 60] {
            flip(&fs, path, at);
            let refused = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).err();
            let Some(LogError::Corrupt(text)) = refused else { panic!("{at}: {refused:?}") };
            assert!(text.contains("00000000000000000000.log at byte"), "{text}");
            flip(&fs, path, at);
        }
        assert!(EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).is_ok());
    }
}

#[test]
fn a_damaged_last_record_is_a_torn_tail_unless_the_log_was_closed() {
    let (fs, path, frames) = three_records(true);
    flip(&fs, path, frames[2] + 100);
    assert!(matches!(EmbeddedLog::open(plain(1 << 20), Arc::new(fs)), Err(LogError::Corrupt(_))));
    let (fs, path, frames) = three_records(false);
    fs.restart(&mut Dice::new(0));
    flip(&fs, path, frames[2] + 100);
    let log = EmbeddedLog::open(plain(1 << 20), Arc::new(fs.clone())).expect("torn tail");
    assert_eq!(log.range(0), 0..2);
    assert_eq!(fs.bytes(path).map(|b| b.len()), Some(frames[2]));
}

#[test]
fn missing_cut_and_swapped_segments_are_named() {
    let fs = MemoryFs::default();
    let log = EmbeddedLog::open(plain(64 << 10), Arc::new(fs.clone())).expect("opens");
    for tag in 0..20 {
        append(&log, tag, 15_000).expect("append");
    }
    drop(log);
    let path = |n: u64| std::path::PathBuf::from(format!("/log/{n:020}.log"));
    let whole = fs.bytes(&path(1)).expect("segment 1");
    let refusal = || match EmbeddedLog::open(plain(64 << 10), Arc::new(fs.clone())) {
        Err(LogError::Corrupt(text)) => text,
        other => panic!("{:?}", other.err()),
    };
    fs.put(&path(1), whole[..whole.len() - 100].to_vec());
    assert!(refusal().contains("shorter"));
    fs.put(&path(1), fs.bytes(&path(2)).expect("segment 2"));
    assert!(refusal().contains("name of another"));
    fs.put(&path(1), b"nonsense".to_vec());
    assert!(refusal().contains("not a log segment"));
    let other: &dyn norn_contract::fs::FileSystem = &fs;
    other.remove(&path(1)).expect("remove");
    assert!(refusal().contains("missing"));
    // Damage in an earlier segment is found by whoever reads it.
    let mut damaged = whole.clone();
    damaged[4096 + 500] ^= 1;
    fs.put(&path(1), damaged);
    let log = EmbeddedLog::open(plain(64 << 10), Arc::new(fs.clone())).expect("opens");
    let mut reader = log.read(0, 0).expect("reader");
    let mut out = Vec::new();
    let error = loop {
        match reader.next(&mut out, Duration::ZERO) {
            Ok(()) => assert!(out.len() < 20),
            Err(e) => break e,
        }
    };
    assert!(matches!(&error, LogError::Corrupt(text) if text.contains("00001.log at byte 4096")), "{error}");
    assert!(!out.is_empty());
}

#[test]
fn limits_locks_and_closing() {
    let fs = MemoryFs::default();
    let mut options = plain(1 << 20);
    options.max_queued_bytes = 3000;
    let log = EmbeddedLog::open(options.clone(), Arc::new(fs.clone())).expect("opens");
    let second = EmbeddedLog::open(options.clone(), Arc::new(fs.clone())).err();
    assert!(matches!(&second, Some(LogError::Unavailable(t)) if t.contains("another process")), "{second:?}");
    assert!(matches!(append(&log, 1, 30_000), Err(LogError::TooLarge { size: 30_008, limit: 20_480 })));
    let burst: Vec<_> = (0..200).map(|tag| log.append(0, record(tag, 1000))).collect();
    let outcomes = block_on(join_all(burst));
    let refused = outcomes.iter().filter(|o| matches!(o, Err(LogError::Unavailable(_)))).count();
    let stored = outcomes.iter().filter(|o| o.is_ok()).count() as u64;
    assert!(refused > 0 && refused as u64 + stored == 200);
    let mut reader = log.read(0, stored).expect("reader");
    log.close();
    assert!(matches!(append(&log, 1, 1), Err(LogError::Unavailable(_))));
    let ended = reader.next(&mut Vec::new(), Duration::from_secs(5));
    assert!(matches!(ended, Err(LogError::Unavailable(_))));
    assert_eq!(read_all(&*log, 0, 0).len() as u64, stored);
    assert!(EmbeddedLog::open(options, Arc::new(fs)).is_ok());
}

#[test]
fn a_segment_that_can_not_be_removed_leaves_no_hole() {
    let fs = MemoryFs::default();
    let (log, mut steps) = EmbeddedLog::open_stepped(plain(64 << 10), Arc::new(fs.clone())).expect("opens");
    for tag in 0..20 {
        let answer = log.append(0, record(tag, 15_000));
        assert_eq!(steps.write(), Step::Worked);
        assert_eq!(block_on(answer).ok(), Some(tag));
    }
    while steps.keep() == Step::Worked {}
    let segments = log.stats().segments;
    log.trim(0, 12).expect("trim");
    assert!(log.stats().segments < segments);
    fs.fail_opens(1, EMFILE);
    while steps.keep() == Step::Worked {}
    // A directory whose sync failed says nothing of what is durable either.
    log.trim(0, 16).expect("trim");
    fs.fail_after(1);
    while steps.keep() == Step::Worked {}
    drop((log, steps));
    for seed in 0..20 {
        fs.restart(&mut Dice::new(seed));
        let log = EmbeddedLog::open(plain(64 << 10), Arc::new(fs.clone())).expect("opens again");
        let range = log.range(0);
        assert!(range.start <= 16 && range.end == 20, "{range:?}");
        assert_eq!(read_all(&*log, 0, range.start).len() as u64, range.end - range.start);
    }
}

#[test]
fn a_reader_steps_over_segments_that_were_trimmed_behind_it() {
    let fs = MemoryFs::default();
    let mut options = plain(64 << 10);
    options.memory_bytes = 0;
    let open = || EmbeddedLog::open(options.clone(), Arc::new(fs.clone())).expect("opens");
    append(&open(), 0, 100).expect("append");
    // Every opening begins a segment; these have no records.
    drop(open());
    drop(open());
    let log = open();
    let mut reader = log.read(0, 0).expect("reader");
    let mut out = Vec::new();
    reader.next(&mut out, Duration::ZERO).expect("reads the first segment");
    log.trim(0, 1).expect("trim");
    append(&log, 1, 100).expect("append");
    reader.next(&mut out, Duration::ZERO).expect("reads the newest segment");
    assert!(out == [(0, record(0, 100)), (1, record(1, 100))]);
}

#[test]
fn trimmed_segments_are_used_again() {
    let fs = MemoryFs::default();
    let mut options = plain(64 << 10);
    options.recycled_segments = 1;
    let log = EmbeddedLog::open(options.clone(), Arc::new(fs.clone())).expect("opens");
    for tag in 0..400 {
        append(&log, tag, 10_000).expect("append");
        log.trim(0, tag).expect("trim");
    }
    let kept = log.range(0);
    assert!(kept.start > 380, "{kept:?}");
    assert!(log.stats().segments <= 4);
    // Old frames of the same length follow the last one, in a file that was not closed.
    fs.crash_after(0);
    log.close();
    assert!(fs.paths().len() <= 8, "{:?}", fs.paths());
    drop(log);
    fs.restart(&mut Dice::new(0));
    let log = EmbeddedLog::open(options, Arc::new(fs)).expect("opens");
    let want: Vec<_> = kept.clone().map(|tag| (tag, record(tag, 10_000))).collect();
    assert!(read_all(&*log, 0, kept.start) == want);
}
