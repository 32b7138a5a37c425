//! After a cut: what the head no longer needs goes, in slices.
//!
//! Page by page, rows learn which samples are gone, and series that have none left lose their row
//! and their labels. Then the catalog forgets what only they used, and tenants the exemplars of such
//! series that are at the old end of their rings.
//!
//! A series that comes back is a new one: its newest sample is forgotten, which is harmless, since
//! that lay in a window that takes nothing in order any more.

use std::sync::Arc;

use norn_model::Millis;

use crate::folder::Folder;
use crate::identity::SeriesRef;
use crate::removal::Removal;
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
    /// No sample is older.
    floor: Millis,
    /// Pages from this one on are still to be looked at.
    page: usize,
    removal: Removal,
    /// Those whose exemplars are still to be looked at.
    tenants: Vec<Arc<TenantState>>,
    gone: Vec<SeriesRef>,
}

impl Collect {
    /// Nothing done yet.
    pub(crate) fn new(floor: Millis, tenants: Vec<Arc<TenantState>>) -> Self {
        Self { floor, page: 0, removal: Removal::default(), tenants, gone: Vec::new() }
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
        let Some(tenant) = self.tenants.last() else { return false };
        let catalog = catalog.read();
        if !tenant.exemplars.lock().forget(EXEMPLARS, |series| !catalog.has(series)) {
            self.tenants.pop();
        }
        true
    }

    fn look_at_pages(&mut self, folder: &mut Folder) {
        let (end, last) = (self.page + PAGES, folder.pages.len() - 1);
        while self.page < end && self.gone.len() < SERIES && self.page <= last {
            let Some(page) = folder.pages.get(self.page).cloned() else { break };
            let from = self.gone.len();
            let windows = &folder.windows;
            page.lock().forget(self.floor, |series| windows.have(series), &mut self.gone);
            let gone = self.gone.get(from..).unwrap_or_default();
            // Labels first: from now on nobody is led to the rows.
            self.removal.take(&folder.shared().catalog, gone);
            gone.iter().for_each(|series| folder.forget(*series));
            if page.lock().remove(gone) && self.page < last {
                folder.free(self.page);
            }
            self.page += 1;
        }
        self.gone.clear();
    }
}
