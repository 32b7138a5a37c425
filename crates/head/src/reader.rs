//! Reads the head: tenants, their series, names, values and metadata.

use std::ops::Bound;
use std::sync::Arc;

use futures::future::BoxFuture;
use hashbrown::HashSet;
use norn_contract::cardinality::{Cardinality, CardinalityRequest};
use norn_contract::merge::sort_exemplars;
use norn_contract::source::{
    Coverage, ExemplarsRequest, LabelsRequest, MetadataRequest, SelectRequest, Selection, SeriesExemplars,
    SeriesSource, SourceError,
};
use norn_model::labels::Labels;
use norn_model::metadata::Metadata;
use norn_model::sample::Exemplar;
use norn_model::tenant::Tenant;

use crate::cardinality;
use crate::catalog::{Member, NameId, PairId};
use crate::identity::{self, Key, SeriesRef};
use crate::order;
use crate::runs::{self, Run};
use crate::select::{self, SLICE};
use crate::series::Selected;
use crate::shared::Shared;
use crate::stats::{self, MemoryStats, TenantStats};
use crate::tenant::{Described, SeriesExemplar, TenantState};

/// Readers' side of a partition's head. What [`crate::Writer::apply`] took before a read began is
/// in it.
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The series of a tenant; `None` before its first record.
    pub fn tenant(&self, tenant: &Tenant) -> Option<Arc<TenantReader>> {
        let state = self.shared.tenants.read().get(tenant).cloned()?;
        Some(Arc::new(TenantReader { shared: Arc::clone(&self.shared), state }))
    }

    /// Number of tenants.
    pub fn tenant_count(&self) -> usize {
        self.shared.tenants.read().len()
    }

    /// Whether a tenant is known.
    pub fn has_tenant(&self, tenant: &Tenant) -> bool {
        self.shared.tenants.read().contains_key(tenant)
    }

    /// Series of all tenants.
    pub fn series_count(&self) -> u64 {
        u64::from(self.shared.catalog.read().series_count())
    }

    /// Every tenant and what it has, in no order.
    pub fn tenants(&self) -> Vec<(Tenant, TenantStats)> {
        let tenants = self.shared.tenants.read().clone();
        tenants.into_iter().map(|(tenant, state)| (tenant, stats::tenant(&self.shared, &state))).collect()
    }

    /// Bytes of heap by part. Looks at every page.
    pub fn memory(&self) -> MemoryStats {
        stats::memory(&self.shared)
    }
}

/// The series of one tenant in one partition.
pub struct TenantReader {
    shared: Arc<Shared>,
    state: Arc<TenantState>,
}

impl TenantReader {
    /// What the tenant has.
    pub fn stats(&self) -> TenantStats {
        stats::tenant(&self.shared, &self.state)
    }

    /// Whether there is a series with these labels, which are sorted by name and have values.
    pub fn has_series(&self, labels: &[(&str, &str)]) -> bool {
        let catalog = self.shared.catalog.read();
        let mut key = Key::default();
        key.start(labels.len());
        for (name, value) in labels {
            let Some(pair) = catalog.pair_of(self.state.number, name, value) else { return false };
            key.push(pair);
        }
        catalog.identities().find(key.as_bytes()).is_some()
    }

    /// Counts series by label values.
    pub fn count(&self, request: &CardinalityRequest) -> Cardinality {
        cardinality::count(&self.shared, &self.state, request)
    }

    /// The newest exemplars, oldest first, each with the labels of its series.
    pub fn exemplars(&self) -> Vec<(Labels, Exemplar)> {
        let all: Vec<SeriesExemplar> = self.state.exemplars.lock().iter().cloned().collect();
        let mut named = Vec::with_capacity(all.len());
        for slice in all.chunks(SLICE) {
            let catalog = self.shared.catalog.read();
            let labels = |series| Labels::from_sorted(catalog.labels(series));
            named.extend(slice.iter().map(|e| (labels(e.series), e.exemplar.clone())));
        }
        named
    }

