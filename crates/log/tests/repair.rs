//! Damaged logs: what is whole is saved, what is lost is named, and the log opens again.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use norn_contract::fs::FileSystem;
use norn_contract::log::{IngestLog, LogError, Offset, Partition, Record};
use norn_log::EmbeddedLog;
use norn_log::contract_tests::{read_all, record};
use norn_log::inspect::{Event, Problem, walk};
use norn_log::memory::{Dice, MemoryFs};
use norn_log::options::{Compression, Options};
use norn_log::repair::{Plan, plan, repair};

const DIR: &str = "/log";
const PARTITIONS: u64 = 3;

type Content = BTreeMap<(Partition, Offset), Record>;

fn options() -> Options {
    let mut options = Options::new(DIR);
    options.partitions = PARTITIONS as Partition;
    options.segment_bytes = 64 << 10;
    options.max_record_bytes = 20 << 10;
    (options.spare_segments, options.recycled_segments, options.memory_bytes) = (0, 1, 0);
    options.compression = Compression::None;
    options.salt = 7;
    options
}

fn open(fs: &MemoryFs) -> Result<Arc<EmbeddedLog>, LogError> {
    EmbeddedLog::open(options(), Arc::new(fs.clone()))
}

/// A log of several segments, the first of which may be trimmed and used again.
fn log(dice: &mut Dice, closed: bool) -> (MemoryFs, Content) {
    let fs = MemoryFs::default();
    let log = open(&fs).unwrap();
    let mut content = Content::new();
    for tag in 0..40 + dice.below(40) {
        let p = dice.below(PARTITIONS) as Partition;
        let len = if dice.below(3) == 0 { dice.below(12_000) } else { dice.below(300) };
        let record = record(tag, len as usize);
        let offset = block_on(log.append(p, record.clone())).unwrap();
        content.insert((p, offset), record);
        if dice.below(8) == 0 {
            log.trim(p, offset).unwrap();
        }
    }
    if !closed {
        fs.crash_after(0);
    }
    drop(log);
    fs.restart(&mut Dice::new(0));
    (fs, content)
}

fn segments(fs: &MemoryFs) -> Vec<PathBuf> {
    fs.paths().into_iter().filter(|p| p.extension().is_some_and(|e| e == "log")).collect()
}

/// Where the segments' frames end.
fn ends(fs: &MemoryFs) -> BTreeMap<PathBuf, u64> {
    let mut ends = BTreeMap::new();
    walk(fs, Path::new(DIR), &mut |event| {
        if let Event::Segment(s) = event {
            ends.insert(s.path, s.end);
        }
    })
    .unwrap();
    ends
}

/// Damages something durable and says what, in words.
fn damage(fs: &MemoryFs, dice: &mut Dice, ends: &BTreeMap<PathBuf, u64>) -> String {
    let all = segments(fs);
    let path = &all[dice.below(all.len() as u64) as usize];
    let Some(mut bytes) = fs.bytes(path) else { return String::new() };
    let end = (ends[path] as usize).min(bytes.len());
    let at = 4096 + dice.below((end.saturating_sub(4096) as u64).max(1)) as usize;
    let what = match dice.below(6) {
        0 if all.len() > 2 && path != &all[0] && path != all.last().unwrap() => {
            fs.remove(path).unwrap();
            return format!("{} removed", path.display());
        }
        1 => {
            bytes[dice.below(48) as usize] ^= 1 << dice.below(8);
            "header".to_owned()
        }
        2 if path != all.last().unwrap() => {
            bytes.truncate(at / 8 * 8);
            format!("cut at {at}")
        }
        3 if at < end => {
            let until = (at + dice.below(9000) as usize).min(end);
            bytes[at..until].fill(dice.below(256) as u8);
            format!("{at}..{until}")
        }
        _ if at < end => {
            bytes[at] ^= 1 << dice.below(8);
            format!("bit at {at}")
        }
        _ => String::new(),
    };
    fs.put(path, bytes);
    format!("{} {what}", path.display())
}

fn is_empty(record: &Record) -> bool {
    record.value.is_empty() && record.tenant.as_str() == "anonymous"
}

/// What is there now against what was there, after `plan` named what is lost.
fn check(log: &EmbeddedLog, content: &Content, plan: &Plan, context: &str) {
    let lost: BTreeSet<_> = plan.lost.iter().copied().collect();
    assert_eq!(lost.len(), plan.lost.len(), "named twice");
    for p in 0..PARTITIONS as Partition {
        let range = log.range(p);
        let got = read_all(log, p, range.start);
        assert!(got.iter().map(|(offset, _)| *offset).eq(range.clone()));
        let behind = content.range((p, range.end)..(p + 1, 0)).count();
        let torn = plan.damage.iter().any(|d| d.problem == Problem::Torn);
        assert!(behind == 0 || torn || !plan.untold.is_empty(), "{context}: {behind} of {p}");
        for (offset, record) in &got {
            match content.get(&(p, *offset)) {
                Some(want) if record == want => assert!(!lost.contains(&(p, *offset))),
                _ => assert!(is_empty(record) && lost.contains(&(p, *offset)), "{context}: {p} {offset}"),
            }
        }
    }
}

