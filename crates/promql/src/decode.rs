//! From chunks to columns of samples; the only place that knows chunk encodings.

use std::sync::Arc;

use norn_codec::{DecodeError, histogram, xor, xor2};
use norn_contract::source::{ChunkBuf, ChunkSlice, SeriesData, SourceError};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, ResetHint};
use norn_model::sample::is_stale_nan;

use crate::block::Histogram;
use crate::histogram::compare::detect_reset;

/// Samples of one series, floats and histograms apart, each by time.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Times of floats.
    pub times: Vec<Millis>,
    /// Floats.
    pub values: Vec<f64>,
    /// Times of histograms.
    pub histogram_times: Vec<Millis>,
    /// Histograms.
    pub histograms: Vec<Histogram>,
    /// When the series of each float began, 0 = not known. Empty where nobody asked.
    pub starts: Vec<Millis>,
    /// When the series of each histogram began, 0 = not known. Empty where nobody asked.
    pub histogram_starts: Vec<Millis>,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Chunks of a series.
    pub chunks: ChunkBuf,
    /// Its samples.
    pub samples: Samples,
    /// Rows of an inner expression.
    pub block: crate::block::Block,
    /// Values of a window.
    pub values: Vec<f64>,
}

impl Samples {
    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.histogram_times.clear();
        self.histograms.clear();
        self.starts.clear();
        self.histogram_starts.clear();
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.times.len() + self.histogram_times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes stale markers out.
    pub fn drop_stale(&mut self) {
        if self.values.iter().any(|v| is_stale_nan(*v)) {
            retain_by(&self.values, &mut self.starts, |v| !is_stale_nan(*v));
            retain_by(&self.values, &mut self.times, |v| !is_stale_nan(*v));
            self.values.retain(|v| !is_stale_nan(*v));
        }
        if self.histograms.iter().any(|h| h.is_stale()) {
            retain_by(&self.histograms, &mut self.histogram_starts, |h| !h.is_stale());
            retain_by(&self.histograms, &mut self.histogram_times, |h| !h.is_stale());
            self.histograms.retain(|h| !h.is_stale());
        }
    }

    /// Reduces histograms to count and sum, with what their buckets tell about counter resets.
    ///
    /// `from` gives, for a time, the time after which its reader starts reading: a sample at or
    /// before it is not known to be the previous one.
    pub fn reduce_to_statistics(&mut self, from: impl Fn(Millis) -> Millis) {
        let mut previous: Option<(Millis, Histogram)> = None;
        for (t, h) in self.histogram_times.iter().zip(&mut self.histograms) {
            if h.is_stale() {
                continue;
            }
            let hint = match &previous {
                Some((before, other)) if h.reset_hint == ResetHint::Unknown && *before > from(*t) => {
                    if detect_reset(h, other) {
                        ResetHint::Reset
                    } else {
                        ResetHint::NotReset
                    }
                }
                _ => h.reset_hint,
            };
            let statistics = FloatHistogram {
                reset_hint: hint,
                schema: h.schema,
                count: h.count,
                sum: h.sum,
                ..FloatHistogram::default()
            };
            previous = Some((*t, std::mem::replace(h, Arc::new(statistics))));
        }
    }

    fn has_time(&self, t: Millis) -> bool {
        self.times.binary_search(&t).is_ok() || self.histogram_times.binary_search(&t).is_ok()
    }

    fn newest(&self) -> Option<Millis> {
        self.times.last().max(self.histogram_times.last()).copied()
    }
}

