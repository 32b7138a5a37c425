//! What every [`IngestLog`] must pass, the embedded one and any other.
//!
//! Panics, like any test, where a log breaks the contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use norn_contract::log::{IngestLog, LogError, LogReader, Offset, Partition, Record, RecordKind};
use norn_model::tenant::Tenant;

/// Opens the log of a name with so many writable partitions: the same log again once every handle
/// of an earlier opening is dropped.
pub type Open<'a> = &'a dyn Fn(&str, Partition) -> Arc<dyn IngestLog>;

/// What the log under test can do.
#[derive(Clone, Copy)]
pub struct Suite<'a> {
    /// Opens a log.
    pub open: Open<'a>,
    /// Whether it carries settings records.
    pub settings: bool,
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

/// Runs all of them.
pub fn run(suite: Suite<'_>) {
    gives_back_what_it_was_given(suite);
    counts_offsets_in_the_order_of_calls(suite.open);
    refuses_offsets_it_does_not_have(suite.open);
    waits_for_records(suite.open);
    readers_follow_writers(suite.open);
    keeps_everything_when_opened_again(suite.open);
    keeps_what_was_not_trimmed(suite.open);
    remembers_partitions_that_are_no_longer_written(suite.open);
}

/// A record whose content says who it is.
pub fn record(tag: u64, len: usize) -> Record {
    let mut value = tag.to_le_bytes().to_vec();
    value.extend((0..len).map(|i| (i as u64).wrapping_mul(tag | 1) as u8));
    let id = format!("team-{}", tag % 3);
    let tenant = Tenant::admit(&id).unwrap_or_else(|e| panic!("{id}: {e}"));
    Record { tenant, kind: RecordKind::Write(2), timestamp: tag as i64, value: Bytes::from(value) }
}

fn append(log: &Arc<dyn IngestLog>, partition: Partition, record: Record) -> Offset {
    match block_on(log.append(partition, record)) {
        Ok(offset) => offset,
        Err(e) => panic!("append to partition {partition}: {e}"),
    }
}

/// Everything from `from` to the durable end.
pub fn read_all(log: &dyn IngestLog, partition: Partition, from: Offset) -> Vec<(Offset, Record)> {
    let end = log.range(partition).end;
    let mut reader = match log.read(partition, from) {
        Ok(reader) => reader,
        Err(e) => panic!("read partition {partition} from {from}: {e}"),
    };
    let mut out = Vec::new();
    while out.len() < (end - from) as usize {
        read_some(&mut *reader, &mut out);
    }
    out
}

fn read_some(reader: &mut dyn LogReader, out: &mut Vec<(Offset, Record)>) {
    let before = out.len();
    if let Err(e) = reader.next(out, LONG) {
        panic!("read: {e}");
    }
    assert!(out.len() > before, "no record came within {LONG:?}");
}

fn gives_back_what_it_was_given(suite: Suite<'_>) {
    let log = (suite.open)("content", 1);
    let mut records = vec![record(1, 0), record(2, 3_000_000), record(3, 100)];
    records[0].value = Bytes::new();
    records[0].kind = RecordKind::Write(0);
    records[2].kind = RecordKind::Write(1);
    records[2].timestamp = -1;
    if suite.settings {
        records.push(Record { kind: RecordKind::Settings, ..record(4, 10) });
    }
    for (i, record) in records.iter().enumerate() {
        assert_eq!(append(&log, 0, record.clone()), i as u64);
    }
    let want: Vec<_> = (0..).zip(records).collect();
    assert!(read_all(&*log, 0, 0) == want);
    assert!(read_all(&*log, 0, 2) == want[2..]);
}

fn counts_offsets_in_the_order_of_calls(open: Open<'_>) {
    let log = open("order", 3);
    let calls: Vec<(Partition, u64)> = (0..300).map(|i| ((i * i % 3) as Partition, i)).collect();
    let appends = calls.iter().map(|(p, tag)| log.append(*p, record(*tag, 50)));
    let offsets = block_on(join_all(appends.collect::<Vec<_>>()));
    for partition in 0..3 {
        let tags: Vec<u64> = calls.iter().filter(|(p, _)| *p == partition).map(|(_, tag)| *tag).collect();
        let got: Vec<Offset> = calls
            .iter()
            .zip(&offsets)
            .filter(|((p, _), _)| *p == partition)
            .flat_map(|(_, o)| o.clone())
            .collect();
        assert_eq!(got, (0..tags.len() as u64).collect::<Vec<_>>());
        assert_eq!(log.range(partition), 0..tags.len() as u64);
        let want: Vec<_> = (0..).zip(tags.iter().map(|tag| record(*tag, 50))).collect();
        if !want.is_empty() {
            assert!(read_all(&*log, partition, 0) == want);
        }
    }
}

