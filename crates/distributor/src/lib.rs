//! The write road up to the ingest log.
//!
//! ```text
//! body → decompress → decode → check each series → record → log (durable) → head (visible) → answer
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`api`] | the HTTP endpoint: negotiation, statuses, headers |
//! | [`request`] | one request: body in, log records out |
//! | [`check`], [`content`] | what a valid series is, and what of it can be stored |
//! | [`refusal`] | texts of refusals |
//! | [`placement`] | which partition a tenant's records go to |
//! | [`settings`] | limits that decide how records are folded go through the log too |
//! | [`instance`] | limits of this process |
//! | [`metrics`] | figures of the write road |
//!
//! Promises: one bad series never takes a good one with it; what is answered with success is
//! durable and visible. Refuses: to retry, and to keep anything itself.

pub mod api;
mod check;
mod content;
mod instance;
mod metrics;
mod placement;
mod refusal;
mod request;
mod settings;

use std::sync::Arc;

use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use futures::FutureExt;
use futures::future::BoxFuture;
use norn_contract::append::{AppendError, Appender, Compression, Push, Written};
use norn_contract::applied::{AppliedError, AppliedRecords};
use norn_contract::clock::Clock;
use norn_contract::holdings::Holdings;
use norn_contract::log::{IngestLog, LogError, Offset, Partition, Record, RecordKind};
use norn_kit::metrics::Registry;
use norn_kit::pool::Pool;
use norn_kit::stage::StageCpu;
use norn_limits::{Limits, Rate, RateLimiter, Refusal, TenantLimits};
use norn_model::rejection::Rejection;
use norn_model::tenant::Tenant;

pub use crate::instance::{Inflight, InstanceLimits, RoleLimits};
use crate::instance::{Instance, Role};
use crate::metrics::{Counters, Metrics};
use crate::request::{Prepared, Scratch};
use crate::settings::SentSettings;

/// Bodies above this size are worked on by the CPU pool, so that they hold up nobody else.
const POOL_ABOVE: usize = 256 << 10;
/// Reason of what a rate limit refused.
const RATE_LIMITED: &str = "rate_limited";
/// Request buffers kept for reuse.
const SCRATCHES: usize = 16;

/// What a distributor needs.
pub struct Parts {
    /// Limits of tenants.
    pub limits: TenantLimits,
    /// Where records go.
    pub log: Arc<dyn IngestLog>,
    /// Tells what heads refused, where they are in this process.
    pub applied: Option<Arc<dyn AppliedRecords>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where large requests are worked on.
    pub pool: Pool,
    /// CPU by stage.
    pub stages: StageCpu,
    /// Largest body, compressed or not, in bytes.
    pub max_recv_msg_size: usize,
    /// Largest record the log takes, in bytes.
    pub max_record_bytes: usize,
    /// Limits of this process.
    pub instance: InstanceLimits,
    /// What is in memory, where heads are in this process: without it tenants and series of the
    /// process have no limit.
    pub holdings: Option<Arc<dyn Holdings>>,
}

/// Takes remote-write requests. Cloning copies a pointer.
#[derive(Clone)]
pub struct Distributor {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    rates: RateLimiter,
    requests: RateLimiter,
    settings: SentSettings,
    scratches: ArrayQueue<Box<Scratch>>,
    metrics: Metrics,
    instance: Arc<Instance>,
}

