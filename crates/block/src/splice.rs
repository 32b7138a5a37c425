//! Makes chunks fit into a block: inside its range, one behind the other.
//!
//! Most do and are taken as they are. Where chunks overlap each other or reach over an end of the
//! range, their samples are decoded, merged and encoded anew. Start timestamps of XOR2 chunks
//! are lost by that.

use std::ops::Range;

use norn_codec::DecodeError;
use norn_codec::histogram::{AppendError, Floats, Integers, Iter, Kind, OpenChunk};
use norn_codec::xor::{self, XorState};
use norn_codec::xor2;
use norn_contract::source::{ChunkBuf, ChunkSlice};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram};

use crate::Error;

/// Most floats of a chunk that is encoded here, as in Prometheus.
const MAX_FLOATS: usize = 120;
/// A histogram chunk is full with this many bytes, as in Prometheus …
const FULL_BYTES: usize = 1024;
/// … if it has at least this many samples.
const MIN_HISTOGRAMS: u16 = 10;

enum Value {
    Float(f64),
    Int(Box<Histogram>),
    FloatHistogram(Box<FloatHistogram>),
}

type Sample = (Millis, Value);

impl Value {
    fn as_integers(&self) -> Option<&Histogram> {
        if let Self::Int(h) = self { Some(h) } else { None }
    }

    fn as_floats(&self) -> Option<&FloatHistogram> {
        if let Self::FloatHistogram(h) = self { Some(h) } else { None }
    }
}

/// Whether the chunks, which are ordered by first timestamp, fit as they are.
pub(crate) fn fits(input: &ChunkBuf, range: &Range<Millis>) -> bool {
    let inside = |c: &ChunkSlice| c.mint >= range.start && c.maxt < range.end && count(input, c) > 0;
    input.chunks.iter().all(inside) && input.chunks.is_sorted_by(|a, b| a.maxt < b.mint)
}

/// Number of samples, as the first bytes of every encoding say.
pub(crate) fn count(buf: &ChunkBuf, chunk: &ChunkSlice) -> u16 {
    norn_codec::sample_count(chunk.encoding, buf.slice(chunk)).unwrap_or(0)
}

/// Appends to `out` chunks with the samples that lie in the range. Of samples with equal
/// timestamps that of the earlier chunk is taken.
pub(crate) fn splice(input: &ChunkBuf, range: &Range<Millis>, out: &mut ChunkBuf) -> Result<(), Error> {
    let mut rest = &input.chunks[..];
    while let Some(first) = rest.first() {
        let mut end = first.maxt;
        let overlapping = rest.iter().take_while(|c| {
            let overlaps = c.mint <= end;
            end = end.max(c.maxt);
            overlaps
        });
        let (cluster, tail) = rest.split_at(overlapping.count().max(1));
        rest = tail;
        match cluster {
            [one] if one.mint >= range.start && one.maxt < range.end && count(input, one) > 0 => {
                out.push(one.encoding, one.mint, one.maxt, input.slice(one));
            }
            cluster => merge(input, cluster, range, out)?,
        }
    }
    Ok(())
}

fn merge(
    input: &ChunkBuf,
    cluster: &[ChunkSlice],
    range: &Range<Millis>,
    out: &mut ChunkBuf,
) -> Result<(), Error> {
    let mut samples = Vec::new();
    for chunk in cluster.iter().filter(|c| c.mint < range.end && c.maxt >= range.start) {
        decode(chunk.encoding, input.slice(chunk), range, &mut samples)?;
    }
    samples.sort_by_key(|(t, _)| *t);
    samples.dedup_by_key(|(t, _)| *t);
    encode(&samples, out)
}

fn decode(
    encoding: ChunkEncoding,
    bytes: &[u8],
    range: &Range<Millis>,
    samples: &mut Vec<Sample>,
) -> Result<(), Error> {
    match encoding {
        ChunkEncoding::Xor => decode_floats(xor::iter(bytes)?, range, samples),
        ChunkEncoding::Xor2 => decode_floats(xor2::iter(bytes)?, range, samples),
        ChunkEncoding::Histogram | ChunkEncoding::HistogramStarts => {
            let iter = Iter::<Integers>::of(encoding, bytes)?;
            decode_histograms(iter, range, samples, |h| Value::Int(Box::new(h)))
        }
        ChunkEncoding::FloatHistogram | ChunkEncoding::FloatHistogramStarts => {
            let iter = Iter::<Floats>::of(encoding, bytes)?;
            decode_histograms(iter, range, samples, |h| Value::FloatHistogram(Box::new(h)))
        }
    }
}

