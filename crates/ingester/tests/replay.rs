//! Records through a real log into heads: outcomes, visibility, replay.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_contract::applied::{AppliedError, AppliedRecords};
use norn_contract::clock::SystemClock;
use norn_contract::log::{IngestLog, Offset, Record, RecordKind};
use norn_contract::rng::SystemRng;
use norn_contract::source::{ChunkBuf, Need, SelectRequest, TenantSources};
use norn_ingester::{Ingester, OnFatal, Options, Parts};
use norn_kit::pool::Pool;
use norn_limits::TenantLimits;
use norn_log::EmbeddedLog;
use norn_model::matcher::Matcher;
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;

fn parts(dir: &std::path::Path, log: Arc<dyn IngestLog>) -> Parts {
    Parts {
        options: Options::new(dir),
        log,
        fs: Arc::new(norn_log::disk::Disk),
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        pool: Pool::new("read", 1).unwrap(),
        limits: TenantLimits::default(),
    }
}

fn on_fatal() -> OnFatal {
    Arc::new(|why| panic!("{why}"))
}

struct Process {
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
}

impl Process {
    fn start(dir: &std::path::Path, partitions: u32) -> Self {
        let mut options = norn_log::options::Options::new(dir.join("log"));
        options.partitions = partitions;
        let log = EmbeddedLog::open(options, Arc::new(norn_log::disk::Disk)).unwrap();
        let shared: Arc<dyn IngestLog> = log.clone();
        let ingester = Ingester::start(parts(dir, shared), &on_fatal()).unwrap();
        while !ingester.is_caught_up() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { log, ingester }
    }

    fn stop(self) {
        self.log.close();
        self.ingester.join();
    }

    fn append(&self, partition: u32, name: &str, timestamp: i64, value: f64) -> Offset {
        let mut builder = Builder::new();
        builder.series([("__name__", name)]).sample(timestamp, value);
        let record =
            Record { tenant: tenant(), kind: RecordKind::Write(2), timestamp, value: builder.finish() };
        block_on(self.log.append(partition, record)).unwrap()
    }

    /// Names of the tenant's series and how many chunks each has.
    fn series(&self) -> Vec<(String, usize)> {
        let source = self.ingester.tenant(&tenant());
        let request = SelectRequest {
            matchers: Arc::new(
                [Matcher::new(norn_model::matcher::MatchOp::Regex, "__name__", ".+").unwrap()],
            ),
            mint: i64::MIN,
            maxt: i64::MAX,
            need: Need::Samples,
            max_series: 0,
        };
        let selection = block_on(source.select(request)).unwrap();
        let chunks = |i| {
            let mut buf = ChunkBuf::default();
            selection.data.read(i, &mut buf).unwrap();
            buf.chunks.len()
        };
        let names = selection.labels.iter().map(|l| l.metric_name().to_owned());
        names.enumerate().map(|(i, name)| (name, chunks(i))).collect()
    }
}

fn tenant() -> Tenant {
    Tenant::admit("t").unwrap()
}

#[test]
fn an_outcome_follows_visibility() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 1);
    let first = process.append(0, "m", 1000, 1.0);
    assert_eq!(block_on(process.ingester.applied(0, first)), Ok(None));
    assert_eq!(process.series(), [("m".to_owned(), 1)]);
    let late = process.append(0, "m", 500, 2.0);
    let refused = block_on(process.ingester.applied(0, late)).unwrap().unwrap();
    assert_eq!((refused.samples, refused.first.as_ref().unwrap().id), (1, "sample-out-of-order"));
    process.stop();
}

#[test]
fn a_start_replays_every_partition_ever_written() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 3);
    // Equal chunks would come out once.
    for (partition, name, value) in [(0, "a", 1.0), (1, "b", 1.0), (2, "c", 1.0), (2, "a", 2.0)] {
        let offset = process.append(partition, name, 1000, value);
        assert_eq!(block_on(process.ingester.applied(partition, offset)), Ok(None));
    }
    process.stop();
    let process = Process::start(dir.path(), 1);
    let expected = [("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 1)];
    assert_eq!(process.series(), expected);
    process.stop();
}

#[test]
fn a_record_that_was_stepped_over_is_never_called_stored() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 1);
    let value = bytes::Bytes::from_static(b"\xff\xff");
    let record = Record { tenant: tenant(), kind: RecordKind::Write(2), timestamp: 0, value };
    let offset = block_on(process.log.append(0, record)).unwrap();
    assert_eq!(block_on(process.ingester.applied(0, offset)), Err(AppliedError::Undecodable));
    let next = process.append(0, "m", 1000, 1.0);
    assert_eq!(block_on(process.ingester.applied(0, next)), Ok(None));
    process.stop();
}

#[test]
fn whoever_waits_when_the_partition_ends_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 1);
    let never = process.ingester.applied(0, 7);
    process.log.close();
    process.ingester.stop();
    assert_eq!(block_on(never), Err(AppliedError::Stopped));
    assert_eq!(block_on(process.ingester.applied(9, 0)), Err(AppliedError::Stopped));
}

#[test]
fn a_stop_does_not_wait_for_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = norn_log::options::Options::new(dir.path().join("log"));
    options.memory_bytes = 0;
    let log = EmbeddedLog::open(options, Arc::new(norn_log::disk::Disk)).unwrap();
    for i in 0..300 {
        let value = bytes::Bytes::from(vec![0xff; 100_000]);
        let record = Record { tenant: tenant(), kind: RecordKind::Write(2), timestamp: i, value };
        block_on(log.append(0, record)).unwrap();
    }
    let shared: Arc<dyn IngestLog> = log.clone();
    let ingester = Ingester::start(parts(dir.path(), shared), &on_fatal()).unwrap();
    ingester.stop();
    assert!(!ingester.is_caught_up());
}
