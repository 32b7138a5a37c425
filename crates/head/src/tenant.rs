//! What is kept once per tenant beside its series: settings, counts, metadata, exemplars.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use norn_model::Millis;
use norn_model::metadata::{Metadata, MetricType};
use norn_model::sample::Exemplar;
use norn_wire::settings::FoldSettings;
use parking_lot::{Mutex, RwLock};

use crate::catalog::TenantNo;
use crate::identity::SeriesRef;

/// Different descriptions kept of one metric; more are dropped.
const MAX_DESCRIPTIONS: usize = 16;
/// Metrics of a tenant that are described; further ones are not.
const MAX_METRICS: usize = 200_000;

/// A description that was not sent again for this long makes room where there is none.
const OLD: Millis = 10 * 60 * 1000;
/// At most so often all descriptions are looked at.
const SWEEP_INTERVAL: Millis = 60 * 1000;

/// Descriptions by metric name.
pub(crate) type MetadataMap = BTreeMap<Arc<str>, Vec<Described>>;

/// A description of a metric.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) metadata: Metadata,
    /// When it was written last, by the clock of records.
    seen: AtomicI64,
}

impl Described {
    /// A description that was written last at `seen`.
    pub(crate) fn new(metadata: Metadata, seen: Millis) -> Self {
        Self { metadata, seen: AtomicI64::new(seen) }
    }

    /// When it was written last.
    pub(crate) fn seen(&self) -> Millis {
        self.seen.load(Relaxed)
    }

    fn is_old(&self, now: Millis) -> bool {
        now.saturating_sub(self.seen()) > OLD
    }
}

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
    /// Keeps `exemplar` and at most `limit` in all, the newest. False: it comes before the newest
    /// one of its series, in time, value or labels.
    ///
    /// Writers send an exemplar with every scrape until there is a newer one: only the first
    /// time counts.
    #[must_use]
    pub(crate) fn push(&mut self, exemplar: SeriesExemplar, limit: usize) -> bool {
        let newest = self.newest.get(&exemplar.series).and_then(|n| self.at(*n));
        if newest.is_some_and(|newest| is_before(&exemplar.exemplar, &newest.exemplar)) {
            return false;
        }
        if limit > 0 && newest != Some(&exemplar) {
            self.newest.insert(exemplar.series, self.first + self.ring.len() as u64);
            self.ring.push_back(exemplar);
        }
        self.trim(limit);
        true
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

    /// Lets up to `count` of the oldest go as long as they are of series that are `gone`; says
    /// whether there may be more.
    pub(crate) fn forget(&mut self, count: usize, gone: impl Fn(SeriesRef) -> bool) -> bool {
        let oldest = self.ring.iter().take(count);
        let left = self.ring.len() - oldest.take_while(|e| gone(e.series)).count();
        let is_slice = self.ring.len() - left == count;
        self.trim(left);
        if left == 0 {
            *self = Self::default();
        }
        is_slice
    }

    /// All, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SeriesExemplar> {
        self.ring.iter()
    }
}

/// Whether `a` comes before `b`. Several of one time are in order of their values, since a histogram
/// has one for each bucket.
fn is_before(a: &Exemplar, b: &Exemplar) -> bool {
    match a.timestamp.cmp(&b.timestamp) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => a.value < b.value || (a.value == b.value && a.labels < b.labels),
    }
}

/// Metadata that can not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataLimit {
    /// As many metrics as the tenant may describe are described.
    Metrics(u64),
    /// As many descriptions as a metric may have are there.
    Descriptions(u64),
}

