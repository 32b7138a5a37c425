//! One record's way into the head, in three passes.
//!
//! The first finds the record's series under a shared lock, the second adds those that are new in
//! slices, the third appends samples page by page.

use std::sync::Arc;

use norn_contract::log::Offset;
use norn_model::Millis;
use norn_model::labels::{Labels, METRIC_NAME};
use norn_model::rejection::{Parts, Refused, Rejection};
use norn_model::tenant::Tenant;
use norn_wire::histogram::HistogramRef;
use norn_wire::record::{Series, View};
use norn_wire::settings::FoldSettings;
use parking_lot::{Mutex, MutexGuard};

use crate::catalog::{Catalog, TenantNo};
use crate::fold::{Bounds, Fold, Refusal};
use crate::identity::SeriesRef;
use crate::page::Page;
use crate::paged::Paged;
use crate::reject::{self, Limit};
use crate::reserve::{self, Reserve};
use crate::resolve::{Found, Resolver};
use crate::shared::{Shared, SharedPage, page_of, row_of, series_hash};
use crate::snapshot::{Piece, TenantImage};
use crate::tenant::TenantState;
use crate::value;
use crate::window::{WindowNo, Windows};
use crate::{beside, created};

/// Series of which a slice of a sweep seals something, about.
const SWEEP_SLICE: usize = 128;
/// Pages that a slice of a sweep looks at.
const SWEEP_PAGES: usize = 64;

/// Pages that a slice of a snapshot copies.
const CAPTURE_PAGES: usize = 4;

/// Series that are added under one exclusive lock.
const ADD_SLICE: usize = 32;

/// What is known of a tenant while its records are folded.
pub(crate) struct Account {
    pub(crate) state: Arc<TenantState>,
    pub(crate) settings: FoldSettings,
    mint: Millis,
    pub(crate) maxt: Millis,
    /// Last series of the last record: its successor is likely to come next.
    last: Option<SeriesRef>,
}

impl Account {
    /// A tenant without samples, with the settings that hold before any record says so.
    pub(crate) fn new(state: Arc<TenantState>) -> Self {
        let settings = FoldSettings { native_histograms: true, ..FoldSettings::default() };
        Self { state, settings, mint: Millis::MAX, maxt: Millis::MIN, last: None }
    }

    /// Settings for the records that follow.
    pub(crate) fn set(&mut self, settings: FoldSettings) {
        self.settings = settings;
        self.state.exemplars.lock().trim(beside::max_exemplars(&self.settings));
    }

    /// As it was, for a snapshot.
    pub(crate) fn image(&self, tenant: &Tenant) -> TenantImage {
        TenantImage {
            tenant: tenant.clone(),
            state: Arc::clone(&self.state),
            settings: self.settings.clone(),
            mint: self.mint,
            maxt: self.maxt,
            closed: self.state.closed(),
            taken: self.state.taken(),
        }
    }

    /// As a snapshot kept it.
    pub(crate) fn restore(
        &mut self,
        settings: FoldSettings,
        (mint, maxt, closed): (Millis, Millis, Millis),
        taken: (u64, u64),
    ) -> Arc<TenantState> {
        (self.settings, self.mint, self.maxt) = (settings, mint, maxt);
        self.state.close(closed.saturating_sub(1));
        self.state.publish(taken.0, taken.1, mint, maxt);
        Arc::clone(&self.state)
    }

    /// Samples below `floor` are gone.
    pub(crate) fn forget(&mut self, floor: Millis) {
        if self.mint < floor {
            self.mint = floor;
            self.state.publish(0, 0, self.mint, self.maxt);
        }
    }

    /// Which times a record is taken for. Of a tenant without samples its first one counts.
    fn bounds(&self, view: &View, chunk_range: Millis) -> Bounds {
        let maxt = if self.maxt == Millis::MIN { first_timestamp(view) } else { self.maxt };
        Bounds::new(maxt, self.settings.out_of_order_window, chunk_range, self.state.closed())
    }
}

/// What the first two passes found for a series of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Series(SeriesRef),
    New,
    /// Not there, and nothing that came can begin it.
    Absent,
    Refused,
}

