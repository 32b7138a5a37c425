//! Figures of the write road by tenant, under Mimir's names.
//!
//! A tenant's figures are plain counters behind one look-up a request. They go when the tenant has
//! sent nothing for a while and room is needed, or when [`Metrics::forget`] says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use norn_contract::append::Protocol;
use norn_kit::metrics::Registry;
use norn_kit::metrics::prometheus_client::collector::Collector;
use norn_kit::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use norn_kit::metrics::prometheus_client::metrics::MetricType;
use norn_kit::metrics::prometheus_client::metrics::counter::ConstCounter;
use norn_kit::metrics::prometheus_client::metrics::gauge::ConstGauge;
use norn_model::Millis;
use norn_model::rejection::{Parts, Refused};
use norn_model::tenant::Tenant;
use parking_lot::{Mutex, RwLock};

use crate::request::Prepared;

/// Tenants with figures of their own; further ones share theirs.
const MAX_TENANTS: usize = 100_000;
/// Who those figures are shown for.
const OVERFLOW: &str = "__overflow__";
/// A tenant that sent nothing for this long may lose its figures.
const IDLE: Millis = 15 * 60 * 1000;
/// Below this many tenants none loses them.
const SWEEP_MIN: usize = 1024;

/// Counters that have no label but the tenant.
#[derive(Clone, Copy)]
enum Figure {
    ReceivedRequests,
    SamplesIn,
    ExemplarsIn,
    MetadataIn,
    ReceivedSamples,
    ReceivedHistograms,
    ReceivedExemplars,
    ReceivedMetadata,
    DroppedHistograms,
}

const FIGURES: [(&str, &str); 9] = [
    ("cortex_distributor_received_requests", "Write requests of which something passed validation."),
    ("cortex_distributor_samples_in", "Samples that came in, rejected ones included."),
    ("cortex_distributor_exemplars_in", "Exemplars that came in, rejected ones included."),
    ("cortex_distributor_metadata_in", "Metadata that came in, rejected ones included."),
    ("cortex_distributor_received_samples", "Samples that passed validation, histograms included."),
    ("cortex_distributor_received_native_histogram_samples", "Histograms that passed validation."),
    ("cortex_distributor_received_exemplars", "Exemplars that passed validation."),
    ("cortex_distributor_received_metadata", "Metadata that passed validation."),
    ("cortex_distributor_dropped_native_histograms", "Histograms left out because the tenant takes none."),
];

/// What one tenant sent.
#[derive(Default)]
pub struct Counters {
    figures: [AtomicU64; FIGURES.len()],
    /// Requests by version of remote write.
    requests_in: [AtomicU64; 2],
    /// Requests that were refused because of the request rate.
    rate_limited: AtomicU64,
    /// Newest sample; 0 before the first.
    latest: AtomicI64,
    /// Parts that were not stored, by reason.
    discarded: Mutex<Vec<(&'static str, [u64; 3])>>,
    /// When the last request came.
    seen: AtomicI64,
}

impl Counters {
    fn add(&self, figure: Figure, n: u64) {
        if let Some(counter) = self.figures.get(figure as usize) {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// A request has come.
    pub fn request(&self, protocol: Protocol) {
        let [one, two] = &self.requests_in;
        let counter = match protocol {
            Protocol::RemoteWrite1 => one,
            Protocol::RemoteWrite2 => two,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was decoded and checked.
    pub fn prepared(&self, prepared: &Prepared) {
        let [samples, histograms, exemplars, metadata] = prepared.received.map(|n| n as u64);
        self.add(Figure::SamplesIn, samples + histograms);
        self.add(Figure::ExemplarsIn, exemplars);
        self.add(Figure::MetadataIn, metadata.max(u64::from(prepared.metadata)));
        self.add(Figure::DroppedHistograms, u64::from(prepared.dropped_histograms));
        self.refused(&prepared.written.refused);
    }

    /// What passed validation goes to the log.
    pub fn received(&self, prepared: &Prepared) {
        let written = &prepared.written;
        self.add(Figure::ReceivedRequests, 1);
        self.add(Figure::ReceivedSamples, u64::from(written.samples) + u64::from(written.histograms));
        self.add(Figure::ReceivedHistograms, u64::from(written.histograms));
        self.add(Figure::ReceivedExemplars, u64::from(written.exemplars));
        self.add(Figure::ReceivedMetadata, u64::from(prepared.metadata));
        self.latest.fetch_max(prepared.latest, Ordering::Relaxed);
    }

    /// A request was refused by the request rate before it was looked at.
    pub fn request_discarded(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Parts of a request are not stored.
    pub fn refused(&self, refused: &Refused) {
        for (reason, parts) in &refused.reasons {
            self.discarded(reason, *parts);
        }
    }

    /// `parts` are not stored for `reason`.
    pub fn discarded(&self, reason: &'static str, parts: Parts) {
        let samples = u64::from(parts.samples) + u64::from(parts.histograms);
        let add = [samples, u64::from(parts.exemplars), u64::from(parts.metadata)];
        let mut all = self.discarded.lock();
        match all.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sums)) => sums.iter_mut().zip(add).for_each(|(sum, n)| *sum = sum.saturating_add(n)),
            None => all.push((reason, add)),
        }
    }
}

/// The counters of all tenants. Cloning copies a pointer.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    tenants: RwLock<Tenants>,
    overflow: Arc<Counters>,
}

#[derive(Default)]
struct Tenants {
    by_tenant: BTreeMap<Tenant, Arc<Counters>>,
    sweep_at: usize,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(metrics.clone());
        metrics
    }

    /// The counters of `tenant`, which sends a request `now`.
    pub fn of(&self, tenant: &Tenant, now: Millis) -> Arc<Counters> {
        let known = self.inner.tenants.read().by_tenant.get(tenant).cloned();
        let counters = known.unwrap_or_else(|| self.open(tenant, now));
        counters.seen.store(now, Ordering::Relaxed);
        counters
    }

