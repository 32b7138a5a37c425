//! What the heads of this process hold in memory.

use norn_model::tenant::Tenant;

/// Asked before a write goes to the log, for limits of the process. Refuses to promise anything for
/// later: what it says may have changed when the write is applied.
pub trait Holdings: Send + Sync {
    /// Tenants in memory. One that moved between partitions may count once for each.
    fn tenants(&self) -> usize;

    /// Whether `tenant` is in memory.
    fn has_tenant(&self, tenant: &Tenant) -> bool;

    /// Series in memory, of all tenants.
    fn series(&self) -> u64;

    /// Whether `tenant` has a series with these labels, which are sorted by name and have values.
    fn has_series(&self, tenant: &Tenant, labels: &[(&str, &str)]) -> bool;
}
