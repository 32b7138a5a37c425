//! Which limits hold for which tenant.

use std::sync::Arc;

use norn_model::tenant::Tenant;

use crate::Limits;

/// The limits of every tenant. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub struct TenantLimits {
    defaults: Arc<Limits>,
}

impl TenantLimits {
    /// The same limits for every tenant.
    pub fn new(defaults: Limits) -> Self {
        Self { defaults: Arc::new(defaults) }
    }

    /// The limits of `tenant` now. Ask once a request: they may change between two calls.
    pub fn for_tenant(&self, _tenant: &Tenant) -> Arc<Limits> {
        self.defaults.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_for_everyone() -> Result<(), norn_model::tenant::TenantError> {
        let limits = TenantLimits::new(Limits { ingestion_rate: 5.0, ..Limits::default() });
        for id in ["a", "b"] {
            let limits = limits.for_tenant(&Tenant::admit(id)?);
            assert_eq!((limits.ingestion_rate, limits.ingestion_burst_size), (5.0, 200_000));
        }
        Ok(())
    }
}
