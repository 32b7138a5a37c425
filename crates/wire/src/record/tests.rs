//! Builder and view against prost, and against each other.
#![allow(clippy::unwrap_used)]

use norn_model::metadata::MetricType;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::proto::record::{Exemplar as TextExemplar, LabelPair, TimeSeries, TimeSeriesRw2, WriteRequest};
use crate::proto::{self, Message};
use crate::testing::{
    Flat, FlatHistogram, FlatMetadata, FlatSeries, LabelPairs, float, histogram, kind, metadata,
    metric_metadata, mutate, mutations, sample, samples, shuffle, text, time,
};

fn flat(view: &View) -> Flat {
    let pairs = |refs: &[u32]| -> LabelPairs {
        refs.chunks(2).map(|p| (view.symbol(p[0]).into(), view.symbol(p[1]).into())).collect()
    };
    let series = view.series().map(|s| FlatSeries {
        labels: s.labels().map(|(n, v)| (n.into(), v.into())).collect(),
        samples: s.samples().iter().map(|s| (s.timestamp, s.value.to_bits(), 0)).collect(),
        histograms: s.histograms().map(|h| FlatHistogram { start: 0, ..h.into() }).collect(),
        exemplars: s.exemplars().map(|e| (pairs(e.label_refs), e.value.to_bits(), e.timestamp)).collect(),
        created: s.created(),
        ..FlatSeries::default()
    });
    let metadata = view.metadata().map(|m| FlatMetadata {
        family: m.family.into(),
        kind: m.kind,
        help: m.help.into(),
        unit: m.unit.into(),
    });
    Flat { series: series.collect(), metadata: metadata.collect() }
}

fn histograms(list: &[proto::Histogram]) -> Vec<FlatHistogram> {
    list.iter().map(|h| FlatHistogram { start: 0, ..h.into() }).collect()
}

/// Versions 0 and 1.
fn flat_texts(request: &WriteRequest) -> Flat {
    let pairs = |labels: &[LabelPair]| -> LabelPairs {
        labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect()
    };
    let series = request.timeseries.iter().map(|s| FlatSeries {
        labels: pairs(&s.labels),
        samples: samples(&s.samples),
        histograms: histograms(&s.histograms),
        exemplars: s.exemplars.iter().map(|e| (pairs(&e.labels), e.value.to_bits(), e.timestamp)).collect(),
        created: s.created_timestamp,
        ..FlatSeries::default()
    });
    Flat {
        series: series.filter(FlatSeries::has_content).collect(),
        metadata: request.metadata.iter().map(metadata).collect(),
    }
}

