//! Places that the limits for series keep for series which are not there.
//!
//! Who passed a limit once must pass it again when records are folded again after a crash, although
//! the series that were refused then, and those that have left since, are not known any more. So a
//! series that leaves keeps its place until a checkpoint says that it has left, and one that a
//! checkpoint names has its place from the beginning: it counts, and may come at any time.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use norn_model::labels::METRIC_NAME;

use crate::catalog::TenantNo;
use crate::shared::series_hash;

/// Hash of a series: of its tenant and metric in the upper half, of all in the lower. The same in
/// every process.
pub(crate) type Key = u64;

/// Sets that grow one at a time, so that none takes long.
const PARTS: usize = 64;

/// The key of a series.
pub(crate) fn key<'a>(tenant: &str, labels: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Key {
    let metric = labels.clone().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, metric)| metric);
    let upper = FixedState::with_seed(0).hash_one((tenant, metric)) as u32;
    u64::from(upper) << 32 | u64::from(series_hash(tenant, labels) as u32)
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    parts: Vec<HashSet<Key, FixedState>>,
    tenants: HashMap<TenantNo, u64, FixedState>,
    metrics: HashMap<u32, u64, FixedState>,
}

impl Reserve {
    /// Keeps a place.
    pub(crate) fn insert(&mut self, tenant: TenantNo, key: Key) {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashSet::default);
        }
        let part = self.parts.get_mut(key as usize % PARTS);
        if part.is_some_and(|part| part.insert(key)) {
            *self.tenants.entry(tenant).or_default() += 1;
            *self.metrics.entry((key >> 32) as u32).or_default() += 1;
        }
    }

    /// Whether there was a place for a series, which takes it.
    pub(crate) fn take(&mut self, tenant: TenantNo, key: Key) -> bool {
        let part = self.parts.get_mut(key as usize % PARTS);
        let had = part.is_some_and(|part| part.remove(&key));
        if had {
            let less = |count: &mut u64| *count = count.saturating_sub(1);
            self.tenants.entry(tenant).and_modify(less);
            self.metrics.entry((key >> 32) as u32).and_modify(less);
        }
        had
    }

    /// Places kept for a tenant, and for the metric of a series of it.
    pub(crate) fn count(&self, tenant: TenantNo, key: Key) -> (u64, u64) {
        let metric = self.metrics.get(&((key >> 32) as u32));
        (self.tenants.get(&tenant).copied().unwrap_or(0), metric.copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_taken_once() {
        let of = |metric, i| key("t", [(METRIC_NAME, metric), ("i", i)].into_iter());
        let mut reserve = Reserve::default();
        assert!(!reserve.take(0, of("a", "1")));
        for i in ["1", "2", "2", "3"] {
            reserve.insert(0, of("a", i));
        }
        reserve.insert(0, of("b", "1"));
        assert_eq!(reserve.count(0, of("a", "9")), (4, 3));
        assert!(reserve.take(0, of("a", "2")) && !reserve.take(0, of("a", "2")));
        assert_eq!(reserve.count(0, of("b", "9")), (3, 1));
        assert_eq!(reserve.count(1, key("u", [(METRIC_NAME, "a")].into_iter())), (0, 0));
    }
}
