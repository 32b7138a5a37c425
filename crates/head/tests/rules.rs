//! Which samples are taken, and what the others are refused for.
#![allow(clippy::unwrap_used)]

mod support;

use norn_contract::log::{Record, RecordKind};
use norn_head::Options;
use norn_model::histogram::{Histogram, Span};
use norn_model::labels::Labels;
use norn_model::metadata::MetricType;
use norn_model::rejection::Refused;
use norn_model::sample::stale_nan;
use norn_wire::histogram::HistogramRef;
use norn_wire::settings::FoldSettings;
use support::{Head, T0, Value, histogram, int, plain_settings, record, settings};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "x")];

fn head() -> Head {
    Head::new(Options::default())
}

#[test]
fn samples_come_in_order_and_repeats_are_silent() {
    let mut head = head();
    assert_eq!(head.sample(UP, T0, 1.0), None);
    assert_eq!(head.sample(UP, T0 + 15_000, f64::NAN), None);
    assert_eq!(head.sample(UP, T0 + 15_000, f64::NAN), None);
    assert_eq!(head.sample(UP, T0 + 15_000, 2.0), Some("sample-duplicate-timestamp"));
    assert_eq!(head.sample(UP, T0, 1.0), Some("sample-out-of-order"));
    let all = head.all("t");
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, Labels::from_pairs(UP.iter().copied()));
    let want = [(T0, Value::float(1.0)), (T0 + 15_000, Value::float(f64::NAN))];
    assert_eq!(all[0].1.clone().into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn a_refusal_names_time_and_series() {
    let mut head = head();
    head.sample(UP, T0, 1.0);
    let refused = head.write("t", |b| {
        b.series(UP.iter().copied()).sample(T0 - 1, 1.0).sample(T0 - 2, 1.0);
    });
    assert_eq!(refused.samples, 2);
    assert_eq!(
        refused.first.unwrap().text,
        "the sample has been rejected because another sample with a more recent timestamp has already been \
         ingested and out-of-order samples are not allowed. The affected sample has timestamp \
         2023-11-14T22:13:19.999Z and is from series {__name__=\"up\", job=\"x\"} (err-mimir-sample-out-of-order)"
    );
}

#[test]
fn late_samples_are_taken_within_the_window() {
    let mut head = head();
    head.apply(&settings("t", &FoldSettings { out_of_order_window: 60_000, ..plain_settings() }));
    // Another series sets the tenant's newest time.
    assert_eq!(head.sample(&[("__name__", "clock")], T0 + 100_000, 0.0), None);
    assert_eq!(head.sample(UP, T0 + 90_000, 1.0), None);
    assert_eq!(head.sample(UP, T0 + 40_000, 2.0), None);
    assert_eq!(head.sample(UP, T0 + 39_999, 3.0), Some("sample-timestamp-too-old"));
    assert_eq!(head.sample(UP, T0 + 40_000, 2.0), None);
    assert_eq!(head.sample(UP, T0 + 40_000, 4.0), Some("sample-duplicate-timestamp"));
    for i in 0..100 {
        assert_eq!(head.sample(UP, T0 + 89_000 - i * 10, i as f64), None);
    }
    // Repeats are found in sealed chunks of late samples, and among those in order.
    assert_eq!(head.sample(UP, T0 + 88_990, 1.0), None);
    assert_eq!(head.sample(UP, T0 + 88_990, 7.0), Some("sample-duplicate-timestamp"));
    let all = head.all("t");
    assert_eq!(all[1].1.len(), 102);
    assert_eq!(head.tenant("t").stats().series, 2);
}

#[test]
fn late_repeats_are_found_in_sealed_chunks() {
    let mut head = Head::new(Options { samples_per_chunk: 10, ..Options::default() });
    head.apply(&settings("t", &FoldSettings { out_of_order_window: 3_600_000, ..plain_settings() }));
    for i in 0..100 {
        assert_eq!(head.sample(UP, T0 + i * 1000, i as f64), None);
    }
    for i in 0..100 {
        assert_eq!(head.sample(UP, T0 + i * 1000, i as f64), None, "{i}");
        assert_eq!(head.sample(UP, T0 + i * 1000, -1.0), Some("sample-duplicate-timestamp"), "{i}");
    }
    assert_eq!(head.all("t")[0].1.len(), 100);
}

#[test]
fn limits_refuse_new_series_only() {
    let mut head = head();
    let limits = FoldSettings { max_series: 3, max_series_per_metric: 2, ..plain_settings() };
    assert_eq!(head.sample(&[("__name__", "a"), ("i", "1")], T0, 1.0), None);
    head.apply(&settings("t", &limits));
    assert_eq!(head.sample(&[("__name__", "a"), ("i", "2")], T0, 1.0), None);
    assert_eq!(head.sample(&[("__name__", "a"), ("i", "3")], T0, 1.0), Some("max-series-per-metric"));
    assert_eq!(head.sample(&[("__name__", "b"), ("i", "1")], T0, 1.0), None);
    assert_eq!(head.sample(&[("__name__", "c"), ("i", "1")], T0, 1.0), Some("max-series-per-user"));
    assert_eq!(head.sample(&[("__name__", "a"), ("i", "1")], T0 + 1, 1.0), None);
    let mut other = Refused::default();
    let foreign = record("u", |b| {
        for i in 0..10 {
            b.series([("__name__", "a"), ("i", &i.to_string())]).sample(T0, 1.0);
        }
    });
    head.writer.apply(head.writer.next_offset(), &foreign, &mut other).unwrap();
    assert!(other.is_empty());
    assert_eq!(head.tenant("u").stats().series, 10);
}

#[test]
fn labels_are_normalised() {
    let mut head = head();
    assert_eq!(head.sample(&[("__name__", "up"), ("empty", ""), ("job", "x")], T0, 1.0), None);
    assert_eq!(head.sample(&[("job", "x"), ("__name__", "up")], T0 + 1, 1.0), None);
    assert_eq!(head.sample(&[("job", "x"), ("a", ""), ("__name__", "up"), ("z", "")], T0 + 2, 1.0), None);
    assert_eq!(head.sample(UP, T0 + 3, 1.0), None);
    assert_eq!(head.all("t").len(), 1);
    assert_eq!(head.all("t")[0].1.len(), 4);
    let twice = [("__name__", "up"), ("job", "x"), ("job", "y")];
    assert_eq!(head.sample(&twice, T0, 1.0), Some("duplicate-label-names"));
    assert_eq!(
        head.sample(&[("job", "x"), ("__name__", "up"), ("job", "x")], T0, 1.0),
        Some("duplicate-label-names")
    );
    assert_eq!(head.sample(&[], T0, 1.0), Some("missing-metric-name"));
    assert_eq!(head.sample(&[("a", "")], T0, 1.0), Some("missing-metric-name"));
    assert_eq!(head.sample(&[("", "x")], T0, 1.0), Some("label-invalid"));
    assert_eq!(head.sample(&[("a", &"x".repeat(70_000))], T0, 1.0), Some("label-value-too-long"));
    let many: Vec<String> = (0..5000).map(|i| format!("l{i:04}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "v")).collect();
    assert_eq!(head.sample(&many[..4096], T0, 1.0), None);
    assert_eq!(head.sample(&many, T0, 1.0), Some("max-label-names-per-series"));
}

#[test]
fn histograms_and_floats_share_a_series() {
    let mut head = head();
    let write = |head: &mut Head, t: i64, h: &Histogram| {
        let refused = head.write("t", |b| {
            b.series(UP.iter().copied()).histogram(t, HistogramRef::Int(h));
        });
        refused.first.map(|r| r.id)
    };
    assert_eq!(head.sample(UP, T0, 1.0), None);
    assert_eq!(write(&mut head, T0 + 1, &histogram(1)), None);
    assert_eq!(write(&mut head, T0 + 2, &histogram(2)), None);
    assert_eq!(write(&mut head, T0 + 2, &histogram(2)), None);
    assert_eq!(write(&mut head, T0 + 2, &histogram(3)), Some("sample-duplicate-timestamp"));
    assert_eq!(head.sample(UP, T0 + 2, 1.0), Some("sample-duplicate-timestamp"));
    assert_eq!(write(&mut head, T0, &histogram(3)), Some("sample-out-of-order"));
    // A float stale marker ends a series of histograms as what it was.
    assert_eq!(head.sample(UP, T0 + 3, stale_nan()), None);
    assert_eq!(head.sample(UP, T0 + 4, 5.0), None);
    assert_eq!(head.sample(UP, T0 + 5, stale_nan()), None);
    let stale = Histogram { sum: stale_nan(), ..Histogram::default() };
    let want = [
        (T0, Value::float(1.0)),
        (T0 + 1, int(histogram(1))),
        (T0 + 2, int(histogram(2))),
        (T0 + 3, int(stale)),
        (T0 + 4, Value::float(5.0)),
        (T0 + 5, Value::float(stale_nan())),
    ];
    assert_eq!(head.all("t")[0].1.clone().into_iter().collect::<Vec<_>>(), want);
    let stats = head.tenant("t").stats();
    assert_eq!((stats.samples, stats.histograms), (4, 3));
}

#[test]
fn bad_histograms_are_refused_and_begin_no_series() {
    let mut head = head();
    let bad = Histogram { count: 7, ..histogram(1) };
    let worse = Histogram { positive_spans: vec![Span { offset: 0, length: 9 }], ..histogram(1) };
    for (h, id) in
        [(&bad, "native-histogram-count-mismatch"), (&worse, "native-histogram-spans-buckets-mismatch")]
    {
        let refused = head.write("t", |b| {
            b.series(UP.iter().copied()).histogram(T0, HistogramRef::Int(h));
        });
        assert_eq!((refused.histograms, refused.first.unwrap().id), (1, id));
    }
    assert_eq!(head.tenant("t").stats().series, 0);
    head.apply(&settings("t", &FoldSettings { native_histograms: false, ..plain_settings() }));
    let refused = head.write("t", |b| {
        b.series(UP.iter().copied()).histogram(T0, HistogramRef::Int(&histogram(1)));
    });
    assert!(refused.is_empty());
    assert_eq!(head.tenant("t").stats().series, 0);
}

#[test]
fn late_histograms_are_taken() {
    let mut head = head();
    head.apply(&settings("t", &FoldSettings { out_of_order_window: 600_000, ..plain_settings() }));
    head.sample(UP, T0 + 500_000, 1.0);
    for i in (0..80u64).rev() {
        let h = histogram(i);
        let (int, float) = (HistogramRef::Int(&h), h.to_float());
        let h = if i % 20 < 10 { int } else { HistogramRef::Float(&float) };
        let refused = head.write("t", |b| {
            b.series(UP.iter().copied()).histogram(T0 + i as i64 * 1000, h);
        });
        assert!(refused.is_empty(), "{refused:?}");
    }
    let all = head.all("t");
    assert_eq!(all[0].1.len(), 81);
    assert_eq!(all[0].1[&(T0 + 3000)], int(histogram(3)));
    assert_eq!(all[0].1[&(T0 + 13_000)], support::float_histogram(histogram(13).to_float()));
}

#[test]
fn exemplars_and_metadata_are_kept() {
    let mut head = head();
    let trace = |i: u64| [("trace_id", i.to_string())];
    let refused = head.write("t", |b| {
        b.series(UP.iter().copied()).exemplar(trace(0), 1.0, T0);
    });
    assert_eq!((refused.exemplars, refused.first.unwrap().id), (1, "exemplar-series-missing"));
    head.apply(&settings("t", &FoldSettings { max_exemplars: 3, ..plain_settings() }));
    for i in 0..5 {
        head.write("t", |b| {
            let mut series = b.series(UP.iter().copied());
            series.sample(T0 + i as i64, 1.0).exemplar(trace(i), 1.0, T0 + i as i64);
            series.metadata(MetricType::Gauge, if i < 3 { "help" } else { "other" }, "s");
        });
    }
    let kept: Vec<i64> = head.tenant("t").exemplars().iter().map(|(_, e)| e.timestamp - T0).collect();
    assert_eq!(kept, [2, 3, 4]);
    head.apply(&settings("t", &FoldSettings { max_exemplars: 1, ..plain_settings() }));
    assert_eq!(head.tenant("t").exemplars().len(), 1);
}

#[test]
fn records_are_folded_once() {
    let mut head = head();
    let first = record("t", |b| {
        b.series(UP.iter().copied()).sample(T0, 1.0);
    });
    let mut refused = Refused::default();
    head.writer.apply(7, &first, &mut refused).unwrap();
    assert_eq!(head.writer.next_offset(), 8);
    let other = record("t", |b| {
        b.series(UP.iter().copied()).sample(T0 + 1, 1.0);
    });
    head.writer.apply(7, &other, &mut refused).unwrap();
    assert_eq!(head.all("t")[0].1.len(), 1);
    assert!(refused.is_empty());
}

#[test]
fn hostile_records_change_nothing() {
    let mut head = head();
    head.sample(UP, T0, 1.0);
    let before = head.writer.digest();
    let good = record("t", |b| {
        b.series(UP.iter().copied()).sample(T0 + 1, 1.0).exemplar([("a", "b")], 1.0, T0);
        b.series([("__name__", "h")]).histogram(T0, HistogramRef::Int(&histogram(3)));
    });
    let values: [&[u8]; 4] = [
        b"\x2a\x04\x0a\x02\x01\x7f",         // a reference that is out of range
        b"\x2a\x05\x0a\x03\x01\x02\x04\x01", // an odd number of them
        b"\x2a\xff\xff\xff\xff\x0f",
        b"\x22\x02\xff\xfe\x2a\x04\x0a\x02\x01\x40",
    ];
    let mut refused = Refused::default();
    for value in values {
        let record = Record { value: bytes::Bytes::copy_from_slice(value), ..good.clone() };
        assert!(head.writer.apply(head.writer.next_offset(), &record, &mut refused).is_err(), "{value:?}");
    }
    for version in [3, 255] {
        let record = Record { kind: RecordKind::Write(version), ..good.clone() };
        assert!(head.writer.apply(head.writer.next_offset(), &record, &mut refused).is_err());
    }
    let settings = Record { kind: RecordKind::Settings, ..good.clone() };
    assert!(head.writer.apply(head.writer.next_offset(), &settings, &mut refused).is_err());
    assert_eq!(head.writer.digest(), before);
    // Any single changed byte: refused or taken, never a panic.
    for i in 0..good.value.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut value = good.value.to_vec();
            value[i] ^= flip;
            let record = Record { value: value.into(), ..good.clone() };
            let _ = head.writer.apply(head.writer.next_offset(), &record, &mut refused);
        }
    }
    head.all("t");
}