fn life(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let (fs, content) = log(&mut dice, seed.is_multiple_of(2));
    let dir = Path::new(DIR);
    let before = plan(&fs, dir).unwrap();
    assert!(before.is_empty() && before.lost.is_empty(), "{before:?}");
    let ends = ends(&fs);
    let what: Vec<_> = (0..1 + dice.below(3)).map(|_| damage(&fs, &mut dice, &ends)).collect();
    let paths = segments(&fs);
    let old: Vec<_> = paths.iter().map(|p| fs.bytes(p).unwrap()).collect();
    let said = plan(&fs, dir).unwrap();
    if !said.hopeless.is_empty() {
        assert!(matches!(repair(&fs, dir), Err(LogError::Corrupt(_))));
        assert!(paths.iter().zip(&old).all(|(p, old)| fs.bytes(p).as_ref() == Some(old)));
        return false;
    }
    let (done, copies) = repair(&fs, dir).unwrap_or_else(|e| panic!("seed {seed}: {what:?}: {e}"));
    assert_eq!(done.lost, said.lost);
    for (path, old) in paths.iter().zip(&old) {
        let changed = fs.bytes(path).as_ref() != Some(old);
        let kept = copies.iter().any(|c| fs.bytes(c).as_ref() == Some(old));
        assert!(!changed || kept, "seed {seed}: {what:?}: no copy of {}", path.display());
    }
    assert!(plan(&fs, dir).unwrap().is_empty(), "seed {seed}: {what:?}");
    // All of it was durable.
    fs.restart(&mut Dice::new(seed));
    let log = open(&fs).unwrap_or_else(|e| panic!("seed {seed}: {what:?}: {e}"));
    check(&log, &content, &done, &format!("seed {seed}: {what:?}"));
    let next = log.range(0).end;
    assert_eq!(block_on(log.append(0, record(1, 10))).ok(), Some(next));
    true
}

#[test]
fn random_damage_loses_only_what_is_named() {
    let count = std::env::var("NORN_REPAIR_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mended = (0..count).filter(|seed| life(*seed)).count();
    assert!(mended as u64 > count * 8 / 10, "{mended} of {count} could be mended");
}

fn two_segments() -> (MemoryFs, [PathBuf; 2]) {
    let fs = MemoryFs::default();
    let log = open(&fs).unwrap();
    for tag in 0..6 {
        block_on(log.append(0, record(tag, 15_000))).unwrap();
    }
    drop(log);
    let paths = segments(&fs);
    let paths = paths.try_into().unwrap();
    (fs, paths)
}

#[test]
fn one_flipped_bit_costs_one_record() {
    let (fs, [first, _]) = two_segments();
    let mut bytes = fs.bytes(&first).unwrap();
    // In the second record's value.
    bytes[4096 + 15_064 + 500] ^= 4;
    fs.put(&first, bytes.clone());
    let said = plan(&fs, Path::new(DIR)).unwrap();
    assert_eq!(said.lost, [(0, 1)]);
    let text = said.damage[0].to_string();
    assert!(text.contains("00000.log at byte 19160: record 1 of partition 0 is damaged"), "{text}");
    // Nothing was changed yet, and a reader says where and what to do.
    let log = open(&fs).unwrap();
    let mut reader = log.read(0, 0).unwrap();
    let mut out = Vec::new();
    let error = loop {
        if let Err(e) = reader.next(&mut out, std::time::Duration::ZERO) {
            break e.to_string();
        }
    };
    assert!(
        error.contains("00000.log at byte 19160") && error.contains("nornctl log repair /log"),
        "{error}"
    );
    let held = repair(&fs, Path::new(DIR)).unwrap_err().to_string();
    assert!(held.contains("another process has /log open"), "{held}");
    drop((reader, log));
    let (_, copies) = repair(&fs, Path::new(DIR)).unwrap();
    assert_eq!(copies, [first.with_extension("log.damaged")]);
    assert_eq!(fs.bytes(&copies[0]).unwrap(), bytes);
    let log = open(&fs).unwrap();
    let got = read_all(&*log, 0, 0);
    assert_eq!(got.len(), 6);
    for (offset, record_read) in got {
        assert_eq!(is_empty(&record_read), offset == 1);
        assert!(offset == 1 || record_read == record(offset, 15_000));
    }
}

#[test]
fn what_is_whole_but_strange_is_not_touched() {
    let (fs, [first, second]) = two_segments();
    let original = fs.bytes(&first).unwrap();
    let problem = |bytes: Vec<u8>| {
        fs.put(&first, bytes);
        let plan = plan(&fs, Path::new(DIR)).unwrap();
        assert!(repair(&fs, Path::new(DIR)).is_err());
        plan.hopeless.into_iter().next().unwrap().problem
    };
    // Another segment under this name; another version.
    assert!(matches!(problem(fs.bytes(&second).unwrap()), Problem::Header(_)));
    let mut newer = original.clone();
    newer[8] = 2;
    assert!(matches!(problem(newer), Problem::Header(_)));
    fs.put(&first, original);
    assert!(plan(&fs, Path::new(DIR)).unwrap().is_empty());
    // A single segment without a header.
    fs.remove(&second).unwrap();
    let mut bytes = fs.bytes(&first).unwrap();
    bytes[20] ^= 1;
    assert_eq!(problem(bytes), Problem::Nameless);
}
