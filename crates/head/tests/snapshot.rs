//! A head that was written to a file while records came, and goes on from there.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Error, ErrorKind, IoSlice, Result};

use std::sync::Arc;

use norn_contract::fs::File;
use norn_contract::log::{Offset, Record};
use norn_head::{Checkpoint, Options, SnapshotError, Step, load};
use norn_model::Millis;
use norn_model::rejection::Refused;
use norn_model::sample::stale_nan;
use norn_wire::histogram::HistogramRef;
use norn_wire::settings::FoldSettings;
use support::{Head, T0, histogram, plain_settings, record, settings};

const RANGE: Millis = 600_000;

/// A file that is only read.
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, _: &mut [IoSlice<'_>], _: u64) -> Result<()> {
        Err(Error::from(ErrorKind::ReadOnlyFilesystem))
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> Result<()> {
        Err(Error::from(ErrorKind::ReadOnlyFilesystem))
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Records with many series, in order, now and then late, of two tenants.
struct Load {
    dice: Dice,
    series: u64,
    time: Millis,
    late: bool,
    records: Vec<Record>,
}

impl Load {
    fn new(seed: u64, late: bool) -> Self {
        let mut load = Self { dice: Dice(seed), series: 1, time: T0, late, records: Vec::new() };
        for id in ["t", "u"] {
            let window = if late { RANGE } else { 0 };
            let new = FoldSettings { out_of_order_window: window, max_exemplars: 50, ..plain_settings() };
            load.records.push(settings(id, &new));
        }
        load
    }

    fn next(&mut self, new_series: u64) {
        self.series += new_series;
        self.time += 1000 * (1 + self.dice.below(60) as Millis);
        let (time, dice, late, all) = (self.time, &mut self.dice, self.late, self.series);
        let tenant = if dice.below(4) == 0 { "u" } else { "t" };
        let first = if new_series > 0 { all - new_series } else { dice.below(all) };
        let made = record(tenant, |b| {
            for series in first..(first + new_series.max(50)).min(all) {
                let t = if late && dice.below(9) == 0 { time - dice.below(400_000) as Millis } else { time };
                let number = series.to_string();
                let mut built = b.series([("__name__", "m"), ("job", "x"), ("series", &number)]);
                match (series % 16, dice.below(40)) {
                    (1, 0..20) => built.histogram(t, HistogramRef::Int(&histogram(dice.below(9)))),
                    (2, _) => built.histogram(t, HistogramRef::Float(&histogram(dice.below(9)).to_float())),
                    (_, 20) => built.sample(t, stale_nan()),
                    (_, value) => built.sample(t, value as f64),
                };
            }
        });
        self.records.push(made);
    }
}

fn restore(options: &Options, bytes: &[u8]) -> std::result::Result<Head, SnapshotError> {
    let (writer, reader) = load(options.clone(), &Bytes(bytes.to_vec()))?;
    Ok(Head { writer, reader })
}

/// Applies records from `from` on as a replay does.
fn replay(head: &mut Head, records: &[Record], from: Offset) {
    assert_eq!(head.writer.next_offset(), from);
    for (offset, record) in records.iter().enumerate().skip(from as usize) {
        head.writer.apply(offset as u64, record, &mut Refused::default()).unwrap();
    }
}

/// Writes a snapshot while records come.
fn snapshot(head: &mut Head, load: &mut Load) -> (Vec<u8>, Offset) {
    let mut encoder = head.writer.begin_snapshot().unwrap();
    assert!(head.writer.begin_snapshot().is_none());
    assert!(!head.writer.begin_cut(Millis::MAX));
    let mut bytes = Vec::new();
    while let Some(piece) = head.writer.next_piece() {
        bytes.extend_from_slice(encoder.encode(&piece).unwrap());
        assert!(matches!(head.writer.step(), Step::Idle), "nothing else is done meanwhile");
        for _ in 0..load.dice.below(4) {
            let new = load.dice.below(3) * 100;
            load.next(new);
            head.apply(load.records.last().unwrap());
        }
    }
    (bytes, encoder.next_offset())
}

/// What a checkpoint says of records.
fn checkpoint(head: &mut Head) -> Checkpoint {
    while !matches!(head.writer.step(), Step::Idle) {}
    Checkpoint { known: Arc::default(), ..head.writer.checkpoint().unwrap() }
}

#[test]
fn goes_on_where_it_was() {
    let mut cuts = 0;
    for seed in 0..9 {
        let late = seed % 3 > 0;
        let options = Options { samples_per_chunk: 7, chunk_range: RANGE, ..Options::default() };
        let (mut head, mut load) = (Head::new(options.clone()), Load::new(seed, late));
        for _ in 0..60 {
            let new = if load.series < 5000 { 300 } else { 0 };
            load.next(new);
        }
        for record in &load.records {
            head.apply(record);
        }
        if seed % 2 == 1 && head.writer.begin_cut(head.writer.closed_before().unwrap()) {
            loop {
                match head.writer.step() {
                    Step::Cut(cut) => {
                        head.writer.finish_cut(&cut);
                        cuts += 1;
                    }
                    Step::Idle => break,
                    _ => {}
                }
            }
        }
        let (bytes, from) = snapshot(&mut head, &mut load);
        let mut again = restore(&options, &bytes).unwrap();
        for _ in 0..40 {
            let new = load.dice.below(2) * 30;
            load.next(new);
            head.apply(load.records.last().unwrap());
        }
        replay(&mut again, &load.records, from);
        for id in ["t", "u"] {
            assert_eq!(head.all(id), again.all(id), "seed {seed}");
            assert_eq!(head.tenant(id).stats().series, again.tenant(id).stats().series);
            assert_eq!(head.tenant(id).stats().range, again.tenant(id).stats().range);
        }
        if !late {
            assert_eq!(head.writer.digest(), again.writer.digest(), "seed {seed}");
        }
        assert_eq!(checkpoint(&mut head), checkpoint(&mut again), "seed {seed}");
        assert_eq!(head.writer.closed_before(), again.writer.closed_before());
    }
    assert!(cuts > 2, "{cuts}");
}

#[test]
fn keeps_metadata_and_exemplars() {
    let mut head = Head::new(Options::default());
    let new = FoldSettings { max_exemplars: 2, ..plain_settings() };
    head.apply(&settings("t", &new));
    head.write("t", |b| {
        for i in 0..3 {
            let number = i.to_string();
            let mut series = b.series([("__name__", "m"), ("i", &number)]);
            series.sample(T0, 1.0);
            series.exemplar([("trace", "a")], 2.5, T0 + i);
        }
        b.metadata("m", norn_model::metadata::MetricType::Counter, "help", "seconds");
    });
    let mut encoder = head.writer.begin_snapshot().unwrap();
    let Some(piece) = head.writer.next_piece() else { panic!("one piece") };
    let bytes = encoder.encode(&piece).unwrap().to_vec();
    let again = restore(&Options::default(), &bytes).unwrap();
    assert_eq!(again.tenant("t").exemplars(), head.tenant("t").exemplars());
    assert_eq!(again.tenant("t").exemplars().len(), 2);
    let metadata = |head: &Head| {
        use futures::FutureExt;
        use norn_contract::source::SeriesSource;
        head.tenant("t").metadata(Default::default()).now_or_never().unwrap().unwrap()
    };
    assert_eq!(metadata(&again), metadata(&head));
    assert_eq!(metadata(&again).len(), 1);
}

#[test]
fn an_empty_head_and_abandoned_snapshots() {
    let mut head = Head::new(Options::default());
    let mut encoder = head.writer.begin_snapshot().unwrap();
    let Some(piece) = head.writer.next_piece() else { panic!("one piece") };
    let bytes = encoder.encode(&piece).unwrap().to_vec();
    assert_eq!(restore(&Options::default(), &bytes).unwrap().writer.next_offset(), 0);
    assert!(head.writer.begin_snapshot().is_some());
    head.writer.abandon_snapshot();
    assert!(head.writer.begin_snapshot().is_some());
}

#[test]
fn refuses_what_is_damaged_or_of_others() {
    let options = Options { samples_per_chunk: 7, chunk_range: RANGE, ..Options::default() };
    let (mut head, mut load) = (Head::new(options.clone()), Load::new(1, true));
    for _ in 0..20 {
        load.next(40);
    }
    for record in &load.records {
        head.apply(record);
    }
    let (bytes, _) = snapshot(&mut head, &mut load);
    assert!(restore(&options, &bytes).is_ok());
    for at in (0..bytes.len()).step_by(bytes.len() / 500 + 1).chain(bytes.len() - 40..bytes.len()) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let is_padding = (12..16).contains(&at);
        assert_eq!(restore(&options, &bad).is_ok(), is_padding, "byte {at}");
    }
    for len in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
        assert!(restore(&options, &bytes[..len]).is_err(), "{len} bytes");
    }
    for other in [
        Options { partition: 1, ..options.clone() },
        Options { samples_per_chunk: 8, ..options.clone() },
        Options { chunk_range: RANGE * 2, ..options.clone() },
    ] {
        assert!(matches!(restore(&other, &bytes), Err(SnapshotError::Other(_))));
    }
}

