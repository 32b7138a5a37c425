//! Reading: samples with the hints a reader may trust.

use std::ops::RangeInclusive;

use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, MAX_SCHEMA, ResetHint};

use super::kind::{Bucket, Count, Floats, Integers, Kind, Parts, Stream};
use super::layout::{absolutes, reduce};
use super::sample::State;
use super::{HEADER_LEN, MAX_STARTED_SAMPLES, from_flags};
use crate::DecodeError;
use crate::bits::Reader;
use crate::starts::StartReader;

/// A cursor over the samples of a chunk.
#[derive(Clone, Debug)]
pub struct Iter<'a, K: Kind> {
    reader: Reader<'a>,
    header: ResetHint,
    count: usize,
    index: usize,
    state: Option<State<K>>,
    /// Where the chunk holds start timestamps.
    starts: Option<StartReader>,
}

impl<'a, K: Kind> Iter<'a, K> {
    /// Starts before the first sample of a chunk of encoding 2 or 3.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, stream) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Truncated)?;
        Self::begin(stream, header[2], u16::from_be_bytes([header[0], header[1]]), None)
    }

    /// Starts before the first sample of a chunk of encoding 5 or 6.
    pub fn with_starts(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, stream) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Truncated)?;
        let count = u16::from_be_bytes([header[0], header[1]]) & MAX_STARTED_SAMPLES;
        Self::begin(stream, header[0], count, Some(StartReader::new(header[2])))
    }

    /// Starts before the first sample of a chunk of either encoding of `K`.
    pub fn of(encoding: ChunkEncoding, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if encoding == K::ENCODING {
            Self::new(bytes)
        } else if encoding == K::ENCODING_WITH_STARTS {
            Self::with_starts(bytes)
        } else {
            Err(DecodeError::Invalid("chunk holds no histograms of this kind"))
        }
    }

    fn begin(
        stream: &'a [u8],
        flags: u8,
        count: u16,
        starts: Option<StartReader>,
    ) -> Result<Self, DecodeError> {
        let count = usize::from(count);
        // The first sample takes at least 78 bits, each other 4.
        let least = if count == 0 { 0 } else { 78 + (count - 1) * 4 };
        if stream.len() * 8 < least {
            return Err(DecodeError::Truncated);
        }
        let header = from_flags(flags);
        Ok(Self { reader: Reader::new(stream), header, count, index: 0, state: None, starts })
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

    /// Whether the chunk holds start timestamps.
    pub fn has_starts(&self) -> bool {
        self.starts.is_some()
    }

    /// The start of the series of the sample at the cursor; 0 where it is not known.
    pub fn start(&self) -> Millis {
        self.starts.map_or(0, |starts| starts.start())
    }

    /// Moves to the next sample and gives its timestamp, `None` after the last.
    pub fn advance(&mut self) -> Result<Option<Millis>, DecodeError> {
        if self.index == self.count {
            return Ok(None);
        }
        let (previous, t) = match &mut self.state {
            Some(state) => {
                let previous = state.t;
                state.take_later(&mut self.reader)?;
                (previous, state.t)
            }
            None => (0, self.state.insert(State::take_first(&mut self.reader)?).t),
        };
        if let Some(starts) = &mut self.starts {
            starts.take(&mut self.reader, self.index, previous, t)?;
        }
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

/// Appends the samples with `mint <= t <= maxt` of a chunk of any histogram encoding, with float
/// counts.
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
    float(encoding, bytes, mint..=maxt, timestamps, histograms, |_| {})
}

/// As [`decode_float`], with the start of each sample in the column `starts`; 0 where it is not known.
pub fn decode_float_with_starts(
    encoding: ChunkEncoding,
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<FloatHistogram>,
    starts: &mut Vec<Millis>,
) -> Result<(), DecodeError> {
    let len = starts.len();
    let result = float(encoding, bytes, mint..=maxt, timestamps, histograms, |start| starts.push(start));
    if result.is_err() {
        starts.truncate(len);
    }
    result
}

fn float(
    encoding: ChunkEncoding,
    bytes: &[u8],
    range: RangeInclusive<Millis>,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<FloatHistogram>,
    push_start: impl FnMut(Millis),
) -> Result<(), DecodeError> {
    match encoding {
        ChunkEncoding::Histogram | ChunkEncoding::HistogramStarts => {
            let iter = Iter::<Integers>::of(encoding, bytes)?;
            collect(iter, range, timestamps, histograms, Iter::float_histogram, push_start)
        }
        ChunkEncoding::FloatHistogram | ChunkEncoding::FloatHistogramStarts => {
            let iter = Iter::<Floats>::of(encoding, bytes)?;
            collect(iter, range, timestamps, histograms, Iter::float_histogram, push_start)
        }
        ChunkEncoding::Xor | ChunkEncoding::Xor2 => Err(DecodeError::Invalid("chunk holds no histograms")),
    }
}

/// As [`decode_float`] for a chunk of [`Kind::ENCODING`], exactly as stored.
pub fn decode<K: Kind>(
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<K::Histogram>,
) -> Result<(), DecodeError> {
    collect(Iter::<K>::new(bytes)?, mint..=maxt, timestamps, histograms, Iter::histogram, |_| {})
}

/// As [`decode`] for a chunk of [`Kind::ENCODING_WITH_STARTS`].
pub fn decode_with_starts<K: Kind>(
    bytes: &[u8],
    mint: Millis,
    maxt: Millis,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<K::Histogram>,
    starts: &mut Vec<Millis>,
) -> Result<(), DecodeError> {
    let len = starts.len();
    let iter = Iter::<K>::with_starts(bytes)?;
    let push_start = |start| starts.push(start);
    let result = collect(iter, mint..=maxt, timestamps, histograms, Iter::histogram, push_start);
    if result.is_err() {
        starts.truncate(len);
    }
    result
}

fn collect<'a, K: Kind, H>(
    mut iter: Iter<'a, K>,
    range: RangeInclusive<Millis>,
    timestamps: &mut Vec<Millis>,
    histograms: &mut Vec<H>,
    get: impl Fn(&Iter<'a, K>) -> Option<H>,
    mut push_start: impl FnMut(Millis),
) -> Result<(), DecodeError> {
    let (t_len, h_len) = (timestamps.len(), histograms.len());
    let mut read = || {
        while let Some(t) = iter.advance()?.filter(|t| t <= range.end()) {
            if t >= *range.start() {
                timestamps.push(t);
                histograms.extend(get(&iter));
                push_start(iter.start());
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
