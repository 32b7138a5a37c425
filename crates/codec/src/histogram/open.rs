//! Appending: which histogram fits into which chunk.

use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, ResetHint, Span};
use norn_model::sample::is_stale_nan;

use super::kind::{Bucket, Kind, Parts, Stream};
use super::layout::{Cover, Layout, check_spans, cover, has_reset, widen};
use super::read::Iter;
use super::sample::State;
use super::{HEADER_LEN, MAX_STARTED_SAMPLES, to_flags};
use crate::DecodeError;
use crate::bits::Writer;
use crate::starts::StartWriter;

/// A histogram that was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// It has to begin a chunk: [`OpenChunk::begin`] after this one.
    #[error("histogram does not fit into the open chunk")]
    NewChunk,
    /// It can not be stored at all.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A chunk of histograms that grows.
#[derive(Clone, Debug)]
pub struct OpenChunk<K: Kind> {
    writer: Writer,
    header: ResetHint,
    count: u16,
    state: State<K>,
    /// Where the chunk holds start timestamps.
    starts: Option<StartWriter>,
}

impl<K: Kind> OpenChunk<K> {
    /// Begins a chunk with its first sample. `previous` is the series' chunk before it, where it is
    /// known and of the same kind.
    pub fn begin(previous: Option<&Self>, t: Millis, h: &K::Histogram) -> Result<Self, AppendError> {
        let h = checked::<K>(h)?;
        let header = match (h.hint, previous) {
            (ResetHint::Gauge | ResetHint::Reset, _) => h.hint,
            (_, None) => ResetHint::Unknown,
            (_, Some(previous)) => match previous.judge(&h) {
                Verdict::Fits { .. } => ResetHint::NotReset,
                Verdict::Begins(header) => header,
            },
        };
        let mut writer = Writer::new();
        let state = State::put_first(&mut writer, Layout::of(&h), t, &h);
        Ok(Self { writer, header, count: 1, state, starts: None })
    }

    /// As [`OpenChunk::begin`], for a chunk that holds start timestamps: `start` is when the series
    /// of the sample began, 0 = not known.
    pub fn begin_with_start(
        previous: Option<&Self>,
        t: Millis,
        start: Millis,
        h: &K::Histogram,
    ) -> Result<Self, AppendError> {
        let mut chunk = Self::begin(previous, t, h)?;
        let mut starts = StartWriter::default();
        starts.put(&mut chunk.writer, 0, 0, t, start);
        chunk.starts = Some(starts);
        Ok(chunk)
    }

    /// Appends a sample, or says that it has to begin a chunk of its own.
    ///
    /// A histogram with new buckets re-encodes the chunk with a wider layout; one that lacks
    /// buckets of the chunk that were empty, or any of a gauge's, is widened itself.
    pub fn append(&mut self, t: Millis, h: &K::Histogram) -> Result<(), AppendError> {
        self.append_with_start(t, 0, h)
    }

    /// As [`OpenChunk::append`], of a series that began at `start`, 0 = not known. A chunk without
    /// start timestamps takes none.
    pub fn append_with_start(
        &mut self,
        t: Millis,
        start: Millis,
        h: &K::Histogram,
    ) -> Result<(), AppendError> {
        let h = checked::<K>(h)?;
        let most = if self.starts.is_some() { MAX_STARTED_SAMPLES } else { u16::MAX };
        if self.count == most || (start != 0 && self.starts.is_none()) {
            return Err(AppendError::NewChunk);
        }
        match self.judge(&h) {
            Verdict::Begins(_) => return Err(AppendError::NewChunk),
            Verdict::Fits { covers: [Cover::Same, Cover::Same] } => self.put(t, start, &h),
            Verdict::Fits { covers } => self.append_across(t, start, h, covers)?,
        }
        Ok(())
    }

    /// Writes a later sample that has the chunk's layout.
    fn put(&mut self, t: Millis, start: Millis, h: &Parts<'_, K>) {
        let previous = self.state.t;
        self.state.put_later(&mut self.writer, t, h);
        if let Some(starts) = &mut self.starts {
            starts.put(&mut self.writer, self.count, previous, t, start);
        }
        self.count += 1;
    }

