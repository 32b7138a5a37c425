//! Figures of the write road, under Mimir's names.

use norn_kit::metrics::Registry;
use norn_kit::metrics::prometheus_client::metrics::counter::Counter;
use norn_kit::metrics::prometheus_client::metrics::family::Family;
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;

use crate::request::Prepared;

type ByUser = Family<[(&'static str, String); 1], Counter>;
type ByReason = Family<[(&'static str, String); 3], Counter>;

/// Counters by tenant.
pub struct Metrics {
    requests_in: ByUser,
    samples_in: ByUser,
    exemplars_in: ByUser,
    metadata_in: ByUser,
    received_samples: ByUser,
    received_exemplars: ByUser,
    received_metadata: ByUser,
    discarded_samples: ByReason,
    discarded_exemplars: ByReason,
    discarded_requests: Family<[(&'static str, String); 2], Counter>,
}

fn user(tenant: &Tenant) -> [(&'static str, String); 1] {
    [("user", tenant.to_string())]
}

impl Metrics {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> Self {
        let by_user = |name: &str, help: &str| registry.register(name, help, ByUser::default());
        let by_reason = |name: &str, help: &str| registry.register(name, help, ByReason::default());
        Self {
            requests_in: by_user("cortex_distributor_requests_in_total", "Write requests that came in"),
            samples_in: by_user(
                "cortex_distributor_samples_in_total",
                "Samples that came in, rejected ones included",
            ),
            exemplars_in: by_user(
                "cortex_distributor_exemplars_in_total",
                "Exemplars that came in, rejected ones included",
            ),
            metadata_in: by_user(
                "cortex_distributor_metadata_in_total",
                "Metadata that came in, rejected ones included",
            ),
            received_samples: by_user(
                "cortex_distributor_received_samples_total",
                "Samples that passed validation",
            ),
            received_exemplars: by_user(
                "cortex_distributor_received_exemplars_total",
                "Exemplars that passed validation",
            ),
            received_metadata: by_user(
                "cortex_distributor_received_metadata_total",
                "Metadata that passed validation",
            ),
            discarded_samples: by_reason("cortex_discarded_samples_total", "Samples that were refused"),
            discarded_exemplars: by_reason("cortex_discarded_exemplars_total", "Exemplars that were refused"),
            discarded_requests: registry.register(
                "cortex_discarded_requests_total",
                "Write requests that were refused as a whole",
                Family::default(),
            ),
        }
    }

    /// A request has come.
    pub fn requests_in(&self, tenant: &Tenant) {
        self.requests_in.get_or_create(&user(tenant)).inc();
    }

    /// A request was decoded and checked.
    pub fn received(&self, tenant: &Tenant, prepared: &Prepared) {
        let user = user(tenant);
        let add = |family: &ByUser, n: u64| {
            if n > 0 {
                family.get_or_create(&user).inc_by(n);
            }
        };
        let [samples, histograms, exemplars, metadata] = prepared.received.map(|n| n as u64);
        add(&self.samples_in, samples + histograms);
        add(&self.exemplars_in, exemplars);
        add(&self.metadata_in, metadata.max(u64::from(prepared.metadata)));
        let written = &prepared.written;
        add(&self.received_samples, u64::from(written.samples) + u64::from(written.histograms));
        add(&self.received_exemplars, u64::from(written.exemplars));
        add(&self.received_metadata, u64::from(prepared.metadata));
    }

    /// `n` samples were refused for `reason`.
    pub fn discarded(&self, tenant: &Tenant, reason: &str, n: u64) {
        self.discarded_samples.get_or_create(&labels(tenant, reason)).inc_by(n);
    }

    /// A request was refused as a whole.
    pub fn discarded_request(&self, tenant: &Tenant, reason: &str) {
        let labels = [("user", tenant.to_string()), ("reason", reason.to_owned())];
        self.discarded_requests.get_or_create(&labels).inc();
    }

    /// Parts of a request were refused. All of them count under the first reason.
    pub fn refused(&self, tenant: &Tenant, refused: &Refused) {
        let Some(first) = &refused.first else { return };
        let samples = u64::from(refused.samples) + u64::from(refused.histograms);
        if samples > 0 {
            self.discarded(tenant, first.reason, samples);
        }
        if refused.exemplars > 0 {
            let exemplars = self.discarded_exemplars.get_or_create(&labels(tenant, first.reason));
            exemplars.inc_by(u64::from(refused.exemplars));
        }
    }
}

fn labels(tenant: &Tenant, reason: &str) -> [(&'static str, String); 3] {
    [("user", tenant.to_string()), ("reason", reason.to_owned()), ("group", String::new())]
}
