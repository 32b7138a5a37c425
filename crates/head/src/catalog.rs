//! Who is in the partition: texts, label pairs, series and their postings.
//!
//! Tables belong to the partition, not to the tenant: ten thousand small tenants cost no more than
//! one large one. A label name is kept once per tenant ([`Name`]), so the numbers of names, pairs
//! and series each belong to one tenant and can not be mixed up.
//!
//! ```text
//! tenant ─ names ─ pairs ─ series      (each a set of numbers in the one before)
//!    └ series
//! series ─ identity: pair pair pair …  (in the order of label names)
//! ```
//!
//! The catalog lies behind one lock. The writer holds it for writing while it creates at most
//! a few dozen series or does a slice of a removal; readers copy what they need and compute
//! without it.
//!
//! What is removed, and how ([`crate::removal`]):
//!
//! - Numbers are never used twice. A number that a reader kept while it did not hold the lock
//!   leads to what it led to before, or to nothing.
//! - A series exists as long as it has an identity, a name or a pair as long as it can be found
//!   by its texts. Sets may name what has gone for a while: who reads one skips it.
//! - Whatever exists is in the sets it belongs to, at any moment.
//! - A name has a pair and a pair has a series, or their owner removes them with the last one.
//!   (A pair whose series found no room stays without one. It is in no answer.)
//! - A name or a pair is a user of its text, which goes with its last user.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::identity::{self, Identities, SeriesRef};
use crate::paged::{Entry, Paged};
use crate::runs::Run;
use crate::set::Set;
use crate::table::Table;
use crate::text::{TextId, Texts};

/// Number of a tenant in its partition, given in log order.
pub(crate) type TenantNo = u32;
/// Number of a label name of one tenant.
pub(crate) type NameId = u32;
/// Number of a label pair of one tenant.
pub(crate) type PairId = u32;

/// Stands for the tenant or the name of what has gone.
const GONE: u32 = u32::MAX;

/// A label name of one tenant.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) tenant: TenantNo,
    pub(crate) text: TextId,
    pairs: Set,
}

impl Entry for Name {
    const HOLE: Self = Self { tenant: GONE, text: GONE, pairs: Set::Empty };

    fn is_hole(&self) -> bool {
        self.tenant == GONE
    }
}

/// A label pair of one tenant.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) name: NameId,
    pub(crate) value: TextId,
    series: Set,
}

impl Entry for Pair {
    const HOLE: Self = Self { name: GONE, value: GONE, series: Set::Empty };

    fn is_hole(&self) -> bool {
        self.name == GONE
    }
}

#[derive(Debug, Default)]
struct TenantIndex {
    names: Set,
    series: Set,
    /// Series that exist.
    count: u32,
}

