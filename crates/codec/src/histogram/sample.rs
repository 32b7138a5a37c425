//! The state of a chunk after a sample: what the next one is coded against.

use norn_model::Millis;
use norn_model::histogram::{ResetHint, Span};
use norn_model::sample::is_stale_nan;

use super::kind::{Bucket, Float, Kind, Parts, Stream};
use super::layout::Layout;
use crate::DecodeError;
use crate::bits::{Reader, Writer};
use crate::varbit;

/// Writes and reads samples: each way leaves the same state.
#[derive(Clone, Debug)]
pub(super) struct State<K: Kind> {
    pub(super) layout: Layout,
    pub(super) t: Millis,
    t_delta: i64,
    pub(super) count: K::Count,
    pub(super) zero_count: K::Count,
    pub(super) sum: Float,
    /// Positive, then negative.
    buckets: Vec<K::Bucket>,
    positive: usize,
}

impl<K: Kind> State<K> {
    fn new(layout: Layout) -> Self {
        let [positive, negative] = layout.bucket_counts();
        Self {
            layout,
            t: 0,
            t_delta: 0,
            count: K::Count::default(),
            zero_count: K::Count::default(),
            sum: Float::default(),
            buckets: vec![K::Bucket::default(); positive + negative],
            positive,
        }
    }

    /// Stored values of the positive (0) or negative (1) buckets.
    pub(super) fn buckets(&self, side: usize) -> impl Iterator<Item = Bucket<K>> {
        let (positive, negative) = self.buckets.split_at(self.positive);
        [positive, negative][side].iter().map(Stream::value)
    }

    pub(super) fn is_stale(&self) -> bool {
        is_stale_nan(self.sum.value())
    }

    /// The sample with its buckets in another layout.
    pub(super) fn parts<'h>(&'h self, spans: [&'h [Span]; 2], buckets: [&'h [Bucket<K>]; 2]) -> Parts<'h, K> {
        Parts {
            hint: ResetHint::Unknown,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            count: self.count.value(),
            zero_count: self.zero_count.value(),
            sum: self.sum.value(),
            spans,
            buckets,
            custom_values: &self.layout.custom_values,
        }
    }

    /// Writes `layout` and the first sample, whose buckets it lays out.
    pub(super) fn put_first(writer: &mut Writer, layout: Layout, t: Millis, h: &Parts<'_, K>) -> Self {
        layout.put(writer);
        let mut state = Self::new(layout);
        state.t = t;
        varbit::put_int(writer, t);
        state.count.put_first(writer, h.count);
        state.zero_count.put_first(writer, h.zero_count);
        state.sum.put_first(writer, h.sum);
        for (bucket, &value) in state.buckets.iter_mut().zip(h.buckets.into_iter().flatten()) {
            bucket.put_first(writer, value);
        }
        state
    }

    /// Writes a later sample with the same layout.
    pub(super) fn put_later(&mut self, writer: &mut Writer, t: Millis, h: &Parts<'_, K>) {
        let delta = t.wrapping_sub(self.t);
        varbit::put_int(writer, delta.wrapping_sub(self.t_delta));
        (self.t, self.t_delta) = (t, delta);
        if is_stale_nan(h.sum) {
            self.count.put_stale(writer);
            self.zero_count.put_stale(writer);
            return self.sum.put_later(writer, h.sum);
        }
        self.count.put_later(writer, h.count);
        self.zero_count.put_later(writer, h.zero_count);
        self.sum.put_later(writer, h.sum);
        for (bucket, &value) in self.buckets.iter_mut().zip(h.buckets.into_iter().flatten()) {
            bucket.put_later(writer, value);
        }
    }

    /// Reads the layout and the first sample.
    pub(super) fn take_first(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut state = Self::new(Layout::take(reader)?);
        state.t = varbit::take_int(reader);
        state.count.take_first(reader);
        state.zero_count.take_first(reader);
        state.sum.take_first(reader);
        for bucket in &mut state.buckets {
            bucket.take_first(reader);
        }
        Ok(state)
    }

    /// Reads a later sample.
    pub(super) fn take_later(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.t_delta = self.t_delta.wrapping_add(varbit::take_int(reader));
        self.t = self.t.wrapping_add(self.t_delta);
        self.count.take_later(reader)?;
        self.zero_count.take_later(reader)?;
        self.sum.take_later(reader)?;
        if !self.is_stale() {
            for bucket in &mut self.buckets {
                bucket.take_later(reader)?;
            }
        }
        Ok(())
    }
}
