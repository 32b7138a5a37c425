//! What the cutter counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use norn_contract::cardinality::CardinalityRequest;
use norn_head::Reader;
use norn_kit::metrics::prometheus_client::metrics::histogram::Histogram;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

/// Upper bounds of the time a cut takes, in seconds.
const CUT_BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Something that was tried.
#[derive(Debug, Default)]
pub struct Tries {
    all: AtomicU64,
    failed: AtomicU64,
}

impl Tries {
    pub(crate) fn count(&self, is_ok: bool) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(!is_ok), Ordering::Relaxed);
    }

    /// All, and those that failed.
    pub fn get(&self) -> (u64, u64) {
        (self.all.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// Figures of the cutter.
#[derive(Debug)]
pub struct CutStats {
    /// Cuts of all partitions.
    pub cuts: Tries,
    /// Seconds a cut took.
    pub cut_seconds: Histogram,
    /// Checkpoints of a partition.
    pub checkpoints: Tries,
    /// Blocks deleted by retention.
    pub retentions: AtomicU64,
    active: Mutex<Arc<BTreeMap<Tenant, u64>>>,
}

impl Default for CutStats {
    fn default() -> Self {
        let (cuts, checkpoints, retentions, active) = Default::default();
        Self { cuts, cut_seconds: Histogram::new(CUT_BUCKETS), checkpoints, retentions, active }
    }
}

impl CutStats {
    /// Counts the series that have a sample at `since` or later. One in two partitions counts
    /// twice.
    pub(crate) fn count_active(&self, heads: &[Arc<Reader>], since: Millis) {
        let mut active = BTreeMap::new();
        let request = CardinalityRequest { matchers: Arc::new([]), since, names: Vec::new() };
        for head in heads {
            for (tenant, _) in head.tenants() {
                if let Some(reader) = head.tenant(&tenant) {
                    *active.entry(tenant).or_default() += reader.count(&request).series;
                }
            }
        }
        *self.active.lock() = Arc::new(active);
    }

    /// Active series by tenant, as last counted.
    pub fn active(&self) -> Arc<BTreeMap<Tenant, u64>> {
        self.active.lock().clone()
    }
}
