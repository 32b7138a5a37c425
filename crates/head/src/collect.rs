//! After a cut: what the head no longer needs goes, in slices.
//!
//! Page by page, rows learn which samples are gone, and series that have none left lose their row
//! and their labels. Then the catalog forgets what only they used, and tenants the exemplars of such
//! series that are at the old end of their rings. At last it is noted who is still there, for the
//! next checkpoint.
//!
//! A series that comes back is a new one. So that it does not take what a head that still knows its
//! newest sample would refuse, its tenant takes nothing up to that time in order any more. Mostly it
//! does not anyway: the time lies in a closed window.

use std::sync::Arc;

use norn_model::tenant::Tenant;
use parking_lot::RwLock;

use crate::catalog::{Catalog, TenantNo};
use crate::folder::Folder;
use crate::identity::SeriesRef;
use crate::page::Gone;
use crate::removal::Removal;
use crate::reserve::{self, Key, Reserve};
use crate::tenant::TenantState;

/// Pages that a slice looks at.
const PAGES: usize = 64;
/// Series that a slice removes, about.
const SERIES: usize = 128;
/// Exemplars that a slice lets go.
const EXEMPLARS: usize = 1024;

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Collect {
    /// Pages from this one on are still to be looked at.
    page: usize,
    removal: Removal,
    /// Those whose exemplars are still to be looked at.
    tenants: Vec<Arc<TenantState>>,
    gone: Vec<Gone>,
    census: Census,
}

impl Collect {
    /// Nothing done yet. Tenants by number.
    pub(crate) fn new(tenants: Vec<(Tenant, Arc<TenantState>)>) -> Self {
        let (removal, gone) = (Removal::default(), Vec::new());
        let states = tenants.iter().map(|(_, state)| Arc::clone(state)).collect();
        Self { page: 0, removal, tenants: states, gone, census: Census::new(tenants) }
    }

    /// Who is there, when nothing is left to do. Hashes by tenant.
    pub(crate) fn census(self) -> Vec<(Tenant, Vec<u64>)> {
        let all = self.census.tenants.into_iter().map(|(tenant, _)| tenant).zip(self.census.keys);
        all.filter(|(_, keys)| !keys.is_empty()).collect()
    }

    /// Does one slice. False: nothing is left.
    pub(crate) fn step(&mut self, folder: &mut Folder) -> bool {
        if self.page < folder.pages.len() {
            self.look_at_pages(folder);
            return true;
        }
        let catalog = &folder.shared().catalog;
        if self.removal.step(catalog) {
            return true;
        }
        if let Some(tenant) = self.tenants.last() {
            let catalog = catalog.read();
            if !tenant.exemplars.lock().forget(EXEMPLARS, |series| !catalog.has(series)) {
                self.tenants.pop();
            }
            return true;
        }
        self.census.step(folder)
    }

    fn look_at_pages(&mut self, folder: &mut Folder) {
        let (end, last) = (self.page + PAGES, folder.pages.len() - 1);
        // Late samples may have come since the cut was finished.
        let floor = folder.floor();
        while self.page < end && self.gone.len() < SERIES && self.page <= last {
            let Some(page) = folder.pages.get(self.page).cloned() else { break };
            let from = self.gone.len();
            let windows = &folder.windows;
            page.lock().forget(floor, |series| windows.have(series), &mut self.gone);
            let gone = self.gone.get(from..).unwrap_or_default();
            let shared = Arc::clone(folder.shared());
            self.census.note_gone(&shared.catalog, gone, &mut folder.reserve);
            // Labels first: from now on nobody is led to the rows.
            let series: Vec<SeriesRef> = gone.iter().map(|gone| gone.series).collect();
            self.removal.take(&shared.catalog, &series);
            series.iter().for_each(|series| folder.forget(*series));
            if page.lock().remove(gone) && self.page < last {
                folder.free(self.page);
            }
            self.page += 1;
        }
        self.gone.clear();
    }
}

/// Says who is there. Series that are added meanwhile come last, so nobody is missed.
#[derive(Debug)]
struct Census {
    /// By number.
    tenants: Vec<(Tenant, Arc<TenantState>)>,
    keys: Vec<Vec<Key>>,
    /// Pages from this one on are still to be looked at.
    page: usize,
}

impl Census {
    fn new(tenants: Vec<(Tenant, Arc<TenantState>)>) -> Self {
        let keys = vec![Vec::new(); tenants.len()];
        Self { tenants, keys, page: 0 }
    }

    /// Looks at a page; false after the last one.
    fn step(&mut self, folder: &Folder) -> bool {
        let Some(page) = folder.pages.get(self.page) else { return false };
        let series: Vec<SeriesRef> = page.lock().series().collect();
        let catalog = folder.shared().catalog.read();
        for series in series {
            if let Some((tenant, key)) = key_of(&catalog, &self.tenants, series)
                && let Some(keys) = self.keys.get_mut(tenant as usize)
            {
                keys.push(key);
            }
        }
        self.page += 1;
        true
    }

    /// Keeps the places of series, and what their tenants must not take in order any more.
    fn note_gone(&self, catalog: &RwLock<Catalog>, gone: &[Gone], reserve: &mut Reserve) {
        let catalog = catalog.read();
        for gone in gone {
            let Some((number, key)) = key_of(&catalog, &self.tenants, gone.series) else { continue };
            reserve.insert(number, key);
            if let (Some((_, state)), Some(newest)) = (self.tenants.get(number as usize), gone.newest) {
                state.close(newest);
            }
        }
    }
}

fn key_of(
    catalog: &Catalog,
    tenants: &[(Tenant, Arc<TenantState>)],
    series: SeriesRef,
) -> Option<(TenantNo, Key)> {
    let number = catalog.tenant_of(series)?;
    let (tenant, _) = tenants.get(number as usize)?;
    Some((number, reserve::key(tenant.as_str(), catalog.labels(series))))
}
