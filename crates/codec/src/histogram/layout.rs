//! Layouts: which buckets a chunk has.

use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, MAX_SCHEMA, Span};

use super::MAX_BUCKETS;
use super::kind::{Bucket, Kind, Parts};
use crate::DecodeError;
use crate::bits::{Reader, Writer};
use crate::varbit;

/// Largest schema whose resolution may be reduced when read.
const MAX_KNOWN_SCHEMA: i32 = 52;
const MIN_KNOWN_SCHEMA: i32 = -9;
/// Largest bound, in thousandths, that has a short code.
const MAX_SHORT_BOUND: f64 = 33_554_430.0;

/// What all samples of a chunk share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    /// Positive, negative.
    pub(super) spans: [Vec<Span>; 2],
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    pub(super) fn of<K: Kind>(h: &Parts<'_, K>) -> Self {
        Self {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            spans: h.spans.map(<[Span]>::to_vec),
            custom_values: h.custom_values.to_vec(),
        }
    }

    /// Number of positive and of negative buckets.
    pub(super) fn bucket_counts(&self) -> [usize; 2] {
        [0, 1].map(|side| self.spans[side].iter().map(|s| s.length as usize).sum())
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        put_zero_threshold(writer, self.zero_threshold);
        varbit::put_int(writer, i64::from(self.schema));
        for spans in &self.spans {
            varbit::put_uint(writer, spans.len() as u64);
            for span in spans {
                varbit::put_uint(writer, u64::from(span.length));
                varbit::put_int(writer, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            varbit::put_uint(writer, self.custom_values.len() as u64);
            for &bound in &self.custom_values {
                put_bound(writer, bound);
            }
        }
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let zero_threshold = take_zero_threshold(reader);
        let schema = i32::try_from(varbit::take_int(reader))
            .ok()
            .filter(|s| *s == CUSTOM_BUCKETS_SCHEMA || (MIN_KNOWN_SCHEMA..=MAX_KNOWN_SCHEMA).contains(s))
            .ok_or(DecodeError::Invalid("histogram has an unknown schema"))?;
        let spans = [take_spans(reader)?, take_spans(reader)?];
        let custom_values = if schema == CUSTOM_BUCKETS_SCHEMA { take_bounds(reader)? } else { Vec::new() };
        let layout = Self { schema, zero_threshold, spans, custom_values };
        // A bucket of the first sample takes at least one bit.
        if layout.bucket_counts().iter().sum::<usize>() > reader.remaining() {
            return Err(DecodeError::Truncated);
        }
        Ok(layout)
    }
}

/// Says why `spans` can not lay out `buckets` buckets.
pub(super) fn check_spans(spans: &[Span], buckets: Option<usize>) -> Result<(), &'static str> {
    let (mut total, mut index) = (0usize, 0i64);
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err("histogram has a span with a negative offset");
        }
        total = total.saturating_add(span.length as usize);
        index += i64::from(span.offset) + i64::from(span.length);
        if i32::try_from(index).is_err() {
            return Err("histogram has a bucket index beyond 32 bits");
        }
    }
    if total > MAX_BUCKETS {
        return Err("histogram has too many buckets");
    }
    if buckets.is_some_and(|n| n != total) {
        return Err("histogram has spans and buckets that do not match");
    }
    Ok(())
}

fn take_spans(reader: &mut Reader<'_>) -> Result<Vec<Span>, DecodeError> {
    // A span takes at least two bits.
    let count = take_len(reader, 2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let length = u32::try_from(varbit::take_uint(reader));
        let offset = i32::try_from(varbit::take_int(reader));
        let (Ok(length), Ok(offset)) = (length, offset) else {
            return Err(DecodeError::Invalid("histogram has a span beyond 32 bits"));
        };
        spans.push(Span { offset, length });
    }
    check_spans(&spans, None).map_err(DecodeError::Invalid)?;
    Ok(spans)
}

fn take_bounds(reader: &mut Reader<'_>) -> Result<Vec<f64>, DecodeError> {
    // A bound takes at least five bits.
    let count = take_len(reader, 5)?;
    let mut bounds = Vec::with_capacity(count);
    for _ in 0..count {
        bounds.push(match varbit::take_uint(reader) {
            0 => f64::from_bits(reader.take(64)),
            n => (n - 1) as f64 / 1000.0,
        });
    }
    Ok(bounds)
}

/// A number of items that take at least `bits` bits each.
fn take_len(reader: &mut Reader<'_>, bits: usize) -> Result<usize, DecodeError> {
    let count = varbit::take_uint(reader);
    let most = (reader.remaining() / bits).min(MAX_BUCKETS);
    usize::try_from(count).ok().filter(|n| *n <= most).ok_or(DecodeError::Truncated)
}

fn put_bound(writer: &mut Writer, bound: f64) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round();
    if (0.0..=MAX_SHORT_BOUND).contains(&thousandths) && whole / 1000.0 == bound {
        varbit::put_uint(writer, whole as u64 + 1);
    } else {
        writer.put(0, 1);
        writer.put(bound.to_bits(), 64);
    }
}