/// Reads the samples of series `index` with `mint <= t <= maxt` into `samples`.
///
/// Chunks that overlap are merged by time; of equal times the sample of the earlier chunk counts.
/// Returns the number of bytes read. Starts are read where `starts` says so.
pub fn read(
    data: &dyn SeriesData,
    index: usize,
    (mint, maxt): (Millis, Millis),
    starts: bool,
    chunks: &mut ChunkBuf,
    samples: &mut Samples,
) -> Result<usize, SourceError> {
    chunks.clear();
    samples.clear();
    data.read(index, chunks)?;
    for chunk in &chunks.chunks {
        if chunk.maxt < mint || chunk.mint > maxt {
            continue;
        }
        let bytes = chunks
            .bytes
            .get(chunk.start..chunk.start.saturating_add(chunk.len))
            .ok_or_else(|| SourceError::Corrupt("chunk lies outside of its buffer".to_owned()))?;
        append(chunk, bytes, (mint, maxt), starts, samples)
            .map_err(|e| SourceError::Corrupt(format!("{e} (times {} to {})", chunk.mint, chunk.maxt)))?;
    }
    Ok(chunks.bytes.len())
}

fn append(
    chunk: &ChunkSlice,
    bytes: &[u8],
    (mint, maxt): (Millis, Millis),
    starts: bool,
    samples: &mut Samples,
) -> Result<(), DecodeError> {
    let newest = samples.newest();
    let (floats, histograms) = (samples.times.len(), samples.histogram_times.len());
    match chunk.encoding {
        ChunkEncoding::Xor => xor::decode(bytes, mint, maxt, &mut samples.times, &mut samples.values)?,
        ChunkEncoding::Xor2 if starts => {
            let Samples { times, values, starts, .. } = samples;
            xor2::decode_with_starts(bytes, mint, maxt, times, values, starts)?;
        }
        ChunkEncoding::Xor2 => xor2::decode(bytes, mint, maxt, &mut samples.times, &mut samples.values)?,
        ChunkEncoding::HistogramStarts | ChunkEncoding::FloatHistogramStarts if starts => {
            let Samples { histogram_times: times, histogram_starts: starts, .. } = samples;
            let mut decoded = Vec::new();
            let encoding = chunk.encoding;
            histogram::decode_float_with_starts(encoding, bytes, mint, maxt, times, &mut decoded, starts)?;
            samples.histograms.extend(decoded.into_iter().map(Arc::new));
        }
        ChunkEncoding::Histogram
        | ChunkEncoding::FloatHistogram
        | ChunkEncoding::HistogramStarts
        | ChunkEncoding::FloatHistogramStarts => {
            let times = &mut samples.histogram_times;
            let mut decoded = Vec::new();
            histogram::decode_float(chunk.encoding, bytes, mint, maxt, times, &mut decoded)?;
            samples.histograms.extend(decoded.into_iter().map(Arc::new));
        }
    }
    if starts {
        // Chunks of other encodings know no starts.
        samples.starts.resize(samples.times.len(), 0);
        samples.histogram_starts.resize(samples.histogram_times.len(), 0);
    }
    let first = samples.times.get(floats).or(samples.histogram_times.get(histograms));
    if let (Some(newest), Some(first)) = (newest, first)
        && *first <= newest
    {
        merge_tail(samples, floats, histograms);
    }
    Ok(())
}

/// Merges samples behind `floats` and `histograms` with those before, which win where times meet.
fn merge_tail(samples: &mut Samples, floats: usize, histograms: usize) {
    let tail = Samples {
        times: samples.times.split_off(floats),
        values: samples.values.split_off(floats),
        histogram_times: samples.histogram_times.split_off(histograms),
        histograms: samples.histograms.split_off(histograms),
        starts: samples.starts.split_off(floats.min(samples.starts.len())),
        histogram_starts: samples.histogram_starts.split_off(histograms.min(samples.histogram_starts.len())),
    };
    let is_new = |t: Millis| !samples.has_time(t);
    let new_floats: Vec<bool> = tail.times.iter().map(|t| is_new(*t)).collect();
    let new_histograms: Vec<bool> = tail.histogram_times.iter().map(|t| is_new(*t)).collect();
    let order = order(&samples.times, &tail.times, &new_floats);
    arrange(&mut samples.values, tail.values, &order);
    arrange(&mut samples.starts, tail.starts, &order);
    arrange(&mut samples.times, tail.times, &order);
    let order = self::order(&samples.histogram_times, &tail.histogram_times, &new_histograms);
    arrange(&mut samples.histograms, tail.histograms, &order);
    forget_hints(&mut samples.histograms, samples.histogram_times.len(), &order);
    arrange(&mut samples.histogram_starts, tail.histogram_starts, &order);
    arrange(&mut samples.histogram_times, tail.histogram_times, &order);
}

