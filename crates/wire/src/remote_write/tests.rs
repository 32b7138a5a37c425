//! Both decoders against prost: on any message, in any order of fields, and on broken bytes.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::proto::{self, Message, v1, v2};
use crate::testing::{
    Flat, FlatMetadata, FlatSeries, float, histogram, is_utf8_objection, kind, metadata, metric_metadata,
    mutate, mutations, sample, samples, shuffle, text, time,
};

fn flat(request: Request<'_>) -> Flat {
    let pairs = |labels: Labels<'_>| labels.map(|(n, v)| (n.to_vec(), v.to_vec())).collect::<Vec<_>>();
    let series = request.series().map(|s| FlatSeries {
        bad: s.error().is_some(),
        labels: pairs(s.labels()),
        samples: s.samples().iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).collect(),
        histograms: s.histograms().map(Into::into).collect(),
        exemplars: s.exemplars().map(|e| (pairs(e.labels), e.value.to_bits(), e.timestamp)).collect(),
        created: s.created(),
        metadata: s.metadata().map(|m| (m.kind, m.help.to_vec(), m.unit.to_vec())),
    });
    let metadata = request.metadata().map(|m| FlatMetadata {
        family: m.family.to_vec(),
        kind: m.kind,
        help: m.help.to_vec(),
        unit: m.unit.to_vec(),
    });
    Flat { series: series.collect(), metadata: metadata.collect() }
}

fn flat_v1(request: &v1::WriteRequest) -> Flat {
    let pairs = |labels: &[v1::Label]| {
        labels.iter().map(|l| (l.name.clone().into(), l.value.clone().into())).collect::<Vec<_>>()
    };
    let series = request.timeseries.iter().map(|s| FlatSeries {
        labels: pairs(&s.labels),
        samples: samples(&s.samples),
        histograms: s.histograms.iter().map(Into::into).collect(),
        exemplars: s.exemplars.iter().map(|e| (pairs(&e.labels), e.value.to_bits(), e.timestamp)).collect(),
        created: s.created_timestamp,
        ..FlatSeries::default()
    });
    Flat { series: series.collect(), metadata: request.metadata.iter().map(metadata).collect() }
}