/// All bytes of a snapshot, with `between` called when it has begun.
fn snapshot_with(head: &mut Head, between: impl FnOnce(&mut Head)) -> Vec<u8> {
    let mut encoder = head.writer.begin_snapshot().unwrap();
    between(head);
    let mut bytes = Vec::new();
    while let Some(piece) = head.writer.next_piece() {
        bytes.extend_from_slice(encoder.encode(&piece).unwrap());
    }
    bytes
}

fn apply_all(head: &mut Head, records: &[Record]) {
    for record in records {
        head.apply(record);
    }
}

/// A record with one sample of tenant `t`.
fn float(t: Millis, value: f64) -> Record {
    record("t", |b| {
        b.series([("__name__", "m")]).sample(t, value);
    })
}

#[test]
fn a_tenant_may_come_while_it_is_written() {
    let mut head = Head::new(Options::default());
    let describe = |b: &mut norn_wire::record::Builder, t| {
        let mut series = b.series([("__name__", "m")]);
        series.sample(t, 1.0);
        series.exemplar([("trace", "a")], 2.5, t);
    };
    let new = FoldSettings { max_exemplars: 2, ..plain_settings() };
    let mut records = vec![settings("t", &new), record("t", |b| describe(b, T0))];
    apply_all(&mut head, &records);
    let bytes = snapshot_with(&mut head, |head| {
        for record in [settings("u", &new), record("u", |b| describe(b, T0))] {
            head.apply(&record);
            records.push(record);
        }
    });
    records.push(record("u", |b| describe(b, T0 + 1000)));
    head.apply(records.last().unwrap());
    let mut again = restore(&Options::default(), &bytes).unwrap();
    replay(&mut again, &records, 2);
    for id in ["t", "u"] {
        assert_eq!(head.all(id), again.all(id));
        assert_eq!(head.tenant(id).exemplars(), again.tenant(id).exemplars());
        assert_eq!(head.tenant(id).stats().range, again.tenant(id).stats().range);
    }
    assert_eq!(head.writer.digest(), again.writer.digest());
    assert_eq!(checkpoint(&mut head), checkpoint(&mut again));
}

