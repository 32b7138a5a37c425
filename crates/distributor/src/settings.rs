//! Limits that decide how records are folded go through the log too.
//!
//! A head may not look at live configuration (a replay under other limits would give another
//! state), so the first record of a tenant in this process, and the first after its limits
//! changed, is preceded by a settings record.

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
    sent: Mutex<HashMap<(Partition, Tenant), FoldSettings>>,
}

impl SentSettings {
    /// Calls `enqueue` with the settings record that must go before the tenant's next record, if
    /// one must. It is called under a lock: whoever comes second finds the settings in the log.
    pub fn with_current(
        &self,
        tenant: &Tenant,
        limits: &Limits,
        partition: Partition,
        enqueue: impl FnOnce(Bytes),
    ) {
        let current = fold_settings(limits);
        let mut sent = self.sent.lock();
        let key = (partition, tenant.clone());
        if sent.get(&key) != Some(&current) {
            enqueue(current.encode().into());
            sent.insert(key, current);
        }
    }

    /// Sends the settings again next time: the log may not have taken them.
    pub fn forget(&self, tenant: &Tenant, partition: Partition) {
        self.sent.lock().remove(&(partition, tenant.clone()));
    }
}

fn fold_settings(limits: &Limits) -> FoldSettings {
    FoldSettings {
        out_of_order_window: limits.out_of_order_time_window.as_millis() as i64,
        max_series: limits.max_global_series_per_user as u64,
        max_series_per_metric: limits.max_global_series_per_metric as u64,
        max_exemplars: limits.max_global_exemplars_per_user as u64,
        native_histograms: limits.native_histograms_ingestion_enabled,
    }
}