/// A bad series keeps its content but no labels; a bad exemplar is compared without its own.
fn flat_v2(request: &v2::Request) -> Flat {
    let text = |r: u32| match r {
        0 => Some(Vec::new()),
        _ => request.symbols.get(r as usize).map(|s| s.clone().into_bytes()),
    };
    let pairs = |refs: &[u32]| {
        let known = |r: u32| request.symbols.get(r as usize).map(|s| s.clone().into_bytes());
        refs.chunks(2).map(|p| Some((known(p[0])?, known(*p.get(1)?)?))).collect::<Option<Vec<_>>>()
    };
    let series = request.timeseries.iter().map(|s| {
        let labels = pairs(&s.labels_refs);
        let exemplars: Option<Vec<_>> = s
            .exemplars
            .iter()
            .map(|e| Some((pairs(&e.labels_refs)?, e.value.to_bits(), e.timestamp)))
            .collect();
        let metadata = match s.metadata {
            Some(m) => (|| Some(Some((kind(m.r#type), text(m.help_ref)?, text(m.unit_ref)?))))(),
            None => Some(None),
        };
        let bad = labels.is_none() || exemplars.is_none() || metadata.is_none();
        FlatSeries {
            bad,
            labels: if bad { Vec::new() } else { labels.unwrap() },
            samples: s.samples.iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).collect(),
            histograms: s.histograms.iter().map(Into::into).collect(),
            exemplars: exemplars.unwrap_or_default(),
            created: s.created_timestamp,
            metadata: metadata.flatten(),
        }
    });
    Flat { series: series.collect(), metadata: Vec::new() }
}

/// Exemplars of bad series are nobody's business, start timestamps of version 1 do not exist.
fn comparable(mut flat: Flat, starts: bool) -> Flat {
    for series in &mut flat.series {
        if series.bad {
            series.exemplars.clear();
            series.metadata = None;
        }
        if !starts {
            series.samples.iter_mut().for_each(|s| s.2 = 0);
            series.histograms.iter_mut().for_each(|h| h.start = 0);
        }
    }
    flat
}

/// Field 3 of a sample and 17 of a histogram are unknown to prost's version 1 but not to ours.
fn is_stricter(e: WriteError) -> bool {
    matches!(e, WriteError::Malformed(FormError::WireType(3 | 17) | FormError::TooDeep | FormError::TooLarge))
}

fn check_v1(view: &mut View, body: &[u8]) {
    match (view.decode_v1(body, Options::default()), v1::WriteRequest::decode(body)) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(comparable(flat(ours), false), comparable(flat_v1(&theirs), false));
            assert_eq!(ours.skip_label_validation(), theirs.skip_label_validation);
            assert_eq!(ours.skip_label_count_validation(), theirs.skip_label_count_validation);
            check_raw(ours);
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(theirs)) => assert!(is_utf8_objection(&theirs), "{theirs}"),
        (Err(ours), Ok(_)) => assert!(is_stricter(ours), "{ours}"),
    }
}

/// The raw span holds exactly the labels, and its ASCII test is never wrong.
fn check_raw(request: Request<'_>) {
    for series in request.series() {
        let ascii = series.labels().all(|(n, v)| n.is_ascii() && v.is_ascii());
        assert!(ascii || !series.is_ascii());
        if let Some(raw) = series.raw_labels() {
            let v1::TimeSeries { labels, .. } = v1::TimeSeries::decode(raw).unwrap();
            let ours: Vec<_> = series.labels().collect();
            let theirs: Vec<_> = labels.iter().map(|l| (l.name.as_bytes(), l.value.as_bytes())).collect();
            assert_eq!(ours, theirs);
            let mut r = crate::protobuf::Reader::new(raw);
            while !r.is_empty() {
                assert_eq!(r.key().unwrap() >> 3, 1, "nothing but labels");
                r.message().unwrap();
            }
        }
    }
}

fn check_v2(view: &mut View, body: &[u8]) {
    match (view.decode_v2(body, Options::default()), v2::Request::decode(body)) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(comparable(flat(ours), true), comparable(flat_v2(&theirs), true));
            for series in ours.series() {
                let ascii = series.labels().all(|(n, v)| n.is_ascii() && v.is_ascii());
                assert!(ascii || !series.is_ascii());
            }
        }
        (Err(WriteError::FirstSymbol), Ok(theirs)) => assert_ne!(theirs.symbols[0], ""),
        (Err(_), Err(_)) => {}
        (Ok(_), Err(theirs)) => assert!(is_utf8_objection(&theirs), "{theirs}"),
        (Err(ours), Ok(_)) => assert!(is_stricter(ours), "{ours}"),
    }
}

fn labels() -> impl Strategy<Value = Vec<v1::Label>> {
    vec((text(), text()).prop_map(|(name, value)| v1::Label { name, value }), 0..5)
}

fn series_v1() -> impl Strategy<Value = v1::TimeSeries> {
    let exemplar = (labels(), float(), time());
    let exemplar = exemplar.prop_map(|(labels, value, timestamp)| v1::Exemplar { labels, value, timestamp });
    let created = prop_oneof![3 => Just(0), 1 => time()];
    (labels(), vec(sample(), 0..3), vec(exemplar, 0..2), vec(histogram(false), 0..2), created).prop_map(
        |(labels, samples, exemplars, histograms, created_timestamp)| v1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
            created_timestamp,
        },
    )
}

fn request_v1() -> impl Strategy<Value = v1::WriteRequest> {
    (vec(series_v1(), 0..4), vec(metric_metadata(), 0..3), any::<[bool; 2]>()).prop_map(
        |(timeseries, metadata, skip)| v1::WriteRequest {
            timeseries,
            metadata,
            skip_label_validation: skip[0],
            skip_label_count_validation: skip[1],
        },
    )
}

fn refs() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        8 => vec((0..8u32, 0..8u32), 0..5).prop_map(|p| p.into_iter().flat_map(|(a, b)| [a, b]).collect()),
        1 => vec(0..12u32, 0..6),
        1 => vec(any::<u32>(), 2),
    ]
}