    /// Appends a histogram whose layout differs, through a layout that has the buckets of both.
    fn append_across(
        &mut self,
        t: Millis,
        start: Millis,
        h: Parts<'_, K>,
        covers: [Cover; 2],
    ) -> Result<(), AppendError> {
        let widens_chunk = covers.iter().any(|c| matches!(c, Cover::Second | Cover::Neither(_)));
        let [positive, negative] = covers;
        let spans = [(positive, 0), (negative, 1)].map(|(cover, side)| match cover {
            Cover::Same | Cover::First => self.state.layout.spans[side].clone(),
            Cover::Second => h.spans[side].to_vec(),
            Cover::Neither(union) => union,
        });
        for spans in &spans {
            check_spans(spans, None).map_err(|_| AppendError::NewChunk)?;
        }
        let buckets =
            [0, 1].map(|side| widened::<K>((h.spans[side], h.buckets[side].iter().copied()), &spans[side]));
        if widens_chunk {
            let bytes = self.to_bytes();
            let rewritten =
                Iter::of(self.encoding(), &bytes).and_then(|iter| Self::rewrite(iter, Some(&spans)));
            *self = rewritten.map_err(|_| AppendError::Invalid("open chunk can not be read back"))?;
        }
        let h = Parts { spans: [&spans[0], &spans[1]], buckets: [&buckets[0], &buckets[1]], ..h };
        self.put(t, start, &h);
        Ok(())
    }

    /// Opens a finished chunk again, to append to it.
    pub fn resume(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::rewrite(Iter::new(bytes)?, None)
    }

    /// As [`OpenChunk::resume`] for a chunk with start timestamps.
    pub fn resume_with_starts(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::rewrite(Iter::with_starts(bytes)?, None)
    }

    /// Writes the samples of a chunk anew, into the wider layout `spans` where one is given.
    fn rewrite(mut iter: Iter<'_, K>, spans: Option<&[Vec<Span>; 2]>) -> Result<Self, DecodeError> {
        let header = iter.header();
        let mut chunk: Option<Self> = None;
        while let Some(t) = iter.advance()? {
            let Some(old) = iter.state() else { break };
            let spans = spans.unwrap_or(&old.layout.spans);
            let buckets =
                [0, 1].map(|side| widened::<K>((&old.layout.spans[side], old.buckets(side)), &spans[side]));
            let parts = old.parts([&spans[0], &spans[1]], [&buckets[0], &buckets[1]]);
            match &mut chunk {
                Some(chunk) => chunk.put(t, iter.start(), &parts),
                None => {
                    let mut writer = Writer::new();
                    let state = State::put_first(&mut writer, Layout::of(&parts), t, &parts);
                    let mut starts = iter.has_starts().then(StartWriter::default);
                    if let Some(starts) = &mut starts {
                        starts.put(&mut writer, 0, 0, t, iter.start());
                    }
                    chunk = Some(Self { writer, header, count: 1, state, starts });
                }
            }
        }
        chunk.ok_or(DecodeError::Invalid("histogram chunk has no samples"))
    }

    /// How its bytes are encoded.
    pub fn encoding(&self) -> ChunkEncoding {
        if self.starts.is_some() { K::ENCODING_WITH_STARTS } else { K::ENCODING }
    }

    /// Number of samples.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Timestamp of the last sample.
    pub fn last_timestamp(&self) -> Millis {
        self.state.t
    }

    /// Sum of observations of the last sample; the stale marker where the series ended.
    pub fn last_sum(&self) -> f64 {
        self.state.sum.value()
    }

    /// Bytes the chunk has when finished.
    pub fn size_bytes(&self) -> usize {
        HEADER_LEN + self.writer.len()
    }

