//! What the tests of the head share: records to write, and everything read back.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use norn_codec::histogram::{Floats, Integers, decode};
use norn_codec::xor;
use norn_contract::log::{Record, RecordKind};
use norn_contract::source::{ChunkBuf, Need, SelectRequest, Selection, SeriesSource, SourceError};
use norn_head::{Reader, TenantReader, Writer};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;

pub const T0: Millis = 1_700_000_000_000;

/// A value as tests compare it: bits of floats, histograms without hints.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Float(u64),
    Int(Box<Histogram>),
    FloatHistogram(Box<FloatHistogram>),
}

impl Value {
    pub fn float(value: f64) -> Self {
        Self::Float(value.to_bits())
    }
}

/// A series and its samples.
pub type Series = (Labels, BTreeMap<Millis, Value>);

pub fn tenant(id: &str) -> Tenant {
    Tenant::admit(id).unwrap()
}

/// A record of `tenant` with what `fill` adds.
pub fn record(id: &str, fill: impl FnOnce(&mut Builder)) -> Record {
    let mut builder = Builder::new();
    fill(&mut builder);
    Record { tenant: tenant(id), kind: RecordKind::Write(2), timestamp: 0, value: builder.finish() }
}

pub fn settings(id: &str, settings: &FoldSettings) -> Record {
    let value = settings.encode().into();
    Record { tenant: tenant(id), kind: RecordKind::Settings, timestamp: 0, value }
}

pub fn plain_settings() -> FoldSettings {
    FoldSettings { native_histograms: true, ..FoldSettings::default() }
}

/// A head and the offset of its next record.
pub struct Head {
    pub writer: Writer,
    pub reader: Arc<Reader>,
}

impl Head {
    pub fn new(options: norn_head::Options) -> Self {
        let (writer, reader) = norn_head::new(options);
        Self { writer, reader }
    }

    pub fn apply(&mut self, record: &Record) -> Refused {
        let mut refused = Refused::default();
        self.writer.apply(self.writer.next_offset(), record, &mut refused).unwrap();
        refused
    }

    pub fn write(&mut self, id: &str, fill: impl FnOnce(&mut Builder)) -> Refused {
        self.apply(&record(id, fill))
    }

    /// One sample of tenant `t`; gives the id of what it was refused for.
    pub fn sample(&mut self, labels: &[(&str, &str)], t: Millis, value: f64) -> Option<&'static str> {
        let refused = self.write("t", |b| {
            b.series(labels.iter().copied()).sample(t, value);
        });
        refused.first.map(|r| r.id)
    }

    pub fn tenant(&self, id: &str) -> Arc<TenantReader> {
        self.reader.tenant(&tenant(id)).expect("tenant is known")
    }

    pub fn all(&self, id: &str) -> Vec<Series> {
        let any = Matcher::new(norn_model::matcher::MatchOp::Regex, "__name__", ".*").unwrap();
        read_all(&*self.tenant(id), &[any], Millis::MIN, Millis::MAX).unwrap()
    }
}

pub fn select(
    source: &dyn SeriesSource,
    matchers: &[Matcher],
    mint: Millis,
    maxt: Millis,
    max_series: usize,
) -> Result<Selection, SourceError> {
    let request = SelectRequest { matchers: matchers.into(), mint, maxt, need: Need::Samples, max_series };
    source.select(request).now_or_never().expect("a head answers at once")
}

/// Everything that passes `matchers`, as a querier would merge it.
pub fn read_all(
    source: &dyn SeriesSource,
    matchers: &[Matcher],
    mint: Millis,
    maxt: Millis,
) -> Result<Vec<Series>, SourceError> {
    let selection = select(source, matchers, mint, maxt, 0)?;
    assert!(selection.labels.is_sorted());
    let mut buf = ChunkBuf::default();
    let mut all = Vec::new();
    for (i, labels) in selection.labels.into_iter().enumerate() {
        buf.clear();
        selection.data.read(i, &mut buf)?;
        all.push((labels, samples(&buf, mint, maxt)));
    }
    Ok(all)
}

/// Samples of chunks within the range; of equal timestamps the first chunk's counts.
pub fn samples(buf: &ChunkBuf, mint: Millis, maxt: Millis) -> BTreeMap<Millis, Value> {
    assert!(buf.chunks.is_sorted_by_key(|chunk| chunk.mint));
    let mut all = BTreeMap::new();
    for chunk in &buf.chunks {
        assert!(chunk.mint <= chunk.maxt && chunk.mint <= maxt && chunk.maxt >= mint);
        let decoded = chunk_samples(chunk.encoding, buf.slice(chunk));
        assert_eq!(decoded.first().map(|(t, _)| *t), Some(chunk.mint));
        assert_eq!(decoded.last().map(|(t, _)| *t), Some(chunk.maxt));
        assert!(decoded.windows(2).all(|w| w[0].0 < w[1].0));
        for (t, value) in decoded.into_iter().filter(|(t, _)| mint <= *t && *t <= maxt) {
            all.entry(t).or_insert(value);
        }
    }
    all
}

fn chunk_samples(encoding: ChunkEncoding, bytes: &[u8]) -> Vec<(Millis, Value)> {
    let (mut times, all) = (Vec::new(), (Millis::MIN, Millis::MAX));
    match encoding {
        ChunkEncoding::Xor => {
            let mut values = Vec::new();
            xor::decode(bytes, all.0, all.1, &mut times, &mut values).unwrap();
            times.into_iter().zip(values.into_iter().map(Value::float)).collect()
        }
        ChunkEncoding::Histogram => {
            let mut values = Vec::new();
            decode::<Integers>(bytes, all.0, all.1, &mut times, &mut values).unwrap();
            times.into_iter().zip(values.into_iter().map(int)).collect()
        }
        ChunkEncoding::FloatHistogram => {
            let mut values = Vec::new();
            decode::<Floats>(bytes, all.0, all.1, &mut times, &mut values).unwrap();
            times.into_iter().zip(values.into_iter().map(float_histogram)).collect()
        }
        ChunkEncoding::Xor2 | ChunkEncoding::HistogramStarts | ChunkEncoding::FloatHistogramStarts => {
            panic!("the head writes no start timestamps")
        }
    }
}

/// A histogram to compare: no hint, a stale one only stale (and equal to itself).
pub fn int(mut h: Histogram) -> Value {
    h.reset_hint = ResetHint::Unknown;
    if h.is_stale() {
        h = Histogram { sum: f64::NEG_INFINITY, ..Histogram::default() };
    }
    Value::Int(Box::new(h))
}

/// As [`int`].
pub fn float_histogram(mut h: FloatHistogram) -> Value {
    h.reset_hint = ResetHint::Unknown;
    if h.is_stale() {
        h = FloatHistogram { sum: f64::NEG_INFINITY, ..FloatHistogram::default() };
    }
    Value::FloatHistogram(Box::new(h))
}

/// A valid histogram with two buckets that grows with `n`.
pub fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: 1,
        zero_threshold: 1e-128,
        zero_count: n,
        count: 5 * n + 1,
        sum: n as f64 * 2.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![2 * n as i64, 1],
        ..Histogram::default()
    }
}
