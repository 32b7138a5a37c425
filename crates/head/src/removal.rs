//! Takes series out of the catalog, and with them whatever only they used, in slices.
//!
//! ```text
//! take                series lose their identity          slice by slice, by the caller
//! step  pairs         their pairs' sets forget them       pairs without series go
//!       tenants       their tenants' sets forget them
//!       names         names' sets forget those pairs      names without pairs go
//!       tenant names  tenants' sets forget those names
//!       tables        parts that are mostly empty become smaller
//!       identities    slabs that are mostly dead are left
//!       texts         the same
//! ```
//!
//! One round takes many series: each set is passed once, however many of them it names. Short
//! ones are passed and replaced under the exclusive lock, many a slice. One that is too long for
//! that is passed on under the shared lock, slice by slice, while new series may be added to its
//! end; the exclusive lock is taken for those and for the exchange.
//!
//! Between two slices the writer may add anything. The labels of a series that has gone make a
//! new series, with a new number, of pairs that are still there; so a pair is looked at again,
//! under the lock that removes it: it goes only when its set is empty. A pair or a name goes
//! before the sets that name it are passed, and who comes back has a new number, which no pass
//! takes out. [`crate::catalog`] says what readers may rely on.

use parking_lot::RwLock;

use crate::bits::Bits;
use crate::catalog::{Catalog, Member, NameId, PairId, TenantNo};
use crate::identity::{self, SeriesRef};
use crate::runs::Run;
use crate::set::{Pass, Set};

/// Series that are taken out under one lock.
const TAKE: usize = 64;
/// Runs that are passed under one exclusive lock.
const SLICE_RUNS: usize = 2048;
/// What a set costs beside its runs.
const SET_RUNS: usize = 8;
/// Runs of a longer set that are passed under one shared lock.
const LONG_RUNS: usize = 8192;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Pairs,
    Tenants,
    Names,
    TenantNames,
    Tables,
    Identities,
    Texts,
    Done,
}

/// One round. See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    stage: Stage,
    /// What the stage does next: the owner of a set, or what may have to move.
    next: u32,
    /// Of the set of `next`, if it is long.
    pass: Option<Pass>,
    series: Gone,
    tenants: Bits,
    pairs: Gone,
    names: Gone,
}

/// Numbers that have gone, ascending, and the owners of the sets that name them.
#[derive(Debug, Default)]
struct Gone {
    runs: Vec<Run>,
    owners: Bits,
}

impl Gone {
    fn push(&mut self, number: u32) {
        match self.runs.last_mut() {
            Some(last) if last.1 == number => last.1 = number + 1,
            _ => self.runs.push((number, number + 1)),
        }
    }
}

impl Removal {
    /// Takes `series` out. Over all calls of a round they ascend; those that do not exist, or do
    /// not ascend, are left out.
    pub(crate) fn take(&mut self, catalog: &RwLock<Catalog>, series: &[SeriesRef]) {
        for slice in series.chunks(TAKE) {
            let mut catalog = catalog.write();
            for &series in slice {
                self.take_one(&mut catalog, series);
            }
        }
    }

    fn take_one(&mut self, catalog: &mut Catalog, series: SeriesRef) {
        let ascends = self.series.runs.last().is_none_or(|last| last.1 <= series);
        let mut pairs = identity::pairs(catalog.identities().get(series)).peekable();
        let name = pairs.peek().and_then(|&pair| catalog.pair(pair)).and_then(|p| catalog.name(p.name));
        let Some(tenant) = name.map(|n| n.tenant).filter(|_| ascends) else { return };
        pairs.for_each(|pair| self.series.owners.insert(pair));
        self.tenants.insert(tenant);
        self.series.push(series);
        catalog.remove_series(tenant, series);
    }

