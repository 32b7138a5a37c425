//! What a request says: a function of the seed and its number.

use norn_wire::proto::v1::Label;
use norn_wire::proto::{BucketSpan, Count, Histogram, ZeroCount};

use crate::generator::random::Random;

/// Most series of a request.
pub const SERIES: usize = 1024;
/// One series in this many holds histograms.
const HISTOGRAMS: usize = 16;
/// Values that are not like others: stale marker, NaN with a payload, infinities, zero, the
/// smallest number. Not negative zero: protobuf leaves both zeros out.
const ODD: [u64; 6] =
    [0x7ff0_0000_0000_0002, 0xfff8_dead_beef_0001, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0, 1];

/// What a request is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Samples in order.
    Plain,
    /// Samples that are late.
    Late,
    /// Samples in order, and one series that must be refused.
    Mixed(Fault),
    /// Cut off.
    Malformed,
}

/// Why a series must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A label's name is not allowed.
    LabelName,
    /// An hour ahead of the clock.
    Future,
    /// Hours older than what its series has.
    Old,
    /// A histogram whose buckets do not sum up.
    Histogram,
}

/// Chooses the next request of a client. Faults only once there is something to be older than.
pub fn choose(random: &mut Random, late: bool, first: bool) -> Kind {
    if first {
        return Kind::Plain;
    }
    match random.below(20) {
        0..=3 if late => Kind::Late,
        4 => Kind::Malformed,
        5 => Kind::Mixed(Fault::LabelName),
        6 => Kind::Mixed(Fault::Future),
        7 => Kind::Mixed(Fault::Old),
        8 => Kind::Mixed(Fault::Histogram),
        _ => Kind::Plain,
    }
}

/// Number of series of a request.
pub fn series(seed: u64, id: u64) -> usize {
    Random::new(seed, id).pick(&[16, 128, 128, 512, SERIES])
}

/// Whether series `i` of a client holds histograms.
pub fn is_histogram(i: usize) -> bool {
    i % HISTOGRAMS == HISTOGRAMS - 1
}

/// Labels of series `i` of a client, sorted.
pub fn labels(client: usize, i: usize) -> Vec<Label> {
    let name = if is_histogram(i) { "ledger_histogram" } else { "ledger" };
    let pairs = [("__name__", name.to_owned()), ("client", client.to_string()), ("i", i.to_string())];
    pairs.map(|(name, value)| Label { name: name.to_owned(), value }).to_vec()
}

/// Labels of a series that is always refused.
pub fn refused_labels(client: usize, fault: Fault) -> Vec<Label> {
    if fault == Fault::Old {
        return labels(client, 0);
    }
    let mut labels = labels(client, 0);
    labels[0].value = "ledger_refused".to_owned();
    if fault == Fault::LabelName {
        labels[2].name = "i i".to_owned();
    }
    labels
}

fn random(seed: u64, id: u64, i: usize) -> Random {
    Random::new(seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15), i as u64)
}

/// Bits of the value of series `i` in request `id`: mostly a counter, sometimes anything.
pub fn value(seed: u64, id: u64, i: usize) -> u64 {
    let mut random = random(seed, id, i);
    match random.below(16) {
        0 => random.bits(),
        1 => random.pick(&ODD),
        _ => ((id * 1000 + i as u64) as f64).to_bits(),
    }
}

/// The histogram of series `i` in request `id`: integer, float, gauge or with custom buckets, in a
/// layout that changes.
pub fn histogram(seed: u64, id: u64, i: usize, timestamp: i64) -> Histogram {
    let mut random = random(seed, id, i);
    let (first, length) = (random.between(-8, 8) as i32, random.between(1, 6));
    let is_custom = i % (4 * HISTOGRAMS) == HISTOGRAMS - 1;
    let is_float = i % (2 * HISTOGRAMS) == HISTOGRAMS - 1;
    let counts: Vec<i64> = (0..length).map(|_| random.between(1, 1000)).collect();
    let zero = if is_custom { 0 } else { random.between(0, 9) as u64 };
    let total = counts.iter().sum::<i64>() as u64 + zero;
    let offset = if is_custom { first.clamp(0, 2) } else { first };
    let mut h = Histogram {
        sum: f64::from_bits(value(seed, id, i + SERIES)),
        timestamp,
        schema: if is_custom { -53 } else { 3 },
        zero_threshold: if is_custom { 0.0 } else { 1e-9 },
        positive_spans: vec![BucketSpan { offset, length: length as u32 }],
        reset_hint: if random.chance(10) { 3 } else { 0 },
        ..Histogram::default()
    };
    if is_custom {
        h.custom_values = (0..10).map(|n| f64::from(n) * 0.5).collect();
    }
    if is_float {
        (h.count, h.zero_count) = (Some(Count::Float(total as f64)), Some(ZeroCount::Float(zero as f64)));
        h.positive_counts = counts.iter().map(|n| *n as f64).collect();
    } else {
        (h.count, h.zero_count) = (Some(Count::Int(total)), Some(ZeroCount::Int(zero)));
        let before = std::iter::once(0).chain(counts.iter().copied());
        h.positive_deltas = counts.iter().zip(before).map(|(n, before)| n - before).collect();
    }
    if f64::is_nan(h.sum) {
        // A NaN sum needs no buckets that fit, and the stale one means something else.
        h.sum = 0.5;
    }
    h
}

/// A histogram that contradicts itself.
pub fn bad_histogram(seed: u64, id: u64, timestamp: i64) -> Histogram {
    let mut h = histogram(seed, id, 2 * HISTOGRAMS - 1, timestamp);
    h.count = Some(Count::Int(1));
    h.positive_deltas = vec![7; h.positive_deltas.len()];
    h
}
