//! Values as they are compared: bits of floats, histograms without hints.

use norn_codec::DecodeError;
use norn_codec::histogram::{Floats, Integers, decode};
use norn_codec::xor;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};

/// A stored value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bits of a float.
    Float(u64),
    /// An integer histogram.
    Int(Box<Histogram>),
    /// A float histogram.
    FloatHistogram(Box<FloatHistogram>),
}

impl Value {
    /// A float.
    pub fn float(value: f64) -> Self {
        Self::Float(value.to_bits())
    }

    /// A histogram: no hint, and a stale one is only stale and equal to itself.
    pub fn int(mut h: Histogram) -> Self {
        h.reset_hint = ResetHint::Unknown;
        if h.is_stale() {
            h = Histogram { sum: f64::NEG_INFINITY, ..Histogram::default() };
        }
        Self::Int(Box::new(h))
    }

    /// As [`Value::int`].
    pub fn float_histogram(mut h: FloatHistogram) -> Self {
        h.reset_hint = ResetHint::Unknown;
        if h.is_stale() {
            h = FloatHistogram { sum: f64::NEG_INFINITY, ..FloatHistogram::default() };
        }
        Self::FloatHistogram(Box::new(h))
    }
}

/// A valid histogram that grows with `n`; its layout is one of two.
pub fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: if n % 5 == 4 { 0 } else { 1 },
        zero_threshold: 1e-128,
        zero_count: n,
        count: 5 * n + 1,
        sum: n as f64 * 2.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![2 * n as i64, 1],
        ..Histogram::default()
    }
}

/// The samples of a chunk.
pub fn decode_chunk(encoding: ChunkEncoding, bytes: &[u8]) -> Result<Vec<(Millis, Value)>, DecodeError> {
    let mut times = Vec::new();
    let all = (Millis::MIN, Millis::MAX);
    let values: Vec<Value> = match encoding {
        ChunkEncoding::Xor => {
            let mut values = Vec::new();
            xor::decode(bytes, all.0, all.1, &mut times, &mut values)?;
            values.into_iter().map(Value::float).collect()
        }
        ChunkEncoding::Histogram => {
            let mut values = Vec::new();
            decode::<Integers>(bytes, all.0, all.1, &mut times, &mut values)?;
            values.into_iter().map(Value::int).collect()
        }
        ChunkEncoding::FloatHistogram => {
            let mut values = Vec::new();
            decode::<Floats>(bytes, all.0, all.1, &mut times, &mut values)?;
            values.into_iter().map(Value::float_histogram).collect()
        }
        other => panic!("nothing here writes chunks of encoding {other:?}"),
    };
    Ok(times.into_iter().zip(values).collect())
}
