//! A block cut from a head: floats, histograms, late samples, and chunks over both ends.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use futures::executor::block_on;
use norn_block::ulid::Ulid;
use norn_block::{Block, Builder, Options};
use norn_codec::histogram::{Integers, Iter};
use norn_codec::xor;
use norn_contract::log::{Record, RecordKind};
use norn_contract::merge::Merged;
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource};
use norn_head::{Reader, Writer};
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{Histogram, Span};
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::histogram::HistogramRef;
use norn_wire::record;
use norn_wire::settings::FoldSettings;

const T0: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;
/// Inside of what is written, and beside the head's chunk ends.
const RANGE: std::ops::Range<i64> = T0 + 33 * STEP + 1..T0 + 401 * STEP;

/// Timestamp, what it is, and bits of the float or of the sum.
type Samples = Vec<(i64, ChunkEncoding, u64)>;

fn tenant() -> Tenant {
    Tenant::admit("t").unwrap()
}

fn apply(writer: &mut Writer, kind: RecordKind, value: bytes::Bytes) {
    let record = Record { tenant: tenant(), kind, timestamp: 0, value };
    let mut refused = Refused::default();
    writer.apply(writer.next_offset(), &record, &mut refused).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
}

fn histogram(i: i64) -> Histogram {
    Histogram {
        count: 2 * i as u64,
        sum: i as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![i, 0],
        ..Histogram::default()
    }
}

/// 500 scrapes of 30 series. Every fifth series has every seventh sample late.
fn fill() -> Arc<Reader> {
    let (mut writer, reader) = norn_head::new(norn_head::Options::default());
    let settings =
        FoldSettings { out_of_order_window: 600 * STEP, native_histograms: true, ..FoldSettings::default() };
    apply(&mut writer, RecordKind::Settings, settings.encode().into());
    let mut builder = record::Builder::new();
    let labels = |s: i64| [("__name__", "up".to_owned()), ("instance", format!("{s:02}"))];
    let is_late = |s: i64, i: i64| s % 5 == 0 && i % 7 == 3;
    for late in [false, true] {
        for i in 0..500 {
            for s in (0..30).filter(|s| is_late(*s, i) == late) {
                builder.series(labels(s)).sample(T0 + i * STEP, (i * s) as f64 / 3.0);
            }
            if !late {
                let histogram = histogram(i);
                let labels = [("__name__", "sizes"), ("instance", "00")];
                builder.series(labels).histogram(T0 + i * STEP, HistogramRef::Int(&histogram));
            }
            if !builder.is_empty() {
                apply(&mut writer, RecordKind::Write(2), builder.finish());
            }
        }
    }
    reader
}

fn request() -> SelectRequest {
    let matchers = Arc::new([Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()]);
    SelectRequest { matchers, mint: RANGE.start, maxt: RANGE.end - 1, need: Need::Samples, max_series: 0 }
}

fn samples(buf: &ChunkBuf) -> Samples {
    let mut all = Samples::new();
    for chunk in &buf.chunks {
        let bytes = buf.slice(chunk);
        if chunk.encoding == ChunkEncoding::Xor {
            all.extend(
                xor::iter(bytes)
                    .unwrap()
                    .map(|s| s.map(|(t, v)| (t, ChunkEncoding::Xor, v.to_bits())).unwrap()),
            );
            continue;
        }
        let mut iter = Iter::<Integers>::new(bytes).unwrap();
        while let Some(t) = iter.advance().unwrap() {
            let h = iter.histogram().unwrap();
            assert_eq!(h.positive_buckets, [h.sum as i64, 0]);
            all.push((t, chunk.encoding, h.sum.to_bits()));
        }
    }
    all.retain(|(t, _, _)| RANGE.contains(t));
    all.sort_by_key(|s| s.0);
    all.dedup_by_key(|s| s.0);
    all
}

fn read(source: &dyn SeriesSource) -> Vec<(Labels, Samples)> {
    let selection = block_on(source.select(request())).unwrap();
    let one = |i: usize| {
        let mut buf = ChunkBuf::default();
        selection.data.read(i, &mut buf).unwrap();
        samples(&buf)
    };
    (0..selection.labels.len()).map(|i| (selection.labels[i].clone(), one(i))).collect()
}

#[test]
fn a_block_gives_what_the_head_gave() {
    let head = fill().tenant(&tenant()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ulid = Ulid::new(T0, [2; 10]);
    let mut builder = Builder::create(Arc::new(Disk), dir.path(), Options::new(ulid, RANGE)).unwrap();
    let selection = block_on(head.select(request())).unwrap();
    for (i, labels) in selection.labels.iter().enumerate() {
        let mut buf = ChunkBuf::default();
        selection.data.read(i, &mut buf).unwrap();
        builder.add(labels, &buf).unwrap();
    }
    let stats = builder.finish().unwrap().unwrap().stats;
    assert_eq!((stats.num_series, stats.num_samples), (31, 31 * 367));
    assert_eq!(stats.num_histogram_samples, 367);
    let block = Block::open(&Disk, &dir.path().join(ulid.to_string())).unwrap();
    let from_head = read(&*head);
    assert!(from_head.iter().all(|(_, s)| s.len() == 367));
    assert_eq!(read(&block), from_head);
    assert_eq!(read(&*Merged::of(vec![head, Arc::new(block)])), from_head);
}
