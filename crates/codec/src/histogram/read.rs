//! Reading: samples with the hints a reader may trust.

use std::ops::RangeInclusive;

use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, MAX_SCHEMA, ResetHint};

use super::kind::{Bucket, Count, Floats, Integers, Kind, Parts, Stream};
use super::layout::{absolutes, reduce};
use super::sample::State;
use super::{HEADER_LEN, from_flags};
use crate::DecodeError;
use crate::bits::Reader;

/// A cursor over the samples of a chunk.
#[derive(Clone, Debug)]
pub struct Iter<'a, K: Kind> {
    reader: Reader<'a>,
    header: ResetHint,
    count: usize,
    index: usize,
    state: Option<State<K>>,
}

impl<'a, K: Kind> Iter<'a, K> {
    /// Starts before the first sample.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, stream) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Truncated)?;
        let count = usize::from(u16::from_be_bytes([header[0], header[1]]));
        // The first sample takes at least 78 bits, each other 4.
        let least = if count == 0 { 0 } else { 78 + (count - 1) * 4 };
        if stream.len() * 8 < least {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { reader: Reader::new(stream), header: from_flags(header[2]), count, index: 0, state: None })
    }

    /// Number of samples in the chunk.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What was known of a counter reset when the chunk was begun. Only of use to those who know
    /// which chunk came before.
    pub fn header(&self) -> ResetHint {
        self.header
    }

    /// Moves to the next sample and gives its timestamp, `None` after the last.
    pub fn advance(&mut self) -> Result<Option<Millis>, DecodeError> {
        if self.index == self.count {
            return Ok(None);
        }
        let t = match &mut self.state {
            Some(state) => {
                state.take_later(&mut self.reader)?;
                state.t
            }
            None => self.state.insert(State::take_first(&mut self.reader)?).t,
        };
        if self.reader.is_overrun() {
            return Err(DecodeError::Truncated);
        }
        self.index += 1;
        Ok(Some(t))
    }

    /// The sample's hint: chunks of gauges have only gauges, and within a chunk there is no reset;
    /// of the first sample nothing is known, as the chunk before may be gone.
    fn hint(&self) -> ResetHint {
        match self.header {
            ResetHint::Gauge => ResetHint::Gauge,
            _ if self.index > 1 => ResetHint::NotReset,
            _ => ResetHint::Unknown,
        }
    }

    /// The histogram at the cursor; `None` before the first.
    pub fn histogram(&self) -> Option<K::Histogram> {
        let state = self.state.as_ref()?;
        let buckets = [0, 1].map(|side| state.buckets(side).collect());
        Some(build::<K, K>(state, self.hint(), state.count.value(), state.zero_count.value(), buckets))
    }

    /// The histogram at the cursor with float counts; `None` before the first.
    pub fn float_histogram(&self) -> Option<FloatHistogram> {
        let state = self.state.as_ref()?;
        let [count, zero] = [&state.count, &state.zero_count].map(|c| K::Count::to_float(c.value()));
        let buckets =
            [0, 1].map(|side| absolutes::<K>(state.buckets(side)).map(K::Bucket::to_float).collect());
        Some(build::<K, Floats>(state, self.hint(), count, zero, buckets))
    }

    pub(super) fn state(&self) -> Option<&State<K>> {
        self.state.as_ref()
    }
}

fn build<S: Kind, K: Kind>(
    state: &State<S>,
    hint: ResetHint,
    count: Count<K>,
    zero_count: Count<K>,
    buckets: [Vec<Bucket<K>>; 2],
) -> K::Histogram {
    let sum = state.sum.value();
    if state.is_stale() {
        return K::build(Parts { sum, ..Parts::default() });
    }
    let layout = &state.layout;
    let parts = Parts {
        hint,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        count,
        zero_count,
        sum,
        spans: [&layout.spans[0], &layout.spans[1]],
        buckets: [&buckets[0], &buckets[1]],
        custom_values: &layout.custom_values,
    };
    if layout.schema <= MAX_SCHEMA {
        return K::build(parts);
    }
    let [positive, negative] = [0, 1].map(|i| reduce::<K>(layout.schema, parts.spans[i], parts.buckets[i]));
    K::build(Parts {
        schema: MAX_SCHEMA,
        spans: [&positive.0, &negative.0],
        buckets: [&positive.1, &negative.1],
        ..parts
    })
}

/// Appends the samples with `mint <= t <= maxt` of a chunk of encoding 2 or 3, with float counts.
///
/// Stops at the first sample beyond `maxt`. After an error the columns are as they were.
pub fn decode_float(
    encoding: ChunkEncoding,
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<FloatHistogram>,
) -> Result<(), DecodeError> {
    let range = mint..=maxt;
    match encoding {
        ChunkEncoding::Histogram => {
            collect::<Integers, _>(bytes, range, timestamps, histograms, |i| i.float_histogram())
        }
        ChunkEncoding::FloatHistogram => {
            collect::<Floats, _>(bytes, range, timestamps, histograms, |i| i.float_histogram())
        }
        ChunkEncoding::Xor | ChunkEncoding::Xor2 => Err(DecodeError::Invalid("chunk holds no histograms")),
    }
}

/// As [`decode_float`] for a chunk of the encoding of `K`, exactly as stored.
pub fn decode<K: Kind>(
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<K::Histogram>,
) -> Result<(), DecodeError> {
    collect::<K, _>(bytes, mint..=maxt, timestamps, histograms, |i| i.histogram())
}

fn collect<K: Kind, H>(
    bytes: &[u8],
    range: RangeInclusive<Millis>,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<H>,
    get: impl Fn(&Iter<'_, K>) -> Option<H>,
) -> Result<(), DecodeError> {
    let (t_len, h_len) = (timestamps.len(), histograms.len());
    let mut read = || {
        let mut iter = Iter::<K>::new(bytes)?;
        while let Some(t) = iter.advance()?.filter(|t| t <= range.end()) {
            if t >= *range.start() {
                timestamps.push(t);
                histograms.extend(get(&iter));
            }
        }
        Ok(())
    };
    let result = read();
    if result.is_err() {
        timestamps.truncate(t_len);
        histograms.truncate(h_len);
    }
    result
}
