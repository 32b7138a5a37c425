//! Requests through the distributor into a real embedded log, read back as records.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::BoxFuture;
use norn_contract::append::{AppendError, Appender, Compression, Protocol, Push, Written};
use norn_contract::clock::{Clock, SystemClock};
use norn_contract::log::{IngestLog, LogError, LogReader, Offset, Partition, Record, RecordKind};
use norn_distributor::{Distributor, InstanceLimits, Parts};
use norn_kit::metrics::Registry;
use norn_kit::pool::Pool;
use norn_kit::stage::StageCpu;
use norn_limits::{Limits, TenantLimits};
use norn_log::EmbeddedLog;
use norn_model::tenant::Tenant;
use norn_wire::proto::{Sample, v1, v2};
use norn_wire::record::View;
use norn_wire::settings::FoldSettings;
use prost::Message;

struct Fixture {
    distributor: Distributor,
    log: Arc<EmbeddedLog>,
    registry: Registry,
    _dir: tempfile::TempDir,
}

fn fixture(limits: Limits) -> Fixture {
    fixture_with(limits, |_| {}, |log| log)
}

/// With changed options of the log, and with something in front of it.
fn fixture_with(
    limits: Limits,
    change: impl FnOnce(&mut norn_log::options::Options),
    front: impl FnOnce(Arc<dyn IngestLog>) -> Arc<dyn IngestLog>,
) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut options = norn_log::options::Options::new(dir.path());
    options.partitions = 1;
    change(&mut options);
    let max_record_bytes = options.max_record_bytes;
    let log = EmbeddedLog::open(options, Arc::new(norn_log::disk::Disk)).unwrap();
    let registry = Registry::new();
    let parts = Parts {
        limits: TenantLimits::new(limits),
        log: front(log.clone()),
        applied: None,
        clock: Arc::new(SystemClock),
        pool: Pool::new("test", 1).unwrap(),
        stages: StageCpu::register(&registry),
        max_recv_msg_size: 1 << 20,
        max_record_bytes,
        instance: InstanceLimits::default(),
        holdings: None,
    };
    Fixture { distributor: Distributor::new(parts, &registry), log, registry, _dir: dir }
}

fn tenant() -> Tenant {
    Tenant::admit("t").unwrap()
}

fn now() -> i64 {
    SystemClock.now()
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> v1::TimeSeries {
    let label = |(name, value): &(&str, &str)| v1::Label { name: (*name).into(), value: (*value).into() };
    v1::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(|&(timestamp, value)| Sample { timestamp, value }).collect(),
        ..Default::default()
    }
}

impl Fixture {
    fn push(&self, timeseries: Vec<v1::TimeSeries>) -> Result<Written, AppendError> {
        let body = v1::WriteRequest { timeseries, ..Default::default() }.encode_to_vec();
        self.push_raw(body.into())
    }

    fn push_raw(&self, body: Bytes) -> Result<Written, AppendError> {
        let push = Push { protocol: Protocol::RemoteWrite1, compression: Compression::None, body };
        block_on(self.distributor.push(tenant(), push))
    }

    fn records(&self) -> Vec<Record> {
        let mut out = Vec::new();
        let mut reader = self.log.read(0, 0).unwrap();
        while (out.len() as u64) < self.log.range(0).end {
            reader.next(&mut out, Duration::from_millis(10)).unwrap();
        }
        out.into_iter().map(|(_, record)| record).collect()
    }

    /// Every sample in the log as text.
    fn stored(&self) -> Vec<String> {
        let mut view = View::new();
        let mut out = Vec::new();
        for record in self.records() {
            let RecordKind::Write(version) = record.kind else { continue };
            view.decode(version, &record.value).unwrap();
            for series in view.series() {
                let labels: Vec<_> = series.labels().map(|(n, v)| format!("{n}={v}")).collect();
                out.extend(series.samples().iter().map(|s| format!("{} {}", labels.join(","), s.value)));
            }
        }
        out
    }
}

impl Fixture {
    fn metrics(&self) -> String {
        let mut text = String::new();
        self.registry.encode_text(&mut text).unwrap();
        text
    }
}

