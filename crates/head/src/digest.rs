//! A hash over the whole state, to compare heads with.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use norn_contract::source::ChunkBuf;
use norn_model::Millis;

use crate::catalog::Member;
use crate::runs::{self, Run};
use crate::series;
use crate::shared::{Shared, series_hash};
use crate::window::WindowList;

/// Hashes labels and chunks of every series and adds them up: the order in which series were
/// created does not matter, nor do the numbers they were given.
pub(crate) fn of(shared: &Shared) -> u64 {
    let windows = std::sync::Arc::clone(&shared.windows.read());
    let tenants = shared.tenants.read().clone();
    let mut sum = 0u64;
    for (tenant, state) in tenants {
        let set = shared.catalog.read().copy(Member::SeriesOfTenant(state.number));
        let set: Vec<Run> = set.runs().collect();
        for series in runs::series(&set) {
            if !shared.catalog.read().has(series) {
                continue;
            }
            let hash = series_hash(tenant.as_str(), shared.catalog.read().labels(series));
            sum = sum.wrapping_add(chunks(shared, &windows, series, hash));
        }
    }
    sum
}

fn chunks(shared: &Shared, windows: &WindowList, series: u32, seed: u64) -> u64 {
    let hasher = FixedState::with_seed(0);
    let mut buf = ChunkBuf::default();
    let read = series::read(shared, windows, series, Millis::MIN, Millis::MAX, &mut buf).is_ok();
    buf.chunks.iter().fold(hasher.hash_one((seed, read)), |hash, chunk| {
        hasher.hash_one((hash, chunk.encoding as u8, chunk.mint, chunk.maxt, buf.slice(chunk)))
    })
}
