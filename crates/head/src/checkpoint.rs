//! What a restart needs to begin in the middle of the log.
//!
//! Drawn in `docs/formats/checkpoint.md`.

use norn_contract::log::Offset;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use norn_wire::settings::FoldSettings;

/// What decides how a tenant's records are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantBounds {
    /// Whose it is.
    pub tenant: Tenant,
    /// Settings in force.
    pub settings: FoldSettings,
    /// Newest timestamp taken so far; [`Millis::MIN`] before the first.
    pub maxt: Millis,
}

/// A point of the log from which a restart can fold, and what it has to know there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// No record below it has a sample that is not in a finished cut.
    pub offset: Offset,
    /// Windows, by their first millisecond, and an offset: records below it have what they put
    /// into the window in blocks.
    pub flushed: Vec<(Millis, Offset)>,
    /// What held of each tenant before the record at `offset`.
    pub tenants: Vec<TenantBounds>,
}
