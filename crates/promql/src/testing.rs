//! A series source in memory, for tests of what reads one.
//!
//! Samples are kept as they are and encoded into chunks when they are read, so that a reader
//! decodes what a real source would give it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use norn_codec::histogram::{AppendError, Floats, OpenChunk};
use norn_codec::xor::XorState;
use norn_codec::xor2;
use norn_contract::source::{
    ChunkBuf, Coverage, ExemplarsRequest, LabelsRequest, MetadataRequest, SelectRequest, Selection,
    SeriesData, SeriesExemplars, SeriesSource, SourceError,
};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::metadata::Metadata;
use parking_lot::RwLock;

use crate::value::PointValue;

/// Samples in a float chunk, as writers make them.
const CHUNK_SAMPLES: u16 = 120;

/// A sample that can not be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is another sample at that time.
    #[error("{labels} has another sample at {timestamp}")]
    Duplicate {
        /// The series.
        labels: Labels,
        /// The time.
        timestamp: Millis,
    },
    /// No chunk can hold it.
    #[error("{0}")]
    Unfit(String),
}

/// A sample.
#[derive(Clone, Debug)]
struct Sample {
    t: Millis,
    /// When its series began; 0 = not known.
    start: Millis,
    value: PointValue,
}

/// Samples of a series by time.
type Column = Vec<Sample>;

/// Series by labels, each with its samples by time.
#[derive(Debug, Default)]
pub struct MemorySource {
    series: RwLock<BTreeMap<Labels, Arc<Column>>>,
}

impl MemorySource {
    /// Adds a sample. The same sample again changes nothing.
    pub fn add(&self, labels: &Labels, timestamp: Millis, value: PointValue) -> Result<(), AddError> {
        self.add_started(labels, timestamp, 0, value)
    }

    /// As [`MemorySource::add`], of a series that began at `start`, 0 = not known.
    pub fn add_started(
        &self,
        labels: &Labels,
        timestamp: Millis,
        start: Millis,
        value: PointValue,
    ) -> Result<(), AddError> {
        if let PointValue::Histogram(h) = &value {
            OpenChunk::<Floats>::begin(None, timestamp, h).map_err(|e| AddError::Unfit(e.to_string()))?;
        }
        let mut series = self.series.write();
        let samples = Arc::make_mut(series.entry(labels.clone()).or_default());
        match samples.binary_search_by_key(&timestamp, |s| s.t) {
            Err(position) => samples.insert(position, Sample { t: timestamp, start, value }),
            Ok(position) if same_value(&samples[position].value, &value) => {}
            Ok(_) => return Err(AddError::Duplicate { labels: labels.clone(), timestamp }),
        }
        Ok(())
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.series.write().clear();
    }

    fn matching<T>(&self, matchers: &[Arc<[Matcher]>], map: impl Fn(&Labels) -> T) -> Vec<T> {
        let passes =
            |labels: &&Labels| matchers.is_empty() || matchers.iter().any(|set| matches(set, labels));
        self.series.read().keys().filter(passes).map(map).collect()
    }
}

fn same_value(a: &PointValue, b: &PointValue) -> bool {
    match (a, b) {
        (PointValue::Float(a), PointValue::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

fn matches(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name())))
}

impl SeriesSource for MemorySource {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        let series = self.series.read();
        let (labels, columns): (Vec<_>, Vec<_>) = series
            .iter()
            .filter(|(labels, _)| matches(&request.matchers, labels))
            .map(|(labels, samples)| (labels.clone(), Arc::clone(samples)))
            .unzip();
        let result = if request.max_series > 0 && labels.len() > request.max_series {
            Err(SourceError::TooManySeries { limit: request.max_series })
        } else {
            Ok(Selection { labels, data: Arc::new(Columns(columns)), coverage: Coverage::ALL })
        };
        async { result }.boxed()
    }

    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        let names = self.matching(&request.matchers, |labels| {
            labels.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        });
        limited(names.into_iter().flatten().collect(), request.limit)
    }

    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        let values = self.matching(&request.matchers, |labels| labels.get(&name).to_owned());
        limited(values.into_iter().filter(|v| !v.is_empty()).collect(), request.limit)
    }

    fn metadata(
        &self,
        _: MetadataRequest,
    ) -> BoxFuture<'_, Result<Vec<(String, Vec<Metadata>)>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

fn limited(texts: BTreeSet<String>, limit: usize) -> BoxFuture<'static, Result<Vec<String>, SourceError>> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    async move { Ok(texts.into_iter().take(limit).collect()) }.boxed()
}

/// Samples of the series of a selection.
struct Columns(Vec<Arc<Column>>);

impl SeriesData for Columns {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let samples = self.0.get(index).map_or(&[][..], |s| s.as_slice());
        let is_float = |value: &PointValue| matches!(value, PointValue::Float(_));
        for run in samples.chunk_by(|a, b| is_float(&a.value) == is_float(&b.value)) {
            if run.first().is_some_and(|s| is_float(&s.value)) {
                run.chunks(usize::from(CHUNK_SAMPLES)).for_each(|chunk| push_floats(chunk, out));
            } else {
                push_histograms(run, out).map_err(|e| SourceError::Corrupt(e.to_string()))?;
            }
        }
        Ok(())
    }
}

