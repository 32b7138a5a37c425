//! What is kept once per tenant beside its series: settings, counts, metadata, exemplars.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use norn_model::Millis;
use norn_model::metadata::{Metadata, MetricType};
use norn_model::sample::Exemplar;
use parking_lot::{Mutex, RwLock};

use crate::catalog::TenantNo;
use crate::identity::SeriesRef;

/// Different descriptions kept of one metric; more are dropped.
const MAX_DESCRIPTIONS: usize = 16;
/// Metrics of a tenant that are described; further ones are not.
const MAX_METRICS: usize = 200_000;

/// Descriptions by metric name.
pub(crate) type MetadataMap = BTreeMap<Arc<str>, Vec<Metadata>>;

/// An exemplar and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeriesExemplar {
    pub(crate) series: SeriesRef,
    pub(crate) exemplar: Exemplar,
}

/// The newest exemplars of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    ring: VecDeque<SeriesExemplar>,
    /// Number of the first one in the ring, counted from the tenant's first.
    first: u64,
    /// Number of each series' newest one in the ring.
    newest: HashMap<SeriesRef, u64, FixedState>,
}

impl Exemplars {
    /// Keeps `exemplar` and at most `limit` in all, the newest.
    ///
    /// Writers send an exemplar with every scrape until there is a newer one: only the first
    /// time counts.
    pub(crate) fn push(&mut self, exemplar: SeriesExemplar, limit: usize) {
        let newest = self.newest.get(&exemplar.series).and_then(|n| self.at(*n));
        if limit > 0 && newest != Some(&exemplar) {
            self.newest.insert(exemplar.series, self.first + self.ring.len() as u64);
            self.ring.push_back(exemplar);
        }
        self.trim(limit);
    }

    fn at(&self, number: u64) -> Option<&SeriesExemplar> {
        self.ring.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Lets the oldest go until at most `limit` are kept.
    pub(crate) fn trim(&mut self, limit: usize) {
        while self.ring.len() > limit {
            let Some(oldest) = self.ring.pop_front() else { return };
            if self.newest.get(&oldest.series) == Some(&self.first) {
                self.newest.remove(&oldest.series);
            }
            self.first += 1;
        }
    }

    /// All, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SeriesExemplar> {
        self.ring.iter()
    }
}

/// What readers see of a tenant.
#[derive(Debug)]
pub(crate) struct TenantState {
    pub(crate) number: TenantNo,
    samples: AtomicU64,
    histograms: AtomicU64,
    mint: AtomicI64,
    maxt: AtomicI64,
    pub(crate) metadata: RwLock<MetadataMap>,
    pub(crate) exemplars: Mutex<Exemplars>,
}

impl TenantState {
    /// A tenant without samples.
    pub(crate) fn new(number: TenantNo) -> Self {
        Self {
            number,
            samples: AtomicU64::new(0),
            histograms: AtomicU64::new(0),
            mint: AtomicI64::new(Millis::MAX),
            maxt: AtomicI64::new(Millis::MIN),
            metadata: RwLock::default(),
            exemplars: Mutex::default(),
        }
    }

    /// Publishes what a record brought.
    pub(crate) fn publish(&self, samples: u64, histograms: u64, mint: Millis, maxt: Millis) {
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.histograms.fetch_add(histograms, Ordering::Relaxed);
        self.mint.store(mint, Ordering::Relaxed);
        self.maxt.store(maxt, Ordering::Relaxed);
    }

    /// Float samples and histograms taken so far.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (self.samples.load(Ordering::Relaxed), self.histograms.load(Ordering::Relaxed))
    }

    /// First and last timestamp; `None` before the first sample.
    pub(crate) fn range(&self) -> Option<(Millis, Millis)> {
        let range = (self.mint.load(Ordering::Relaxed), self.maxt.load(Ordering::Relaxed));
        (range.0 <= range.1).then_some(range)
    }

    /// Keeps a description of a metric. Only the writer calls this.
    pub(crate) fn describe(&self, metric: &str, kind: MetricType, help: &str, unit: &str) {
        let same = |m: &Metadata| m.kind == kind && m.help == help && m.unit == unit;
        if self.metadata.read().get(metric).is_some_and(|all| all.iter().any(same)) {
            return;
        }
        let mut map = self.metadata.write();
        if !map.contains_key(metric) {
            if map.len() >= MAX_METRICS {
                return;
            }
            map.insert(Arc::from(metric), Vec::new());
        }
        if let Some(all) = map.get_mut(metric)
            && all.len() < MAX_DESCRIPTIONS
        {
            all.push(Metadata { kind, help: help.to_owned(), unit: unit.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use norn_model::labels::Labels;

    use super::*;

    fn exemplar(series: SeriesRef, timestamp: Millis) -> SeriesExemplar {
        let labels = Labels::from_pairs([("id", "1")]);
        SeriesExemplar { series, exemplar: Exemplar { labels, value: 1.0, timestamp } }
    }

    #[test]
    fn a_repeated_exemplar_takes_no_room() {
        let mut kept = Exemplars::default();
        for (series, timestamp) in [(1, 5), (2, 5), (1, 5), (2, 5), (1, 6), (1, 6), (2, 5), (3, 1), (2, 5)] {
            kept.push(exemplar(series, timestamp), 3);
        }
        let seen =
            |kept: &Exemplars| -> Vec<_> { kept.iter().map(|e| (e.series, e.exemplar.timestamp)).collect() };
        assert_eq!(seen(&kept), [(2, 5), (1, 6), (3, 1)]);
        kept.push(exemplar(4, 0), 3);
        // Forgotten ones are new again.
        kept.push(exemplar(2, 5), 3);
        assert_eq!(seen(&kept), [(3, 1), (4, 0), (2, 5)]);
        assert_eq!(kept.newest.len(), 3);
        kept.trim(0);
        assert!(kept.newest.is_empty() && seen(&kept).is_empty());
    }
}
