//! Limits of this process, whatever the tenant: what is beyond them is answered 503 and may be sent
//! again.
//!
//! Those called `distributor` hold for requests as they come in, those called `ingester` for what
//! goes to the log and into memory. All are looked at before the log, so that a head never refuses
//! for them: requests that are on their way together may pass a limit by what they bring.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use norn_contract::append::AppendError;
use norn_contract::holdings::Holdings;
use norn_kit::metrics::Registry;
use norn_kit::metrics::prometheus_client::collector::Collector;
use norn_kit::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use norn_kit::metrics::prometheus_client::metrics::MetricType;
use norn_kit::metrics::prometheus_client::metrics::counter::ConstCounter;
use norn_kit::metrics::prometheus_client::metrics::gauge::ConstGauge;
use norn_limits::MovingRate;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

/// Limits of a role; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoleLimits {
    /// Samples, histograms, exemplars and metadata a second, about.
    pub max_ingestion_rate: f64,
    /// Requests at once.
    pub max_inflight: usize,
    /// Bytes of requests at once.
    pub max_inflight_bytes: usize,
}

/// Limits of the process; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InstanceLimits {
    /// Requests as they come in.
    pub distributor: RoleLimits,
    /// What goes to the log.
    pub ingester: RoleLimits,
    /// Tenants in memory.
    pub max_tenants: usize,
    /// Series in memory.
    pub max_series: u64,
}

/// Which role a limit holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The door.
    Distributor,
    /// Log and memory.
    Ingester,
}

#[derive(Clone, Copy)]
enum Limit {
    Rate,
    Inflight,
    InflightBytes,
    Tenants,
    Series,
}

/// The `limit` label, the end of id and flag, and what is wrong, by [`Limit`].
const LIMITS: [(&str, &str, &str); 5] = [
    ("max_ingestion_rate", "max-ingestion-rate", "more samples arrive than the instance takes a second"),
    (
        "max_inflight_push_requests",
        "max-inflight-push-requests",
        "the instance works on as many requests as it takes at once",
    ),
    (
        "max_inflight_push_requests_bytes",
        "max-inflight-push-requests-bytes",
        "the requests that the instance works on would exceed the bytes it holds at once",
    ),
    ("max_tenants", "max-tenants", "the instance has as many tenants as it takes"),
    ("max_series", "max-series", "the instance has as many series in memory as it takes"),
];

/// Counts of one role.
#[derive(Default)]
struct Load {
    inflight: AtomicUsize,
    bytes: AtomicUsize,
    rate: MovingRate,
    rejected: [AtomicU64; LIMITS.len()],
}

/// See the module doc.
pub struct Instance {
    limits: InstanceLimits,
    heads: Option<Arc<dyn Holdings>>,
    loads: [Load; 2],
    /// Requests of tenants that are not in memory yet.
    opening: Mutex<HashMap<Tenant, usize>>,
}

/// Work that is under way; dropped, it is over.
pub struct Inflight {
    instance: Arc<Instance>,
    role: Role,
    requests: usize,
    bytes: usize,
}

impl Inflight {
    /// Counts `bytes` more, unless all together would be too many. Not counted as rejected.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let before = self.instance.load(self.role).bytes.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        let limit = self.instance.role(self.role).max_inflight_bytes;
        limit == 0 || before.saturating_add(bytes) <= limit
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        let load = self.instance.load(self.role);
        load.inflight.fetch_sub(self.requests, Relaxed);
        load.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// A tenant whose first record may be on its way.
pub struct Opening {
    instance: Arc<Instance>,
    tenant: Tenant,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut opening = self.instance.opening.lock();
        if let Some(requests) = opening.get_mut(&self.tenant) {
            *requests -= 1;
            if *requests == 0 {
                opening.remove(&self.tenant);
            }
        }
    }
}

impl Instance {
    /// Nothing is under way yet. Registers its metrics.
    pub fn new(limits: InstanceLimits, heads: Option<Arc<dyn Holdings>>, registry: &Registry) -> Arc<Self> {
        let instance =
            Arc::new(Self { limits, heads, loads: <[Load; 2]>::default(), opening: Mutex::default() });
        registry.register_collector(Figures(instance.clone()));
        instance
    }

    fn load(&self, role: Role) -> &Load {
        let [distributor, ingester] = &self.loads;
        match role {
            Role::Distributor => distributor,
            Role::Ingester => ingester,
        }
    }

    fn role(&self, role: Role) -> &RoleLimits {
        match role {
            Role::Distributor => &self.limits.distributor,
            Role::Ingester => &self.limits.ingester,
        }
    }

    /// Starts to count the bytes of a body that is about to be read.
    pub fn body(self: &Arc<Self>) -> Inflight {
        Inflight { instance: self.clone(), role: Role::Distributor, requests: 0, bytes: 0 }
    }

