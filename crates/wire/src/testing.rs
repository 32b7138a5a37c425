//! What the tests of several formats share: one plain form that both this crate's decoders and
//! prost's messages are brought into, and random parts of messages.
//!
//! Floats are compared by their bits, because a NaN's payload is content (the stale marker).
#![allow(clippy::unwrap_used)]

use norn_model::histogram::Span;
use norn_model::metadata::MetricType;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::histogram::{HistogramRef, HistogramSample};
use crate::proto;

pub(crate) type Text = Vec<u8>;
pub(crate) type LabelPairs = Vec<(Text, Text)>;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flat {
    pub series: Vec<FlatSeries>,
    pub metadata: Vec<FlatMetadata>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FlatMetadata {
    pub family: Text,
    pub kind: MetricType,
    pub help: Text,
    pub unit: Text,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FlatSeries {
    pub bad: bool,
    pub labels: LabelPairs,
    /// Timestamp, bits of the value, start timestamp.
    pub samples: Vec<(i64, u64, i64)>,
    pub histograms: Vec<FlatHistogram>,
    pub exemplars: Vec<(LabelPairs, u64, i64)>,
    pub created: i64,
    pub metadata: Option<(MetricType, Text, Text)>,
}

impl FlatSeries {
    pub fn has_content(&self) -> bool {
        !(self.samples.is_empty() && self.histograms.is_empty() && self.exemplars.is_empty())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FlatHistogram {
    pub timestamp: i64,
    pub start: i64,
    pub float: bool,
    /// The count and the zero count: integers, or bits of floats.
    pub counts: [u64; 2],
    /// Bits of sum and zero threshold.
    pub scale: [u64; 2],
    pub schema: i32,
    pub hint: u8,
    /// Negative, positive.
    pub spans: [Vec<(i32, u32)>; 2],
    /// Negative, positive: deltas, or bits of counts.
    pub buckets: [Vec<u64>; 2],
    pub custom: Vec<u64>,
}

pub(crate) fn kind(n: i32) -> MetricType {
    MetricType::from_number(u64::from(n as u32))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn ints(values: &[i64]) -> Vec<u64> {
    values.iter().map(|v| *v as u64).collect()
}

impl From<HistogramSample<'_>> for FlatHistogram {
    fn from(s: HistogramSample<'_>) -> Self {
        let spans = |s: &[Span]| s.iter().map(|s| (s.offset, s.length)).collect();
        let (timestamp, start) = (s.timestamp, s.start_timestamp);
        match s.histogram {
            HistogramRef::Int(h) => Self {
                timestamp,
                start,
                float: false,
                counts: [h.count, h.zero_count],
                scale: [h.sum.to_bits(), h.zero_threshold.to_bits()],
                schema: h.schema,
                hint: h.reset_hint as u8,
                spans: [spans(&h.negative_spans), spans(&h.positive_spans)],
                buckets: [ints(&h.negative_buckets), ints(&h.positive_buckets)],
                custom: bits(&h.custom_values),
            },
            HistogramRef::Float(h) => Self {
                timestamp,
                start,
                float: true,
                counts: [h.count.to_bits(), h.zero_count.to_bits()],
                scale: [h.sum.to_bits(), h.zero_threshold.to_bits()],
                schema: h.schema,
                hint: h.reset_hint as u8,
                spans: [spans(&h.negative_spans), spans(&h.positive_spans)],
                buckets: [bits(&h.negative_buckets), bits(&h.positive_buckets)],
                custom: bits(&h.custom_values),
            },
        }
    }
}

impl From<&proto::Histogram> for FlatHistogram {
    fn from(h: &proto::Histogram) -> Self {
        use proto::{Count, ZeroCount};
        let spans = |s: &[proto::BucketSpan]| s.iter().map(|s| (s.offset, s.length)).collect();
        let (float, count) = match h.count {
            Some(Count::Float(n)) => (true, n.to_bits()),
            Some(Count::Int(n)) => (false, n),
            None => (false, 0),
        };
        let zero_count = match h.zero_count {
            Some(ZeroCount::Float(n)) if float => n.to_bits(),
            Some(ZeroCount::Int(n)) if !float => n,
            _ => 0,
        };
        Self {
            timestamp: h.timestamp,
            start: h.start_timestamp,
            float,
            counts: [count, zero_count],
            scale: [h.sum.to_bits(), h.zero_threshold.to_bits()],
            schema: h.schema,
            hint: if (0..=3).contains(&h.reset_hint) { h.reset_hint as u8 } else { 0 },
            spans: [spans(&h.negative_spans), spans(&h.positive_spans)],
            buckets: match float {
                true => [bits(&h.negative_counts), bits(&h.positive_counts)],
                false => [ints(&h.negative_deltas), ints(&h.positive_deltas)],
            },
            custom: bits(&h.custom_values),
        }
    }
}

pub(crate) fn metadata(m: &proto::MetricMetadata) -> FlatMetadata {
    FlatMetadata {
        family: m.metric_family_name.clone().into(),
        kind: kind(m.r#type),
        help: m.help.clone().into(),
        unit: m.unit.clone().into(),
    }
}

pub(crate) fn samples(samples: &[proto::Sample]) -> Vec<(i64, u64, i64)> {
    samples.iter().map(|s| (s.timestamp, s.value.to_bits(), 0)).collect()
}

/// Texts that repeat, are in the fixed table, are empty, long, or not ASCII.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        2 => proptest::sample::select(&crate::record::FIXED_SYMBOLS[..]).prop_map(str::to_owned),
        1 => "[a-zé漢]{0,20}",
        1 => (120usize..140).prop_map(|n| "x".repeat(n)),
    ]
}

/// Floats but negative zero, which prost takes for the default and does not write.
pub(crate) fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>(),
        1 => Just(0.0),
        1 => Just(norn_model::sample::stale_nan()),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
    .prop_map(|v| if v == 0.0 { 0.0 } else { v })
}

pub(crate) fn time() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_700_000_000_000..1_800_000_000_000i64, 1 => any::<i64>(), 1 => Just(0)]
}

