//! Native histogram messages: decoded into a pool whose vectors are reused, and encoded.
//!
//! Remote write 1 and 2 and all record versions use one message. Whether it is an integer or a
//! float histogram shows only at its end (the count is a oneof), so both kinds of bucket lists
//! are collected and those of the other kind are dropped.

use std::mem::swap;

use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};

use crate::fields::Budget;
use crate::protobuf::{
    FormError, Reader, fixed64_key, len_key, put_double_field, put_message, put_oneof_double, put_sint,
    put_sint_field, put_uint_field, put_varint, unzigzag, varint_key,
};

/// A histogram of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HistogramRef<'a> {
    /// With integer counts.
    Int(&'a Histogram),
    /// With float counts.
    Float(&'a FloatHistogram),
}

/// A histogram at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramSample<'a> {
    /// Unix milliseconds.
    pub timestamp: Millis,
    /// When counting began, in Unix milliseconds; 0 = not known. Only remote write 2 has it.
    pub start_timestamp: Millis,
    /// The histogram.
    pub histogram: HistogramRef<'a>,
}

/// A decoded histogram: times, and its place in a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    timestamp: Millis,
    start_timestamp: Millis,
    slot: Slot,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Int(u32),
    Float(u32),
}

/// Histograms of one message. Cleared, it keeps them and the memory of their vectors.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    ints: Vec<Histogram>,
    floats: Vec<FloatHistogram>,
    ints_used: usize,
    floats_used: usize,
    parts: Parts,
}

impl Pool {
    pub fn clear(&mut self) {
        self.ints_used = 0;
        self.floats_used = 0;
    }

    /// Bytes of memory kept. Counted, not estimated: a slot keeps the largest lists it ever had, so
    /// that many requests could add up to more than any one of them took.
    pub fn kept_bytes(&self) -> usize {
        let ints = self.ints.iter().map(|h| {
            list_bytes(&h.positive_spans, &h.negative_spans, &h.custom_values)
                + 8 * (h.positive_buckets.capacity() + h.negative_buckets.capacity())
        });
        let floats = self.floats.iter().map(|h| {
            list_bytes(&h.positive_spans, &h.negative_spans, &h.custom_values)
                + 8 * (h.positive_buckets.capacity() + h.negative_buckets.capacity())
        });
        ints.sum::<usize>() + floats.sum::<usize>()
    }

    pub fn get(&self, row: &Row) -> HistogramSample<'_> {
        let histogram = match row.slot {
            Slot::Int(i) => HistogramRef::Int(&self.ints[i as usize]),
            Slot::Float(i) => HistogramRef::Float(&self.floats[i as usize]),
        };
        HistogramSample { timestamp: row.timestamp, start_timestamp: row.start_timestamp, histogram }
    }

    /// Decodes the histogram message that comes next.
    pub fn read(&mut self, r: &mut Reader<'_>, budget: &mut Budget) -> Result<Row, FormError> {
        budget.take::<Histogram>()?;
        budget.take::<Row>()?;
        self.parts.clear();
        self.parts.read(r.message()?, budget)?;
        let slot = match self.parts.count {
            Count::Int(count) => Slot::Int(self.keep_int(count)),
            Count::Float(count) => Slot::Float(self.keep_float(count)),
        };
        Ok(Row { timestamp: self.parts.timestamp, start_timestamp: self.parts.start_timestamp, slot })
    }

    fn keep_int(&mut self, count: u64) -> u32 {
        if self.ints_used == self.ints.len() {
            self.ints.push(Histogram::default());
        }
        let (h, p) = (&mut self.ints[self.ints_used], &mut self.parts);
        self.ints_used += 1;
        h.reset_hint = p.reset_hint;
        h.schema = p.schema;
        h.zero_threshold = p.zero_threshold;
        h.zero_count = if let Count::Int(n) = p.zero_count { n } else { 0 };
        h.count = count;
        h.sum = p.sum;
        swap(&mut h.positive_spans, &mut p.positive_spans);
        swap(&mut h.negative_spans, &mut p.negative_spans);
        swap(&mut h.positive_buckets, &mut p.positive_deltas);
        swap(&mut h.negative_buckets, &mut p.negative_deltas);
        swap(&mut h.custom_values, &mut p.custom_values);
        (self.ints_used - 1) as u32
    }

    fn keep_float(&mut self, count: f64) -> u32 {
        if self.floats_used == self.floats.len() {
            self.floats.push(FloatHistogram::default());
        }
        let (h, p) = (&mut self.floats[self.floats_used], &mut self.parts);
        self.floats_used += 1;
        h.reset_hint = p.reset_hint;
        h.schema = p.schema;
        h.zero_threshold = p.zero_threshold;
        h.zero_count = if let Count::Float(n) = p.zero_count { n } else { 0.0 };
        h.count = count;
        h.sum = p.sum;
        swap(&mut h.positive_spans, &mut p.positive_spans);
        swap(&mut h.negative_spans, &mut p.negative_spans);
        swap(&mut h.positive_buckets, &mut p.positive_counts);
        swap(&mut h.negative_buckets, &mut p.negative_counts);
        swap(&mut h.custom_values, &mut p.custom_values);
        (self.floats_used - 1) as u32
    }
}