/// See the module doc.
pub(crate) struct Folder {
    shared: Arc<Shared>,
    /// The list in `shared.pages`, to be read without its lock.
    pub(crate) pages: Vec<SharedPage>,
    /// Stands for pages without series.
    empty: SharedPage,
    pub(crate) windows: Windows,
    /// Below the offset, samples in the window are in blocks.
    pub(crate) flushed: Vec<(WindowNo, Offset)>,
    /// Of a snapshot: from the series on, rows have seen records below the offset. Both ascend.
    pub(crate) captured: Vec<(SeriesRef, Offset)>,
    /// Series that have a place, but are not there.
    pub(crate) reserve: Reserve,
    /// Records below it add series that have a place, and no others.
    pub(crate) known_below: Offset,
    /// Windows that samples of the record are in blocks of.
    skipped: Vec<WindowNo>,
    /// Which series followed a series last time; itself where none did.
    successors: Paged<SeriesRef>,
    resolver: Resolver,
    targets: Vec<Target>,
    scratch: Vec<u8>,
}

impl Folder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            windows: Windows::new(Arc::clone(&shared)),
            shared,
            pages: Vec::new(),
            empty: Arc::new(Mutex::new(Page::new(0, 0))),
            flushed: Vec::new(),
            captured: Vec::new(),
            reserve: Reserve::default(),
            known_below: 0,
            skipped: Vec::new(),
            successors: Paged::default(),
            resolver: Resolver::default(),
            targets: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Folds a record of `tenant`.
    pub(crate) fn fold(
        &mut self,
        offset: Offset,
        account: &mut Account,
        tenant: &Tenant,
        view: &View,
        refused: &mut Refused,
    ) {
        self.windows.record = offset;
        self.skipped.clear();
        self.skipped.extend(self.flushed.iter().filter(|(_, end)| offset < *end).map(|(number, _)| *number));
        let bounds = account.bounds(view, self.shared.options.chunk_range);
        if self.find(account, view, refused) {
            self.add(account, bounds, tenant, view, refused);
        }
        let settled = self.settled_from(offset);
        self.append(account, bounds, settled, view, refused);
        beside::describe(&account.state, &account.settings, view, refused);
    }

    /// Sweeps pages from `page` on for a cut of windows below `end`, as many as a slice allows; gives
    /// the page to go on with.
    pub(crate) fn sweep(&mut self, page: usize, end: WindowNo) -> Option<usize> {
        let epoch = self.windows.epoch;
        let mut fold = Fold {
            windows: &mut self.windows,
            samples_per_chunk: self.shared.options.samples_per_chunk,
            chunk_range: self.shared.options.chunk_range,
            bounds: Bounds::new(Millis::MIN, 0, self.shared.options.chunk_range, Millis::MIN),
            flushed: &[],
            maxt: Millis::MIN,
            mint: Millis::MAX,
            scratch: std::mem::take(&mut self.scratch),
        };
        let mut sealed = 0;
        let (mut next, limit) = (page, page + SWEEP_PAGES);
        while let Some(page) = self.pages.get(next)
            && sealed < SWEEP_SLICE
            && next < limit
        {
            sealed += page.lock().sweep(end, epoch, &mut fold);
            next += 1;
        }
        self.scratch = fold.scratch;
        (next < self.pages.len()).then_some(next)
    }

    /// No sample is older.
    pub(crate) fn floor(&self) -> Millis {
        let oldest = self.windows.all().map(|window| window.number).min();
        oldest.map_or(Millis::MAX, |number| number.saturating_mul(self.shared.options.chunk_range))
    }

    /// A series has left.
    pub(crate) fn forget(&mut self, series: SeriesRef) {
        self.successors.remove(series);
    }

    /// Frees a page that has no series left and will get none.
    pub(crate) fn free(&mut self, number: usize) {
        if let Some(page) = self.pages.get_mut(number) {
            *page = Arc::clone(&self.empty);
        }
        if let Some(page) = self.shared.pages.write().get_mut(number) {
            *page = Arc::clone(&self.empty);
        }
    }

    /// First pass. Says whether there are new series.
    fn find(&mut self, account: &Account, view: &View, refused: &mut Refused) -> bool {
        self.resolver.start(view.symbol_count());
        self.targets.clear();
        let (number, mut last, mut any_new) = (account.state.number, account.last, false);
        let catalog = self.shared.catalog.read();
        for series in view.series() {
            let expected = last.and_then(|last| self.successors.get(last).copied());
            let target = match self.resolver.find(&catalog, number, view, &series, expected) {
                Found::Series(found) => Target::Series(found),
                Found::New => Target::New,
                Found::Fault(fault) => {
                    let rejection = || reject::labels(&fault, &labels_of(&series));
                    refuse(refused, &series, fault.reason(), rejection);
                    Target::Refused
                }
            };
            any_new |= target == Target::New;
            last = if let Target::Series(found) = target { Some(found) } else { None };
            self.targets.push(target);
        }
        any_new
    }

    /// Second pass: adds series that are new and have something to store.
    fn add(
        &mut self,
        account: &Account,
        bounds: Bounds,
        tenant: &Tenant,
        view: &View,
        refused: &mut Refused,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut rest = 0..self.targets.len();
        while !rest.is_empty() {
            let mut catalog = shared.catalog.write();
            let mut room = ADD_SLICE;
            for (i, series) in view.series().enumerate().skip(rest.start) {
                if room == 0 {
                    break;
                }
                rest.start = i + 1;
                if self.targets.get(i) == Some(&Target::New) {
                    room -= 1;
                    let target = self.add_one(&mut catalog, account, bounds, tenant, view, &series, refused);
                    if let Some(slot) = self.targets.get_mut(i) {
                        *slot = target;
                    }
                }
            }
        }
    }

    fn add_one(
        &mut self,
        catalog: &mut Catalog,
        account: &Account,
        bounds: Bounds,
        tenant: &Tenant,
        view: &View,
        series: &Series<'_>,
        refused: &mut Refused,
    ) -> Target {
        // The first pass found these labels good.
        if self.resolver.sort(view, series.label_refs()).is_err() {
            return Target::Refused;
        }
        if let Some(known) = self.resolver.find_now(catalog, account.state.number, view) {
            return Target::Series(known);
        }
        if !self.has_content(series, &account.settings, bounds) {
            // Folded again by a head that knows who has left, it may be there: it has a place here too.
            if self.has_content(series, &account.settings, bounds.of_all())
                && self.check_limits(catalog, account, tenant, view).is_ok()
            {
                let key = reserve::key(tenant.as_str(), self.resolver.labels(view));
                self.reserve.insert(account.state.number, key);
            }
            return Target::Absent;
        }
        let hash = series_hash(tenant.as_str(), self.resolver.labels(view));
        let limits = self.check_limits(catalog, account, tenant, view);
        let added = match limits {
            Ok(()) => self.create(catalog, account.state.number, hash, view).ok_or(Limit::Partition),
            Err(limit) => Err(limit),
        };
        match added {
            Ok(added) => Target::Series(added),
            Err(limit) => {
                refuse(refused, series, limit.reason(), || reject::series(limit, &labels_of(series)));
                Target::Refused
            }
        }
    }

    /// Whether limits let the series with the resolver's labels pass.
    fn check_limits(
        &mut self,
        catalog: &Catalog,
        account: &Account,
        tenant: &Tenant,
        view: &View,
    ) -> Result<(), Limit> {
        let (number, settings) = (account.state.number, &account.settings);
        let key = reserve::key(tenant.as_str(), self.resolver.labels(view));
        if self.reserve.take(number, key) {
            return Ok(());
        }
        let (reserved, of_metric) = self.reserve.count(number, key);
        let limit = settings.max_series;
        let is_full = u64::from(catalog.tenant_series_count(number)) + reserved >= limit;
        // It was refused before, or everything it had is in blocks.
        let is_unknown = self.windows.record < self.known_below;
        if is_unknown || (limit > 0 && is_full) {
            return Err(Limit::Series(limit));
        }
        let limit = settings.max_series_per_metric;
        if limit > 0
            && let Some((name, metric)) = self.resolver.labels(view).find(|(name, _)| *name == METRIC_NAME)
        {
            let count = catalog.pair_of(number, name, metric).map_or(0, |pair| catalog.series_count_of(pair));
            if u64::from(count) + of_metric >= limit {
                return Err(Limit::MetricSeries(limit));
            }
        }
        Ok(())
    }

    /// Adds the series with the resolver's labels; its row comes before its postings show it.
    fn create(
        &mut self,
        catalog: &mut Catalog,
        number: TenantNo,
        hash: u64,
        view: &View,
    ) -> Option<SeriesRef> {
        let series = self.resolver.add(catalog, number, view)?;
        let first_chunk = 1 + hash % u64::from(self.shared.options.samples_per_chunk);
        self.page_for(series)?.lock().add(first_chunk as u16);
        Some(series)
    }

    /// The page of a series that was just created.
    pub(crate) fn page_for(&mut self, series: SeriesRef) -> Option<&SharedPage> {
        let number = page_of(series);
        if number == self.pages.len() {
            let page = Arc::new(Mutex::new(Page::new(series, self.windows.epoch)));
            self.pages.push(Arc::clone(&page));
            self.shared.pages.write().push(page);
        }
        self.successors.push(series);
        self.pages.get(number)
    }

    /// Adds rows of pages from `page` on, as many as a slice allows, to a piece of a snapshot; gives
    /// the page to go on with.
    pub(crate) fn capture(&self, page: usize, piece: &mut Piece) -> Option<usize> {
        let end = page + CAPTURE_PAGES;
        for page in self.pages.iter().take(end).skip(page) {
            page.lock().capture(self.shared.options.chunk_range, piece);
        }
        (end < self.pages.len()).then_some(end)
    }

    /// The first series whose row has seen the record at `offset` already.
    fn settled_from(&mut self, offset: Offset) -> SeriesRef {
        let unseen = self.captured.partition_point(|(_, next)| *next <= offset);
        match self.captured.get(unseen) {
            Some((series, _)) => *series,
            None => {
                self.captured = Vec::new();
                SeriesRef::MAX
            }
        }
    }

    /// Whether a new series would get a sample.
    fn has_content(&self, series: &Series<'_>, settings: &FoldSettings, bounds: Bounds) -> bool {
        let range = self.shared.options.chunk_range;
        let taken = |t: Millis| bounds.admit_first(t).is_ok() && !self.skipped.contains(&t.div_euclid(range));
        series.samples().iter().any(|sample| taken(sample.timestamp))
            || (settings.native_histograms
                && series.histograms().any(|h| taken(h.timestamp) && storable(h.histogram).is_ok()))
    }

    /// Third pass: appends samples, and holds on to a page while they stay in it. Series from
    /// `settled` on have seen the record.
    fn append(
        &mut self,
        account: &mut Account,
        bounds: Bounds,
        settled: SeriesRef,
        view: &View,
        refused: &mut Refused,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut fold = Fold {
            windows: &mut self.windows,
            samples_per_chunk: shared.options.samples_per_chunk,
            chunk_range: shared.options.chunk_range,
            bounds,
            flushed: &self.skipped,
            maxt: account.maxt,
            mint: account.mint,
            scratch: std::mem::take(&mut self.scratch),
        };
        let mut taken = Taken::default();
        let mut held: Option<(usize, MutexGuard<'_, Page>)> = None;
        for (series, target) in view.series().zip(&self.targets) {
            let Target::Series(number) = *target else {
                if *target == Target::Absent {
                    refuse_absent(account, bounds, &series, refused);
                }
                account.last = None;
                continue;
            };
            follow(&mut self.successors, account.last.replace(number), number);
            let page_number = page_of(number);
            if held.as_ref().is_none_or(|(n, _)| *n != page_number) {
                // One at a time: a reader that waits for the old one gets it now.
                drop(held.take());
                held = self.pages.get(page_number).map(|page| (page_number, page.lock()));
            }
            let Some((_, page)) = &mut held else { continue };
            if number >= settled {
                pass(page, row_of(number), &series, &mut fold);
                continue;
            }
            if account.settings.zero_samples && series.created() != 0 {
                created::begin(page, row_of(number), &series, &account.settings, &mut fold, &mut taken);
            }
            append_floats(page, row_of(number), &series, &mut fold, &mut taken, refused);
            append_histograms(page, row_of(number), &series, account, &mut fold, &mut taken, refused);
            beside::keep_exemplars(&account.state, &account.settings, number, &series, view, refused);
        }
        drop(held);
        (account.mint, account.maxt) = (fold.mint, fold.maxt);
        account.state.publish(taken.samples, taken.histograms, fold.mint, fold.maxt);
        self.scratch = fold.scratch;
    }
}