    /// Does one slice of what is left after the last [`Removal::take`]. False: nothing is left.
    pub(crate) fn step(&mut self, catalog: &RwLock<Catalog>) -> bool {
        match self.stage {
            Stage::Pairs => self.pass_some(catalog, Stage::Tenants),
            Stage::Tenants => self.pass_some(catalog, Stage::Names),
            Stage::Names => self.pass_some(catalog, Stage::TenantNames),
            Stage::TenantNames => self.pass_some(catalog, Stage::Tables),
            Stage::Tables => {
                let is_part = catalog.write().shrink_tables(self.next);
                self.go_on(Some(self.next + 1).filter(|_| is_part), Stage::Identities);
            }
            Stage::Identities => {
                let identities = &mut catalog.write().identities;
                let begun = self.next > 0 || identities.mark();
                let next = if begun { identities.evacuate(self.next) } else { None };
                self.go_on(next, Stage::Texts);
            }
            Stage::Texts => {
                let texts = &mut catalog.write().texts;
                let begun = self.next > 0 || texts.mark();
                let next = if begun { texts.evacuate(self.next) } else { None };
                self.go_on(next, Stage::Done);
            }
            Stage::Done => {}
        }
        self.stage != Stage::Done
    }

    fn go_on(&mut self, next: Option<u32>, then: Stage) {
        if next.is_none() {
            self.stage = then;
        }
        self.next = next.unwrap_or(0);
    }

    /// Owners of the sets of this stage, and what has gone from them.
    fn work(&self) -> (&Bits, &[Run]) {
        match self.stage {
            Stage::Pairs => (&self.series.owners, &self.series.runs),
            Stage::Tenants => (&self.tenants, &self.series.runs),
            Stage::Names => (&self.pairs.owners, &self.pairs.runs),
            _ => (&self.names.owners, &self.names.runs),
        }
    }

    fn member(&self, owner: u32) -> Member {
        match self.stage {
            Stage::Pairs => Member::SeriesOfPair(owner),
            Stage::Tenants => Member::SeriesOfTenant(owner),
            Stage::Names => Member::PairOfName(owner),
            _ => Member::NameOfTenant(owner),
        }
    }

    /// Passes some sets of this stage; after the last one goes on with `then`.
    fn pass_some(&mut self, catalog: &RwLock<Catalog>, then: Stage) {
        if let Some(pass) = self.pass.take() {
            self.pass_long(catalog, pass);
            return;
        }
        let mut room = SLICE_RUNS;
        let mut catalog = catalog.write();
        while room > 0 {
            let (owners, gone) = self.work();
            let Some(owner) = owners.next(self.next) else {
                self.go_on(None, then);
                return;
            };
            if let Some(set) = catalog.set(self.member(owner)) {
                let mut pass = Pass::default();
                room = room.saturating_sub(SET_RUNS);
                if !pass.advance(set, gone, &mut room) {
                    (self.pass, self.next) = (Some(pass), owner);
                    return;
                }
                let left = pass.finish(set, gone);
                self.settle(&mut catalog, owner, left);
            }
            self.next = owner + 1;
        }
    }

    /// Goes on with the long set of `next`.
    fn pass_long(&mut self, catalog: &RwLock<Catalog>, mut pass: Pass) {
        let (owner, gone) = (self.next, self.work().1);
        let member = self.member(owner);
        let at_end = match catalog.read().set(member) {
            Some(set) => pass.advance(set, gone, &mut { LONG_RUNS }),
            None => true,
        };
        if !at_end {
            self.pass = Some(pass);
            return;
        }
        let mut catalog = catalog.write();
        if let Some(set) = catalog.set(member) {
            let left = pass.finish(set, gone);
            self.settle(&mut catalog, owner, left);
        }
        self.next += 1;
    }

    /// Puts in what is left of the set of `owner`, who goes when that is nothing.
    fn settle(&mut self, catalog: &mut Catalog, owner: u32, left: Set) {
        let is_empty = left.is_empty();
        catalog.replace(self.member(owner), left);
        if is_empty {
            match self.stage {
                Stage::Pairs => self.drop_pair(catalog, owner),
                Stage::Names => self.drop_name(catalog, owner),
                _ => {}
            }
        }
    }

    fn drop_pair(&mut self, catalog: &mut Catalog, pair: PairId) {
        if let Some(name) = catalog.remove_pair(pair) {
            self.pairs.push(pair);
            self.pairs.owners.insert(name);
        }
    }

    fn drop_name(&mut self, catalog: &mut Catalog, name: NameId) {
        let tenant: Option<TenantNo> = catalog.remove_name(name);
        if let Some(tenant) = tenant {
            self.names.push(name);
            self.names.owners.insert(tenant);
        }
    }
}

#[cfg(test)]
mod tests;
