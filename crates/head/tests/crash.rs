//! Cuts and crashes at random moments: what was taken is in a block or in the head, whatever the
//! moment.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use norn_contract::log::Record;
use norn_contract::source::ChunkBuf;
use norn_head::{Checkpoint, Cut, Options, Step};
use norn_model::Millis;
use norn_model::histogram::Histogram;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::rejection::Refused;
use norn_model::sample::stale_nan;
use norn_wire::histogram::HistogramRef;
use norn_wire::settings::FoldSettings;
use proptest::prelude::*;
use support::{Head, T0, Value, float_histogram, histogram, int, plain_settings, read_all, samples};

const RANGE: Millis = 300_000;
const TENANTS: [&str; 2] = ["t", "u"];

#[derive(Clone, Debug)]
enum Act {
    Settings {
        tenant: usize,
        window: Millis,
        max_series: u64,
    },
    /// Series and shifts of their samples against the tenant's newest time, in seconds.
    Write {
        tenant: usize,
        parts: Vec<(u8, i32)>,
    },
    /// Windows that end so many seconds after the time that the data say are closed.
    Begin(i64),
    Steps(u8),
    /// What becomes of the cut that was given: its blocks are written, and it is finished.
    Finish,
    Abandon,
    /// A checkpoint is written, and the log is trimmed.
    Save,
    /// Whether the blocks of a cut that is not finished were written.
    Crash(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let shift = prop_oneof![8 => 1i32..40, 1 => Just(0), 3 => -700i32..0, 1 => 200i32..500];
    let settings = (0usize..2, prop::sample::select(vec![0, 60_000, 900_000]), 0u64..7);
    prop_oneof![
        1 => settings.prop_map(|(tenant, window, max_series)| Act::Settings { tenant, window, max_series }),
        24 => (0usize..2, prop::collection::vec((0u8..9, shift), 1..6)).prop_map(|(tenant, parts)| Act::Write { tenant, parts }),
        2 => prop_oneof![3 => Just(0i64), 1 => -400i64..700].prop_map(Act::Begin),
        4 => (0u8..5).prop_map(Act::Steps),
        3 => Just(Act::Finish),
        1 => Just(Act::Abandon),
        2 => Just(Act::Save),
        1 => any::<bool>().prop_map(Act::Crash),
    ]
}

/// What a series has at a time: always the same, so that repeats are no conflicts.
fn value(series: u8, t: Millis) -> Value {
    let n = (t / 1000).rem_euclid(7) as u64;
    let stale = || Histogram { sum: stale_nan(), ..Histogram::default() };
    match (series, n) {
        (0..4, 0) => Value::float(stale_nan()),
        (0..4, _) | (7, 0..4) => Value::float(n as f64 * 1.5),
        (4 | 5, 0) => int(stale()),
        (4 | 5, _) => int(histogram(n)),
        _ => float_histogram(histogram(n).to_float()),
    }
}

fn write(builder: &mut norn_wire::record::Builder, series: u8, t: Millis) {
    let mut built = builder.series(labels(series));
    match value(series, t) {
        Value::Float(bits) => built.sample(t, f64::from_bits(bits)),
        Value::Int(h) if h.sum == f64::NEG_INFINITY => {
            let stale = Histogram { sum: stale_nan(), ..Histogram::default() };
            built.histogram(t, HistogramRef::Int(&stale))
        }
        Value::Int(h) => built.histogram(t, HistogramRef::Int(&h)),
        Value::FloatHistogram(h) => built.histogram(t, HistogramRef::Float(&h)),
    };
}

fn labels(series: u8) -> [(&'static str, &'static str); 2] {
    let name = ["a", "b", "c", "d", "e", "f", "g", "h", "i"][series as usize];
    [("__name__", "m"), ("series", name)]
}

type Stored = BTreeMap<(usize, Labels, Millis), Value>;

/// A partition: its log, its blocks, its checkpoint, and a head that may be gone at any time.
struct World {
    options: Options,
    log: Vec<Record>,
    head: Head,
    cut: Option<Cut>,
    blocks: Stored,
    saved: Checkpoint,
    newest: [Millis; 2],
    /// What was taken when it came.
    taken: Stored,
    crashed: bool,
}

impl World {
    fn new(options: Options) -> Self {
        let head = Head::new(options.clone());
        Self {
            options,
            log: Vec::new(),
            head,
            cut: None,
            blocks: Stored::new(),
            saved: Checkpoint::default(),
            newest: [T0; 2],
            taken: Stored::new(),
            crashed: false,
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Settings { tenant, window, max_series } => {
                let new = FoldSettings {
                    out_of_order_window: *window,
                    max_series: *max_series,
                    ..plain_settings()
                };
                self.apply(support::settings(TENANTS[*tenant], &new));
            }
            Act::Write { tenant, parts } => self.write(*tenant, parts),
            Act::Begin(shift) => {
                let closed = self.head.writer.closed_before().unwrap_or(T0);
                self.head.writer.begin_cut(closed + shift * 1000);
            }
            Act::Steps(count) => {
                for _ in 0..*count {
                    if let Step::Cut(cut) = self.head.writer.step() {
                        self.cut = Some(cut);
                    }
                }
            }
            Act::Finish => {
                if let Some(cut) = self.cut.take() {
                    self.write_blocks(&cut);
                    self.head.writer.finish_cut(&cut);
                }
            }
            Act::Abandon => {
                if let Some(cut) = self.cut.take() {
                    self.head.writer.abandon_cut(&cut);
                }
            }
            Act::Save => self.saved = self.head.writer.checkpoint().unwrap_or(self.saved.clone()),
            Act::Crash(written) => {
                if let Some(cut) = self.cut.take().filter(|_| *written) {
                    self.write_blocks(&cut);
                }
                self.restart();
            }
        }
    }

