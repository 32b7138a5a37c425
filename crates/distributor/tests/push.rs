//! Requests through the distributor into a real embedded log, read back as records.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use norn_contract::append::{AppendError, Appender, Compression, Protocol, Push, Written};
use norn_contract::clock::{Clock, SystemClock};
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_distributor::{Distributor, Parts};
use norn_kit::metrics::Registry;
use norn_kit::pool::Pool;
use norn_kit::stage::StageCpu;
use norn_limits::{Limits, TenantLimits};
use norn_log::EmbeddedLog;
use norn_model::tenant::Tenant;
use norn_wire::proto::{Sample, v1};
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
    let dir = tempfile::tempdir().unwrap();
    let mut options = norn_log::options::Options::new(dir.path());
    options.partitions = 1;
    let log = EmbeddedLog::open(options, Arc::new(norn_log::disk::Disk)).unwrap();
    let registry = Registry::new();
    let parts = Parts {
        limits: TenantLimits::new(limits),
        log: log.clone(),
        applied: None,
        clock: Arc::new(SystemClock),
        pool: Pool::new("test", 1).unwrap(),
        stages: StageCpu::register(&registry),
        max_recv_msg_size: 1 << 20,
        max_inflight: 0,
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
