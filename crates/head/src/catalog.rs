//! Who is in the partition: texts, label pairs, series and their postings.
//!
//! Tables belong to the partition, not to the tenant: ten thousand small tenants cost no more than
//! one large one. A label name is kept once per tenant ([`Name`]), so the numbers of names, pairs
//! and series each belong to one tenant and can not be mixed up.
//!
//! ```text
//! tenant ─ first name ─ next name …
//!             └ first pair ─ next pair …      (newest first)
//!                  └ postings: one series here, or a list of runs
//! series ─ identity: pair pair pair …         (in the order of label names)
//! ```
//!
//! The catalog lies behind one lock. The writer holds it for writing while it creates at most
//! a few dozen series; readers copy what they need and compute without it.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::identity::{self, Identities, SeriesRef};
use crate::paged::Paged;
use crate::runs::{Run, RunList};
use crate::table::Table;
use crate::text::{TextId, Texts};

/// Number of a tenant in its partition, given in log order.
pub(crate) type TenantNo = u32;
/// Number of a label name of one tenant.
pub(crate) type NameId = u32;
/// Number of a label pair of one tenant.
pub(crate) type PairId = u32;

/// End of a chain of names or pairs.
pub(crate) const END: u32 = u32::MAX;

/// A label name of one tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) tenant: TenantNo,
    pub(crate) text: TextId,
    /// Newest pair with this name.
    pub(crate) pair: PairId,
    /// The tenant's name before this one, or [`END`].
    pub(crate) next: NameId,
}

/// A label pair of one tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) name: NameId,
    pub(crate) value: TextId,
    /// The name's pair before this one, or [`END`].
    pub(crate) next: PairId,
    postings: Postings,
}

#[derive(Clone, Copy, Debug)]
enum Postings {
    None,
    One(SeriesRef),
    List(u32),
}

/// Where a tenant's chains begin, and its series.
#[derive(Debug)]
struct TenantIndex {
    name: NameId,
    series: RunList,
}

/// Bytes of heap by part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CatalogBytes {
    pub(crate) texts: usize,
    pub(crate) identities: usize,
    pub(crate) tables: usize,
    pub(crate) postings: usize,
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    texts: Texts,
    names: Paged<Name>,
    name_table: Table,
    pairs: Paged<Pair>,
    pair_table: Table,
    lists: Paged<RunList>,
    identities: Identities,
    tenants: Vec<TenantIndex>,
    /// Bytes of heap of all run lists.
    run_bytes: usize,
    hasher: RandomState,
}

impl Catalog {
    /// Interned texts.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Identities of the series.
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// A name by number.
    pub(crate) fn name(&self, id: NameId) -> Option<&Name> {
        self.names.get(id)
    }

    /// A pair by number.
    pub(crate) fn pair(&self, id: PairId) -> Option<&Pair> {
        self.pairs.get(id)
    }

    /// Texts of a pair: name and value.
    pub(crate) fn pair_texts(&self, id: PairId) -> (&str, &str) {
        let Some(pair) = self.pairs.get(id) else { return ("", "") };
        let name = self.names.get(pair.name).map_or("", |n| self.texts.get(n.text));
        (name, self.texts.get(pair.value))
    }

    /// Label pairs of a series in the order of their names.
    pub(crate) fn labels(&self, series: SeriesRef) -> impl Iterator<Item = (&str, &str)> {
        identity::pairs(self.identities.get(series)).map(|pair| self.pair_texts(pair))
    }

    /// The tenant's number for a name's text.
    #[inline]
    pub(crate) fn find_name(&self, tenant: TenantNo, text: TextId) -> Option<NameId> {
        self.name_table.find(self.hasher.hash_one((tenant, text)), |id| {
            self.names.get(id).is_some_and(|n| n.tenant == tenant && n.text == text)
        })
    }

    /// The number of the pair of a name and a value.
    #[inline]
    pub(crate) fn find_pair(&self, name: NameId, value: TextId) -> Option<PairId> {
        self.pair_table.find(self.hasher.hash_one((name, value)), |id| {
            self.pairs.get(id).is_some_and(|p| p.name == name && p.value == value)
        })
    }