fn first_id(written: &Written) -> &'static str {
    written.refused.first.as_ref().map_or("none", |r| r.id)
}

#[test]
fn a_bad_series_does_not_take_a_good_one_with_it() {
    let f = fixture(Limits::default());
    let t = now();
    let written = f
        .push(vec![
            series(&[("job", "x")], &[(t, 1.0), (t + 1, 2.0)]),
            series(&[("__name__", "good"), ("job", "x")], &[(t, 3.0)]),
            series(&[("__name__", "bad name")], &[(t, 4.0)]),
        ])
        .unwrap();
    assert_eq!((written.samples, written.refused.samples), (1, 3));
    assert_eq!(first_id(&written), "missing-metric-name");
    assert_eq!(f.stored(), ["__name__=good,job=x 3"]);
    let text = f.metrics();
    for discarded in
        ["reason=\"missing_metric_name\",group=\"\"} 2", "reason=\"metric_name_invalid\",group=\"\"} 1"]
    {
        assert!(text.contains(discarded), "{text}");
    }
}

#[test]
fn labels_are_sorted_and_empty_ones_left_out() {
    let f = fixture(Limits::default());
    let labels = [("z", "1"), ("__name__", "m"), ("gone", ""), ("a", "é")];
    f.push(vec![series(&labels, &[(now(), 1.0)])]).unwrap();
    assert_eq!(f.stored(), ["__name__=m,a=é,z=1 1"]);
}

#[test]
fn of_equal_timestamps_the_first_is_kept() {
    let f = fixture(Limits::default());
    let t = now();
    let written =
        f.push(vec![series(&[("__name__", "m")], &[(t, 1.0), (t, 2.0), (t - 5, 3.0), (t, 4.0)])]).unwrap();
    assert_eq!(written.samples, 2);
    assert_eq!(f.stored(), ["__name__=m 1", "__name__=m 3"]);
}

#[test]
fn settings_precede_the_first_record_only() {
    let f = fixture(Limits { max_global_series_per_user: 7, ..Limits::default() });
    for _ in 0..3 {
        f.push(vec![series(&[("__name__", "m")], &[(now(), 1.0)])]).unwrap();
    }
    let kinds: Vec<_> = f.records().iter().map(|r| r.kind).collect();
    let write = RecordKind::Write(2);
    assert_eq!(kinds, [RecordKind::Settings, write, write, write]);
    let settings = FoldSettings::decode(&f.records()[0].value).unwrap();
    assert_eq!(settings.max_series, 7);
}

