//! Samples of any kind, how they compare, and how they become chunks.

use norn_codec::histogram::{AppendError, Floats, Integers, Iter, Kind, OpenChunk};
use norn_codec::xor::{self, XorState};
use norn_contract::source::ChunkBuf;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, Span};
use norn_wire::histogram::HistogramRef;

/// What a series has at one time.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A float.
    Float(f64),
    /// A histogram with integer counts.
    Int(Box<Histogram>),
    /// A histogram with float counts.
    FloatHistogram(Box<FloatHistogram>),
}

impl From<HistogramRef<'_>> for Value {
    fn from(histogram: HistogramRef<'_>) -> Self {
        match histogram {
            HistogramRef::Int(h) => Self::Int(Box::new(h.clone())),
            HistogramRef::Float(h) => Self::FloatHistogram(Box::new(h.clone())),
        }
    }
}

impl Value {
    /// Whether both say the same: floats to the last bit, histograms in what they counted. A chunk
    /// may give a histogram back with more empty buckets and another reset hint.
    pub(crate) fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Int(a), Self::Int(b)) => {
                if a.is_stale() || b.is_stale() {
                    return a.is_stale() && b.is_stale();
                }
                same_frame(&a.to_float(), &b.to_float()) && a.count == b.count && a.zero_count == b.zero_count
            }
            (Self::FloatHistogram(a), Self::FloatHistogram(b)) => {
                if a.is_stale() || b.is_stale() {
                    return a.is_stale() && b.is_stale();
                }
                same_frame(a, b)
            }
            _ => false,
        }
    }

    /// Bytes of heap, about.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Float(_) => 0,
            Self::Int(h) => {
                let spans = h.positive_spans.capacity() + h.negative_spans.capacity();
                let numbers = h.positive_buckets.capacity()
                    + h.negative_buckets.capacity()
                    + h.custom_values.capacity();
                size_of::<Histogram>() + (spans + numbers) * 8
            }
            Self::FloatHistogram(h) => {
                let spans = h.positive_spans.capacity() + h.negative_spans.capacity();
                let numbers = h.positive_buckets.capacity()
                    + h.negative_buckets.capacity()
                    + h.custom_values.capacity();
                size_of::<FloatHistogram>() + (spans + numbers) * 8
            }
        }
    }
}

fn same_frame(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let scalars = |h: &FloatHistogram| [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
    a.schema == b.schema
        && scalars(a) == scalars(b)
        && a.custom_values == b.custom_values
        && filled(&a.positive_spans, &a.positive_buckets).eq(filled(&b.positive_spans, &b.positive_buckets))
        && filled(&a.negative_spans, &a.negative_buckets).eq(filled(&b.negative_spans, &b.negative_buckets))
}

/// Index and bits of the buckets that hold something.
fn filled<'a>(spans: &'a [Span], buckets: &'a [f64]) -> impl Iterator<Item = (i64, u64)> + 'a {
    let mut next = 0i64;
    let indices = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indices.zip(buckets).filter(|(_, count)| **count != 0.0).map(|(index, count)| (index, count.to_bits()))
}

/// Encodes samples, sorted by time, as few chunks as their kinds allow.
pub(crate) fn encode(samples: &[(Millis, Value)], out: &mut ChunkBuf) {
    let kind = |(_, value): &(Millis, Value)| std::mem::discriminant(value);
    for run in samples.chunk_by(|a, b| kind(a) == kind(b)) {
        match run.first() {
            Some((_, Value::Float(_))) => encode_floats(run, out),
            Some((_, Value::Int(_))) => {
                encode_histograms::<Integers>(run, ChunkEncoding::Histogram, out, |v| {
                    if let Value::Int(h) = v { Some(h) } else { None }
                })
            }
            Some((_, Value::FloatHistogram(_))) => {
                encode_histograms::<Floats>(run, ChunkEncoding::FloatHistogram, out, |v| {
                    if let Value::FloatHistogram(h) = v { Some(h) } else { None }
                })
            }
            None => {}
        }
    }
}

/// Runs are far below what a float chunk can hold.
fn encode_floats(run: &[(Millis, Value)], out: &mut ChunkBuf) {
    let (Some(&(mint, _)), Some(&(maxt, _))) = (run.first(), run.last()) else { return };
    let (mut state, mut bytes) = (XorState::new(), Vec::new());
    for (t, value) in run {
        if let Value::Float(value) = value
            && state.append(&mut bytes, *t, *value).is_err()
        {
            break;
        }
    }
    state.finish(&mut bytes, 0);
    out.push(ChunkEncoding::Xor, mint, maxt, &bytes);
}

/// A histogram that can not be stored was refused when it came, by [`check`].
fn encode_histograms<K: Kind>(
    run: &[(Millis, Value)],
    encoding: ChunkEncoding,
    out: &mut ChunkBuf,
    get: impl Fn(&Value) -> Option<&K::Histogram>,
) {
    let mut bytes = Vec::new();
    let mut push = |mint: Millis, chunk: &OpenChunk<K>| {
        bytes.clear();
        chunk.finish(&mut bytes);
        out.push(encoding, mint, chunk.last_timestamp(), &bytes);
    };
    let mut open: Option<(Millis, OpenChunk<K>)> = None;
    for (t, histogram) in run.iter().filter_map(|(t, value)| Some((*t, get(value)?))) {
        if let Some((_, chunk)) = &mut open
            && chunk.append(t, histogram).is_ok()
        {
            continue;
        }
        let Ok(next) = OpenChunk::begin(open.as_ref().map(|(_, chunk)| chunk), t, histogram) else {
            continue;
        };
        if let Some((mint, chunk)) = open.replace((t, next)) {
            push(mint, &chunk);
        }
    }
    if let Some((mint, chunk)) = open {
        push(mint, &chunk);
    }
}

/// Whether a chunk can hold the value at all.
pub(crate) fn check(value: &Value) -> Result<(), AppendError> {
    match value {
        Value::Float(_) => Ok(()),
        Value::Int(h) => OpenChunk::<Integers>::begin(None, 0, h).map(drop),
        Value::FloatHistogram(h) => OpenChunk::<Floats>::begin(None, 0, h).map(drop),
    }
}

/// The value a chunk has at `t`. Chunks come from this crate, so one that can not be decoded has
/// none.
pub(crate) fn find(encoding: ChunkEncoding, bytes: &[u8], t: Millis) -> Option<Value> {
    match encoding {
        ChunkEncoding::Xor => {
            let mut samples = xor::iter(bytes).ok()?.map_while(Result::ok);
            samples.find(|(at, _)| *at == t).map(|(_, value)| Value::Float(value))
        }
        ChunkEncoding::Histogram => find_histogram::<Integers>(bytes, t).map(|h| Value::Int(Box::new(h))),
        ChunkEncoding::FloatHistogram => {
            find_histogram::<Floats>(bytes, t).map(|h| Value::FloatHistogram(Box::new(h)))
        }
        ChunkEncoding::Xor2 | ChunkEncoding::HistogramStarts | ChunkEncoding::FloatHistogramStarts => None,
    }
}

fn find_histogram<K: Kind>(bytes: &[u8], t: Millis) -> Option<K::Histogram> {
    let mut iter = Iter::<K>::new(bytes).ok()?;
    while let Some(at) = iter.advance().ok()? {
        if at == t {
            return iter.histogram();
        }
    }
    None
}
