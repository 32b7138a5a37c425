//! Nanoseconds per sample of everything before the log: decode, check, limits, record.
//!
//! `cargo bench -p norn-distributor`. Best of many rounds on one thread; read the figures as ratios.
//! Shape: seven labels of one node_exporter, one sample a series, the log takes records and drops them.
//!
//! 24 November 2026, 2 shared vCPU (Xeon), ns per sample: 180 at 1,000 samples a request, 208 at 100,
//! 465 at 10.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::{BoxFuture, ready};
use norn_contract::append::{Appender, Compression, Protocol, Push};
use norn_contract::clock::{Clock, SystemClock};
use norn_contract::log::{IngestLog, LogError, LogReader, Offset, Partition, Record};
use norn_distributor::{Distributor, InstanceLimits, Parts};
use norn_kit::metrics::Registry;
use norn_kit::pool::Pool;
use norn_kit::stage::StageCpu;
use norn_limits::{Limits, TenantLimits};
use norn_model::tenant::Tenant;
use norn_wire::proto::{Sample, v1};
use prost::Message;

/// Takes everything and keeps nothing.
#[derive(Default)]
struct Drain {
    next: AtomicU64,
}

impl IngestLog for Drain {
    fn writable(&self) -> Partition {
        1
    }

    fn known(&self) -> Partition {
        1
    }

    fn append(&self, _: Partition, record: Record) -> BoxFuture<'static, Result<Offset, LogError>> {
        drop(record);
        Box::pin(ready(Ok(self.next.fetch_add(1, Ordering::Relaxed))))
    }

    fn range(&self, _: Partition) -> std::ops::Range<Offset> {
        0..self.next.load(Ordering::Relaxed)
    }

    fn read(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        Err(LogError::Unavailable("nothing is kept".into()))
    }

    fn trim(&self, _: Partition, _: Offset) -> Result<(), LogError> {
        Ok(())
    }
}

fn body(series: usize) -> Bytes {
    let label = |name: &str, value: String| v1::Label { name: name.to_owned(), value };
    let one = |i: usize| v1::TimeSeries {
        labels: vec![
            label("__name__", format!("node_cpu_guest_seconds_total_{}", i / 16)),
            label("cpu", (i % 16).to_string()),
            label("env", "production".into()),
            label("instance", "node-0042.eu-west-1.example.org:9100".into()),
            label("job", "node-exporter".into()),
            label("mode", ["idle", "user", "system", "iowait"][i % 4].into()),
            label("region", "eu-west-1".into()),
        ],
        samples: vec![Sample { timestamp: SystemClock.now(), value: i as f64 * 1.1 }],
        ..Default::default()
    };
    v1::WriteRequest { timeseries: (0..series).map(one).collect(), ..Default::default() }
        .encode_to_vec()
        .into()
}

fn distributor() -> Distributor {
    let registry = Registry::new();
    let limits = Limits { ingestion_rate: 1e12, ingestion_burst_size: 1 << 40, ..Limits::default() };
    let parts = Parts {
        limits: TenantLimits::new(limits),
        log: Arc::new(Drain::default()),
        applied: None,
        clock: Arc::new(SystemClock),
        pool: Pool::new("bench", 1).unwrap(),
        stages: StageCpu::register(&registry),
        max_recv_msg_size: 100 << 20,
        max_record_bytes: 16 << 20,
        instance: InstanceLimits::default(),
        holdings: None,
    };
    Distributor::new(parts, &registry)
}

fn main() {
    let (distributor, tenant) = (distributor(), Tenant::admit("bench").unwrap());
    // Small enough not to go to the pool.
    for (series, rounds) in [(10, 40_000), (100, 20_000), (1000, 3000)] {
        let body = body(series);
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let push =
                Push { protocol: Protocol::RemoteWrite1, compression: Compression::None, body: body.clone() };
            let start = Instant::now();
            let written = block_on(distributor.push(tenant.clone(), push)).unwrap();
            best = best.min(start.elapsed().as_nanos() as f64 / series as f64);
            assert_eq!(written.samples as usize, series);
        }
        println!("{series:>5} samples a request {best:>8.1} ns/sample  {:>8} bytes", body.len());
    }
}