pub(crate) fn sample() -> impl Strategy<Value = proto::Sample> {
    (float(), time()).prop_map(|(value, timestamp)| proto::Sample { value, timestamp })
}

fn count() -> impl Strategy<Value = Option<proto::Count>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|n| Some(proto::Count::Int(n))),
        float().prop_map(|n| Some(proto::Count::Float(n))),
    ]
}

fn zero_count() -> impl Strategy<Value = Option<proto::ZeroCount>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|n| Some(proto::ZeroCount::Int(n))),
        float().prop_map(|n| Some(proto::ZeroCount::Float(n))),
    ]
}

fn spans() -> impl Strategy<Value = Vec<proto::BucketSpan>> {
    let span = (any::<i32>(), any::<u32>());
    vec(span.prop_map(|(offset, length)| proto::BucketSpan { offset, length }), 0..3)
}

pub(crate) fn histogram(start: bool) -> impl Strategy<Value = proto::Histogram> {
    let head = (count(), zero_count(), float(), any::<i32>(), float(), 0..6i32, time(), time());
    let lists = (vec(any::<i64>(), 0..4), vec(float(), 0..3), vec(any::<i64>(), 0..30), vec(float(), 0..30));
    (head, lists, spans(), spans(), vec(float(), 0..3)).prop_map(
        move |(head, lists, negative, positive, custom)| proto::Histogram {
            count: head.0,
            zero_count: head.1,
            sum: head.2,
            schema: head.3,
            zero_threshold: head.4,
            reset_hint: head.5,
            timestamp: head.6,
            start_timestamp: if start { head.7 } else { 0 },
            negative_spans: negative,
            negative_deltas: lists.0,
            negative_counts: lists.1,
            positive_spans: positive,
            positive_deltas: lists.2,
            positive_counts: lists.3,
            custom_values: custom,
        },
    )
}

pub(crate) fn metric_metadata() -> impl Strategy<Value = proto::MetricMetadata> {
    (-1..10i32, text(), text(), text()).prop_map(|(kind, family, help, unit)| proto::MetricMetadata {
        r#type: kind,
        metric_family_name: family,
        help,
        unit,
    })
}

/// One change to some bytes; positions are taken modulo their length.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
    /// Copies a piece to another place.
    Splice(usize, usize, usize),
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<usize>;
    vec(
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(i, b)| Mutation::Set(i, b)),
            (at(), 0..8u8).prop_map(|(i, b)| Mutation::Flip(i, b)),
            (at(), any::<u8>()).prop_map(|(i, b)| Mutation::Insert(i, b)),
            at().prop_map(Mutation::Remove),
            at().prop_map(Mutation::Truncate),
            (at(), at(), 0..40usize).prop_map(|(i, j, n)| Mutation::Splice(i, j, n)),
        ],
        1..4,
    )
}

pub(crate) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let len = bytes.len().max(1);
        bytes.resize(len, 0);
        match *mutation {
            Mutation::Set(i, b) => bytes[i % len] = b,
            Mutation::Flip(i, b) => bytes[i % len] ^= 1 << b,
            Mutation::Insert(i, b) => bytes.insert(i % len, b),
            Mutation::Remove(i) => drop(bytes.remove(i % len)),
            Mutation::Truncate(i) => bytes.truncate(i % len),
            Mutation::Splice(i, j, n) => {
                let piece = bytes[i % len..(i % len + n).min(len)].to_vec();
                bytes.splice(j % len..j % len, piece);
            }
        }
    }
    bytes
}

/// Puts `pieces` (whole fields of one message) in the order that `keys` say and joins them.
pub(crate) fn shuffle(pieces: Vec<Vec<u8>>, keys: &[u32]) -> Vec<u8> {
    let mut keyed: Vec<_> = pieces
        .into_iter()
        .enumerate()
        .map(|(i, p)| (keys[i % keys.len()].rotate_left(i as u32), p))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().flat_map(|(_, p)| p).collect()
}

/// Whether prost's objection is to a text's encoding, which the decoders leave to others.
pub(crate) fn is_utf8_objection(e: &prost::DecodeError) -> bool {
    e.to_string().contains("UTF-8")
}