/// What readers see of a tenant.
#[derive(Debug)]
pub(crate) struct TenantState {
    pub(crate) number: TenantNo,
    samples: AtomicU64,
    histograms: AtomicU64,
    mint: AtomicI64,
    maxt: AtomicI64,
    closed: AtomicI64,
    pub(crate) metadata: RwLock<MetadataMap>,
    /// When the newest record was written.
    now: AtomicI64,
    /// When all descriptions were looked at last.
    swept: AtomicI64,
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
            closed: AtomicI64::new(Millis::MIN),
            metadata: RwLock::default(),
            now: AtomicI64::new(Millis::MIN),
            swept: AtomicI64::new(Millis::MIN),
            exemplars: Mutex::default(),
        }
    }

    /// Publishes what a record brought.
    pub(crate) fn publish(&self, samples: u64, histograms: u64, mint: Millis, maxt: Millis) {
        self.samples.fetch_add(samples, Relaxed);
        self.histograms.fetch_add(histograms, Relaxed);
        self.mint.store(mint, Relaxed);
        self.maxt.store(maxt, Relaxed);
    }

    /// Series whose newest sample was at `t` have left and forgotten it: nothing up to then is taken
    /// in order any more. Only the writer calls this.
    pub(crate) fn close(&self, t: Millis) {
        self.closed.fetch_max(t.saturating_add(1), Relaxed);
    }

    /// Oldest time that is taken in order, as far as [`TenantState::close`] says.
    pub(crate) fn closed(&self) -> Millis {
        self.closed.load(Relaxed)
    }

    /// Float samples and histograms taken so far.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (self.samples.load(Relaxed), self.histograms.load(Relaxed))
    }

    /// First and last timestamp; `None` before the first sample.
    pub(crate) fn range(&self) -> Option<(Millis, Millis)> {
        let range = (self.mint.load(Relaxed), self.maxt.load(Relaxed));
        (range.0 <= range.1).then_some(range)
    }

    /// A record was written at `timestamp`. A clock that goes back is not followed.
    pub(crate) fn tick(&self, timestamp: Millis) {
        self.now.fetch_max(timestamp, Relaxed);
    }

    /// Keeps a description of a metric, within the limits of `settings` and those of memory. Only
    /// the writer calls this.
    pub(crate) fn describe(
        &self,
        metric: &str,
        metadata: (MetricType, &str, &str),
        settings: &FoldSettings,
    ) -> Result<(), MetadataLimit> {
        let now = self.now.load(Relaxed);
        let (kind, help, unit) = metadata;
        let same =
            |m: &&Described| m.metadata.kind == kind && m.metadata.help == help && m.metadata.unit == unit;
        if let Some(known) = self.metadata.read().get(metric).and_then(|all| all.iter().find(same)) {
            known.seen.store(now, Relaxed);
            return Ok(());
        }
        let at_most = |limit: u64, most: usize| if limit == 0 { most } else { most.min(limit as usize) };
        let metrics = at_most(settings.max_metadata, MAX_METRICS);
        let descriptions = at_most(settings.max_metadata_per_metric, MAX_DESCRIPTIONS);
        let mut map = self.metadata.write();
        if map.len() >= metrics && !map.contains_key(metric) {
            self.sweep(&mut map, now);
            if map.len() >= metrics {
                return Err(MetadataLimit::Metrics(metrics as u64));
            }
        }
        let all = map.entry(Arc::from(metric)).or_default();
        if all.len() >= descriptions {
            all.retain(|described| !described.is_old(now));
        }
        if all.len() >= descriptions {
            return Err(MetadataLimit::Descriptions(descriptions as u64));
        }
        let metadata = Metadata { kind, help: help.to_owned(), unit: unit.to_owned() };
        all.push(Described::new(metadata, now));
        Ok(())
    }

    /// Makes room, now and then: descriptions that were not sent again go.
    fn sweep(&self, map: &mut MetadataMap, now: Millis) {
        if now < self.swept.load(Relaxed).saturating_add(SWEEP_INTERVAL) {
            return;
        }
        self.swept.store(now, Relaxed);
        map.retain(|_, all| {
            all.retain(|described| !described.is_old(now));
            !all.is_empty()
        });
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
            assert!(kept.push(exemplar(series, timestamp), 3));
        }
        let seen =
            |kept: &Exemplars| -> Vec<_> { kept.iter().map(|e| (e.series, e.exemplar.timestamp)).collect() };
        assert_eq!(seen(&kept), [(2, 5), (1, 6), (3, 1)]);
        assert!(kept.push(exemplar(4, 0), 3));
        // Forgotten ones are new again.
        assert!(kept.push(exemplar(2, 5), 3));
        assert_eq!(seen(&kept), [(3, 1), (4, 0), (2, 5)]);
        assert_eq!(kept.newest.len(), 3);
        kept.trim(0);
        assert!(kept.newest.is_empty() && seen(&kept).is_empty());
    }

    #[test]
    fn exemplars_come_in_order_of_time_value_and_labels() {
        let of = |timestamp, value, id| {
            let labels = Labels::from_pairs([("id", id)]);
            SeriesExemplar { series: 1, exemplar: Exemplar { labels, value, timestamp } }
        };
        let mut kept = Exemplars::default();
        for (timestamp, value, id, is_kept) in [
            (5, 2.0, "b", true),
            (4, 9.0, "b", false),
            (5, 1.0, "b", false),
            (5, 2.0, "a", false),
            (5, 2.0, "b", true),
            (5, 2.0, "c", true),
            (5, 3.0, "a", true),
            (6, 0.0, "a", true),
        ] {
            assert_eq!(kept.push(of(timestamp, value, id), 9), is_kept, "{timestamp} {value} {id}");
        }
        assert_eq!(kept.iter().count(), 4);
    }
}