/// Timestamp of the first sample of a record.
fn first_timestamp(view: &View) -> Millis {
    let first = |series: Series<'_>| {
        let float = series.samples().first().map(|sample| sample.timestamp);
        float.or_else(|| series.histograms().next().map(|sample| sample.timestamp))
    };
    view.series().find_map(first).unwrap_or(Millis::MIN)
}

/// Notes the times of samples that were taken before. Newer ones than the row has were refused.
fn pass(page: &Page, row: usize, series: &Series<'_>, fold: &mut Fold<'_>) {
    let Some((first, last)) = page.range(row) else { return };
    let floats = series.samples().iter().map(|sample| sample.timestamp);
    let times = floats.chain(series.histograms().map(|sample| sample.timestamp));
    fold.mint = fold.mint.min(first);
    fold.maxt = times.filter(|t| *t <= last).fold(fold.maxt, Millis::max);
}

/// What was taken of a record.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
}

/// Remembers that `series` came after `last`.
#[inline]
fn follow(successors: &mut Paged<SeriesRef>, last: Option<SeriesRef>, series: SeriesRef) {
    if let Some(slot) = last.and_then(|last| successors.get_mut(last))
        && *slot != series
    {
        *slot = series;
    }
}

#[inline]
fn append_floats(
    page: &mut Page,
    row: usize,
    series: &Series<'_>,
    fold: &mut Fold<'_>,
    taken: &mut Taken,
    refused: &mut Refused,
) {
    for sample in series.samples() {
        match page.append_float(row, sample.timestamp, sample.value, fold) {
            Ok(()) => taken.samples += 1,
            Err(refusal) => refuse_float(&refusal, sample.timestamp, series, refused),
        }
    }
}