    /// Appends the chunk's bytes to `out`. The chunk can go on growing.
    pub fn finish(&self, out: &mut Vec<u8>) {
        let flags = to_flags(self.header);
        match &self.starts {
            Some(starts) => {
                out.extend_from_slice(&(u16::from(flags) << 8 | self.count).to_be_bytes());
                out.push(starts.header());
            }
            None => {
                out.extend_from_slice(&self.count.to_be_bytes());
                out.push(flags);
            }
        }
        self.writer.copy_to(out);
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size_bytes());
        self.finish(&mut bytes);
        bytes
    }

    /// Whether `h` may follow the last sample in this chunk.
    fn judge(&self, h: &Parts<'_, K>) -> Verdict {
        match (self.header == ResetHint::Gauge, h.hint == ResetHint::Gauge) {
            (true, true) => self.judge_gauge(h),
            (false, false) => self.judge_counter(h),
            (false, true) => Verdict::Begins(ResetHint::Gauge),
            (true, false) => Verdict::Begins(ResetHint::Unknown),
        }
    }

    fn judge_gauge(&self, h: &Parts<'_, K>) -> Verdict {
        if is_stale_nan(h.sum) {
            return Verdict::STALE_FITS;
        }
        let layout = &self.state.layout;
        let same = h.schema == layout.schema
            && h.zero_threshold == layout.zero_threshold
            && self.has_bounds(h)
            && !self.state.is_stale();
        if same { self.fits(h) } else { Verdict::Begins(ResetHint::Gauge) }
    }

    fn judge_counter(&self, h: &Parts<'_, K>) -> Verdict {
        if h.hint == ResetHint::Reset {
            return Verdict::Begins(ResetHint::Reset);
        }
        if is_stale_nan(h.sum) {
            return Verdict::STALE_FITS;
        }
        if self.state.is_stale() {
            return Verdict::Begins(ResetHint::Unknown);
        }
        if h.count < self.state.count.value() {
            return Verdict::Begins(ResetHint::Reset);
        }
        let layout = &self.state.layout;
        if h.schema != layout.schema || h.zero_threshold != layout.zero_threshold {
            return Verdict::Begins(ResetHint::Unknown);
        }
        let reset = !self.has_bounds(h)
            || h.zero_count < self.state.zero_count.value()
            || [0, 1].iter().any(|&i| {
                has_reset::<K>((&layout.spans[i], self.state.buckets(i)), (h.spans[i], h.buckets[i]))
            });
        if reset { Verdict::Begins(ResetHint::Reset) } else { self.fits(h) }
    }

    fn has_bounds(&self, h: &Parts<'_, K>) -> bool {
        h.schema != CUSTOM_BUCKETS_SCHEMA || h.custom_values == self.state.layout.custom_values
    }

    fn fits(&self, h: &Parts<'_, K>) -> Verdict {
        Verdict::Fits { covers: [0, 1].map(|i| cover(&self.state.layout.spans[i], h.spans[i])) }
    }
}

/// What becomes of a histogram.
enum Verdict {
    /// It fits; `covers` relates the chunk's positive and negative spans to its own.
    Fits { covers: [Cover; 2] },
    /// It begins a chunk with this header.
    Begins(ResetHint),
}

impl Verdict {
    /// A stale marker has no buckets and fits everywhere.
    const STALE_FITS: Self = Self::Fits { covers: [Cover::Same, Cover::Same] };
}

/// The histogram taken apart, if its spans and buckets are sound. A stale one keeps its sum alone.
fn checked<K: Kind>(h: &K::Histogram) -> Result<Parts<'_, K>, AppendError> {
    let parts = K::parts(h);
    if is_stale_nan(parts.sum) {
        return Ok(Parts { hint: parts.hint, sum: parts.sum, ..Parts::default() });
    }
    for side in [0, 1] {
        check_spans(parts.spans[side], Some(parts.buckets[side].len())).map_err(AppendError::Invalid)?;
    }
    Ok(parts)
}

fn widened<K: Kind>(old: (&[Span], impl Iterator<Item = Bucket<K>>), new: &[Span]) -> Vec<Bucket<K>> {
    let mut out = Vec::new();
    widen::<K>(old, new, &mut out);
    out
}