#[test]
fn the_rate_limit_is_all_or_nothing() {
    let f = fixture(Limits { ingestion_rate: 1.0, ingestion_burst_size: 3, ..Limits::default() });
    let t = now();
    let two = || vec![series(&[("__name__", "m")], &[(t, 1.0), (t + 1, 2.0)])];
    f.push(two()).unwrap();
    let many = vec![series(&[("__name__", "m")], &[(t, 1.0), (t + 1, 2.0), (t + 2, 3.0), (t + 3, 4.0)])];
    for (request, said) in [(two(), "1 items/s with a maximum allowed burst of 3"), (many, "its 4 items")] {
        match f.push(request) {
            Err(AppendError::RateLimited(r)) => {
                assert_eq!(r.id, "tenant-max-ingestion-rate");
                assert!(r.text.contains(said), "{}", r.text);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(f.stored().len(), 2);
}

#[test]
fn oversized_and_broken_bodies_are_told_apart() {
    let f = fixture(Limits::default());
    match f.push_raw(vec![0; (1 << 20) + 1].into()) {
        Err(AppendError::TooLarge(r)) => assert_eq!(r.id, "distributor-max-write-message-size"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(f.push_raw(Bytes::from_static(b"\x0a\xff")), Err(AppendError::Malformed(_))));
    assert!(f.records().is_empty());
}

#[test]
fn a_large_request_is_worked_on_by_the_pool() {
    let f = fixture(Limits::default());
    let t = now();
    let many = (0..8000).map(|i| series(&[("__name__", "m"), ("i", &i.to_string())], &[(t, f64::from(i))]));
    assert_eq!(f.push(many.collect()).unwrap().samples, 8000);
    assert_eq!(f.stored().len(), 8000);
}

/// A log that refuses the first records, as a full one does.
struct RefusesFirst {
    log: Arc<dyn IngestLog>,
    left: AtomicUsize,
}

impl IngestLog for RefusesFirst {
    fn writable(&self) -> Partition {
        self.log.writable()
    }

    fn known(&self) -> Partition {
        self.log.known()
    }

    fn append(&self, partition: Partition, record: Record) -> BoxFuture<'static, Result<Offset, LogError>> {
        let less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Box::pin(std::future::ready(Err(LogError::Unavailable("full".into()))));
        }
        self.log.append(partition, record)
    }

    fn range(&self, partition: Partition) -> std::ops::Range<Offset> {
        self.log.range(partition)
    }

    fn read(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        self.log.read(partition, from)
    }

    fn trim(&self, partition: Partition, before: Offset) -> Result<(), LogError> {
        self.log.trim(partition, before)
    }
}

#[test]
fn no_record_is_taken_without_its_settings() {
    let front = |log| Arc::new(RefusesFirst { log, left: AtomicUsize::new(1) }) as Arc<dyn IngestLog>;
    let f = fixture_with(Limits::default(), |_| {}, front);
    let push = || f.push(vec![series(&[("__name__", "m")], &[(now(), 1.0)])]);
    assert!(matches!(push(), Err(AppendError::Unavailable(_))));
    assert!(f.records().is_empty());
    push().unwrap();
    let kinds: Vec<_> = f.records().iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [RecordKind::Settings, RecordKind::Write(2)]);
}

#[test]
fn a_request_above_what_the_log_queues_is_stored_in_pieces() {
    let small = |options: &mut norn_log::options::Options| {
        options.max_record_bytes = 64 << 10;
        options.max_queued_bytes = 100 << 10;
    };
    let f = fixture_with(Limits::default(), small, |log| log);
    let t = now();
    let long = "x".repeat(400);
    let many = |i: u32| {
        let name = format!("{i}{long}");
        series(&[("__name__", "m"), ("i", &name)], &[(t, f64::from(i))])
    };
    assert_eq!(f.push((0..2000).map(many).collect()).unwrap().samples, 2000);
    assert_eq!(f.stored().len(), 2000);
    assert!(f.records().iter().all(|r| r.value.len() <= 64 << 10));
}

#[test]
fn metadata_fills_as_many_records_as_it_needs() {
    let small = |options: &mut norn_log::options::Options| options.max_record_bytes = 64 << 10;
    let f = fixture_with(Limits::default(), small, |log| log);
    let metadata = |i: u32| norn_wire::proto::MetricMetadata {
        r#type: 1,
        metric_family_name: format!("family_{i}"),
        help: format!("{i} {}", "h".repeat(900)),
        unit: String::new(),
    };
    let request = v1::WriteRequest { metadata: (0..500).map(metadata).collect(), ..Default::default() };
    let written = f.push_raw(request.encode_to_vec().into()).unwrap();
    assert_eq!(first_id(&written), "none");
    let mut view = View::new();
    let families = |record: &Record| match record.kind {
        RecordKind::Write(version) => {
            view.decode(version, &record.value).unwrap();
            view.metadata().count()
        }
        RecordKind::Settings => 0,
    };
    assert_eq!(f.records().iter().map(families).sum::<usize>(), 500);
}

#[test]
fn a_request_can_not_lift_the_limits_of_its_labels() {
    let f = fixture(Limits { max_label_names_per_series: 2, ..Limits::default() });
    let bad = series(&[("__name__", "m"), ("a b", "1")], &[(now(), 1.0)]);
    let many = series(&[("__name__", "m"), ("a", "1"), ("b", "1")], &[(now(), 1.0)]);
    for (series, id) in [(bad, "label-invalid"), (many, "max-label-names-per-series")] {
        let request = v1::WriteRequest {
            timeseries: vec![series],
            skip_label_validation: true,
            skip_label_count_validation: true,
            ..Default::default()
        };
        assert_eq!(first_id(&f.push_raw(request.encode_to_vec().into()).unwrap()), id);
    }
    assert!(f.stored().is_empty());
}

/// Texts that a request repeats are in a record once, so histograms of a few bytes may be most of it.
#[test]
fn a_record_of_tiny_histograms_can_be_read_back() {
    let f = fixture(Limits::default());
    let long = "x".repeat(2000);
    let of = |i: i64| {
        let mut s = series(&[("__name__", "m"), ("long", &long), ("i", &i.to_string())], &[]);
        let tiny = |timestamp| norn_wire::proto::Histogram { timestamp, ..Default::default() };
        s.histograms = (1..=20).map(tiny).collect();
        s
    };
    assert_eq!(f.push((0..300).map(of).collect()).unwrap().histograms, 6000);
    let mut view = View::new();
    for record in f.records() {
        if let RecordKind::Write(version) = record.kind {
            view.decode(version, &record.value).unwrap();
            assert_eq!(view.series().map(|s| s.histograms().len()).sum::<usize>(), 6000);
        }
    }
}

#[test]
fn exemplars_are_old_by_the_oldest_sample_of_the_request() {
    let f = fixture(Limits { max_global_exemplars_per_user: 10, ..Limits::default() });
    let t = now();
    let with = |name: &str, at: i64, exemplar: i64| {
        let mut s = series(&[("__name__", name)], &[(at, 1.0)]);
        let labels = vec![v1::Label { name: "trace_id".into(), value: "1".into() }];
        s.exemplars = vec![v1::Exemplar { labels, value: 1.0, timestamp: exemplar }];
        s
    };
    let minutes = |n: i64| n * 60_000;
    let (old, older) = (t - minutes(8), t - minutes(30));
    // Alone it is more than five minutes older than its sample; beside an older series it is not.
    assert_eq!(f.push(vec![with("a", t, old)]).unwrap().exemplars, 0);
    let written = f.push(vec![with("a", t + 1, old), with("b", t - minutes(5), older)]).unwrap();
    assert_eq!((written.exemplars, first_id(&written)), (1, "none"));
}

#[test]
fn the_start_timestamp_of_remote_write_2_reaches_the_record() {
    let f = fixture(Limits::default());
    let t = now();
    let request = v2::Request {
        symbols: ["", "__name__", "c_total"].map(String::from).to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2],
            samples: vec![v2::Sample { timestamp: t, value: 1.0, start_timestamp: t - 5000 }],
            ..Default::default()
        }],
    };
    let body = request.encode_to_vec().into();
    let push = Push { protocol: Protocol::RemoteWrite2, compression: Compression::None, body };
    block_on(f.distributor.push(tenant(), push)).unwrap();
    let mut view = View::new();
    view.decode(2, &f.records()[1].value).unwrap();
    assert_eq!(view.series().next().map(|s| s.created()), Some(t - 5000));
}