/// Version 2; `None` where a reference is bad.
fn flat_refs(request: &WriteRequest) -> Option<Flat> {
    let text = |r: u32| -> Option<Vec<u8>> {
        match r.checked_sub(FIRST_OWN_SYMBOL) {
            Some(own) => request.symbols_rw2.get(own as usize).map(|s| s.clone().into()),
            None => FIXED_SYMBOLS.get(r as usize).map(|s| (*s).into()),
        }
    };
    let pairs = |refs: &[u32]| -> Option<LabelPairs> {
        refs.chunks(2).map(|p| Some((text(p[0])?, text(*p.get(1)?)?))).collect()
    };
    let mut flat = Flat::default();
    for s in &request.timeseries_rw2 {
        let labels = pairs(&s.labels_refs)?;
        if let Some(m) = s.metadata {
            let (help, unit) = (text(m.help_ref)?, text(m.unit_ref)?);
            if let Some((_, family)) = labels.iter().find(|(n, _)| n == b"__name__") {
                flat.metadata.push(FlatMetadata { family: family.clone(), kind: kind(m.r#type), help, unit });
            }
        }
        let exemplar =
            |e: &proto::RefExemplar| Some((pairs(&e.labels_refs)?, e.value.to_bits(), e.timestamp));
        let series = FlatSeries {
            labels,
            samples: samples(&s.samples),
            histograms: histograms(&s.histograms),
            exemplars: s.exemplars.iter().map(exemplar).collect::<Option<_>>()?,
            created: s.created_timestamp,
            ..FlatSeries::default()
        };
        if series.has_content() {
            flat.series.push(series);
        }
    }
    Some(flat)
}

fn is_stricter(e: RecordError) -> bool {
    use crate::FormError::{TooDeep, TooLarge, WireType};
    matches!(e, RecordError::Malformed(WireType(3 | 17) | TooDeep | TooLarge))
}

/// What prost makes of the fields that `version` reads; the others are not judged.
fn decode_own_fields(version: u8, value: &[u8]) -> Option<WriteRequest> {
    let own = if version == 2 { [4, 5] } else { [1, 3] };
    let mut r = crate::protobuf::Reader::new(value);
    let mut kept = Vec::new();
    while !r.is_empty() {
        let start = r.position();
        let key = r.key().ok()?;
        r.skip(key, 0).ok()?;
        if own.contains(&(key >> 3)) {
            kept.extend_from_slice(&value[start..r.position()]);
        }
    }
    WriteRequest::decode(&kept[..]).ok()
}

fn check(view: &mut View, version: u8, value: &[u8]) {
    let outcome = view.decode(version, value);
    let theirs = decode_own_fields(version, value);
    let expected = theirs.and_then(|r| if version == 2 { flat_refs(&r) } else { Some(flat_texts(&r)) });
    match (outcome, expected) {
        (Ok(()), Some(expected)) => assert_eq!(flat(view), expected),
        // Labels of versions 0 and 1 are bytes to prost.
        (Err(RecordError::NotUtf8), Some(_)) => assert!(version < 2),
        (Err(e), Some(_)) => assert!(is_stricter(e), "{e}"),
        (Err(_), None) => {}
        (Ok(()), None) => panic!("taken, though prost refuses it"),
    }
    if outcome.is_err() {
        assert_eq!(flat(view), Flat::default(), "an empty view after an error");
        assert_eq!(view.symbol(1), "__name__");
    }
}

fn labels() -> impl Strategy<Value = Vec<LabelPair>> {
    vec((text(), text()).prop_map(|(n, v)| LabelPair { name: n.into(), value: v.into() }), 0..5)
}

pub(super) fn text_record() -> impl Strategy<Value = WriteRequest> {
    let exemplar = (labels(), float(), time());
    let exemplar = exemplar.prop_map(|(labels, value, timestamp)| TextExemplar { labels, value, timestamp });
    let lists = (vec(sample(), 0..3), vec(exemplar, 0..2), vec(histogram(false), 0..2));
    let series = (labels(), lists, time()).prop_map(|(labels, lists, created_timestamp)| TimeSeries {
        labels,
        samples: lists.0,
        exemplars: lists.1,
        histograms: lists.2,
        created_timestamp,
    });
    (vec(series, 0..5), vec(metric_metadata(), 0..3), 0..3i32).prop_map(|(timeseries, metadata, source)| {
        WriteRequest { timeseries, metadata, source, ..Default::default() }
    })
}

fn reference() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0..36u32, 6 => 64..70u32]
}

fn refs() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        30 => vec((reference(), reference()), 0..5).prop_map(|p| p.into_iter().flat_map(|(a, b)| [a, b]).collect()),
        1 => vec(0..75u32, 0..5),
    ]
}

pub(super) fn ref_record() -> impl Strategy<Value = WriteRequest> {
    let exemplar = (refs(), float(), time());
    let exemplar = exemplar.prop_map(|(labels_refs, value, timestamp)| proto::RefExemplar {
        labels_refs,
        value,
        timestamp,
    });
    let metadata = (-1..10i32, reference(), reference());
    let metadata = metadata.prop_map(|(kind, help_ref, unit_ref)| proto::RefMetadata {
        r#type: kind,
        help_ref,
        unit_ref,
    });
    let lists = (vec(sample(), 0..3), vec(histogram(false), 0..2), vec(exemplar, 0..2));
    let series = (refs(), lists, proptest::option::of(metadata), time());
    let series = series.prop_map(|(labels_refs, lists, metadata, created_timestamp)| TimeSeriesRw2 {
        labels_refs,
        samples: lists.0,
        histograms: lists.1,
        exemplars: lists.2,
        metadata,
        created_timestamp,
    });
    (vec(text(), 6), vec(series, 0..5)).prop_map(|(symbols_rw2, timeseries_rw2)| WriteRequest {
        symbols_rw2,
        timeseries_rw2,
        ..Default::default()
    })
}