fn series_v2() -> impl Strategy<Value = v2::TimeSeries> {
    let sample = (float(), time(), time());
    let sample = sample.prop_map(|(value, timestamp, start_timestamp)| v2::Sample {
        value,
        timestamp,
        start_timestamp,
    });
    let exemplar = (refs(), float(), time());
    let exemplar = exemplar.prop_map(|(labels_refs, value, timestamp)| proto::RefExemplar {
        labels_refs,
        value,
        timestamp,
    });
    let metadata = (-1..10i32, 0..8u32, 0..9u32);
    let metadata = metadata.prop_map(|(kind, help_ref, unit_ref)| proto::RefMetadata {
        r#type: kind,
        help_ref,
        unit_ref,
    });
    let lists = (vec(sample, 0..3), vec(histogram(true), 0..2), vec(exemplar, 0..2));
    (refs(), lists, proptest::option::of(metadata), time()).prop_map(
        |(labels_refs, (samples, histograms, exemplars), metadata, created_timestamp)| v2::TimeSeries {
            labels_refs,
            samples,
            histograms,
            exemplars,
            metadata,
            created_timestamp,
        },
    )
}

fn request_v2() -> impl Strategy<Value = v2::Request> {
    let first = prop_oneof![9 => Just(String::new()), 1 => text()];
    (first, vec(text(), 7), vec(series_v2(), 0..4)).prop_map(|(first, mut symbols, timeseries)| {
        symbols.insert(0, first);
        v2::Request { symbols, timeseries }
    })
}

/// The fields of a version 1 series, each encoded alone.
fn pieces_v1(series: &v1::TimeSeries) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut add = |s: v1::TimeSeries| pieces.push(s.encode_to_vec());
    let empty = v1::TimeSeries::default;
    series.labels.iter().for_each(|l| add(v1::TimeSeries { labels: vec![l.clone()], ..empty() }));
    series.samples.iter().for_each(|s| add(v1::TimeSeries { samples: vec![*s], ..empty() }));
    series.exemplars.iter().for_each(|e| add(v1::TimeSeries { exemplars: vec![e.clone()], ..empty() }));
    series.histograms.iter().for_each(|h| add(v1::TimeSeries { histograms: vec![h.clone()], ..empty() }));
    add(v1::TimeSeries { created_timestamp: series.created_timestamp, ..empty() });
    pieces
}