/// A histogram itself and the lists that both kinds have.
fn list_bytes(positive: &Vec<Span>, negative: &Vec<Span>, custom: &Vec<f64>) -> usize {
    size_of::<Histogram>() + 8 * (positive.capacity() + negative.capacity() + custom.capacity())
}

/// A oneof of an integer and a double.
#[derive(Clone, Copy, Debug)]
enum Count {
    Int(u64),
    Float(f64),
}

impl Default for Count {
    fn default() -> Self {
        Self::Int(0)
    }
}

/// Every field of the message.
#[derive(Debug, Default)]
struct Parts {
    count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: Count,
    reset_hint: ResetHint,
    timestamp: Millis,
    start_timestamp: Millis,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    positive_deltas: Vec<i64>,
    negative_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    negative_counts: Vec<f64>,
    custom_values: Vec<f64>,
}

const COUNT_INT: u32 = varint_key(1);
const COUNT_FLOAT: u32 = fixed64_key(2);
const SUM: u32 = fixed64_key(3);
const SCHEMA: u32 = varint_key(4);
const ZERO_THRESHOLD: u32 = fixed64_key(5);
const ZERO_COUNT_INT: u32 = varint_key(6);
const ZERO_COUNT_FLOAT: u32 = fixed64_key(7);
const NEGATIVE_SPANS: u32 = len_key(8);
const NEGATIVE_DELTAS: u32 = len_key(9);
const NEGATIVE_DELTA: u32 = varint_key(9);
const NEGATIVE_COUNTS: u32 = len_key(10);
const NEGATIVE_COUNT: u32 = fixed64_key(10);
const POSITIVE_SPANS: u32 = len_key(11);
const POSITIVE_DELTAS: u32 = len_key(12);
const POSITIVE_DELTA: u32 = varint_key(12);
const POSITIVE_COUNTS: u32 = len_key(13);
const POSITIVE_COUNT: u32 = fixed64_key(13);
const RESET_HINT: u32 = varint_key(14);
const TIMESTAMP: u32 = varint_key(15);
const CUSTOM_VALUES: u32 = len_key(16);
const CUSTOM_VALUE: u32 = fixed64_key(16);
const START_TIMESTAMP: u32 = varint_key(17);
const KNOWN: u32 = 0x3_fffe;

impl Parts {
    /// Back to the message's defaults, vectors kept.
    fn clear(&mut self) {
        self.positive_spans.clear();
        self.negative_spans.clear();
        self.positive_deltas.clear();
        self.negative_deltas.clear();
        self.positive_counts.clear();
        self.negative_counts.clear();
        self.custom_values.clear();
        (self.count, self.zero_count) = (Count::default(), Count::default());
        (self.sum, self.zero_threshold, self.schema) = (0.0, 0.0, 0);
        self.reset_hint = ResetHint::Unknown;
        (self.timestamp, self.start_timestamp) = (0, 0);
    }

    fn read(&mut self, mut r: Reader<'_>, budget: &mut Budget) -> Result<(), FormError> {
        while !r.is_empty() {
            match r.key()? {
                COUNT_INT => self.count = Count::Int(r.varint()?),
                COUNT_FLOAT => self.count = Count::Float(r.double()?),
                SUM => self.sum = r.double()?,
                SCHEMA => self.schema = sint32(r.varint()?),
                ZERO_THRESHOLD => self.zero_threshold = r.double()?,
                ZERO_COUNT_INT => self.zero_count = Count::Int(r.varint()?),
                ZERO_COUNT_FLOAT => self.zero_count = Count::Float(r.double()?),
                RESET_HINT => self.reset_hint = reset_hint(r.varint()?),
                TIMESTAMP => self.timestamp = r.varint()? as i64,
                START_TIMESTAMP => self.start_timestamp = r.varint()? as i64,
                key => self.read_list(key, &mut r, budget)?,
            }
        }
        Ok(())
    }

