//! What the writer and the readers of a partition share, and in which order its locks are taken.
//!
//! | lock | writer | readers |
//! |---|---|---|
//! | `catalog` | shared while it resolves a record, exclusive for a few dozen new series | shared, for slices of work |
//! | `tenants` | exclusive for a new tenant | shared, for one look-up |
//! | `pages`, list | exclusive for a new page | shared, for one look-up |
//! | a page | while consecutive samples stay in it | for one series, or the ranges of one page |
//! | `windows`, list | exclusive for a new window, and when one goes | shared, to copy the list |
//! | heads of a window | exclusive, to add a sealed chunk | shared, for one look-up |
//! | a slab of a window | to add a sealed chunk | for one chunk |
//!
//! A reader holds one of them at a time. The writer alone nests them, so there is no cycle.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use norn_model::tenant::Tenant;
use parking_lot::{Mutex, RwLock};

use crate::catalog::Catalog;
use crate::identity::SeriesRef;
use crate::options::Options;
use crate::page::{Page, ROWS};
use crate::tenant::TenantState;
use crate::window::WindowList;

/// A page behind its lock.
pub(crate) type SharedPage = Arc<Mutex<Page>>;

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) catalog: RwLock<Catalog>,
    pub(crate) tenants: RwLock<HashMap<Tenant, Arc<TenantState>>>,
    pub(crate) pages: RwLock<Vec<SharedPage>>,
    /// All windows that may have chunks, in the order of their creation.
    pub(crate) windows: RwLock<WindowList>,
}

impl Shared {
    /// An empty partition.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options: options.clamped(),
            catalog: RwLock::default(),
            tenants: RwLock::default(),
            pages: RwLock::default(),
            windows: RwLock::default(),
        }
    }

    /// The page of a series.
    pub(crate) fn page(&self, series: SeriesRef) -> Option<SharedPage> {
        self.pages.read().get(page_of(series)).cloned()
    }
}

/// Number of the page a series lies in.
#[inline]
pub(crate) fn page_of(series: SeriesRef) -> usize {
    series as usize / ROWS
}

/// Row of a series in its page.
#[inline]
pub(crate) fn row_of(series: SeriesRef) -> usize {
    series as usize % ROWS
}

/// A hash of a series that is the same in every process.
pub(crate) fn series_hash<'a>(tenant: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let hasher = FixedState::with_seed(0);
    labels.fold(hasher.hash_one(tenant), |hash, label| hasher.hash_one((hash, label)))
}
