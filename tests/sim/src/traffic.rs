//! What clients send: records of a few tenants and series, mostly in order, some of it not.

use bytes::Bytes;
use norn_contract::log::{Partition, Record, RecordKind};
use norn_log::memory::Dice;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::sample::stale_nan;
use norn_model::tenant::Tenant;
use norn_wire::histogram::HistogramRef;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;

use crate::value::histogram;

/// Tenants.
pub const TENANTS: u8 = 3;
/// Series of a tenant.
pub const SERIES: u8 = 12;

/// One sample of a record.
#[derive(Clone, Debug)]
pub struct Part {
    /// Number of the series.
    pub series: u8,
    /// Its time.
    pub t: Millis,
    /// Its value.
    pub item: Item,
}

/// A value as it is sent.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// A float, by its bits.
    Float(u64),
    /// A float stale marker.
    Stale,
    /// The integer histogram of a number.
    Int(u64),
    /// The same with floats.
    FloatHistogram(u64),
}

/// What a record holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Samples.
    Write(Vec<Part>),
    /// Settings.
    Settings(FoldSettings),
    /// Bytes that are no record.
    Garbage,
}

/// A record, and what it holds.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Number of the tenant.
    pub tenant: u8,
    /// What it holds.
    pub content: Content,
    /// As the log takes it.
    pub record: Record,
}

/// Name of a tenant.
pub fn tenant(number: u8) -> Tenant {
    let id = format!("tenant-{number}");
    Tenant::admit(&id).unwrap_or_else(|e| panic!("{id}: {e}"))
}

/// Labels of a series.
pub fn labels(series: u8) -> Labels {
    Labels::from_pairs(pairs(series).iter().map(|(n, v)| (*n, v.as_str())))
}

/// Name of the metric of a series.
pub fn metric(series: u8) -> u8 {
    series % 3
}

fn pairs(series: u8) -> [(&'static str, String); 3] {
    let text = "x".repeat(usize::from(series) * 7);
    [
        ("__name__", format!("metric_{}", metric(series))),
        ("series", series.to_string()),
        ("text", format!("t{text}")),
    ]
}

/// Whose a series is.
fn owner(tenant: u8, series: u8, partitions: Partition) -> Partition {
    (u32::from(tenant) * 31 + u32::from(series) * 7) % partitions
}

/// Makes records.
pub struct Traffic {
    /// What a client's clock says.
    pub now: Millis,
    /// Whether settings limit series and forbid histograms.
    limits: bool,
    sent: u64,
    newest: [Millis; TENANTS as usize],
}

impl Traffic {
    /// Starts at a fixed time. `limits` says whether settings limit
    /// series and forbid histograms.
    pub fn new(limits: bool) -> Self {
        let now = 1_700_000_000_000;
        Self { now, limits, sent: 0, newest: [now; TENANTS as usize] }
    }

    /// A record for `partition`.
    pub fn record(&mut self, dice: &mut Dice, partition: Partition, partitions: Partition) -> Sent {
        let tenant = dice.below(u64::from(TENANTS)) as u8;
        match dice.below(40) {
            0 => self.settings(dice, tenant),
            1 => {
                let len = 1 + dice.below(600) as usize;
                self.garbage(tenant, len)
            }
            _ => self.write(dice, tenant, partition, partitions),
        }
    }

    /// A settings record of a tenant.
    pub fn settings(&mut self, dice: &mut Dice, tenant: u8) -> Sent {
        let windows = [0, 60_000, 1_800_000, 10_800_000];
        let limits = self.limits;
        let limit = |dice: &mut Dice| if limits && dice.below(8) == 0 { 1 + dice.below(6) } else { 0 };
        let settings = FoldSettings {
            out_of_order_window: windows[dice.below(4) as usize],
            max_series: limit(dice),
            max_series_per_metric: limit(dice),
            max_exemplars: 0,
            native_histograms: !limits || dice.below(8) != 0,
            max_metadata: 0,
            max_metadata_per_metric: 0,
            ignore_late_exemplars: false,
            zero_samples: false,
        };
        let value = settings.encode().into();
        self.sent(tenant, Content::Settings(settings), RecordKind::Settings, value)
    }

    /// A record that can not be read. Those of one length take the same room in the log.
    pub fn garbage(&mut self, tenant: u8, len: usize) -> Sent {
        let value = vec![0xff; len];
        self.sent(tenant, Content::Garbage, RecordKind::Write(2), value.into())
    }

    fn write(&mut self, dice: &mut Dice, tenant: u8, partition: Partition, partitions: Partition) -> Sent {
        let mine: Vec<u8> = (0..SERIES).filter(|s| owner(tenant, *s, partitions) == partition).collect();
        let count = if dice.below(20) == 0 { dice.below(200) } else { dice.below(10) };
        let mut parts = Vec::new();
        for _ in 0..count {
            let Some(&series) = mine.get(dice.below(mine.len().max(1) as u64) as usize) else { break };
            let t = self.time(dice, tenant);
            parts.push(Part { series, t, item: item(dice) });
        }
        let value = encode(&parts);
        self.sent(tenant, Content::Write(parts), RecordKind::Write(2), value)
    }

    /// Mostly forward, now and then at or behind the newest time.
    fn time(&mut self, dice: &mut Dice, tenant: u8) -> Millis {
        let newest = &mut self.newest[usize::from(tenant)];
        let t = match dice.below(24) {
            0 => *newest,
            1 | 2 => *newest - dice.below(60) as Millis * 1000,
            3 => *newest - dice.below(240) as Millis * 60_000,
            4 => *newest + dice.below(60) as Millis * 60_000,
            5 => self.now,
            _ => *newest + dice.below(60) as Millis * 1000,
        };
        *newest = t.max(*newest);
        t
    }

    fn sent(&mut self, tenant: u8, content: Content, kind: RecordKind, value: Bytes) -> Sent {
        self.sent += 1;
        // Makes records with equal content different.
        let timestamp = self.now.wrapping_mul(1000).wrapping_add(self.sent as Millis);
        Sent { tenant, content, record: Record { tenant: self::tenant(tenant), kind, timestamp, value } }
    }
}

fn item(dice: &mut Dice) -> Item {
    let special = [f64::NAN.to_bits(), (-0.0f64).to_bits(), f64::INFINITY.to_bits(), 1, u64::MAX];
    match dice.below(20) {
        0 => Item::Stale,
        1 | 2 => Item::Int(dice.below(50)),
        3 => Item::FloatHistogram(dice.below(50)),
        4 => Item::Float(special[dice.below(5) as usize]),
        5 => Item::Float(dice.below(u64::MAX)),
        _ => Item::Float((dice.below(4) as f64).to_bits()),
    }
}

fn encode(parts: &[Part]) -> Bytes {
    let mut builder = Builder::new();
    for Part { series, t, item } in parts {
        let mut built = builder.series(pairs(*series));
        match item {
            Item::Float(bits) => built.sample(*t, f64::from_bits(*bits)),
            Item::Stale => built.sample(*t, stale_nan()),
            Item::Int(n) => built.histogram(*t, HistogramRef::Int(&histogram(*n))),
            Item::FloatHistogram(n) => built.histogram(*t, HistogramRef::Float(&histogram(*n).to_float())),
        };
    }
    builder.finish()
}