fn decode_floats(
    floats: impl Iterator<Item = Result<(Millis, f64), DecodeError>>,
    range: &Range<Millis>,
    samples: &mut Vec<Sample>,
) -> Result<(), Error> {
    for sample in floats {
        let (t, v) = sample?;
        samples.extend(range.contains(&t).then_some((t, Value::Float(v))));
    }
    Ok(())
}

fn decode_histograms<K: Kind>(
    mut iter: Iter<'_, K>,
    range: &Range<Millis>,
    samples: &mut Vec<Sample>,
    value: impl Fn(K::Histogram) -> Value,
) -> Result<(), Error> {
    while let Some(t) = iter.advance()? {
        if range.contains(&t) {
            samples.extend(iter.histogram().map(|h| (t, value(h))));
        }
    }
    Ok(())
}

fn encode(samples: &[Sample], out: &mut ChunkBuf) -> Result<(), Error> {
    let kind = |(_, value): &Sample| std::mem::discriminant(value);
    for run in samples.chunk_by(|a, b| kind(a) == kind(b)) {
        match run.first() {
            Some((_, Value::Float(_))) => encode_floats(run, out)?,
            Some((_, Value::Int(_))) => {
                encode_histograms::<Integers>(run, ChunkEncoding::Histogram, out, Value::as_integers)?;
            }
            Some((_, Value::FloatHistogram(_))) => {
                encode_histograms::<Floats>(run, ChunkEncoding::FloatHistogram, out, Value::as_floats)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Chunks of about equal length.
fn encode_floats(run: &[Sample], out: &mut ChunkBuf) -> Result<(), Error> {
    let len = run.len().div_ceil(run.len().div_ceil(MAX_FLOATS));
    for part in run.chunks(len) {
        let (mut state, mut bytes) = (XorState::new(), Vec::new());
        for (t, value) in part {
            let Value::Float(value) = value else { continue };
            state.append(&mut bytes, *t, *value).map_err(|_| Error::TooLarge("a float chunk"))?;
        }
        state.finish(&mut bytes, 0);
        out.push(ChunkEncoding::Xor, part[0].0, state.last_timestamp(), &bytes);
    }
    Ok(())
}

fn encode_histograms<K: Kind>(
    run: &[Sample],
    encoding: ChunkEncoding,
    out: &mut ChunkBuf,
    get: impl Fn(&Value) -> Option<&K::Histogram>,
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let mut push = |mint: Millis, chunk: &OpenChunk<K>| {
        bytes.clear();
        chunk.finish(&mut bytes);
        out.push(encoding, mint, chunk.last_timestamp(), &bytes);
    };
    let is_full = |c: &OpenChunk<K>| c.count() >= MIN_HISTOGRAMS && c.size_bytes() >= FULL_BYTES;
    let mut open: Option<(Millis, OpenChunk<K>)> = None;
    for (t, histogram) in run.iter().filter_map(|(t, value)| Some((*t, get(value)?))) {
        if let Some((_, chunk)) = open.as_mut().filter(|(_, chunk)| !is_full(chunk)) {
            match chunk.append(t, histogram) {
                Ok(()) => continue,
                Err(AppendError::NewChunk) => {}
                Err(AppendError::Invalid(what)) => return Err(Error::Invalid(what.into())),
            }
        }
        let next = OpenChunk::begin(open.as_ref().map(|(_, chunk)| chunk), t, histogram);
        let next = next.map_err(|e| Error::Invalid(e.to_string()))?;
        if let Some((mint, chunk)) = open.replace((t, next)) {
            push(mint, &chunk);
        }
    }
    if let Some((mint, chunk)) = open {
        push(mint, &chunk);
    }
    Ok(())
}
