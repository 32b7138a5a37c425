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
            retain_by(&mut self.times, &mut self.values, |_, v| !is_stale_nan(*v));
        }
        if self.histograms.iter().any(|h| h.is_stale()) {
            retain_by(&mut self.histogram_times, &mut self.histograms, |_, h| !h.is_stale());
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
/// Returns the number of bytes read.
pub fn read(
    data: &dyn SeriesData,
    index: usize,
    (mint, maxt): (Millis, Millis),
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
        append(chunk, bytes, (mint, maxt), samples)
            .map_err(|e| SourceError::Corrupt(format!("{e} (times {} to {})", chunk.mint, chunk.maxt)))?;
    }
    Ok(chunks.bytes.len())
}

fn append(
    chunk: &ChunkSlice,
    bytes: &[u8],
    (mint, maxt): (Millis, Millis),
    samples: &mut Samples,
) -> Result<(), DecodeError> {
    let newest = samples.newest();
    let (floats, histograms) = (samples.times.len(), samples.histogram_times.len());
    match chunk.encoding {
        ChunkEncoding::Xor => xor::decode(bytes, mint, maxt, &mut samples.times, &mut samples.values)?,
        ChunkEncoding::Xor2 => xor2::decode(bytes, mint, maxt, &mut samples.times, &mut samples.values)?,
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
    let tail_values = samples.values.split_off(floats);
    let tail_times = samples.times.split_off(floats);
    let tail_histograms = samples.histograms.split_off(histograms);
    let tail_histogram_times = samples.histogram_times.split_off(histograms);
    let new_floats: Vec<_> =
        tail_times.into_iter().zip(tail_values).filter(|(t, _)| !samples.has_time(*t)).collect();
    let new_histograms: Vec<_> = tail_histogram_times
        .into_iter()
        .zip(tail_histograms)
        .filter(|(t, _)| !samples.has_time(*t))
        .collect();
    merge_in(&mut samples.times, &mut samples.values, new_floats);
    merge_in(&mut samples.histogram_times, &mut samples.histograms, new_histograms);
}

fn merge_in<T: Clone>(times: &mut Vec<Millis>, values: &mut Vec<T>, new: Vec<(Millis, T)>) {
    if new.is_empty() {
        return;
    }
    let old: Vec<_> = times.drain(..).zip(values.drain(..)).collect();
    let mut all = old;
    all.extend(new);
    all.sort_by_key(|(t, _)| *t);
    for (t, v) in all {
        times.push(t);
        values.push(v);
    }
}

fn retain_by<T>(times: &mut Vec<Millis>, values: &mut Vec<T>, keep: impl Fn(Millis, &T) -> bool) {
    let mut kept = 0;
    for i in 0..times.len() {
        if keep(times[i], &values[i]) {
            times.swap(kept, i);
            values.swap(kept, i);
            kept += 1;
        }
    }
    times.truncate(kept);
    values.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_samples_win_where_chunks_overlap() {
        let mut samples = Samples {
            times: vec![10, 20, 40, 15, 20, 30],
            values: vec![1.0, 2.0, 4.0, 9.0, 9.0, 9.0],
            ..Samples::default()
        };
        merge_tail(&mut samples, 3, 0);
        assert_eq!(samples.times, [10, 15, 20, 30, 40]);
        assert_eq!(samples.values, [1.0, 9.0, 2.0, 9.0, 4.0]);
    }

    #[test]
    fn stale_markers_go_and_order_stays() {
        let stale = norn_model::sample::stale_nan();
        let mut samples = Samples {
            times: vec![1, 2, 3, 4],
            values: vec![1.0, stale, f64::NAN, 4.0],
            ..Samples::default()
        };
        samples.drop_stale();
        assert_eq!(samples.times, [1, 3, 4]);
    }
}