    fn read_list(&mut self, key: u32, r: &mut Reader<'_>, budget: &mut Budget) -> Result<(), FormError> {
        match key {
            NEGATIVE_SPANS => push(&mut self.negative_spans, span(r)?, budget),
            POSITIVE_SPANS => push(&mut self.positive_spans, span(r)?, budget),
            NEGATIVE_DELTAS | NEGATIVE_DELTA => {
                r.varints(key, |n| push(&mut self.negative_deltas, unzigzag(n), budget))
            }
            POSITIVE_DELTAS | POSITIVE_DELTA => {
                r.varints(key, |n| push(&mut self.positive_deltas, unzigzag(n), budget))
            }
            NEGATIVE_COUNTS | NEGATIVE_COUNT => {
                r.doubles(key, |v| push(&mut self.negative_counts, v, budget))
            }
            POSITIVE_COUNTS | POSITIVE_COUNT => {
                r.doubles(key, |v| push(&mut self.positive_counts, v, budget))
            }
            CUSTOM_VALUES | CUSTOM_VALUE => r.doubles(key, |v| push(&mut self.custom_values, v, budget)),
            key => r.skip(key, KNOWN),
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T, budget: &mut Budget) -> Result<(), FormError> {
    budget.take::<T>()?;
    list.push(item);
    Ok(())
}

fn span(r: &mut Reader<'_>) -> Result<Span, FormError> {
    const OFFSET: u32 = varint_key(1);
    const LENGTH: u32 = varint_key(2);
    let mut r = r.message()?;
    let mut span = Span::default();
    while !r.is_empty() {
        match r.key()? {
            OFFSET => span.offset = sint32(r.varint()?),
            LENGTH => span.length = r.varint()? as u32,
            key => r.skip(key, 0b110)?,
        }
    }
    Ok(span)
}

/// The low 32 bits of `n`, as zigzag.
fn sint32(n: u64) -> i32 {
    unzigzag(n & 0xffff_ffff) as i32
}

fn reset_hint(n: u64) -> ResetHint {
    match n as u32 {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// Appends the content of a histogram message, without a start timestamp.
pub(crate) fn put(out: &mut Vec<u8>, timestamp: Millis, histogram: HistogramRef<'_>) {
    match histogram {
        HistogramRef::Int(h) => put_int(out, h),
        HistogramRef::Float(h) => put_float(out, h),
    }
    put_uint_field(out, 15, timestamp as u64);
}

fn put_int(out: &mut Vec<u8>, h: &Histogram) {
    put_varint(out, u64::from(COUNT_INT));
    put_varint(out, h.count);
    put_scale(out, h.sum, h.schema, h.zero_threshold);
    put_varint(out, u64::from(ZERO_COUNT_INT));
    put_varint(out, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_deltas(out, 9, &h.negative_buckets);
    put_spans(out, 11, &h.positive_spans);
    put_deltas(out, 12, &h.positive_buckets);
    put_uint_field(out, 14, h.reset_hint as u64);
    put_doubles(out, 16, &h.custom_values);
}

fn put_float(out: &mut Vec<u8>, h: &FloatHistogram) {
    put_oneof_double(out, 2, h.count);
    put_scale(out, h.sum, h.schema, h.zero_threshold);
    put_oneof_double(out, 7, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_doubles(out, 10, &h.negative_buckets);
    put_spans(out, 11, &h.positive_spans);
    put_doubles(out, 13, &h.positive_buckets);
    put_uint_field(out, 14, h.reset_hint as u64);
    put_doubles(out, 16, &h.custom_values);
}

fn put_scale(out: &mut Vec<u8>, sum: f64, schema: i32, zero_threshold: f64) {
    put_double_field(out, 3, sum);
    put_sint_field(out, 4, i64::from(schema));
    put_double_field(out, 5, zero_threshold);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        put_message(out, field, |out| {
            put_sint_field(out, 1, i64::from(span.offset));
            put_uint_field(out, 2, u64::from(span.length));
        });
    }
}

fn put_deltas(out: &mut Vec<u8>, field: u32, deltas: &[i64]) {
    if !deltas.is_empty() {
        put_message(out, field, |out| deltas.iter().for_each(|d| put_sint(out, *d)));
    }
}

fn put_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if !values.is_empty() {
        put_message(out, field, |out| {
            for v in values {
                out.extend_from_slice(&v.to_le_bytes());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_slots_keep_over_many_messages_is_counted() {
        let small = Histogram::default();
        let large = Histogram { positive_buckets: vec![1; 1000], ..Histogram::default() };
        let mut pool = Pool::default();
        for large_at in [9, 5, 0] {
            pool.clear();
            for i in 0..10 {
                let mut message = Vec::new();
                let h = if i == large_at { &large } else { &small };
                put_message(&mut message, 1, |out| put(out, 7, HistogramRef::Int(h)));
                let mut r = Reader::new(&message);
                r.key().unwrap();
                let row = pool.read(&mut r, &mut Budget::new(1 << 20)).unwrap();
                let expected =
                    HistogramSample { timestamp: 7, start_timestamp: 0, histogram: HistogramRef::Int(h) };
                assert_eq!(pool.get(&row), expected);
            }
        }
        let kept = pool.kept_bytes();
        assert!((16_000..40_000).contains(&kept), "{kept}");
    }
}
