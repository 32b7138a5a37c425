//! Records through a real log into heads: outcomes, visibility, replay.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_contract::applied::AppliedRecords;
use norn_contract::log::{IngestLog, Offset, Record, RecordKind};
use norn_contract::source::{ChunkBuf, Need, SelectRequest, TenantSources};
use norn_ingester::Ingester;
use norn_log::EmbeddedLog;
use norn_model::matcher::Matcher;
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;

struct Process {
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
}

impl Process {
    fn start(dir: &std::path::Path, partitions: u32) -> Self {
        let mut options = norn_log::options::Options::new(dir);
        options.partitions = partitions;
        let log = EmbeddedLog::open(options, Arc::new(norn_log::disk::Disk)).unwrap();
        let shared: Arc<dyn IngestLog> = log.clone();
        let ingester =
            Ingester::start(&shared, &(Arc::new(|why: String| assert!(why.is_empty(), "{why}")) as _))
                .unwrap();
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
    assert_eq!(block_on(process.ingester.applied(0, first)), None);
    assert_eq!(process.series(), [("m".to_owned(), 1)]);
    let late = process.append(0, "m", 500, 2.0);
    let refused = block_on(process.ingester.applied(0, late)).unwrap();
    assert_eq!((refused.samples, refused.first.as_ref().unwrap().id), (1, "sample-out-of-order"));
    process.stop();
}

#[test]
fn a_start_replays_every_partition_ever_written() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), 3);
    for (partition, name) in [(0, "a"), (1, "b"), (2, "c"), (2, "a")] {
        let offset = process.append(partition, name, 1000, 1.0);
        block_on(process.ingester.applied(partition, offset));
    }
    process.stop();
    let process = Process::start(dir.path(), 1);
    let expected = [("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 1)];
    assert_eq!(process.series(), expected);
    process.stop();
}