/// The fields of a version 2 series, each encoded alone; references one by one, unpacked.
fn pieces_v2(series: &v2::TimeSeries) -> Vec<Vec<u8>> {
    let mut pieces: Vec<_> = series
        .labels_refs
        .iter()
        .map(|r| {
            let mut piece = vec![0x08];
            crate::protobuf::put_varint(&mut piece, u64::from(*r));
            piece
        })
        .collect();
    let mut add = |s: v2::TimeSeries| pieces.push(s.encode_to_vec());
    let empty = v2::TimeSeries::default;
    series.samples.iter().for_each(|s| add(v2::TimeSeries { samples: vec![*s], ..empty() }));
    series.exemplars.iter().for_each(|e| add(v2::TimeSeries { exemplars: vec![e.clone()], ..empty() }));
    series.histograms.iter().for_each(|h| add(v2::TimeSeries { histograms: vec![h.clone()], ..empty() }));
    add(v2::TimeSeries { metadata: series.metadata, ..empty() });
    add(v2::TimeSeries {
        metadata: Some(proto::RefMetadata { r#type: 3, help_ref: 0, unit_ref: 0 }),
        ..empty()
    });
    add(v2::TimeSeries { created_timestamp: series.created_timestamp, ..empty() });
    pieces
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    crate::protobuf::put_bytes_field(&mut out, number, content);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn v1_decodes_as_prost_does(a in request_v1(), b in request_v1()) {
        let mut view = View::new();
        for request in [&a, &b] {
            let body = request.encode_to_vec();
            let ours = view.decode_v1(&body, Options::default()).unwrap();
            prop_assert_eq!(flat(ours), flat_v1(request));
            prop_assert!(ours.series().all(|s| s.raw_labels().is_some() || s.labels().len() == 0));
        }
        check_v1(&mut view, &[a.encode_to_vec(), b.encode_to_vec()].concat());
    }

    #[test]
    fn v1_fields_come_in_any_order(series in vec(series_v1(), 1..4), keys in vec(any::<u32>(), 1..9)) {
        let series = series.iter().map(|s| field(1, &shuffle(pieces_v1(s), &keys))).collect();
        let mut body: Vec<u8> = shuffle(series, &keys);
        body.extend_from_slice(b"\x9b\x01\x08\x05\x9c\x01\xfd\x3f\x01\x02\x03\x04");
        check_v1(&mut View::new(), &body);
        prop_assert!(View::new().decode_v1(&body, Options::default()).is_ok());
    }

    #[test]
    fn v1_judges_broken_bytes_as_prost_does(request in request_v1(), mutations in mutations()) {
        check_v1(&mut View::new(), &mutate(request.encode_to_vec(), &mutations));
    }

    #[test]
    fn v2_decodes_as_prost_does(a in request_v2(), b in request_v2()) {
        let mut view = View::new();
        check_v2(&mut view, &a.encode_to_vec());
        check_v2(&mut view, &b.encode_to_vec());
        check_v2(&mut view, &[a.encode_to_vec(), b.encode_to_vec()].concat());
    }

    #[test]
    fn v2_fields_come_in_any_order(request in request_v2(), keys in vec(any::<u32>(), 1..9)) {
        let series = request.timeseries.iter().map(|s| field(5, &shuffle(pieces_v2(s), &keys)));
        let symbols = request.symbols.iter().map(|s| field(4, s.as_bytes()));
        check_v2(&mut View::new(), &shuffle(series.chain(symbols).collect(), &keys));
    }

    #[test]
    fn v2_judges_broken_bytes_as_prost_does(request in request_v2(), mutations in mutations()) {
        check_v2(&mut View::new(), &mutate(request.encode_to_vec(), &mutations));
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in vec(any::<u8>(), 0..200)) {
        check_v1(&mut View::new(), &body);
        check_v2(&mut View::new(), &body);
    }
}

fn one_series() -> v1::WriteRequest {
    let label = |name: &str, value: &str| v1::Label { name: name.into(), value: value.into() };
    let exemplar = v1::Exemplar { labels: vec![label("trace_id", "1")], value: 1.0, timestamp: 2 };
    v1::WriteRequest {
        timeseries: vec![v1::TimeSeries {
            labels: vec![label("__name__", "up"), label("job", "x")],
            samples: vec![proto::Sample { value: 1.0, timestamp: 1_700_000_000_000 }],
            exemplars: vec![exemplar],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn unwanted_exemplars_are_stepped_over() {
    let body = one_series().encode_to_vec();
    let mut view = View::new();
    assert_eq!(view.decode_v1(&body, Options::default()).unwrap().exemplar_count(), 1);
    let without = Options { exemplars: false, ..Options::default() };
    let request = view.decode_v1(&body, without).unwrap();
    assert_eq!((request.exemplar_count(), request.sample_count()), (0, 1));
    assert_eq!(request.get(0).unwrap().exemplars().len(), 0);
}

#[test]
fn a_view_keeps_nothing_of_the_request_before() {
    let body = one_series().encode_to_vec();
    let mut view = View::new();
    for _ in 0..3 {
        view.decode_v1(&body, Options::default()).unwrap();
        let lens = [view.series.len(), view.labels.len(), view.samples.len(), view.exemplars.len()];
        assert_eq!(lens, [1, 2, 1, 1]);
        assert_eq!(view.exemplar_labels.len(), 1);
    }
    assert!(view.decode_v1(b"", Options::default()).unwrap().is_empty());
}

#[test]
fn every_truncation_is_refused_or_ends_a_field() {
    let body = one_series().encode_to_vec();
    for len in 1..body.len() {
        assert!(View::new().decode_v1(&body[..len], Options::default()).is_err(), "{len}");
    }
}

#[test]
fn dense_bodies_meet_the_memory_limit() {
    let bombs: [(&str, Vec<u8>); 2] =
        [("histograms", field(1, &b"\x22\x00".repeat(100_000))), ("series", b"\x0a\x00".repeat(100_000))];
    for (name, body) in bombs {
        let outcome = View::new().decode_v1(&body, Options::default()).map(|r| r.len());
        assert_eq!(outcome, Err(FormError::TooLarge.into()), "{name}");
    }
    let limited = Options { budget: Some(Budget::new(1000)), ..Options::default() };
    let body = field(1, &b"\x12\x00".repeat(1000));
    let mut view = View::new();
    assert_eq!(view.decode_v1(&body, limited).map(|r| r.len()), Err(FormError::TooLarge.into()));
    assert!((900..=1000).contains(&view.kept_bytes()));
}
