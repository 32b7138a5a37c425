//! Counts series by label values.

use foldhash::fast::RandomState;
use norn_contract::cardinality::{Cardinality, CardinalityRequest};
use norn_model::Millis;

use crate::catalog::{NameId, PairId};
use crate::identity::{self, SeriesRef};
use crate::runs;
use crate::select::{self, SLICE};
use crate::shared::Shared;
use crate::tenant::TenantState;

type Map<K, V> = hashbrown::HashMap<K, V, RandomState>;

/// Counts what `request` asks for.
pub(crate) fn count(shared: &Shared, state: &TenantState, request: &CardinalityRequest) -> Cardinality {
    let names: Vec<Option<NameId>> = {
        let catalog = shared.catalog.read();
        request.names.iter().map(|name| catalog.name_of(state.number, name)).collect()
    };
    if request.matchers.is_empty() && request.since == Millis::MIN {
        let series = shared.catalog.read().tenant_series_count(state.number).into();
        return Cardinality { series, values: names.iter().map(|name| all_values(shared, *name)).collect() };
    }
    let set = select::matching(shared, state.number, &request.matchers);
    let series: Vec<SeriesRef> = match request.since {
        Millis::MIN => runs::series(&set).collect(),
        since => select::within(shared, &set, since, Millis::MAX),
    };
    let series = select::living(shared, &series);
    let counts = counts(shared, &series, &names);
    let values = counts.iter().map(|counts| named(shared, counts.iter().map(|(p, n)| (*p, *n)))).collect();
    Cardinality { series: series.len() as u64, values }
}

/// Every value of a name; what the catalog has counted anyway.
fn all_values(shared: &Shared, name: Option<NameId>) -> Vec<(String, u64)> {
    let mut pairs = Vec::new();
    if let Some(name) = name {
        select::each_pair(shared, name, |pair, _| pairs.push(pair));
    }
    let mut counted = Vec::with_capacity(pairs.len());
    select::in_slices(shared, pairs.into_iter(), |catalog, pair| {
        counted.push((pair, u64::from(catalog.series_count_of(pair))));
    });
    named(shared, counted.into_iter())
}

/// By name, how many of `series` have each of its pairs.
fn counts(shared: &Shared, series: &[SeriesRef], names: &[Option<NameId>]) -> Vec<Map<PairId, u64>> {
    let mut counts: Vec<Map<PairId, u64>> = vec![Map::default(); names.len()];
    let places = names.iter().enumerate().filter_map(|(place, name)| Some(((*name)?, place)));
    let places: Map<NameId, usize> = places.collect();
    select::in_slices(shared, series.iter().copied(), |catalog, series| {
        for pair in identity::pairs(catalog.identities().get(series)) {
            let place = catalog.pair(pair).and_then(|p| places.get(&p.name));
            if let Some(counts) = place.and_then(|place| counts.get_mut(*place)) {
                *counts.entry(pair).or_default() += 1;
            }
        }
    });
    counts
}

/// Texts of pairs that have series, in order.
fn named(shared: &Shared, counts: impl Iterator<Item = (PairId, u64)>) -> Vec<(String, u64)> {
    let counts: Vec<_> = counts.filter(|(_, n)| *n > 0).collect();
    let mut out = Vec::with_capacity(counts.len());
    for slice in counts.chunks(SLICE) {
        let catalog = shared.catalog.read();
        let value = |pair| catalog.pair(pair).map(|p| catalog.texts().get(p.value).to_owned());
        out.extend(slice.iter().filter_map(|(pair, n)| Some((value(*pair)?, *n))));
    }
    out.sort_unstable();
    out
}
