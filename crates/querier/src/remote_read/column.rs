//! Samples of one series, whatever they are: from chunks, and into chunks.

use norn_codec::histogram::{Floats, Integers, Iter, Kind, OpenChunk};
use norn_codec::xor::XorState;
use norn_codec::{DecodeError, xor, xor2};
use norn_contract::source::{ChunkBuf, SourceError};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram};

/// Samples of a float chunk.
const CHUNK_SAMPLES: u16 = 120;

/// A sample of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Int(Box<Histogram>),
    FloatHistogram(Box<FloatHistogram>),
}

/// Samples by time, each time once.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub(super) samples: Vec<(Millis, Value)>,
    times: Vec<Millis>,
    floats: Vec<f64>,
}

impl Column {
    /// Reads the samples of `chunks` with `mint <= t <= maxt`. Of equal times the sample of the
    /// earlier chunk counts.
    pub(super) fn read(&mut self, chunks: &ChunkBuf, mint: Millis, maxt: Millis) -> Result<(), SourceError> {
        self.samples.clear();
        for chunk in &chunks.chunks {
            self.append(chunk.encoding, chunks.slice(chunk), mint, maxt)
                .map_err(|e| SourceError::Corrupt(format!("{e} (times {} to {})", chunk.mint, chunk.maxt)))?;
        }
        if !self.samples.is_sorted_by(|a, b| a.0 < b.0) {
            self.samples.sort_by_key(|s| s.0);
            self.samples.dedup_by_key(|s| s.0);
        }
        Ok(())
    }

    fn append(
        &mut self,
        encoding: ChunkEncoding,
        bytes: &[u8],
        mint: Millis,
        maxt: Millis,
    ) -> Result<(), DecodeError> {
        self.times.clear();
        match encoding {
            ChunkEncoding::Xor | ChunkEncoding::Xor2 => {
                self.floats.clear();
                let decode = if encoding == ChunkEncoding::Xor { xor::decode } else { xor2::decode };
                decode(bytes, mint, maxt, &mut self.times, &mut self.floats)?;
                let values = self.floats.iter().map(|v| Value::Float(*v));
                self.samples.extend(self.times.iter().copied().zip(values));
            }
            ChunkEncoding::Histogram | ChunkEncoding::HistogramStarts => {
                let iter = Iter::<Integers>::of(encoding, bytes)?;
                self.append_histograms(iter, mint, maxt, |h| Value::Int(Box::new(h)))?;
            }
            ChunkEncoding::FloatHistogram | ChunkEncoding::FloatHistogramStarts => {
                let iter = Iter::<Floats>::of(encoding, bytes)?;
                self.append_histograms(iter, mint, maxt, |h| Value::FloatHistogram(Box::new(h)))?;
            }
        }
        Ok(())
    }

    fn append_histograms<K: Kind>(
        &mut self,
        mut iter: Iter<'_, K>,
        mint: Millis,
        maxt: Millis,
        value: impl Fn(K::Histogram) -> Value,
    ) -> Result<(), DecodeError> {
        let len = self.samples.len();
        loop {
            match iter.advance() {
                Ok(Some(t)) if t > maxt => return Ok(()),
                Ok(Some(t)) if t < mint => {}
                Ok(Some(t)) => self.samples.extend(iter.histogram().map(|h| (t, value(h)))),
                Ok(None) => return Ok(()),
                Err(e) => {
                    self.samples.truncate(len);
                    return Err(e);
                }
            }
        }
    }

    /// Appends the samples to `out` as chunks that do not overlap, floats as XOR.
    pub(super) fn encode(&self, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let mut open = Open::None;
        for (t, value) in &self.samples {
            open.append(*t, value, out)
                .ok_or_else(|| SourceError::Corrupt(format!("the sample at {t} fits into no chunk")))?;
        }
        open.seal(out);
        Ok(())
    }
}

/// The chunk that is being written, with the time of its first sample.
enum Open {
    None,
    Floats(Millis, XorState, Vec<u8>),
    Int(Millis, OpenChunk<Integers>),
    FloatHistogram(Millis, OpenChunk<Floats>),
}

impl Open {
    /// `None` where no chunk can hold the sample.
    fn append(&mut self, t: Millis, value: &Value, out: &mut ChunkBuf) -> Option<()> {
        if !self.extend(t, value) {
            let next = self.begin(t, value)?;
            self.seal(out);
            *self = next;
        }
        Some(())
    }

    /// Whether the chunk took the sample.
    fn extend(&mut self, t: Millis, value: &Value) -> bool {
        match (self, value) {
            (Self::Floats(_, state, bytes), Value::Float(v)) => {
                state.count() < CHUNK_SAMPLES && state.append(bytes, t, *v).is_ok()
            }
            (Self::Int(_, chunk), Value::Int(h)) => chunk.append(t, h).is_ok(),
            (Self::FloatHistogram(_, chunk), Value::FloatHistogram(h)) => chunk.append(t, h).is_ok(),
            _ => false,
        }
    }