/// Top-level fields of a record, in another order.
fn reordered(record: &WriteRequest, keys: &[u32]) -> Vec<u8> {
    let empty = WriteRequest::default;
    let mut pieces = Vec::new();
    let mut add = |r: WriteRequest| pieces.push(r.encode_to_vec());
    record.timeseries.iter().for_each(|s| add(WriteRequest { timeseries: vec![s.clone()], ..empty() }));
    record.metadata.iter().for_each(|m| add(WriteRequest { metadata: vec![m.clone()], ..empty() }));
    record
        .timeseries_rw2
        .iter()
        .for_each(|s| add(WriteRequest { timeseries_rw2: vec![s.clone()], ..empty() }));
    record.symbols_rw2.iter().for_each(|s| add(WriteRequest { symbols_rw2: vec![s.clone()], ..empty() }));
    shuffle(pieces, keys)
}

/// Builds again what a view holds.
pub(super) fn rebuild(builder: &mut Builder, view: &View) -> bytes::Bytes {
    for s in view.series() {
        let mut series = builder.series(s.labels());
        for s in s.samples() {
            series.sample(s.timestamp, s.value);
        }
        for h in s.histograms() {
            series.histogram(h.timestamp, h.histogram);
        }
        for e in s.exemplars() {
            let labels = e.label_refs.chunks(2).map(|p| (view.symbol(p[0]), view.symbol(p[1])));
            series.exemplar(labels, e.value, e.timestamp);
        }
        series.created(s.created());
    }
    view.metadata().for_each(|m| builder.metadata(m.family, m.kind, m.help, m.unit));
    let len = builder.len();
    let value = builder.finish();
    assert_eq!(value.len(), len);
    assert!(builder.is_empty());
    value
}

