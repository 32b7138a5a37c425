//! Windows on their way into blocks.
//!
//! ```text
//! begin_cut ─ step … step ─ Cut ─┬ finish_cut ─ step …      (windows go, then series without samples)
//!             sweep the pages    └ abandon_cut              (as if there had been none)
//! ```
//!
//! From its beginning on, pages that were not swept yet go on filling the windows that are cut; a
//! page that was swept puts what comes for them into new ones. So every record below
//! [`Cut::next_offset`] is in the cut, and of later ones any part may be.

use std::ops::Range;
use std::sync::Arc;

use norn_contract::log::Offset;
use norn_contract::source::{ChunkBuf, Coverage, Selection, SeriesData, SourceError};
use norn_model::Millis;
use norn_model::tenant::Tenant;

use crate::catalog::Member;
use crate::collect::Collect;
use crate::identity::SeriesRef;
use crate::order;
use crate::runs::{self, Run};
use crate::series;
use crate::shared::Shared;
use crate::storage::NOWHERE;
use crate::window::{Window, WindowNo};

/// What [`crate::Writer::step`] did.
#[derive(Debug)]
pub enum Step {
    /// Nothing waits.
    Idle,
    /// One slice; there is more.
    More,
    /// The windows of the cut that was begun are complete.
    Cut(Cut),
}

/// How far a cut has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// There is none.
    Idle,
    /// Pages from this one on are still to be swept.
    Sweep { page: usize, end: WindowNo, next_offset: Offset },
    /// Given away.
    Given,
    /// Finished, and what nobody needs any more goes.
    Collect(Collect),
    /// Pages from this one on are still to be copied for a snapshot.
    Snapshot { page: usize },
}

/// Frozen windows: everything of closed windows of one partition, of all its tenants. Stays readable
/// until the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Cut(Arc<Frozen>);

#[derive(Debug)]
struct Frozen {
    shared: Arc<Shared>,
    windows: Vec<Arc<Window>>,
    epoch: u64,
    next_offset: Offset,
}

impl Cut {
    pub(crate) fn new(
        shared: Arc<Shared>,
        windows: Vec<Arc<Window>>,
        epoch: u64,
        next_offset: Offset,
    ) -> Self {
        Self(Arc::new(Frozen { shared, windows, epoch, next_offset }))
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Numbers of the windows, each once.
    pub(crate) fn numbers(&self) -> Vec<WindowNo> {
        let mut numbers: Vec<_> = self.0.windows.iter().map(|window| window.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Every record below it is in the cut as far as its windows go.
    pub fn next_offset(&self) -> Offset {
        self.0.next_offset
    }

    /// One part for each tenant and window that has samples: the tenant, and the window's first
    /// millisecond and the one after its last. By time, then by tenant. Looks at every series.
    pub fn parts(&self) -> Vec<(Tenant, Range<Millis>)> {
        let mut tenants: Vec<_> = self
            .0
            .shared
            .tenants
            .read()
            .iter()
            .map(|(tenant, state)| (tenant.clone(), state.number))
            .collect();
        tenants.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let series: Vec<Vec<Run>> = tenants.iter().map(|(_, number)| self.series_of(*number)).collect();
        let mut parts = Vec::new();
        for number in self.numbers() {
            for ((tenant, _), series) in tenants.iter().zip(&series) {
                if runs::series(series).any(|series| self.has(series, number)) {
                    parts.push((tenant.clone(), self.range(number)));
                }
            }
        }
        parts
    }

    /// Series of one part in label order, with their chunks. Chunks of samples that came out of
    /// order may overlap the others.
    pub fn select(&self, tenant: &Tenant, range: &Range<Millis>) -> Selection {
        let number = range.start.div_euclid(self.0.shared.options.chunk_range);
        let state = self.0.shared.tenants.read().get(tenant).cloned();
        let all = state.map_or_else(Vec::new, |state| self.series_of(state.number));
        let mut series: Vec<SeriesRef> =
            runs::series(&all).filter(|series| self.has(*series, number)).collect();
        let labels = order::materialise(&self.0.shared, &mut series);
        let data = Arc::new(Part { cut: self.clone(), series, number });
        Selection { labels, data, coverage: Coverage::ALL }
    }

    fn series_of(&self, tenant: u32) -> Vec<Run> {
        let all = self.0.shared.catalog.read().copy(Member::SeriesOfTenant(tenant));
        all.runs().collect()
    }

    fn has(&self, series: SeriesRef, number: WindowNo) -> bool {
        let mut windows = self.0.windows.iter().filter(|window| window.number == number);
        windows.any(|window| window.newest(series) != NOWHERE)
    }

    fn range(&self, number: WindowNo) -> Range<Millis> {
        let range = self.0.shared.options.chunk_range;
        number.saturating_mul(range)..number.saturating_add(1).saturating_mul(range)
    }
}

/// One window of one tenant.
struct Part {
    cut: Cut,
    series: Vec<SeriesRef>,
    number: WindowNo,
}

impl SeriesData for Part {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        match self.series.get(index) {
            Some(&series) => series::read_sealed(&self.cut.0.windows, series, self.number..=self.number, out),
            None => Ok(()),
        }
    }
}