    /// The chunk that follows this one.
    fn begin(&self, t: Millis, value: &Value) -> Option<Self> {
        match value {
            Value::Float(v) => {
                let (mut state, mut bytes) = (XorState::new(), Vec::new());
                state.append(&mut bytes, t, *v).ok()?;
                Some(Self::Floats(t, state, bytes))
            }
            Value::Int(h) => {
                let previous = if let Self::Int(_, chunk) = self { Some(chunk) } else { None };
                Some(Self::Int(t, OpenChunk::begin(previous, t, h).ok()?))
            }
            Value::FloatHistogram(h) => {
                let previous = if let Self::FloatHistogram(_, chunk) = self { Some(chunk) } else { None };
                Some(Self::FloatHistogram(t, OpenChunk::begin(previous, t, h).ok()?))
            }
        }
    }

    /// Moves the chunk, if there is one, to `out`.
    fn seal(&mut self, out: &mut ChunkBuf) {
        let mut bytes = Vec::new();
        let (encoding, mint, maxt) = match std::mem::replace(self, Self::None) {
            Self::None => return,
            Self::Floats(mint, state, mut floats) => {
                state.finish(&mut floats, 0);
                bytes = floats;
                (ChunkEncoding::Xor, mint, state.last_timestamp())
            }
            Self::Int(mint, chunk) => {
                chunk.finish(&mut bytes);
                (ChunkEncoding::Histogram, mint, chunk.last_timestamp())
            }
            Self::FloatHistogram(mint, chunk) => {
                chunk.finish(&mut bytes);
                (ChunkEncoding::FloatHistogram, mint, chunk.last_timestamp())
            }
        };
        out.push(encoding, mint, maxt, &bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use norn_model::histogram::Span;

    use super::*;

    fn int(count: u64) -> Value {
        Value::Int(Box::new(Histogram {
            count,
            sum: count as f64,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![count as i64],
            ..Histogram::default()
        }))
    }

    fn float_histogram(count: f64) -> Value {
        Value::FloatHistogram(Box::new(FloatHistogram {
            count,
            sum: count,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        }))
    }

    fn encoded(samples: Vec<(Millis, Value)>) -> ChunkBuf {
        let mut out = ChunkBuf::default();
        Column { samples, ..Column::default() }.encode(&mut out).unwrap();
        out
    }

    fn counts(samples: &[(Millis, Value)]) -> Vec<(Millis, f64)> {
        let count = |v: &Value| match v {
            Value::Float(v) => *v,
            Value::Int(h) => h.count as f64,
            Value::FloatHistogram(h) => h.count,
        };
        samples.iter().map(|(t, v)| (*t, count(v))).collect()
    }

    #[test]
    fn every_kind_comes_back() {
        let mut samples: Vec<_> = (0..300).map(|i| (i, Value::Float(i as f64 / 3.0))).collect();
        samples.extend((300..400).map(|i| (i, int(i as u64))));
        samples.push((400, int(1)));
        samples.extend((401..420).map(|i| (i, float_histogram(i as f64))));
        samples.push((420, Value::Float(f64::INFINITY)));
        let chunks = encoded(samples.clone());
        let kinds: Vec<_> = chunks.chunks.iter().map(|c| (c.encoding as u8, c.mint, c.maxt)).collect();
        let want = [
            (1, 0, 119),
            (1, 120, 239),
            (1, 240, 299),
            (2, 300, 399),
            (2, 400, 400),
            (3, 401, 419),
            (1, 420, 420),
        ];
        assert_eq!(kinds, want);
        let mut column = Column::default();
        column.read(&chunks, Millis::MIN, Millis::MAX).unwrap();
        assert_eq!(counts(&column.samples), counts(&samples));
        column.read(&chunks, 299, 300).unwrap();
        assert_eq!(counts(&column.samples), counts(&samples[299..301]));
    }

    #[test]
    fn chunks_that_overlap_are_merged() {
        let mut chunks = encoded(vec![(1, Value::Float(1.0)), (5, Value::Float(5.0))]);
        let late = encoded(vec![(3, Value::Float(3.0)), (5, Value::Float(55.0)), (6, Value::Float(6.0))]);
        chunks.push(ChunkEncoding::Xor, 3, 6, &late.bytes);
        let mut column = Column::default();
        column.read(&chunks, 0, 9).unwrap();
        assert_eq!(counts(&column.samples), [(1, 1.0), (3, 3.0), (5, 5.0), (6, 6.0)]);
    }
}