#[test]
fn what_was_not_taken_moves_no_bounds() {
    let mut head = Head::new(Options::default());
    let without = FoldSettings { native_histograms: false, ..plain_settings() };
    let mut records = vec![settings("t", &without)];
    records.push(float(T0, 1.0));
    apply_all(&mut head, &records);
    let bytes = snapshot_with(&mut head, |head| {
        records.push(record("t", |b| {
            let mut series = b.series([("__name__", "m")]);
            series.sample(T0 + 1000, 2.0);
            series.histogram(T0 + 9_000_000, HistogramRef::Int(&histogram(3)));
        }));
        head.apply(records.last().unwrap());
    });
    records.push(float(T0 + 2000, 3.0));
    head.apply(records.last().unwrap());
    let mut again = restore(&Options::default(), &bytes).unwrap();
    replay(&mut again, &records, 2);
    assert_eq!(head.all("t"), again.all("t"));
    assert_eq!(checkpoint(&mut head), checkpoint(&mut again));
}

#[test]
fn what_came_late_while_it_was_written_is_in_the_range() {
    let mut head = Head::new(Options::default());
    let late = FoldSettings { out_of_order_window: 600_000, ..plain_settings() };
    let mut records = vec![settings("t", &late)];
    records.push(float(T0, 1.0));
    apply_all(&mut head, &records);
    let bytes = snapshot_with(&mut head, |head| {
        records.push(float(T0 - 5000, 2.0));
        head.apply(records.last().unwrap());
    });
    let mut again = restore(&Options::default(), &bytes).unwrap();
    replay(&mut again, &records, 2);
    assert_eq!(head.all("t"), again.all("t"));
    assert_eq!(head.tenant("t").stats().range, again.tenant("t").stats().range);
}