fn histogram(timestamp: i64, schema: i32, counts: &[i64]) -> norn_wire::proto::Histogram {
    let mut before = 0;
    let deltas = counts.iter().map(|c| c - std::mem::replace(&mut before, *c)).collect();
    norn_wire::proto::Histogram {
        count: Some(norn_wire::proto::Count::Int(counts.iter().sum::<i64>() as u64)),
        sum: 4.5,
        schema,
        zero_threshold: 0.001,
        positive_spans: vec![norn_wire::proto::BucketSpan { offset: 1, length: counts.len() as u32 }],
        positive_deltas: deltas,
        timestamp,
        ..Default::default()
    }
}

fn with_histogram(name: &str, h: norn_wire::proto::Histogram) -> v1::TimeSeries {
    v1::TimeSeries { histograms: vec![h], ..series(&[("__name__", name)], &[]) }
}

#[test]
fn histograms_with_too_many_buckets_lose_resolution_or_are_refused() {
    let t = now();
    let of = |reduce| Limits {
        max_native_histogram_buckets: 4,
        reduce_native_histogram_over_max_buckets: reduce,
        ..Limits::default()
    };
    let f = fixture(of(true));
    let custom = norn_wire::proto::Histogram {
        custom_values: vec![1.0, 2.0, 3.0, 4.0],
        zero_threshold: 0.0,
        positive_spans: vec![norn_wire::proto::BucketSpan { offset: 0, length: 5 }],
        ..histogram(t, -53, &[1, 2, 3, 4, 5])
    };
    let mut apart = histogram(t, 8, &[1, 2, 3, 4, 5]);
    apart.positive_spans =
        (0..5).map(|i| norn_wire::proto::BucketSpan { offset: i * 20_000, length: 1 }).collect();
    for (h, id) in [
        (histogram(t, 3, &[1, 2, 3, 4, 5]), "none"),
        (histogram(t + 1, 3, &[1, 2, 3, 4]), "none"),
        (custom, "native-histogram-custom-buckets-not-reducible"),
        (apart, "not-reducible-native-histogram"),
        (histogram(t, 9, &[1]), "invalid-native-histogram-schema"),
    ] {
        assert_eq!(first_id(&f.push(vec![with_histogram("h", h)]).unwrap()), id);
    }
    let mut view = View::new();
    let mut stored = Vec::new();
    for record in f.records().iter().filter(|r| r.kind == RecordKind::Write(2)) {
        view.decode(2, &record.value).unwrap();
        for sample in view.series().flat_map(|s| s.histograms().collect::<Vec<_>>()) {
            let norn_wire::histogram::HistogramRef::Int(h) = sample.histogram else { panic!() };
            stored.push((h.schema, h.count, h.sum, h.positive_buckets.clone()));
        }
    }
    // Buckets 1–5 of schema 3 are 1–3 of schema 2.
    assert_eq!(stored, [(2, 15, 4.5, vec![3, 4, -2]), (3, 10, 4.5, vec![1, 1, 1, 1])]);
    let f = fixture(of(false));
    let written = f.push(vec![with_histogram("h", histogram(t, 3, &[1, 2, 3, 4, 5]))]).unwrap();
    assert_eq!((first_id(&written), written.refused.histograms), ("max-native-histogram-buckets", 1));
}

