//! What the heads hold, for limits of the process.

use norn_contract::holdings::Holdings;
use norn_model::tenant::Tenant;

use crate::Ingester;

impl Holdings for Ingester {
    fn tenants(&self) -> usize {
        self.heads().map(|head| head.tenant_count()).sum()
    }

    fn has_tenant(&self, tenant: &Tenant) -> bool {
        self.heads().any(|head| head.has_tenant(tenant))
    }

    fn series(&self) -> u64 {
        self.heads().map(|head| head.series_count()).sum()
    }

    fn has_series(&self, tenant: &Tenant, labels: &[(&str, &str)]) -> bool {
        self.heads().filter_map(|head| head.tenant(tenant)).any(|head| head.has_series(labels))
    }
}