/// By time, the indices of `times` and behind them of those in `tail` that are `new`.
fn order(times: &[Millis], tail: &[Millis], new: &[bool]) -> Vec<usize> {
    let added = (0..tail.len()).filter(|i| new[*i]).map(|i| times.len() + i);
    let mut order: Vec<usize> = (0..times.len()).chain(added).collect();
    order.sort_by_key(|i| if *i < times.len() { times[*i] } else { tail[i - times.len()] });
    order
}

/// A hint tells of the sample before in its own chunk: where the merged `order` has one of another
/// source there (those from `split` on are the tail's), nothing is known.
fn forget_hints(histograms: &mut [Histogram], split: usize, order: &[usize]) {
    for (h, pair) in histograms.iter_mut().skip(1).zip(order.windows(2)) {
        let switches = pair.iter().any(|i| *i < split) && pair.iter().any(|i| *i >= split);
        if switches && matches!(h.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
            Arc::make_mut(h).reset_hint = ResetHint::Unknown;
        }
    }
}

/// Puts `column` and `tail` in `order`; a column that is absent stays so.
fn arrange<T: Clone>(column: &mut Vec<T>, tail: Vec<T>, order: &[usize]) {
    column.extend(tail);
    if !column.is_empty() {
        *column = order.iter().map(|i| column[*i].clone()).collect();
    }
}

/// Keeps those of `column` whose neighbour passes; a column that is absent stays so.
fn retain_by<T>(neighbours: &[T], column: &mut Vec<Millis>, keep: impl Fn(&T) -> bool) {
    let mut neighbours = neighbours.iter();
    column.retain(|_| neighbours.next().is_some_and(&keep));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_samples_win_where_chunks_overlap() {
        let mut samples = Samples {
            times: vec![10, 20, 40, 15, 20, 30],
            values: vec![1.0, 2.0, 4.0, 9.0, 9.0, 9.0],
            starts: vec![1, 2, 4, 9, 9, 9],
            ..Samples::default()
        };
        merge_tail(&mut samples, 3, 0);
        assert_eq!(samples.times, [10, 15, 20, 30, 40]);
        assert_eq!(samples.starts, [1, 9, 2, 9, 4]);
        assert_eq!(samples.values, [1.0, 9.0, 2.0, 9.0, 4.0]);
    }

    #[test]
    fn hints_are_forgotten_where_sources_switch() {
        let hinted = |reset_hint| Arc::new(FloatHistogram { reset_hint, ..FloatHistogram::default() });
        let not = || hinted(ResetHint::NotReset);
        let mut samples = Samples {
            histogram_times: vec![10, 20, 30, 40, 20, 25, 50, 60],
            histograms: vec![not(), not(), not(), not(), not(), not(), not(), hinted(ResetHint::Gauge)],
            ..Samples::default()
        };
        merge_tail(&mut samples, 0, 4);
        assert_eq!(samples.histogram_times, [10, 20, 25, 30, 40, 50, 60]);
        let hints: Vec<ResetHint> = samples.histograms.iter().map(|h| h.reset_hint).collect();
        use ResetHint::{Gauge, NotReset, Unknown};
        assert_eq!(hints, [NotReset, NotReset, Unknown, Unknown, NotReset, Unknown, Gauge]);
    }

    #[test]
    fn stale_markers_go_and_order_stays() {
        let stale = norn_model::sample::stale_nan();
        let mut samples = Samples {
            times: vec![1, 2, 3, 4],
            values: vec![1.0, stale, f64::NAN, 4.0],
            starts: vec![5, 6, 7, 8],
            ..Samples::default()
        };
        samples.drop_stale();
        assert_eq!((samples.times, samples.starts), (vec![1, 3, 4], vec![5, 7, 8]));
    }
}