impl Distributor {
    /// A distributor; registers its metrics.
    pub fn new(parts: Parts, registry: &Registry) -> Self {
        let instance = Instance::new(parts.instance, parts.holdings.clone(), registry);
        let inner = Inner {
            parts,
            rates: RateLimiter::new(),
            requests: RateLimiter::new(),
            settings: SentSettings::default(),
            scratches: ArrayQueue::new(SCRATCHES),
            metrics: Metrics::register(registry),
            instance,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Largest body that is read, in bytes.
    pub fn max_recv_msg_size(&self) -> usize {
        self.inner.parts.max_recv_msg_size
    }

    /// Lets go of what is kept of a tenant: its figures, its rates, and what is remembered of its
    /// settings. To be called after heads let it go: the next record is preceded by settings again.
    pub fn forget(&self, tenant: &Tenant) {
        self.inner.metrics.forget(tenant);
        self.inner.rates.forget(tenant);
        self.inner.requests.forget(tenant);
        self.inner.settings.forget(tenant);
    }

    /// Starts to count the bytes of a body that is about to be read.
    pub fn body_bytes(&self) -> Inflight {
        self.inner.instance.body()
    }

    /// Why a body is refused that [`Inflight::grow`] found no room for.
    pub fn no_room(&self) -> AppendError {
        self.inner.instance.no_room(Role::Distributor)
    }
}

impl Appender for Distributor {
    fn push(&self, tenant: Tenant, push: Push) -> BoxFuture<'_, Result<Written, AppendError>> {
        let inner = self.inner.clone();
        async move {
            let limits = inner.parts.limits.for_tenant(&tenant);
            let now = inner.parts.clock.now();
            let _inflight = inner.instance.admit(Role::Distributor, 0, now)?;
            let _opening = inner.instance.admit_tenant(&tenant)?;
            let counters = inner.metrics.of(&tenant, now);
            counters.request(push.protocol);
            inner.admit_request(&tenant, &limits, &counters)?;
            let prepared = if is_heavy(&push) {
                let job = {
                    let (inner, tenant) = (inner.clone(), tenant.clone());
                    let (limits, counters) = (limits.clone(), counters.clone());
                    move || inner.prepare(&tenant, &limits, &counters, push)
                };
                inner.parts.pool.run(job).await.map_err(|e| AppendError::Internal(e.to_string()))??
            } else {
                inner.prepare(&tenant, &limits, &counters, push)?
            };
            inner.append(tenant, &limits, &counters, prepared).await
        }
        .boxed()
    }
}

impl Inner {
    /// The tenant's limit of requests.
    fn admit_request(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<(), AppendError> {
        if limits.request_rate <= 0.0 {
            return Ok(());
        }
        let burst = match limits.request_burst_size {
            0 => u64::MAX,
            n => n,
        };
        let rate = Rate { per_second: limits.request_rate, burst };
        if self.requests.take(tenant, 1, rate, self.parts.clock.now()).is_ok() {
            return Ok(());
        }
        counters.request_discarded();
        let text = format!(
            "the request has been rejected because the tenant exceeded the request rate limit, set to {} requests/s across all distributors with a maximum allowed burst of {}",
            limits.request_rate, limits.request_burst_size
        );
        Err(AppendError::RateLimited(
            Rejection::new("tenant-max-request-rate", RATE_LIMITED, text)
                .with_tenant_flags(&["distributor.request-rate-limit", "distributor.request-burst-size"]),
        ))
    }

    /// Everything that happens before the log, on one thread. The body is gone after it.
    fn prepare(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        counters: &Counters,
        push: Push,
    ) -> Result<Prepared, AppendError> {
        let mut scratch = self.scratches.pop().unwrap_or_default();
        let prepared = scratch.prepare(&request::Context {
            limits,
            now: self.parts.clock.now(),
            max_size: self.parts.max_recv_msg_size,
            max_record: self.parts.max_record_bytes,
            stages: &self.parts.stages,
            full: self.instance.full(),
            tenant,
            push: &push,
        });
        scratch.shrink();
        // A full pool means enough buffers are kept already.
        let _ = self.scratches.push(scratch);
        let prepared = prepared?;
        if prepared.has_new_series {
            return Err(self.instance.too_many_series());
        }
        counters.prepared(&prepared);
        self.admit_items(tenant, limits, counters, &prepared)?;
        counters.received(&prepared);
        self.instance.took(Role::Distributor, prepared.items(), self.parts.clock.now());
        Ok(prepared)
    }

    /// The tenant's limit of samples: all or nothing for what is left of the request.
    fn admit_items(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        counters: &Counters,
        prepared: &Prepared,
    ) -> Result<(), AppendError> {
        let rate = Rate { per_second: limits.ingestion_rate, burst: limits.ingestion_burst_size };
        let items = prepared.items();
        let Err(why) = self.rates.take(tenant, items, rate, self.parts.clock.now()) else {
            return Ok(());
        };
        counters.discarded(RATE_LIMITED, prepared.parts());
        let (rate, burst) = (limits.ingestion_rate, limits.ingestion_burst_size);
        let what = match why {
            Refusal::Empty => format!(
                "the tenant exceeded the ingestion rate limit, set to {rate} items/s with a maximum allowed burst of {burst}"
            ),
            Refusal::AboveBurst => format!(
                "its {items} items are more than the maximum allowed burst of the ingestion rate limit, set to {burst}"
            ),
        };
        let text = format!(
            "the request has been rejected because {what}. This limit is applied on the total number of samples, exemplars and metadata received across all distributors"
        );
        Err(AppendError::RateLimited(
            Rejection::new("tenant-max-ingestion-rate", RATE_LIMITED, text)
                .with_tenant_flags(&["distributor.ingestion-rate-limit", "distributor.ingestion-burst-size"]),
        ))
    }

    /// Log, then head, then answer.
    async fn append(
        &self,
        tenant: Tenant,
        limits: &Limits,
        counters: &Counters,
        prepared: Prepared,
    ) -> Result<Written, AppendError> {
        let partition = placement::partition(&tenant, self.parts.log.writable());
        let items = prepared.items();
        let mut written = prepared.written;
        if !prepared.records.is_empty() {
            let (bytes, now) = (prepared.records.iter().map(Bytes::len).sum(), self.parts.clock.now());
            let _inflight = self.instance.admit(Role::Ingester, bytes, now)?;
            self.instance.took(Role::Ingester, items, now);
            self.send_settings(&tenant, limits, partition).await?;
            let offsets = self.send_records(&tenant, partition, prepared.records).await?;
            self.await_applied(partition, offsets, counters, &mut written).await?;
        }
        Ok(written)
    }

    /// Sees to it that no record of the tenant is folded before the settings it was accepted under.
    async fn send_settings(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        partition: Partition,
    ) -> Result<(), AppendError> {
        let send = |value| self.send(tenant, partition, RecordKind::Settings, value);
        let Some((sending, sent)) = self.settings.unless_current(tenant, limits, partition, send) else {
            return Ok(());
        };
        sent.await.map_err(|e| append_error(&e))?;
        self.settings.durable(tenant, partition, sending);
        Ok(())
    }

    /// Hands records to the log one after the other: all of a huge request at once could be more
    /// than the log's queue ever takes.
    async fn send_records(
        &self,
        tenant: &Tenant,
        partition: Partition,
        records: Vec<Bytes>,
    ) -> Result<Vec<Offset>, AppendError> {
        let mut offsets = Vec::with_capacity(records.len());
        for value in records {
            let sent = self.send(tenant, partition, RecordKind::Write(2), value);
            offsets.push(sent.await.map_err(|e| append_error(&e))?);
        }
        Ok(offsets)
    }

    fn send(
        &self,
        tenant: &Tenant,
        partition: Partition,
        kind: RecordKind,
        value: Bytes,
    ) -> BoxFuture<'static, Result<Offset, LogError>> {
        let timestamp = self.parts.clock.now();
        self.parts.log.append(partition, Record { tenant: tenant.clone(), kind, timestamp, value })
    }