    /// Takes one more request of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// 503 where a limit of `role` is reached.
    pub fn admit(self: &Arc<Self>, role: Role, bytes: usize, now: Millis) -> Result<Inflight, AppendError> {
        let (limits, load) = (self.role(role), self.load(role));
        let before = load.inflight.fetch_add(1, Relaxed);
        let mut inflight = Inflight { instance: self.clone(), role, requests: 1, bytes: 0 };
        if limits.max_inflight > 0 && before >= limits.max_inflight {
            return Err(self.reject(role, Limit::Inflight, limits.max_inflight));
        }
        if limits.max_ingestion_rate > 0.0 && load.rate.per_second(now) >= limits.max_ingestion_rate {
            return Err(self.reject(role, Limit::Rate, limits.max_ingestion_rate));
        }
        if !inflight.grow(bytes) {
            return Err(self.no_room(role));
        }
        Ok(inflight)
    }

    /// Why bytes are refused that [`Inflight::grow`] found no room for.
    pub fn no_room(&self, role: Role) -> AppendError {
        self.reject(role, Limit::InflightBytes, self.role(role).max_inflight_bytes)
    }

    /// Notes that `items` were taken.
    pub fn took(&self, role: Role, items: u64, now: Millis) {
        self.load(role).rate.add(items, now);
    }

    /// Takes a request of a tenant, which may be new.
    ///
    /// # Errors
    ///
    /// 503 where it is new and there are too many.
    pub fn admit_tenant(self: &Arc<Self>, tenant: &Tenant) -> Result<Option<Opening>, AppendError> {
        let (limit, Some(heads)) = (self.limits.max_tenants, &self.heads) else { return Ok(None) };
        if limit == 0 || heads.has_tenant(tenant) {
            return Ok(None);
        }
        let mut opening = self.opening.lock();
        let is_opening = opening.contains_key(tenant);
        if !is_opening && heads.tenants().saturating_add(opening.len()) >= limit {
            return Err(self.reject(Role::Ingester, Limit::Tenants, limit));
        }
        *opening.entry(tenant.clone()).or_default() += 1;
        Ok(Some(Opening { instance: self.clone(), tenant: tenant.clone() }))
    }

    /// What is in memory, if there is no room for more series.
    pub fn full(&self) -> Option<&dyn Holdings> {
        let heads = self.heads.as_deref()?;
        let limit = self.limits.max_series;
        (limit > 0 && heads.series() >= limit).then_some(heads)
    }

    /// Why a request with new series is refused when memory is [`Instance::full`].
    pub fn too_many_series(&self) -> AppendError {
        self.reject(Role::Ingester, Limit::Series, self.limits.max_series)
    }

    fn reject(&self, role: Role, which: Limit, limit: impl Display) -> AppendError {
        let i = which as usize;
        if let Some(rejected) = self.load(role).rejected.get(i) {
            rejected.fetch_add(1, Relaxed);
        }
        let (_, name, why) = LIMITS.get(i).copied().unwrap_or_default();
        let role = role.name();
        AppendError::Unavailable(format!(
            "the write request has been rejected because {why}, limit: {limit} (err-mimir-{role}-{name}). To adjust the related limit, configure -{role}.instance-limits.{name}, or contact your service administrator."
        ))
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Distributor => "distributor",
            Self::Ingester => "ingester",
        }
    }
}

struct Figures(Arc<Instance>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for role in [Role::Distributor, Role::Ingester] {
            self.encode_role(role, &mut encoder)?;
        }
        Ok(())
    }
}

impl Figures {
    fn encode_role(&self, role: Role, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (instance, name) = (&*self.0, role.name());
        let (load, limits) = (instance.load(role), instance.role(role));
        for (suffix, help, value) in [
            ("inflight_push_requests", "Write requests that are worked on.", &load.inflight),
            ("inflight_push_requests_bytes", "Bytes of write requests that are worked on.", &load.bytes),
        ] {
            let gauge = ConstGauge::new(value.load(Relaxed) as f64);
            let name = format!("cortex_{name}_{suffix}");
            gauge.encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)?;
        }
        let values = [
            limits.max_ingestion_rate,
            limits.max_inflight as f64,
            limits.max_inflight_bytes as f64,
            instance.limits.max_tenants as f64,
            instance.limits.max_series as f64,
        ];
        // The last two are limits of memory.
        let count = if role == Role::Distributor { 3 } else { values.len() };
        let full_name = format!("cortex_{name}_instance_limits");
        let help = "Limits of this process; 0 is no limit.";
        let mut family = encoder.encode_descriptor(&full_name, help, None, MetricType::Gauge)?;
        for ((limit, _, _), value) in LIMITS.iter().zip(values).take(count) {
            ConstGauge::new(value).encode(family.encode_family(&[("limit", *limit)])?)?;
        }
        let full_name = format!("cortex_{name}_instance_rejected_requests");
        let help = "Write requests that were refused because of a limit of this process.";
        let mut family = encoder.encode_descriptor(&full_name, help, None, MetricType::Counter)?;
        for ((limit, _, _), rejected) in LIMITS.iter().zip(&load.rejected).take(count) {
            let labels = [("reason", format!("{name}_{limit}"))];
            ConstCounter::new(rejected.load(Relaxed)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