/// Symbols come first, each once, and none is of the fixed table.
fn check_symbols(value: &[u8]) {
    let mut symbols = WriteRequest::decode(value).unwrap().symbols_rw2;
    let mut head = Vec::new();
    symbols.iter().for_each(|s| crate::protobuf::put_bytes_field(&mut head, 4, s.as_bytes()));
    assert!(value.starts_with(&head));
    assert!(symbols.iter().all(|s| !FIXED_SYMBOLS.contains(&s.as_str())));
    let count = symbols.len();
    symbols.sort();
    symbols.dedup();
    assert_eq!(symbols.len(), count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn texts_decode_as_prost_does(a in text_record(), b in text_record(), keys in vec(any::<u32>(), 1..9)) {
        let mut view = View::new();
        for (version, record) in [(0, &a), (1, &b)] {
            view.decode(version, &record.encode_to_vec()).unwrap();
            prop_assert_eq!(flat(&view), flat_texts(record));
            check(&mut view, version, &reordered(record, &keys));
        }
    }

    #[test]
    fn references_decode_as_prost_does(a in ref_record(), b in ref_record(), keys in vec(any::<u32>(), 1..9)) {
        let mut view = View::new();
        for record in [&a, &b] {
            check(&mut view, 2, &record.encode_to_vec());
            check(&mut view, 2, &reordered(record, &keys));
        }
    }

    #[test]
    fn what_is_built_reads_back_and_prost_agrees(a in text_record(), b in text_record()) {
        let (mut builder, mut view, mut again) = (Builder::new(), View::new(), View::new());
        for record in [&a, &b] {
            view.decode(0, &record.encode_to_vec()).unwrap();
            let value = rebuild(&mut builder, &view);
            again.decode(2, &value).unwrap();
            prop_assert_eq!(flat(&again), flat(&view));
            prop_assert_eq!(flat_refs(&WriteRequest::decode(&value[..]).unwrap()), Some(flat(&view)));
            check_symbols(&value);
        }
    }

    #[test]
    fn broken_records_are_judged_as_prost_judges(
        texts in text_record(), refs in ref_record(), mutations in mutations(),
    ) {
        let mut view = View::new();
        check(&mut view, 1, &mutate(texts.encode_to_vec(), &mutations));
        check(&mut view, 2, &mutate(refs.encode_to_vec(), &mutations));
    }

    #[test]
    fn arbitrary_bytes_never_panic(value in vec(any::<u8>(), 0..200)) {
        let mut view = View::new();
        for version in 0..3 {
            check(&mut view, version, &value);
        }
    }
}

#[test]
fn bytes_are_as_drawn() {
    let mut builder = Builder::new();
    builder.series([("__name__", "http_errors"), ("job", "api")]).sample(1_700_000_000, 1.0);
    let expected = b"\x22\x0bhttp_errors\x22\x03api\x2a\x17\x0a\x04\x01\x40\x13\x41\x12\x0f\x09\0\0\0\0\0\0\xf0\x3f\x10\x80\xe2\xcf\xaa\x06";
    assert_eq!(&builder.finish()[..], expected);
}

#[test]
fn a_family_may_be_described_by_one_of_its_series() {
    let mut builder = Builder::new();
    builder.series([("__name__", "up"), ("job", "x")]).sample(1, 0.0).metadata(
        MetricType::Gauge,
        "Is it up?",
        "",
    );
    builder.series([("__name__", "up"), ("job", "y")]).sample(1, -0.0);
    let value = builder.finish();
    let zero = WriteRequest::decode(&value[..]).unwrap().timeseries_rw2[1].samples[0].value;
    assert_eq!(zero.to_bits(), (-0.0f64).to_bits());
    let mut view = View::new();
    view.decode(VERSION, &value).unwrap();
    let expected = FamilyMetadata { family: "up", kind: MetricType::Gauge, help: "Is it up?", unit: "" };
    assert_eq!(view.metadata().collect::<Vec<_>>(), [expected]);
    assert_eq!(view.len(), 2);
}

#[test]
fn metadata_of_a_series_is_merged_field_by_field() {
    let mut value = b"\x22\x02up\x22\x01h".to_vec();
    crate::protobuf::put_bytes_field(
        &mut value,
        5,
        b"\x0a\x02\x01\x40\x2a\x04\x08\x02\x18\x41\x2a\x02\x08\x01",
    );
    let mut view = View::new();
    view.decode(2, &value).unwrap();
    let expected = FamilyMetadata { family: "up", kind: MetricType::Counter, help: "h", unit: "" };
    assert_eq!(view.metadata().collect::<Vec<_>>(), [expected]);
    assert!(view.is_empty());
    check(&mut view, 2, &value);
}

#[test]
fn records_with_many_symbols_round_trip() {
    let (mut builder, mut view) = (Builder::new(), View::new());
    let name = |i: usize| format!("name_{i}");
    for i in 0..20_000 {
        builder.series([(name(i), name(i / 2)), ("same".into(), "x".into())]).sample(i as i64, 1.0);
    }
    view.decode(2, &builder.finish()).unwrap();
    assert_eq!(view.symbol_count(), 64 + 20_000 + 2);
    for (i, series) in view.series().enumerate() {
        let expected = [(name(i), name(i / 2)), ("same".into(), "x".into())];
        assert!(series.labels().eq(expected.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    }
}

#[test]
fn corrupt_records_say_why() {
    let decode = |version, value: &[u8]| View::new().decode(version, value);
    assert_eq!(decode(3, b""), Err(RecordError::BadVersion(3)));
    assert_eq!(decode(2, b"\x2a\x03\x0a\x01\x01"), Err(RecordError::OddReferences));
    assert_eq!(decode(2, b"\x2a\x04\x0a\x02\x01\x24"), Err(RecordError::BadReference(36)));
    assert_eq!(decode(2, b"\x2a\x04\x0a\x02\x01\x40"), Err(RecordError::BadReference(64)));
    assert_eq!(decode(2, b"\x2a\x04\x0a\x02\x01"), Err(crate::FormError::Truncated.into()));
    assert_eq!(decode(2, b"\x22\x01\xff"), Err(RecordError::NotUtf8));
    // Two halves of a character are no texts, though side by side they would be one.
    assert_eq!(decode(2, b"\x22\x01\xc3\x22\x01\xa9"), Err(RecordError::NotUtf8));
    assert_eq!(decode(0, b"\x0a\x09\x0a\x07\x0a\x02hi\x12\x01\xff"), Err(RecordError::NotUtf8));
}