fn refuses_offsets_it_does_not_have(open: Open<'_>) {
    let log = open("range", 1);
    append(&log, 0, record(1, 1));
    assert!(log.read(0, 1).is_ok());
    let refused = log.read(0, 2).err();
    assert!(
        matches!(refused, Some(LogError::OutOfRange { offset: 2, first: 0, next: 1, .. })),
        "{refused:?}"
    );
    assert!(log.read(9, 0).is_err());
    assert!(block_on(log.append(9, record(1, 1))).is_err());
}

fn waits_for_records(open: Open<'_>) {
    let log = open("wait", 1);
    let Ok(mut reader) = log.read(0, 0) else { panic!("an empty log can be read from 0") };
    let mut out = Vec::new();
    let started = Instant::now();
    assert!(reader.next(&mut out, SHORT).is_ok() && out.is_empty());
    assert!(started.elapsed() >= SHORT, "it did not wait");
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            read_some(&mut *reader, &mut out);
            out
        });
        std::thread::sleep(SHORT);
        append(&log, 0, record(7, 7));
        match reading.join() {
            Ok(out) => assert!(out == [(0, record(7, 7))]),
            Err(_) => panic!("the reader was not woken"),
        }
    });
}

fn readers_follow_writers(open: Open<'_>) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 100;
    let log = open("follow", 2);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                for i in 0..EACH {
                    append(log, (i % 2) as Partition, record(writer * EACH + i, 3000));
                }
            });
        }
        for partition in 0..2 {
            let log = &log;
            scope.spawn(move || follow(&**log, partition, (WRITERS * EACH / 2) as usize));
        }
    });
}

fn follow(log: &dyn IngestLog, partition: Partition, count: usize) {
    let Ok(mut reader) = log.read(partition, 0) else { panic!("a log can be read from 0") };
    let mut out = Vec::new();
    while out.len() < count {
        read_some(&mut *reader, &mut out);
        assert!(log.range(partition).end >= out.len() as u64, "read what is not durable");
    }
    let mut tags = Vec::new();
    for (i, (offset, got)) in out.iter().enumerate() {
        assert_eq!(*offset, i as u64);
        assert!(*got == record(got.timestamp as u64, 3000));
        tags.push(got.timestamp);
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), count);
}

fn keeps_everything_when_opened_again(open: Open<'_>) {
    for round in 0..3u64 {
        let log = open("again", 2);
        for partition in 0..2 {
            assert_eq!(log.range(partition), 0..round * 10);
            for i in round * 10..round * 10 + 10 {
                assert_eq!(append(&log, partition, record(i, 500)), i);
            }
            let want: Vec<_> = (0..round * 10 + 10).map(|i| (i, record(i, 500))).collect();
            assert!(read_all(&*log, partition, 0) == want);
        }
    }
}

fn keeps_what_was_not_trimmed(open: Open<'_>) {
    {
        let log = open("trim", 2);
        for i in 0..200 {
            append(&log, 0, record(i, 5000));
            append(&log, 1, record(i, 10));
        }
        assert!(log.trim(0, 201).is_err());
        assert!(log.trim(0, 150).is_ok() && log.trim(1, 20).is_ok());
        assert!(log.range(0).start <= 150 && log.range(1).start <= 20);
        assert!(log.trim(1, 180).is_ok() && log.trim(0, 10).is_ok());
    }
    let log = open("trim", 2);
    assert_eq!((log.range(0).end, log.range(1).end), (200, 200));
    let want: Vec<_> = (150..200).map(|i| (i, record(i, 5000))).collect();
    assert!(read_all(&*log, 0, 150) == want);
    for partition in 0..2 {
        let first = log.range(partition).start;
        assert_eq!(read_all(&*log, partition, first).len(), (200 - first) as usize);
        if first > 0 {
            assert!(matches!(log.read(partition, first - 1), Err(LogError::OutOfRange { .. })));
        }
    }
}

fn remembers_partitions_that_are_no_longer_written(open: Open<'_>) {
    {
        let log = open("fewer", 3);
        append(&log, 2, record(1, 1));
    }
    {
        let log = open("fewer", 1);
        assert_eq!((log.writable(), log.known()), (1, 3));
        assert!(block_on(log.append(2, record(2, 1))).is_err());
        assert!(read_all(&*log, 2, 0) == [(0, record(1, 1))]);
    }
    let log = open("fewer", 4);
    assert_eq!((log.writable(), log.known()), (4, 4));
    assert_eq!(append(&log, 2, record(3, 1)), 1);
    assert_eq!(append(&log, 3, record(4, 1)), 0);
}