fn put_zero_threshold(writer: &mut Writer, threshold: f64) {
    // Powers of two from 2^-243 to 2^10: an exponent, no sign, no fraction.
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    if threshold == 0.0 {
        writer.put(0, 8);
    } else if bits << 12 == 0 && (-243..=10).contains(&exponent) {
        writer.put((exponent + 244) as u64, 8);
    } else {
        writer.put(255, 8);
        writer.put(bits, 64);
    }
}

fn take_zero_threshold(reader: &mut Reader<'_>) -> f64 {
    match reader.take(8) {
        0 => 0.0,
        255 => f64::from_bits(reader.take(64)),
        n => f64::from_bits((n + 1023 - 244) << 52),
    }
}

/// Indices of the buckets that `spans` lay out, in order. They must have been checked.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        (first..next).map(|i| i as i32)
    })
}

/// How two span lists relate.
#[derive(Debug, PartialEq)]
pub(super) enum Cover {
    /// They are equal.
    Same,
    /// The first has every bucket of the second.
    First,
    /// The second has every bucket of the first, and more.
    Second,
    /// Each has buckets of its own; together they have these.
    Neither(Vec<Span>),
}

pub(super) fn cover(a: &[Span], b: &[Span]) -> Cover {
    if a == b {
        return Cover::Same;
    }
    let (mut left, mut right) = (indices(a).peekable(), indices(b).peekable());
    let (mut only_a, mut only_b) = (false, false);
    let mut union = SpanBuilder::default();
    loop {
        let (l, r) = (left.peek().copied(), right.peek().copied());
        let index = match (l, r) {
            (None, None) => break,
            (Some(l), Some(r)) => l.min(r),
            (Some(i), None) | (None, Some(i)) => i,
        };
        only_a |= r != Some(index);
        only_b |= l != Some(index);
        left.next_if_eq(&index);
        right.next_if_eq(&index);
        union.push(index);
    }
    match (only_a, only_b) {
        (_, false) => Cover::First,
        (false, true) => Cover::Second,
        (true, true) => Cover::Neither(union.spans),
    }
}

/// Makes spans of rising bucket indices.
#[derive(Default)]
pub(super) struct SpanBuilder {
    pub(super) spans: Vec<Span>,
    next: i32,
}

impl SpanBuilder {
    pub(super) fn push(&mut self, index: i32) {
        let gap = index.wrapping_sub(self.next);
        match self.spans.last_mut() {
            Some(span) if gap == 0 => span.length += 1,
            _ => self.spans.push(Span { offset: gap, length: 1 }),
        }
        self.next = index.wrapping_add(1);
    }
}

/// Whether a counter can not have gone from `old` to `new`: a bucket fell, or one that had
/// observations is gone.
pub(super) fn has_reset<K: Kind>(
    old: (&[Span], impl Iterator<Item = Bucket<K>>),
    new: (&[Span], &[Bucket<K>]),
) -> bool {
    let mut after = indices(new.0).zip(absolutes::<K>(new.1.iter().copied())).peekable();
    indices(old.0).zip(absolutes::<K>(old.1)).any(|(index, count)| {
        while after.next_if(|(i, _)| *i < index).is_some() {}
        match after.next_if(|(i, _)| *i == index) {
            Some((_, now)) => now < count,
            None => count != Bucket::<K>::default(),
        }
    })
}

/// Counts of buckets from what is stored.
pub(super) fn absolutes<K: Kind>(stored: impl Iterator<Item = Bucket<K>>) -> impl Iterator<Item = Bucket<K>> {
    let mut before = Bucket::<K>::default();
    stored.map(move |s| {
        before = K::absolute(before, s);
        before
    })
}

/// Appends to `out` the buckets of `old` as the layout `new`, which covers theirs, stores them.
pub(super) fn widen<K: Kind>(
    old: (&[Span], impl Iterator<Item = Bucket<K>>),
    new: &[Span],
    out: &mut Vec<Bucket<K>>,
) {
    let mut buckets = indices(old.0).zip(absolutes::<K>(old.1)).peekable();
    let mut before = Bucket::<K>::default();
    out.extend(indices(new).map(|index| {
        let count = buckets.next_if(|(i, _)| *i == index).map_or_else(Bucket::<K>::default, |(_, c)| c);
        let stored = K::stored(before, count);
        before = count;
        stored
    }));
}

/// The buckets in the resolution of [`MAX_SCHEMA`], for a `schema` above it.
pub(super) fn reduce<K: Kind>(
    schema: i32,
    spans: &[Span],
    stored: &[Bucket<K>],
) -> (Vec<Span>, Vec<Bucket<K>>) {
    let mut reduced: Vec<(i32, Bucket<K>)> = Vec::new();
    for (index, count) in indices(spans).zip(absolutes::<K>(stored.iter().copied())) {
        // A bucket of the lower resolution holds 2^shift neighbours, the last one a multiple.
        let target = (((i64::from(index) - 1) >> (schema - MAX_SCHEMA)) + 1) as i32;
        match reduced.last_mut() {
            Some((i, sum)) if *i == target => *sum = K::add(*sum, count),
            _ => reduced.push((target, count)),
        }
    }
    let mut builder = SpanBuilder::default();
    let mut before = Bucket::<K>::default();
    let buckets = reduced.iter().map(|&(index, count)| {
        builder.push(index);
        let stored = K::stored(before, count);
        before = count;
        stored
    });
    let buckets = buckets.collect();
    (builder.spans, buckets)
}