#[test]
fn everything_that_is_not_stored_is_counted_under_its_reason() {
    let f = fixture(Limits {
        ingestion_burst_size: 5,
        max_global_exemplars_per_user: 10,
        max_exemplars_per_series_per_request: 1,
        past_grace_period: Duration::from_secs(3600),
        ..Limits::default()
    });
    let t = now();
    let exemplar = |at: i64, name: &str, value: &str| {
        let labels = vec![v1::Label { name: name.into(), value: value.into() }];
        v1::Exemplar { labels, value: 1.0, timestamp: at }
    };
    let with = |name: &str, exemplars: Vec<v1::Exemplar>| v1::TimeSeries {
        exemplars,
        ..series(&[("__name__", name)], &[(t, 1.0)])
    };
    let long = "x".repeat(200);
    let timeseries = vec![
        series(&[("job", "x")], &[(t, 1.0), (t + 1, 1.0)]),
        series(&[("__name__", "twice")], &[(t, 1.0), (t, 2.0)]),
        series(&[("__name__", "future")], &[(t + 3_600_000, 1.0)]),
        series(&[("__name__", "past")], &[(t - 7_200_000, 1.0)]),
        with_histogram("h", histogram(t, 20, &[1])),
        with("a", vec![exemplar(t, "", "")]),
        with("b", vec![exemplar(t, "trace_id", &long)]),
        with("c", vec![exemplar(t - 180 * 60_000, "trace_id", "1"), exemplar(t, "trace_id", "2")]),
        with("d", vec![exemplar(t + 30 * 60_000, "trace_id", "1")]),
        with("e", vec![exemplar(t, "trace_id", "1")]),
    ];
    let metadata = |metric_family_name: &str, unit: &str| norn_wire::proto::MetricMetadata {
        metric_family_name: metric_family_name.into(),
        unit: unit.into(),
        ..Default::default()
    };
    let metadata = vec![metadata("", ""), metadata(&"m".repeat(1025), ""), metadata("m", &"u".repeat(1025))];
    let request = v1::WriteRequest { timeseries, metadata, ..Default::default() };
    // Six samples and an exemplar are good, and one more than the tenant may send at once.
    assert!(matches!(f.push_raw(request.encode_to_vec().into()), Err(AppendError::RateLimited(_))));
    let text = f.metrics();
    for (kind, reason, n) in [
        ("samples", "missing_metric_name", 2),
        ("samples", "sample_duplicate_timestamp", 1),
        ("samples", "too_far_in_future", 1),
        ("samples", "too_far_in_past", 1),
        ("samples", "invalid_native_histogram_schema", 1),
        ("samples", "rate_limited", 6),
        ("exemplars", "exemplar_labels_blank", 1),
        ("exemplars", "exemplar_labels_too_long", 1),
        ("exemplars", "exemplar_too_old", 1),
        ("exemplars", "too_many_exemplars_per_series_per_request", 1),
        ("exemplars", "exemplar_too_far_in_future", 1),
        ("exemplars", "rate_limited", 1),
        ("metadata", "metadata_missing_metric_name", 1),
        ("metadata", "metric_name_too_long", 1),
        ("metadata", "unit_too_long", 1),
    ] {
        let group = if kind == "samples" { ",group=\"\"" } else { "" };
        let line = format!("cortex_discarded_{kind}_total{{user=\"t\",reason=\"{reason}\"{group}}} {n}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(text.contains("cortex_distributor_received_samples_total{user=\"t\"} 0\n"), "{text}");
    f.distributor.forget(&tenant());
    assert!(!f.metrics().contains("user=\"t\""));
}

#[test]
fn names_are_any_text_where_the_tenant_says_so() {
    let names: [&[(&str, &str)]; 3] =
        [&[("__name__", "a.b é")], &[("__name__", "m"), ("a b", "1")], &[("__name__", "m"), ("é", "1")]];
    let utf8 = norn_limits::NameValidationScheme::Utf8;
    for (scheme, stored) in [(utf8, 3), (norn_limits::NameValidationScheme::Legacy, 0)] {
        let f = fixture(Limits { name_validation_scheme: scheme, ..Limits::default() });
        f.push(names.iter().map(|labels| series(labels, &[(now(), 1.0)])).collect()).unwrap();
        assert_eq!(f.stored().len(), stored);
    }
    let f = fixture(Limits { name_validation_scheme: utf8, ..Limits::default() });
    let empty = series(&[("__name__", "m"), ("", "1")], &[(now(), 1.0)]);
    assert_eq!(first_id(&f.push(vec![empty]).unwrap()), "label-invalid");
    // Not UTF-8: a value, a label name, and a metric name, by their bytes.
    for (name, value, id) in [
        (&b"m"[..], (&b"a"[..], &b"\xff"[..]), "label-value-invalid"),
        (b"m", (b"\xff", b"a"), "label-invalid"),
        (b"\xff", (b"a", b"a"), "metric-name-invalid"),
    ] {
        let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
        let label = |n: &[u8], v: &[u8]| field(0x0a, &[field(0x0a, n), field(0x12, v)].concat());
        let body = [label(b"__name__", name), label(value.0, value.1), field(0x12, b"\x10\x01")].concat();
        assert_eq!(first_id(&f.push_raw(field(0x0a, &body).into()).unwrap()), id);
    }
}

#[test]
fn info_series_may_have_more_labels_but_never_fewer() {
    let labels = [("__name__", "a_info"), ("a", "1"), ("b", "1")];
    for (limit, info_limit, id) in [
        (2, 3, "none"),
        (1, 2, "max-label-names-per-info-series"),
        (2, 1, "max-label-names-per-series"),
        (3, 1, "none"),
    ] {
        let f = fixture(Limits {
            max_label_names_per_series: limit,
            max_label_names_per_info_series: info_limit,
            ..Limits::default()
        });
        assert_eq!(first_id(&f.push(vec![series(&labels, &[(now(), 1.0)])]).unwrap()), id);
    }
}