    /// The name of a tenant by its text.
    pub(crate) fn name_of(&self, tenant: TenantNo, text: &str) -> Option<NameId> {
        self.find_name(tenant, self.texts.find(text)?)
    }

    /// The pair of a tenant by its texts.
    pub(crate) fn pair_of(&self, tenant: TenantNo, name: &str, value: &str) -> Option<PairId> {
        self.find_pair(self.name_of(tenant, name)?, self.texts.find(value)?)
    }

    /// The tenant's newest name, or [`END`].
    pub(crate) fn first_name(&self, tenant: TenantNo) -> NameId {
        self.tenants.get(tenant as usize).map_or(END, |t| t.name)
    }

    /// A copy of the series of a tenant.
    pub(crate) fn tenant_series(&self, tenant: TenantNo) -> RunList {
        self.tenants.get(tenant as usize).map_or_else(RunList::default, |t| t.series.clone())
    }

    /// Number of series of a tenant.
    pub(crate) fn tenant_series_count(&self, tenant: TenantNo) -> u32 {
        self.tenants.get(tenant as usize).map_or(0, |t| t.series.count())
    }

    /// A copy of the series with a pair.
    pub(crate) fn series_of(&self, pair: PairId) -> RunList {
        let mut list = RunList::default();
        match self.pairs.get(pair).map_or(Postings::None, |p| p.postings) {
            Postings::None => {}
            Postings::One(series) => list.push(series),
            Postings::List(at) => list = self.lists.get(at).cloned().unwrap_or_default(),
        }
        list
    }

    /// Appends the series with a pair to `out`.
    pub(crate) fn append_series_of(&self, pair: PairId, out: &mut Vec<Run>) {
        match self.pairs.get(pair).map_or(Postings::None, |p| p.postings) {
            Postings::None => {}
            Postings::One(series) => out.push((series, series + 1)),
            Postings::List(at) => out.extend(self.lists.get(at).into_iter().flat_map(RunList::runs)),
        }
    }

    /// Number of series with a pair.
    pub(crate) fn series_count_of(&self, pair: PairId) -> u32 {
        match self.pairs.get(pair).map_or(Postings::None, |p| p.postings) {
            Postings::None => 0,
            Postings::One(_) => 1,
            Postings::List(at) => self.lists.get(at).map_or(0, RunList::count),
        }
    }

    /// Adds a tenant and gives its number.
    pub(crate) fn add_tenant(&mut self) -> Option<TenantNo> {
        let number = u32::try_from(self.tenants.len()).ok()?;
        self.tenants.push(TenantIndex { name: END, series: RunList::default() });
        Some(number)
    }

    /// The pair of a tenant by its texts, added if need be; `None` when there is no room.
    pub(crate) fn intern_pair(&mut self, tenant: TenantNo, name: &str, value: &str) -> Option<PairId> {
        let name = self.texts.intern(name)?;
        let value = self.texts.intern(value)?;
        let name = match self.find_name(tenant, name) {
            Some(id) => id,
            None => self.add_name(tenant, name)?,
        };
        match self.find_pair(name, value) {
            Some(id) => Some(id),
            None => self.add_pair(name, value),
        }
    }

    fn add_name(&mut self, tenant: TenantNo, text: TextId) -> Option<NameId> {
        let index = self.tenants.get_mut(tenant as usize)?;
        let id = self.names.push(Name { tenant, text, pair: END, next: index.name })?;
        index.name = id;
        let (names, hasher) = (&self.names, &self.hasher);
        let hash = |id| names.get(id).map_or(0, |n| hasher.hash_one((n.tenant, n.text)));
        self.name_table.insert(hash(id), id, hash);
        Some(id)
    }

    fn add_pair(&mut self, name: NameId, value: TextId) -> Option<PairId> {
        let owner = self.names.get_mut(name)?;
        let id = self.pairs.push(Pair { name, value, next: owner.pair, postings: Postings::None })?;
        owner.pair = id;
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        let hash = |id| pairs.get(id).map_or(0, |p| hasher.hash_one((p.name, p.value)));
        self.pair_table.insert(hash(id), id, hash);
        Some(id)
    }

