//! Durable appends on a real disk: `cargo bench -p norn-log`. The directory is `$NORN_BENCH_DIR`,
//! or the one for temporary files; it must not be in memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_log::EmbeddedLog;
use norn_log::disk::Disk;
use norn_log::options::Options;
use norn_model::tenant::Tenant;

const PARTITIONS: u32 = 2;
const TIME: Duration = Duration::from_secs(4);

/// CPU seconds of the process so far, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = |n: usize| after_name.split(' ').nth(n).and_then(|t| t.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

fn record(len: usize) -> Record {
    let value: Vec<u8> = (0..len).map(|i| ((i * 7919) >> 3) as u8).collect();
    let tenant = Tenant::admit("bench").expect("a tenant id");
    Record { tenant, kind: RecordKind::Write(2), timestamp: 0, value: Bytes::from(value) }
}

fn open(dir: &Path) -> Arc<EmbeddedLog> {
    let mut options = Options::new(dir);
    options.partitions = PARTITIONS;
    EmbeddedLog::open(options, Arc::new(Disk)).expect("the log opens")
}

/// Appends from `writers` threads and prints what it cost.
fn appends(dir: &Path, len: usize, writers: u32) {
    let log = open(dir);
    // The first file grows; the steady state is a file that was filled before.
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_secs(2) {
        block_on(log.append(0, record(len))).expect("append");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (before, cpu, started) = (log.stats(), cpu_seconds(), Instant::now());
    let waited = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (log, waited, record) = (&log, &waited, record(len));
            scope.spawn(move || {
                let partition = writer % PARTITIONS;
                while started.elapsed() < TIME {
                    let at = Instant::now();
                    let offset = block_on(log.append(partition, record.clone())).expect("append");
                    waited.fetch_add(at.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    log.trim(partition, offset).expect("trim");
                }
            });
        }
    });
    let (took, cpu, after) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu, log.stats());
    let records = (after.records - before.records) as f64;
    let syncs = (after.syncs - before.syncs) as f64;
    println!(
        "{len:>6} B  {writers:>2} writers: {:>7.1} µs per append, {:>8.1} µs waited, {:>6.1} µs CPU, {:>5.1} records per \
         sync, {:>6.1} µs per sync, {:>6.1} MB/s",
        took * 1e6 / records,
        waited.into_inner() as f64 / 1e3 / records,
        cpu * 1e6 / records,
        records / syncs,
        (after.sync_seconds - before.sync_seconds) * 1e6 / syncs,
        (after.value_bytes - before.value_bytes) as f64 / 1e6 / took,
    );
}

/// Fills a log and reads it back through a reader that is behind.
fn reading(dir: &Path, len: usize, records: u64) {
    let log = open(dir);
    let next = log.range(0).end;
    let appends: Vec<_> = (0..records)
        .map(|i| {
            let append = log.append(0, record(len));
            if i % 256 == 255 {
                block_on(append).map(drop).expect("append")
            }
        })
        .collect();
    drop((appends, log));
    let started = Instant::now();
    let log = open(dir);
    let opened = started.elapsed();
    let end = log.range(0).end;
    let started = Instant::now();
    let mut reader = log.read(0, next).expect("a reader");
    let (mut out, mut count, mut bytes) = (Vec::new(), 0, 0);
    while count < end - next {
        out.clear();
        reader.next(&mut out, Duration::ZERO).expect("read");
        count += out.len() as u64;
        bytes += out.iter().map(|(_, r)| r.value.len()).sum::<usize>();
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{len:>6} B: opened in {:.1} ms, {count} records read at {:.0} MB/s",
        opened.as_secs_f64() * 1e3,
        bytes as f64 / 1e6 / took
    );
}

fn main() {
    let parent = std::env::var_os("NORN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    for len in [4_000, 90_000] {
        for writers in [1, 4, 64] {
            appends(&dir.path().join(format!("{len}-{writers}")), len, writers);
        }
    }
    reading(&dir.path().join("read-small"), 4_000, 100_000);
    reading(&dir.path().join("read-large"), 90_000, 5_000);
}
