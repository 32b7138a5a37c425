//! Which partition a tenant's records go to.
//!
//! One tenant, one partition: its requests stay whole (one record, one symbol table), and its
//! series limit is counted in one place. See `docs/decisions/tenant-placement.md`.

use norn_contract::log::Partition;
use norn_model::tenant::Tenant;

/// FNV-1, 32 bit, as Mimir's tokens.
fn token(tenant: &Tenant) -> u32 {
    tenant
        .as_str()
        .bytes()
        .fold(2_166_136_261, |hash: u32, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte))
}

/// The partition of `tenant` among `partitions`.
pub fn partition(tenant: &Tenant, partitions: Partition) -> Partition {
    token(tenant) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_tenants_and_stays() {
        let tenants: Vec<_> = (0..64).map(|i| Tenant::admit(&format!("t{i}")).expect("valid")).collect();
        let mut counts = [0; 4];
        for t in &tenants {
            assert_eq!(partition(t, 4), partition(t, 4));
            counts[partition(t, 4) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| n > 4), "{counts:?}");
        assert_eq!(token(&Tenant::admit("a").expect("valid")), 0x050c_5d7e);
    }
}