    /// The exemplars of matching series.
    fn exemplars_now(&self, request: &ExemplarsRequest) -> Vec<SeriesExemplars> {
        let mut found: Vec<SeriesExemplar> = {
            let ring = self.state.exemplars.lock();
            let in_range =
                |e: &&SeriesExemplar| (request.mint..=request.maxt).contains(&e.exemplar.timestamp);
            ring.iter().filter(in_range).cloned().collect()
        };
        if found.is_empty() {
            return Vec::new();
        }
        let sets = request.matchers.iter();
        let sets = sets.flat_map(|m| select::matching(&self.shared, self.state.number, m));
        let matching: HashSet<SeriesRef, foldhash::fast::RandomState> =
            runs::series(&runs::normalise(sets.collect())).collect();
        found.retain(|e| matching.contains(&e.series));
        // Stable: of equal times the older arrival stays first.
        found.sort_by_key(|e| e.series);
        let mut out: Vec<SeriesExemplars> = Vec::new();
        for of_series in found.chunk_by(|a, b| a.series == b.series) {
            let labels = of_series.first().map(|e| e.series);
            let labels = labels.map(|s| Labels::from_sorted(self.shared.catalog.read().labels(s)));
            let mut exemplars = of_series.iter().map(|e| e.exemplar.clone()).collect();
            sort_exemplars(&mut exemplars);
            out.extend(labels.map(|labels| (labels, exemplars)));
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    /// Whether every sample of the tenant lies in the range.
    fn is_covered(&self, mint: i64, maxt: i64) -> bool {
        self.state.range().is_none_or(|(first, last)| mint <= first && last <= maxt)
    }

    fn is_outside(&self, mint: i64, maxt: i64) -> bool {
        self.state.range().is_none_or(|(first, last)| last < mint || maxt < first)
    }

    fn select_now(&self, request: &SelectRequest) -> Result<Selection, SourceError> {
        let windows = Arc::clone(&self.shared.windows.read());
        let set = select::matching(&self.shared, self.state.number, &request.matchers);
        let mut series = self.within(&set, request.mint, request.maxt);
        if request.max_series > 0 && series.len() > request.max_series {
            series = select::living(&self.shared, &series);
        }
        if request.max_series > 0 && series.len() > request.max_series {
            return Err(SourceError::TooManySeries { limit: request.max_series });
        }
        let labels = order::materialise(&self.shared, &mut series);
        let (mint, maxt) = (request.mint, request.maxt);
        let data = Selected { shared: Arc::clone(&self.shared), series, windows, mint, maxt };
        Ok(Selection { labels, data: Arc::new(data), coverage: Coverage::ALL })
    }

    fn within(&self, set: &[Run], mint: i64, maxt: i64) -> Vec<SeriesRef> {
        if self.is_covered(mint, maxt) {
            return runs::series(set).collect();
        }
        select::within(&self.shared, set, mint, maxt)
    }

    /// Series that pass any set of matchers and have samples in the range.
    fn any_of(&self, request: &LabelsRequest) -> Vec<SeriesRef> {
        let sets = request.matchers.iter();
        let sets = sets.flat_map(|m| select::matching(&self.shared, self.state.number, m));
        self.within(&runs::normalise(sets.collect()), request.mint, request.maxt)
    }

    fn names_now(&self, request: &LabelsRequest) -> Vec<String> {
        if self.is_outside(request.mint, request.maxt) {
            return Vec::new();
        }
        let names = if request.matchers.is_empty() {
            self.all_names()
        } else {
            self.names_among(&self.any_of(request))
        };
        let catalog = self.shared.catalog.read();
        let texts =
            names.iter().filter_map(|id| Some(catalog.texts().get(catalog.name(*id)?.text).to_owned()));
        let texts = texts.collect();
        drop(catalog);
        limited(texts, request.limit)
    }

    fn all_names(&self) -> Vec<NameId> {
        let names = self.shared.catalog.read().copy(Member::NameOfTenant(self.state.number));
        runs::series(&names.runs().collect::<Vec<_>>()).collect()
    }

    fn names_among(&self, series: &[SeriesRef]) -> Vec<NameId> {
        let mut names: HashSet<NameId, foldhash::fast::RandomState> = HashSet::default();
        self.each_pair_among(series, |_, name| {
            names.insert(name);
        });
        names.into_iter().collect()
    }

    fn values_now(&self, name: &str, request: &LabelsRequest) -> Vec<String> {
        if self.is_outside(request.mint, request.maxt) {
            return Vec::new();
        }
        let Some(name) = self.shared.catalog.read().name_of(self.state.number, name) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        if request.matchers.is_empty() {
            select::each_pair(&self.shared, name, |_, value| values.push(value.to_owned()));
            return limited(values, request.limit);
        }
        let mut pairs: HashSet<PairId, foldhash::fast::RandomState> = HashSet::default();
        self.each_pair_among(&self.any_of(request), |pair, of| {
            if of == name {
                pairs.insert(pair);
            }
        });
        select::in_slices(&self.shared, pairs.into_iter(), |catalog, pair| {
            values.extend(catalog.pair(pair).map(|p| catalog.texts().get(p.value).to_owned()));
        });
        limited(values, request.limit)
    }

    fn each_pair_among(&self, series: &[SeriesRef], mut f: impl FnMut(PairId, NameId)) {
        select::in_slices(&self.shared, series.iter().copied(), |catalog, series| {
            for pair in identity::pairs(catalog.identities().get(series)) {
                if let Some(found) = catalog.pair(pair) {
                    f(pair, found.name);
                }
            }
        });
    }

    fn metadata_now(&self, request: &MetadataRequest) -> Vec<(String, Vec<Metadata>)> {
        let per_metric = request.limit_per_metric.unwrap_or(usize::MAX);
        let entry = |metric: &str, all: &Vec<Described>| {
            let all = all.iter().take(per_metric).map(|described| described.metadata.clone());
            (metric.to_owned(), all.collect::<Vec<_>>())
        };
        let limit = request.limit.unwrap_or(usize::MAX);
        if let Some(metric) = &request.metric {
            let map = self.state.metadata.read();
            return map.get(metric.as_str()).map(|all| entry(metric, all)).into_iter().take(limit).collect();
        }
        let mut found: Vec<(String, Vec<Metadata>)> = Vec::new();
        loop {
            let take = SLICE.min(limit - found.len());
            let after = found.last().map_or(Bound::Unbounded, |(metric, _)| Bound::Excluded(metric.as_str()));
            let map = self.state.metadata.read();
            let rest = map.range::<str, _>((after, Bound::Unbounded));
            let slice: Vec<_> = rest.take(take).map(|(metric, all)| entry(metric, all)).collect();
            drop(map);
            if slice.is_empty() {
                return found;
            }
            found.extend(slice);
        }
    }
}

/// The texts in order, at most `limit` of them; 0 = all.
fn limited(mut texts: Vec<String>, limit: usize) -> Vec<String> {
    texts.sort_unstable();
    if limit > 0 {
        texts.truncate(limit);
    }
    texts
}

impl SeriesSource for TenantReader {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        Box::pin(async move { self.select_now(&request) })
    }

    /// Without matchers: all names the tenant has, if it has samples in the range at all.
    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        Box::pin(async move { Ok(self.names_now(&request)) })
    }

    /// Without matchers: all values the tenant has, if it has samples in the range at all.
    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        Box::pin(async move { Ok(self.values_now(&name, &request)) })
    }

    fn metadata(
        &self,
        request: MetadataRequest,
    ) -> BoxFuture<'_, Result<Vec<(String, Vec<Metadata>)>, SourceError>> {
        Box::pin(async move { Ok(self.metadata_now(&request)) })
    }

    fn exemplars(
        &self,
        request: ExemplarsRequest,
    ) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        Box::pin(async move { Ok(self.exemplars_now(&request)) })
    }
}