fn push_floats(samples: &[Sample], out: &mut ChunkBuf) {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return };
    let floats = samples.iter().filter_map(|s| match s.value {
        PointValue::Float(value) => Some((s, value)),
        PointValue::Histogram(_) => None,
    });
    let mut bytes = Vec::new();
    // Chunks are far from full at `CHUNK_SAMPLES`.
    let encoding = if has_starts(samples) {
        let mut open = xor2::OpenChunk::new();
        let appended = floats.map(|(s, value)| open.append(s.t, value, s.start)).all(|r| r.is_ok());
        debug_assert!(appended);
        open.finish(&mut bytes);
        ChunkEncoding::Xor2
    } else {
        let mut state = XorState::new();
        let appended = floats.map(|(s, value)| state.append(&mut bytes, s.t, value)).all(|r| r.is_ok());
        debug_assert!(appended);
        state.finish(&mut bytes, 0);
        ChunkEncoding::Xor
    };
    out.push(encoding, first.t, last.t, &bytes);
}

fn has_starts(samples: &[Sample]) -> bool {
    samples.iter().any(|s| s.start != 0)
}

fn push_histograms(samples: &[Sample], out: &mut ChunkBuf) -> Result<(), AppendError> {
    let starts = has_starts(samples);
    let mut current: Option<(Millis, OpenChunk<Floats>)> = None;
    for Sample { t, start, value } in samples {
        let PointValue::Histogram(h) = value else { continue };
        let previous = match &mut current {
            None => None,
            Some((_, chunk)) => match chunk.append_with_start(*t, *start, h) {
                Ok(()) => continue,
                Err(AppendError::NewChunk) => Some(&*chunk),
                Err(invalid) => return Err(invalid),
            },
        };
        let next = if starts {
            OpenChunk::begin_with_start(previous, *t, *start, h)?
        } else {
            OpenChunk::begin(previous, *t, h)?
        };
        if let Some((mint, chunk)) = current.replace((*t, next)) {
            push_chunk(mint, &chunk, out);
        }
    }
    if let Some((mint, chunk)) = current {
        push_chunk(mint, &chunk, out);
    }
    Ok(())
}

fn push_chunk(mint: Millis, chunk: &OpenChunk<Floats>, out: &mut ChunkBuf) {
    let mut bytes = Vec::new();
    chunk.finish(&mut bytes);
    out.push(chunk.encoding(), mint, chunk.last_timestamp(), &bytes);
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use norn_codec::{histogram, xor};
    use norn_contract::source::Need;
    use norn_model::histogram::FloatHistogram;

    use super::*;

    fn source() -> MemorySource {
        let source = MemorySource::default();
        for (name, job) in [("up", "b"), ("up", "a"), ("down", "a")] {
            let labels = Labels::from_pairs([("__name__", name), ("job", job)]);
            for i in 0..150 {
                source.add(&labels, i * 1000, PointValue::Float(i as f64)).expect("new");
            }
            let h = FloatHistogram { count: 5.0, ..FloatHistogram::default() };
            source.add(&labels, 200_000, PointValue::Histogram(Arc::new(h))).expect("new");
        }
        source
    }

    #[test]
    fn gives_chunks_of_what_matches() {
        let request = SelectRequest {
            matchers: Arc::from([Matcher::equal("__name__", "up")]),
            mint: 0,
            maxt: 1,
            need: Need::Samples,
            max_series: 0,
        };
        let selection = block_on(source().select(request.clone())).expect("selection");
        let jobs: Vec<_> = selection.labels.iter().map(|l| l.get("job")).collect();
        assert_eq!(jobs, ["a", "b"]);
        let mut buf = ChunkBuf::default();
        selection.data.read(0, &mut buf).expect("chunks");
        let kinds: Vec<_> = buf.chunks.iter().map(|c| (c.encoding, c.mint, c.maxt)).collect();
        let want = [
            (ChunkEncoding::Xor, 0, 119_000),
            (ChunkEncoding::Xor, 120_000, 149_000),
            (ChunkEncoding::FloatHistogram, 200_000, 200_000),
        ];
        assert_eq!(kinds, want);
        let (mut times, mut values) = (Vec::new(), Vec::new());
        xor::decode(buf.slice(&buf.chunks[1]), 0, i64::MAX, &mut times, &mut values).expect("floats");
        assert_eq!((times.len(), values[0]), (30, 120.0));
        let mut iter = histogram::Iter::<Floats>::new(buf.slice(&buf.chunks[2])).expect("histograms");
        assert_eq!(iter.advance(), Ok(Some(200_000)));
        assert_eq!(iter.float_histogram().map(|h| h.count), Some(5.0));
        let few = SelectRequest { max_series: 1, ..request };
        assert_eq!(block_on(source().select(few)).err(), Some(SourceError::TooManySeries { limit: 1 }));
    }

    #[test]
    fn a_second_sample_at_one_time_is_refused() {
        let (source, labels) = (MemorySource::default(), Labels::empty());
        source.add(&labels, 5, PointValue::Float(1.0)).expect("new");
        source.add(&labels, 5, PointValue::Float(1.0)).expect("the same");
        assert!(source.add(&labels, 5, PointValue::Float(2.0)).is_err());
        source.clear();
        source.add(&labels, 5, PointValue::Float(2.0)).expect("new again");
    }

    #[test]
    fn names_and_values() {
        let request = LabelsRequest { matchers: Vec::new(), mint: 0, maxt: 1, limit: 0 };
        let names = block_on(source().label_names(request.clone())).expect("names");
        assert_eq!(names, ["__name__", "job"]);
        let values = block_on(source().label_values("job".to_owned(), request)).expect("values");
        assert_eq!(values, ["a", "b"]);
    }
}