/// A set of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    SeriesOfPair(PairId),
    SeriesOfTenant(TenantNo),
    PairOfName(NameId),
    NameOfTenant(TenantNo),
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
    pub(crate) texts: Texts,
    names: Paged<Name>,
    name_table: Table,
    pairs: Paged<Pair>,
    pair_table: Table,
    pub(crate) identities: Identities,
    tenants: Vec<TenantIndex>,
    /// Series of all tenants.
    series: u32,
    /// Bytes of heap of all sets.
    set_bytes: usize,
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

    /// Whether a series exists.
    pub(crate) fn has(&self, series: SeriesRef) -> bool {
        !self.identities.get(series).is_empty()
    }

    /// Whose a series is.
    pub(crate) fn tenant_of(&self, series: SeriesRef) -> Option<TenantNo> {
        let first = identity::pairs(self.identities.get(series)).next()?;
        Some(self.name(self.pair(first)?.name)?.tenant)
    }

    /// A name by number.
    pub(crate) fn name(&self, id: NameId) -> Option<&Name> {
        self.names.get(id)
    }

    /// A pair by number.
    #[inline]
    pub(crate) fn pair(&self, id: PairId) -> Option<&Pair> {
        self.pairs.get(id)
    }

    /// Texts of a pair: name and value.
    pub(crate) fn pair_texts(&self, id: PairId) -> (&str, &str) {
        let Some(pair) = self.pair(id) else { return ("", "") };
        let name = self.name(pair.name).map_or("", |n| self.texts.get(n.text));
        (name, self.texts.get(pair.value))
    }

    /// Label pairs of a series in the order of their names.
    pub(crate) fn labels(&self, series: SeriesRef) -> impl Iterator<Item = (&str, &str)> + Clone {
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

    /// A set; `None` when its owner has gone.
    pub(crate) fn set(&self, of: Member) -> Option<&Set> {
        match of {
            Member::SeriesOfPair(pair) => self.pair(pair).map(|p| &p.series),
            Member::SeriesOfTenant(tenant) => self.tenants.get(tenant as usize).map(|t| &t.series),
            Member::PairOfName(name) => self.name(name).map(|n| &n.pairs),
            Member::NameOfTenant(tenant) => self.tenants.get(tenant as usize).map(|t| &t.names),
        }
    }

    fn set_mut(&mut self, of: Member) -> Option<&mut Set> {
        match of {
            Member::SeriesOfPair(pair) => self.pairs.get_mut(pair).map(|p| &mut p.series),
            Member::SeriesOfTenant(tenant) => self.tenants.get_mut(tenant as usize).map(|t| &mut t.series),
            Member::PairOfName(name) => self.names.get_mut(name).map(|n| &mut n.pairs),
            Member::NameOfTenant(tenant) => self.tenants.get_mut(tenant as usize).map(|t| &mut t.names),
        }
    }

    /// A copy of a set; empty when its owner has gone.
    pub(crate) fn copy(&self, of: Member) -> Set {
        self.set(of).cloned().unwrap_or_default()
    }

    /// Number of series of all tenants.
    pub(crate) fn series_count(&self) -> u32 {
        self.series
    }

    /// Number of series of a tenant.
    pub(crate) fn tenant_series_count(&self, tenant: TenantNo) -> u32 {
        self.tenants.get(tenant as usize).map_or(0, |t| t.count)
    }

    /// Appends the series with a pair to `out`.
    pub(crate) fn append_series_of(&self, pair: PairId, out: &mut Vec<Run>) {
        out.extend(self.set(Member::SeriesOfPair(pair)).into_iter().flat_map(Set::runs));
    }

    /// Number of series with a pair.
    pub(crate) fn series_count_of(&self, pair: PairId) -> u32 {
        self.set(Member::SeriesOfPair(pair)).map_or(0, Set::count)
    }

    /// Adds a tenant and gives its number.
    pub(crate) fn add_tenant(&mut self) -> Option<TenantNo> {
        let number = u32::try_from(self.tenants.len()).ok()?;
        self.tenants.push(TenantIndex::default());
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
        let id = self.names.push(Name { tenant, text, pairs: Set::Empty })?;
        self.push(Member::NameOfTenant(tenant), id);
        self.texts.acquire(text);
        let (names, hasher) = (&self.names, &self.hasher);
        let hash = |id| name_hash(names, hasher, id);
        self.name_table.insert(hash(id), id, hash);
        Some(id)
    }

    fn add_pair(&mut self, name: NameId, value: TextId) -> Option<PairId> {
        let id = self.pairs.push(Pair { name, value, series: Set::Empty })?;
        self.push(Member::PairOfName(name), id);
        self.texts.acquire(value);
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        let hash = |id| pair_hash(pairs, hasher, id);
        self.pair_table.insert(hash(id), id, hash);
        Some(id)
    }

    /// Adds a series that is not there yet; `None` when there is no room.
    pub(crate) fn add_series(&mut self, tenant: TenantNo, identity: &[u8]) -> Option<SeriesRef> {
        let series = self.identities.insert(identity)?;
        self.tenants.get_mut(tenant as usize)?.count += 1;
        self.series += 1;
        self.push(Member::SeriesOfTenant(tenant), series);
        for pair in identity::pairs(identity) {
            self.push(Member::SeriesOfPair(pair), series);
        }
        Some(series)
    }

    #[inline]
    fn push(&mut self, of: Member, number: u32) {
        let grown = self.set_mut(of).map_or(0, |set| set.push(number));
        self.set_bytes += grown;
    }

    /// Takes a series out. Sets still name it.
    pub(crate) fn remove_series(&mut self, tenant: TenantNo, series: SeriesRef) {
        if let Some(index) = self.tenants.get_mut(tenant as usize) {
            index.count = index.count.saturating_sub(1);
            self.series = self.series.saturating_sub(1);
        }
        self.identities.remove(series);
    }

    /// Puts `new` in the place of a set.
    pub(crate) fn replace(&mut self, of: Member, new: Set) {
        let added = new.size_bytes();
        if let Some(set) = self.set_mut(of) {
            let old = std::mem::replace(set, new);
            self.set_bytes = (self.set_bytes + added).saturating_sub(old.size_bytes());
        }
    }

    /// Takes out a pair without series and gives its name. The set of the name still names it.
    pub(crate) fn remove_pair(&mut self, id: PairId) -> Option<NameId> {
        let (name, value) = self.pair(id).filter(|p| p.series.is_empty()).map(|p| (p.name, p.value))?;
        self.pair_table.remove(pair_hash(&self.pairs, &self.hasher, id), id);
        self.pairs.remove(id);
        self.texts.release(value);
        Some(name)
    }

    /// Takes out a name without pairs and gives its tenant, whose set still names it.
    pub(crate) fn remove_name(&mut self, id: NameId) -> Option<TenantNo> {
        let (tenant, text) = self.name(id).filter(|n| n.pairs.is_empty()).map(|n| (n.tenant, n.text))?;
        self.name_table.remove(name_hash(&self.names, &self.hasher, id), id);
        self.names.remove(id);
        self.texts.release(text);
        Some(tenant)
    }

    /// Makes part `part` of each table smaller if it is mostly empty. False: there is no such part.
    pub(crate) fn shrink_tables(&mut self, part: u32) -> bool {
        let hasher = &self.hasher;
        let (names, pairs) = (&self.names, &self.pairs);
        self.name_table.shrink(part, |id| name_hash(names, hasher, id));
        self.pair_table.shrink(part, |id| pair_hash(pairs, hasher, id));
        self.texts.shrink_table(part);
        self.identities.shrink_table(part)
    }

    /// Bytes of heap by part.
    pub(crate) fn size_bytes(&self) -> CatalogBytes {
        let (identities, table) = self.identities.size_bytes();
        CatalogBytes {
            texts: self.texts.size_bytes() + self.names.size_bytes() + self.pairs.size_bytes(),
            identities,
            tables: table + self.pair_table.size_bytes() + self.name_table.size_bytes(),
            postings: self.set_bytes + self.tenants.capacity() * size_of::<TenantIndex>(),
        }
    }
}

fn name_hash(names: &Paged<Name>, hasher: &RandomState, id: NameId) -> u64 {
    names.get(id).map_or(0, |n| hasher.hash_one((n.tenant, n.text)))
}

fn pair_hash(pairs: &Paged<Pair>, hasher: &RandomState, id: PairId) -> u64 {
    pairs.get(id).map_or(0, |p| hasher.hash_one((p.name, p.value)))
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
        assert_eq!(catalog.copy(Member::SeriesOfPair(pair)).runs().collect::<Vec<_>>(), [(one, one + 1)]);
        assert_eq!(catalog.copy(Member::SeriesOfTenant(b)).runs().collect::<Vec<_>>(), [(two, two + 1)]);
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
        assert_eq!(catalog.copy(Member::SeriesOfPair(job)).runs().collect::<Vec<_>>(), [(0, 100)]);
        assert_eq!(catalog.series_count_of(job), 100);
        let seven = catalog.pair_of(tenant, "i", "7").expect("known");
        assert_eq!(catalog.series_count_of(seven), 1);
        let mut runs = Vec::new();
        catalog.append_series_of(seven, &mut runs);
        assert_eq!(runs, [(7, 8)]);
    }
}
