//! From matchers to series.
//!
//! A matcher that refuses the empty string demands one of the label's values it passes; one that
//! takes it forbids the values it does not pass, and an absent label is fine. So the answer is
//! the intersection of demands minus the forbidden, and a matcher is asked once per value, never
//! once per series.
//!
//! Under the catalog's lock only look-ups and copies happen, values are walked in slices. Series
//! may go in between: one that is found may have no labels when these are read, and is skipped.

use norn_model::Millis;
use norn_model::matcher::{MatchOp, Matcher};

use crate::catalog::{Catalog, Member, NameId, PairId, TenantNo};
use crate::identity::SeriesRef;
use crate::runs::{self, Run};
use crate::shared::{Shared, page_of, row_of};

/// Values or pairs that are looked at under one lock.
pub(crate) const SLICE: usize = 256;
/// Runs that are decoded under one lock, but for those of the last pair.
const SLICE_RUNS: usize = 8192;

/// Series of `tenant` that pass all matchers.
pub(crate) fn matching(shared: &Shared, tenant: TenantNo, matchers: &[Matcher]) -> Vec<Run> {
    let (forbidding, demanding): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_empty());
    let mut demands = Vec::with_capacity(demanding.len());
    for matcher in demanding {
        let demand = series_of(shared, &demanded(shared, tenant, matcher));
        if demand.is_empty() {
            return Vec::new();
        }
        demands.push(demand);
    }
    demands.sort_unstable_by_key(Vec::len);
    let mut demands = demands.into_iter();
    let first = demands.next().unwrap_or_else(|| {
        let all = shared.catalog.read().copy(Member::SeriesOfTenant(tenant));
        all.runs().collect()
    });
    let mut set = demands.fold(first, |set, demand| runs::intersect(&set, demand.into_iter()));
    for matcher in forbidding {
        if set.is_empty() {
            break;
        }
        let forbidden = series_of(shared, &forbidden(shared, tenant, matcher));
        set = runs::subtract(&set, forbidden.into_iter());
    }
    set
}

/// Pairs of which one must be there.
fn demanded(shared: &Shared, tenant: TenantNo, matcher: &Matcher) -> Vec<PairId> {
    if matcher.op() == MatchOp::Equal {
        return exact(shared, tenant, matcher.name(), std::iter::once(matcher.value()));
    }
    if let Some(values) = matcher.exact_values() {
        return exact(shared, tenant, matcher.name(), values.iter().map(String::as_str));
    }
    let prefix = matcher.prefix();
    walk(shared, tenant, matcher.name(), |value| value.starts_with(prefix) && matcher.matches(value))
}

/// Pairs of which none may be there.
fn forbidden(shared: &Shared, tenant: TenantNo, matcher: &Matcher) -> Vec<PairId> {
    if matcher.op() == MatchOp::NotEqual {
        return exact(shared, tenant, matcher.name(), std::iter::once(matcher.value()));
    }
    walk(shared, tenant, matcher.name(), |value| !matcher.matches(value))
}

fn exact<'a>(
    shared: &Shared,
    tenant: TenantNo,
    name: &str,
    values: impl Iterator<Item = &'a str>,
) -> Vec<PairId> {
    let catalog = shared.catalog.read();
    let Some(name) = catalog.name_of(tenant, name) else { return Vec::new() };
    values.filter_map(|value| catalog.find_pair(name, catalog.texts().find(value)?)).collect()
}

fn walk(shared: &Shared, tenant: TenantNo, name: &str, keep: impl Fn(&str) -> bool) -> Vec<PairId> {
    let name = shared.catalog.read().name_of(tenant, name);
    let mut pairs = Vec::new();
    if let Some(name) = name {
        each_pair(shared, name, |pair, value| {
            if keep(value) {
                pairs.push(pair);
            }
        });
    }
    pairs
}

/// Gives all pairs of a name that have series, and their values, to `f`.
pub(crate) fn each_pair(shared: &Shared, name: NameId, mut f: impl FnMut(PairId, &str)) {
    let pairs = shared.catalog.read().copy(Member::PairOfName(name));
    let runs: Vec<Run> = pairs.runs().collect();
    in_slices(shared, runs::series(&runs), |catalog, id| {
        if let Some(pair) = catalog.pair(id)
            && catalog.series_count_of(id) > 0
        {
            f(id, catalog.texts().get(pair.value));
        }
    });
}

/// Gives the catalog and each of `numbers` to `f`, and lets the lock go every now and then.
pub(crate) fn in_slices(
    shared: &Shared,
    numbers: impl Iterator<Item = u32>,
    mut f: impl FnMut(&Catalog, u32),
) {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let catalog = shared.catalog.read();
        numbers.by_ref().take(SLICE).for_each(|number| f(&catalog, number));
    }
}

/// Those of `series` that still exist.
pub(crate) fn living(shared: &Shared, series: &[SeriesRef]) -> Vec<SeriesRef> {
    let mut kept = Vec::with_capacity(series.len());
    in_slices(shared, series.iter().copied(), |catalog, series| {
        if catalog.has(series) {
            kept.push(series);
        }
    });
    kept
}

/// Series that have any of the pairs.
fn series_of(shared: &Shared, pairs: &[PairId]) -> Vec<Run> {
    match pairs {
        [] => Vec::new(),
        [pair] => {
            let set = shared.catalog.read().copy(Member::SeriesOfPair(*pair));
            set.runs().collect()
        }
        pairs => {
            let (mut all, mut rest) = (Vec::new(), pairs);
            while !rest.is_empty() {
                let catalog = shared.catalog.read();
                let full = all.len() + SLICE_RUNS;
                while let Some((pair, tail)) = rest.split_first()
                    && all.len() < full
                {
                    catalog.append_series_of(*pair, &mut all);
                    rest = tail;
                }
            }
            runs::normalise(all)
        }
    }
}

/// Those of `set` that have samples between `mint` and `maxt`, bounds included.
pub(crate) fn within(shared: &Shared, set: &[Run], mint: Millis, maxt: Millis) -> Vec<SeriesRef> {
    let mut kept = Vec::new();
    for &(start, end) in set {
        let mut next = start;
        while next < end {
            let Some(page) = shared.page(next) else { return kept };
            let page = page.lock();
            let number = page_of(next);
            while next < end && page_of(next) == number {
                if page.range(row_of(next)).is_some_and(|(first, last)| first <= maxt && last >= mint) {
                    kept.push(next);
                }
                next += 1;
            }
        }
    }
    kept
}