    /// Adds a series that is not there yet; `None` when there is no room.
    pub(crate) fn add_series(&mut self, tenant: TenantNo, identity: &[u8]) -> Option<SeriesRef> {
        let series = self.identities.insert(identity)?;
        self.run_bytes += grow(&mut self.tenants.get_mut(tenant as usize)?.series, series);
        for pair in identity::pairs(identity) {
            self.post(pair, series);
        }
        Some(series)
    }

    fn post(&mut self, pair: PairId, series: SeriesRef) {
        let Some(pair) = self.pairs.get_mut(pair) else { return };
        match pair.postings {
            Postings::None => pair.postings = Postings::One(series),
            Postings::One(first) => {
                let mut list = RunList::default();
                self.run_bytes += grow(&mut list, first) + grow(&mut list, series);
                // There are fewer lists than pairs, so there is an index left.
                if let Some(at) = self.lists.push(list) {
                    pair.postings = Postings::List(at);
                }
            }
            Postings::List(at) => {
                if let Some(list) = self.lists.get_mut(at) {
                    self.run_bytes += grow(list, series);
                }
            }
        }
    }

    /// Bytes of heap by part.
    pub(crate) fn size_bytes(&self) -> CatalogBytes {
        let (identities, table) = self.identities.size_bytes();
        CatalogBytes {
            texts: self.texts.size_bytes() + self.names.size_bytes() + self.pairs.size_bytes(),
            identities,
            tables: table + self.pair_table.size_bytes() + self.name_table.size_bytes(),
            postings: self.run_bytes
                + self.lists.size_bytes()
                + self.tenants.capacity() * size_of::<TenantIndex>(),
        }
    }
}

/// Adds a series to a list; gives the bytes of heap that took.
fn grow(list: &mut RunList, series: SeriesRef) -> usize {
    let before = list.size_bytes();
    list.push(series);
    list.size_bytes() - before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(catalog: &mut Catalog, tenant: TenantNo, labels: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in labels {
            let pair = catalog.intern_pair(tenant, name, value).expect("room");
            norn_codec::varint::put_uvarint(&mut bytes, u64::from(pair));
        }
        bytes
    }

    #[test]
    fn tenants_share_texts_and_nothing_else() {
        let mut catalog = Catalog::default();
        let (a, b) = (catalog.add_tenant().expect("room"), catalog.add_tenant().expect("room"));
        let labels = [("__name__", "up"), ("job", "x")];
        let (first, second) = (identity(&mut catalog, a, &labels), identity(&mut catalog, b, &labels));
        assert_ne!(first, second);
        let one = catalog.add_series(a, &first).expect("room");
        let two = catalog.add_series(b, &second).expect("room");
        let pair = catalog.pair_of(a, "job", "x").expect("known");
        assert_eq!(catalog.series_of(pair).runs().collect::<Vec<_>>(), [(one, one + 1)]);
        assert_eq!(catalog.tenant_series(b).runs().collect::<Vec<_>>(), [(two, two + 1)]);
        assert_eq!(catalog.labels(two).collect::<Vec<_>>(), labels);
        assert_eq!(catalog.pair_of(a, "job", "y"), None);
    }

    #[test]
    fn postings_grow_from_one_to_runs() {
        let mut catalog = Catalog::default();
        let tenant = catalog.add_tenant().expect("room");
        for i in 0..100 {
            let value = i.to_string();
            let bytes = identity(&mut catalog, tenant, &[("i", &value), ("job", "x")]);
            assert_eq!(catalog.add_series(tenant, &bytes), Some(i));
        }
        let job = catalog.pair_of(tenant, "job", "x").expect("known");
        assert_eq!(catalog.series_of(job).runs().collect::<Vec<_>>(), [(0, 100)]);
        assert_eq!(catalog.series_count_of(job), 100);
        let seven = catalog.pair_of(tenant, "i", "7").expect("known");
        assert_eq!(catalog.series_count_of(seven), 1);
        let mut runs = Vec::new();
        catalog.append_series_of(seven, &mut runs);
        assert_eq!(runs, [(7, 8)]);
    }
}