    fn open(&self, tenant: &Tenant, now: Millis) -> Arc<Counters> {
        let mut tenants = self.inner.tenants.write();
        if tenants.by_tenant.len() >= tenants.sweep_at.max(SWEEP_MIN) {
            let idle = |c: &Counters| now.saturating_sub(c.seen.load(Ordering::Relaxed)) > IDLE;
            tenants.by_tenant.retain(|_, counters| !idle(counters));
            tenants.sweep_at = (tenants.by_tenant.len() * 2).min(MAX_TENANTS);
        }
        if tenants.by_tenant.len() >= MAX_TENANTS && !tenants.by_tenant.contains_key(tenant) {
            return self.inner.overflow.clone();
        }
        tenants.by_tenant.entry(tenant.clone()).or_default().clone()
    }

    /// Removes the figures of a tenant.
    pub fn forget(&self, tenant: &Tenant) {
        self.inner.tenants.write().by_tenant.remove(tenant);
    }

    fn snapshot(&self) -> Vec<(String, Arc<Counters>)> {
        let tenants = self.inner.tenants.read();
        let own = tenants.by_tenant.iter().map(|(tenant, counters)| (tenant.to_string(), counters.clone()));
        let overflow = &self.inner.overflow;
        let shared =
            (overflow.seen.load(Ordering::Relaxed) != 0).then(|| (OVERFLOW.to_owned(), overflow.clone()));
        own.chain(shared).collect()
    }
}

type All = [(String, Arc<Counters>)];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.snapshot();
        encode_figures(&all, &mut encoder)?;
        encode_requests(&all, &mut encoder)?;
        encode_latest(&all, &mut encoder)?;
        encode_discarded(&all, &mut encoder)
    }
}

fn encode_figures(all: &All, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (i, (name, help)) in FIGURES.iter().enumerate() {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (user, counters) in all {
            let n = counters.figures.get(i).map_or(0, |n| n.load(Ordering::Relaxed));
            ConstCounter::new(n).encode(family.encode_family(&[("user", user.as_str())])?)?;
        }
    }
    Ok(())
}

fn encode_requests(all: &All, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, help) = ("cortex_distributor_requests_in", "Write requests that came in.");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (user, counters) in all {
        for (version, n) in ["1.0", "2.0"].iter().zip(&counters.requests_in) {
            let n = n.load(Ordering::Relaxed);
            if n > 0 {
                let labels = [("user", user.as_str()), ("version", version)];
                ConstCounter::new(n).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    let (name, help) = ("cortex_discarded_requests", "Write requests that were refused as a whole.");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (user, counters) in all {
        let n = counters.rate_limited.load(Ordering::Relaxed);
        if n > 0 {
            let labels = [("user", user.as_str()), ("reason", "rate_limited")];
            ConstCounter::new(n).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_latest(all: &All, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let name = "cortex_distributor_latest_seen_sample_timestamp_seconds";
    let mut family =
        encoder.encode_descriptor(name, "Newest sample of a tenant.", None, MetricType::Gauge)?;
    for (user, counters) in all {
        let latest = counters.latest.load(Ordering::Relaxed);
        if latest != 0 {
            let gauge = ConstGauge::new(latest as f64 / 1000.0);
            gauge.encode(family.encode_family(&[("user", user.as_str())])?)?;
        }
    }
    Ok(())
}

fn encode_discarded(all: &All, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let kinds = [
        ("cortex_discarded_samples", "Samples that were not stored."),
        ("cortex_discarded_exemplars", "Exemplars that were not stored."),
        ("cortex_discarded_metadata", "Metadata that was not stored."),
    ];
    for (kind, (name, help)) in kinds.iter().enumerate() {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (user, counters) in all {
            // Copied: what is written to may be slow.
            let reasons = counters.discarded.lock().clone();
            for (reason, sums) in reasons {
                let n = sums.get(kind).copied().unwrap_or(0);
                if n == 0 {
                    continue;
                }
                let labels = [("user", user.as_str()), ("reason", reason), ("group", "")];
                // Only samples have a group.
                let labels = if kind == 0 { &labels[..] } else { &labels[..2] };
                ConstCounter::new(n).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tenant(i: usize) -> Tenant {
        Tenant::admit(&format!("t{i}")).unwrap()
    }

    fn text(registry: &Registry) -> String {
        let mut out = String::new();
        registry.encode_text(&mut out).unwrap();
        out
    }

    #[test]
    fn a_forgotten_tenant_shows_nothing() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry);
        metrics.of(&tenant(1), 5).request(Protocol::RemoteWrite2);
        metrics
            .of(&tenant(1), 5)
            .discarded("rate_limited", Parts { samples: 2, metadata: 1, ..Parts::default() });
        let shown = text(&registry);
        for line in [
            "cortex_distributor_requests_in_total{user=\"t1\",version=\"2.0\"} 1\n",
            "cortex_discarded_samples_total{user=\"t1\",reason=\"rate_limited\",group=\"\"} 2\n",
            "cortex_discarded_metadata_total{user=\"t1\",reason=\"rate_limited\"} 1\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        metrics.forget(&tenant(1));
        assert!(!text(&registry).contains("t1"));
    }

    #[test]
    fn idle_tenants_make_room() {
        let metrics = Metrics::default();
        for i in 0..SWEEP_MIN {
            metrics.of(&tenant(i), 1);
        }
        metrics.of(&tenant(0), IDLE);
        metrics.of(&tenant(SWEEP_MIN), IDLE + 2);
        assert_eq!(metrics.inner.tenants.read().by_tenant.len(), 2);
    }
}