    async fn await_applied(
        &self,
        partition: Partition,
        offsets: Vec<Offset>,
        counters: &Counters,
        written: &mut Written,
    ) -> Result<(), AppendError> {
        let Some(applied) = &self.parts.applied else { return Ok(()) };
        for offset in offsets {
            let outcome = applied.applied(partition, offset).await.map_err(applied_error)?;
            if let Some(refused) = outcome {
                let discarded = refused.discarded();
                written.samples = written.samples.saturating_sub(discarded.samples);
                written.histograms = written.histograms.saturating_sub(discarded.histograms);
                written.exemplars = written.exemplars.saturating_sub(discarded.exemplars);
                counters.refused(&refused);
                written.refused.merge(&refused);
            }
        }
        Ok(())
    }
}

/// Whether a request is too much work for a thread that serves others. What Zstandard unpacks to
/// can not be told from its size.
fn is_heavy(push: &Push) -> bool {
    push.body.len() > POOL_ABOVE || push.compression == Compression::Zstd
}

fn applied_error(error: AppliedError) -> AppendError {
    match error {
        AppliedError::Stopped | AppliedError::Forgotten => AppendError::Unavailable(error.to_string()),
        AppliedError::Undecodable => AppendError::Internal(error.to_string()),
    }
}

fn append_error(error: &LogError) -> AppendError {
    match error {
        LogError::Unavailable(_) => AppendError::Unavailable(error.to_string()),
        LogError::TooLarge { .. }
        | LogError::OutOfRange { .. }
        | LogError::Unreadable(_)
        | LogError::Corrupt(_) => AppendError::Internal(error.to_string()),
    }
}
