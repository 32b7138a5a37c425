//! Checkpoints.

use std::sync::Arc;

use norn_head::{Checkpoint, Known, TenantBounds};
use norn_wire::settings::FoldSettings;

/// An empty one, and one with everything.
pub fn checkpoints() -> Vec<Vec<u8>> {
    let mut all = vec![Checkpoint::default().encode()];
    if let Ok(tenant) = norn_model::tenant::Tenant::admit("team-a") {
        let bounds = TenantBounds {
            tenant: tenant.clone(),
            settings: FoldSettings { max_series: 7, ..FoldSettings::default() },
            maxt: 1_700_000_000_000,
        };
        let known = Known { below: 9, series: vec![(tenant, vec![3, 5, 1 << 40])] };
        let flushed = vec![(1_699_992_000_000, 8)];
        let (tenants, known) = (vec![bounds], Arc::new(known));
        let chunk_range = 7_200_000;
        all.push(Checkpoint { offset: 5, chunk_range, flushed, tenants, known }.encode());
    }
    all
}