    fn apply(&mut self, record: Record) -> Refused {
        let refused = self.head.apply(&record);
        self.log.push(record);
        assert_eq!(self.log.len() as u64, self.head.writer.next_offset());
        refused
    }

    fn write(&mut self, tenant: usize, parts: &[(u8, i32)]) {
        let newest = self.newest[tenant];
        let parts: Vec<_> = parts.iter().map(|(s, shift)| (*s, newest + i64::from(*shift) * 1000)).collect();
        self.apply(support::record(TENANTS[tenant], |b| {
            parts.iter().for_each(|(series, t)| write(b, *series, *t));
        }));
        let source = self.head.tenant(TENANTS[tenant]);
        for (series, t) in parts {
            let is_it: Vec<_> = labels(series).iter().map(|(n, v)| Matcher::equal(n, v)).collect();
            for (labels, samples) in read_all(&*source, &is_it, t, t).unwrap() {
                if let Some(stored) = samples.get(&t) {
                    assert_eq!(*stored, value(series, t));
                    self.taken.insert((tenant, labels, t), stored.clone());
                    self.newest[tenant] = t.max(self.newest[tenant]);
                }
            }
        }
    }

    /// All parts, and nothing that is not in one.
    fn write_blocks(&mut self, cut: &Cut) {
        let mut buf = ChunkBuf::default();
        for (tenant, range) in cut.parts() {
            let number = TENANTS.iter().position(|id| *id == tenant.as_str()).unwrap();
            let selection = cut.select(&tenant, &range);
            assert!(!selection.labels.is_empty() && selection.labels.is_sorted());
            for (i, labels) in selection.labels.iter().enumerate() {
                buf.clear();
                selection.data.read(i, &mut buf).unwrap();
                let all = samples(&buf, Millis::MIN, Millis::MAX);
                assert!(!all.is_empty());
                for (t, value) in all {
                    assert!(range.contains(&t));
                    self.blocks.insert((number, labels.clone(), t), value);
                }
            }
        }
    }

    fn restart(&mut self) {
        self.crashed = true;
        let bytes = self.saved.encode();
        let saved = Checkpoint::decode(&bytes).unwrap();
        self.head = Head::new(self.options.clone());
        self.head.writer.restore(&saved).unwrap();
        for (offset, record) in self.log.iter().enumerate().skip(saved.offset as usize) {
            let mut refused = Refused::default();
            self.head.writer.apply(offset as u64, record, &mut refused).unwrap();
        }
    }

    /// What a query sees.
    fn visible(&self) -> Stored {
        let mut all = self.blocks.clone();
        for (number, id) in TENANTS.iter().enumerate() {
            let Some(source) = self.head.reader.tenant(&support::tenant(id)) else { continue };
            let any = [Matcher::equal("__name__", "m")];
            for (labels, samples) in read_all(&*source, &any, Millis::MIN, Millis::MAX).unwrap() {
                all.extend(samples.into_iter().map(|(t, value)| ((number, labels.clone(), t), value)));
            }
        }
        all
    }

    fn check(&self) {
        let visible = self.visible();
        for (at, value) in &self.taken {
            assert_eq!(visible.get(at), Some(value), "{at:?}");
        }
        for ((_, labels, t), found) in &visible {
            let series = (0..9).find(|s| labels.get("series") == self::labels(*s)[1].1).unwrap();
            assert_eq!(*found, value(series, *t));
        }
        if !self.crashed {
            assert_eq!(visible.len(), self.taken.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 }))]

    #[test]
    fn nothing_is_lost_or_altered(
        acts in prop::collection::vec(act(), 1..250),
        samples_per_chunk in 1u16..12,
    ) {
        let mut world = World::new(Options { samples_per_chunk, chunk_range: RANGE, ..Options::default() });
        for (i, act) in acts.iter().enumerate() {
            world.act(act);
            if i % 8 == 0 || matches!(act, Act::Finish | Act::Crash(_)) {
                world.check();
            }
        }
        world.check();
        world.restart();
        world.check();
    }
}
