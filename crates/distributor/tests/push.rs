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
use norn_distributor::{Distributor, Parts};
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
        max_inflight: 0,
        max_inflight_bytes: 0,
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
    let mut text = String::new();
    f.registry.encode_text(&mut text).unwrap();
    let discarded = "reason=\"missing_metric_name\",group=\"\"} 3";
    assert!(text.contains(discarded), "{text}");
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
    match f.push(two()) {
        Err(AppendError::RateLimited(r)) => assert_eq!(r.id, "tenant-max-ingestion-rate"),
        other => panic!("{other:?}"),
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
