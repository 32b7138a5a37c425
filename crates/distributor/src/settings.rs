//! Limits that decide how records are folded go through the log too.
//!
//! A head may not look at live configuration (a replay under other limits would give another
//! state), so the first record of a tenant in this process, and the first after its limits
//! changed, is preceded by a settings record. A record is handed to the log only when the settings
//! before it are durable: otherwise a log that refused them could still take it.

use std::collections::HashMap;

use bytes::Bytes;
use norn_contract::log::Partition;
use norn_limits::Limits;
use norn_model::tenant::Tenant;
use norn_wire::settings::FoldSettings;
use parking_lot::Mutex;

/// What was sent last, by partition and tenant.
#[derive(Default)]
pub struct SentSettings {
    sent: Mutex<HashMap<(Partition, Tenant), Sent>>,
}

struct Sent {
    settings: FoldSettings,
    /// Which sending it was.
    number: u64,
    durable: bool,
}

/// Names one sending of settings.
#[derive(Clone, Copy, Debug)]
pub struct Sending(u64);

impl SentSettings {
    /// Calls `enqueue` with the settings record that must be durable before the tenant's next
    /// record, if one must. It is called under a lock: the last settings in the log are the last
    /// that are remembered.
    pub fn unless_current<T>(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        partition: Partition,
        enqueue: impl FnOnce(Bytes) -> T,
    ) -> Option<(Sending, T)> {
        let settings = fold_settings(limits);
        let mut sent = self.sent.lock();
        let key = (partition, tenant.clone());
        let last = sent.get(&key);
        if last.is_some_and(|last| last.durable && last.settings == settings) {
            return None;
        }
        let number = last.map_or(0, |last| last.number + 1);
        let enqueued = enqueue(settings.encode().into());
        sent.insert(key, Sent { settings, number, durable: false });
        Some((Sending(number), enqueued))
    }

    /// Says that the log has the settings of `sending`.
    pub fn durable(&self, tenant: &Tenant, partition: Partition, sending: Sending) {
        if let Some(last) = self.sent.lock().get_mut(&(partition, tenant.clone())) {
            last.durable |= last.number == sending.0;
        }
    }

    /// Forgets what was sent for `tenant`: its next record is preceded by settings.
    pub fn forget(&self, tenant: &Tenant) {
        self.sent.lock().retain(|(_, sent), _| sent != tenant);
    }
}

fn fold_settings(limits: &Limits) -> FoldSettings {
    FoldSettings {
        out_of_order_window: limits.out_of_order_time_window.as_millis() as i64,
        max_series: limits.max_global_series_per_user as u64,
        max_series_per_metric: limits.max_global_series_per_metric as u64,
        max_exemplars: limits.max_global_exemplars_per_user as u64,
        native_histograms: limits.native_histograms_ingestion_enabled,
        max_metadata: limits.max_global_metadata_per_user as u64,
        max_metadata_per_metric: limits.max_global_metadata_per_metric as u64,
        ignore_late_exemplars: limits.ignore_ooo_exemplars,
        zero_samples: limits.otel_created_timestamp_zero_ingestion_enabled,
    }
}