fn append_histograms(
    page: &mut Page,
    row: usize,
    series: &Series<'_>,
    account: &Account,
    fold: &mut Fold<'_>,
    taken: &mut Taken,
    refused: &mut Refused,
) {
    if !account.settings.native_histograms {
        return;
    }
    for sample in series.histograms() {
        let (t, histogram) = (sample.timestamp, sample.histogram);
        let outcome = validate(histogram).and_then(|()| page.append_histogram(row, t, histogram, fold));
        match outcome {
            Ok(()) => taken.histograms += 1,
            Err(refusal) => refuse_histogram(&refusal, t, series, refused),
        }
    }
}

fn refuse_float(refusal: &Refusal, t: Millis, series: &Series<'_>, refused: &mut Refused) {
    refused.refuse(refusal.reason(), Parts::SAMPLE, || reject::sample(refusal, t, &labels_of(series)));
}

fn refuse_histogram(refusal: &Refusal, t: Millis, series: &Series<'_>, refused: &mut Refused) {
    refused.refuse(refusal.reason(), Parts::HISTOGRAM, || reject::sample(refusal, t, &labels_of(series)));
}

pub(crate) fn validate(histogram: HistogramRef<'_>) -> Result<(), Refusal> {
    let outcome = match histogram {
        HistogramRef::Int(h) if h.is_stale() => Ok(()),
        HistogramRef::Float(h) if h.is_stale() => Ok(()),
        HistogramRef::Int(h) => h.validate(),
        HistogramRef::Float(h) => h.validate(),
    };
    outcome.map_err(Refusal::Invalid)
}

