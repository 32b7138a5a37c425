//! A log, an ingester and questions to it.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_codec::xor;
use norn_contract::applied::AppliedRecords;
use norn_contract::clock::SystemClock;
use norn_contract::log::{IngestLog, Offset, Record, RecordKind};
use norn_contract::rng::SystemRng;
use norn_contract::source::{ChunkBuf, LabelsRequest, Need, SelectRequest, Selection, TenantSources};
use norn_ingester::{Ingester, OnFatal, Options, Parts};
use norn_kit::pool::Pool;
use norn_limits::TenantLimits;
use norn_log::EmbeddedLog;
use norn_log::disk::Disk;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;

pub struct Process {
    pub log: Arc<EmbeddedLog>,
    pub ingester: Arc<Ingester>,
}

pub fn tenant(id: &str) -> Tenant {
    Tenant::admit(id).unwrap()
}

pub fn on_fatal() -> OnFatal {
    Arc::new(|why| panic!("{why}"))
}

pub fn parts(dir: &Path, log: Arc<dyn IngestLog>) -> Parts {
    Parts {
        options: Options::new(dir),
        log,
        fs: Arc::new(Disk),
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        pool: Pool::new("read", 1).unwrap(),
        limits: TenantLimits::default(),
    }
}

/// Samples of a series, by time.
pub type Samples = Vec<(i64, f64)>;

/// All samples of a tenant, by metric; every name is of one series.
pub fn all_samples(ingester: &Ingester, of: &str) -> BTreeMap<String, Samples> {
    let matcher = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    let selection = select(ingester, of, matcher);
    let names = selection.labels.iter().map(|labels| labels.metric_name().to_owned());
    names.enumerate().map(|(i, name)| (name, read(&selection, i))).collect()
}

fn select(ingester: &Ingester, of: &str, matcher: Matcher) -> Selection {
    let request = SelectRequest {
        matchers: Arc::new([matcher]),
        mint: i64::MIN,
        maxt: i64::MAX,
        need: Need::Samples,
        max_series: 0,
    };
    block_on(ingester.tenant(&tenant(of)).select(request)).unwrap()
}

/// Writes a sample into the log.
pub fn send(log: &EmbeddedLog, partition: u32, of: &str, name: &str, timestamp: i64, value: f64) -> Offset {
    let mut builder = Builder::new();
    builder.series([("__name__", name)]).sample(timestamp, value);
    let kind = RecordKind::Write(2);
    let record = Record { tenant: tenant(of), kind, timestamp, value: builder.finish() };
    block_on(log.append(partition, record)).unwrap()
}

impl Process {
    pub fn start(dir: &Path, partitions: u32) -> Self {
        let mut options = norn_log::options::Options::new(dir.join("log"));
        options.partitions = partitions;
        let log = EmbeddedLog::open(options, Arc::new(Disk)).unwrap();
        let ingester = Ingester::start(parts(dir, log.clone()), &on_fatal()).unwrap();
        while !ingester.is_caught_up() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { log, ingester }
    }

    pub fn stop(self) {
        self.log.close();
        self.ingester.join();
    }

    /// Writes a sample and waits until it is visible; nothing of it may be refused.
    pub fn append(&self, partition: u32, of: &str, name: &str, timestamp: i64, value: f64) -> Offset {
        let offset = send(&self.log, partition, of, name, timestamp, value);
        assert_eq!(block_on(self.ingester.applied(partition, offset)), Ok(None));
        offset
    }

    pub fn select(&self, of: &str, name: &str) -> Selection {
        select(&self.ingester, of, Matcher::new(MatchOp::Equal, "__name__", name).unwrap())
    }

    /// Samples of the tenant's one series of this name.
    pub fn samples(&self, of: &str, name: &str) -> Samples {
        let selection = self.select(of, name);
        assert!(selection.labels.len() < 2, "{:?}", selection.labels);
        if selection.labels.is_empty() { Vec::new() } else { read(&selection, 0) }
    }

    /// Names of the tenant's metrics.
    pub fn names(&self, of: &str) -> Vec<String> {
        let request = LabelsRequest { matchers: Vec::new(), mint: i64::MIN, maxt: i64::MAX, limit: 0 };
        block_on(self.ingester.tenant(&tenant(of)).label_values("__name__".into(), request)).unwrap()
    }
}

/// Samples of one series, by time, each once; of equal times the earlier chunk's.
pub fn read(selection: &Selection, index: usize) -> Samples {
    let mut chunks = ChunkBuf::default();
    selection.data.read(index, &mut chunks).unwrap();
    let mut samples = Vec::new();
    for chunk in &chunks.chunks {
        samples.extend(xor::iter(chunks.slice(chunk)).unwrap().map(Result::unwrap));
    }
    samples.sort_by_key(|(t, _)| *t);
    samples.dedup_by_key(|(t, _)| *t);
    samples
}