/// Whether a chunk can hold a histogram.
fn storable(histogram: HistogramRef<'_>) -> Result<(), Refusal> {
    validate(histogram)?;
    let outcome = value::check(&histogram.into());
    outcome.map_err(|_| Refusal::Histogram("histogram does not fit into a chunk"))
}

/// Refuses all that a series brings.
fn refuse(
    refused: &mut Refused,
    series: &Series<'_>,
    reason: &'static str,
    rejection: impl FnOnce() -> Rejection,
) {
    let parts = Parts {
        samples: series.samples().len() as u32,
        histograms: series.histograms().len() as u32,
        exemplars: series.exemplars().len() as u32,
        metadata: 0,
    };
    refused.refuse(reason, parts, rejection);
}

/// Refuses what came for a series that is not there and that nothing of it could begin.
fn refuse_absent(account: &Account, bounds: Bounds, series: &Series<'_>, refused: &mut Refused) {
    for sample in series.samples() {
        if let Err(refusal) = bounds.admit_first(sample.timestamp) {
            refuse_float(&refusal, sample.timestamp, series, refused);
        }
    }
    if account.settings.native_histograms {
        for sample in series.histograms() {
            let outcome = bounds.admit_first(sample.timestamp).and_then(|()| storable(sample.histogram));
            if let Err(refusal) = outcome {
                refuse_histogram(&refusal, sample.timestamp, series, refused);
            }
        }
    }
    for exemplar in series.exemplars() {
        let rejection = || reject::exemplar(exemplar.timestamp, &labels_of(series));
        refused.refuse(reject::SERIES_MISSING, Parts::EXEMPLAR, rejection);
    }
}

/// Labels for people, whatever is wrong with them.
pub(crate) fn labels_of(series: &Series<'_>) -> Labels {
    Labels::from_pairs(series.labels())
}
