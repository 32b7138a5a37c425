//! Folds records into the head: the only thing that changes it.
//!
//! Decisions depend on the records before this one and on nothing else, neither clock nor
//! configuration; settings come as records.

use std::collections::HashMap;
use std::sync::Arc;

use norn_contract::log::{Offset, Record, RecordKind};
use norn_model::Millis;
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::{RecordError, View};
use norn_wire::settings::{FoldSettings, SettingsError};

use crate::checkpoint::{Checkpoint, Known, TenantBounds};
use crate::collect::Collect;
use crate::cut::{Cut, Phase, Step};
use crate::folder::{Account, Folder};
use crate::reserve::Reserve;
use crate::shared::Shared;
use crate::snapshot::{Base, Encoder, Piece};
use crate::tenant::TenantState;

/// Memory of a decoded record above this size is not kept for the next one.
const KEEP_DECODED: usize = 32 << 20;

/// A record that can not be folded. The head is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The value can not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The settings can not be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The partition has as many tenants as can be numbered.
    #[error("partition {0} has too many tenants")]
    Tenants(u32),
    /// A checkpoint came after the first record.
    #[error("partition {0} has records already: a checkpoint comes before them")]
    NotEmpty(u32),
}

/// The writer of a partition's head. There is one.
pub struct Writer {
    view: View,
    accounts: HashMap<Tenant, Account>,
    folder: Folder,
    next: Offset,
    phase: Phase,
    /// Who was there when the last cut had been collected.
    known: Arc<Known>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            view: View::new(),
            accounts: HashMap::new(),
            folder: Folder::new(shared),
            next: 0,
            phase: Phase::Idle,
            known: Arc::default(),
        }
    }

    /// A writer that goes on where a snapshot was begun.
    pub(crate) fn resumed(folder: Folder, accounts: HashMap<Tenant, Account>, next: Offset) -> Self {
        let (view, known) = (View::new(), Arc::default());
        let mut writer = Self { view, accounts, folder, next, phase: Phase::Idle, known };
        // The next checkpoint has to say who is there.
        writer.collect();
        writer
    }

    /// Begins a snapshot: [`Writer::next_piece`] gives its pieces, for the encoder to turn into bytes.
    /// `None`: a cut or a snapshot is not finished yet.
    pub fn begin_snapshot(&mut self) -> Option<Encoder> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.phase = Phase::Snapshot { page: 0 };
        let mut tenants: Vec<_> =
            self.accounts.iter().map(|(tenant, account)| account.image(tenant)).collect();
        tenants.sort_unstable_by_key(|image| image.state.number);
        let base = Base { next: self.next, flushed: self.folder.flushed.clone(), tenants };
        Some(Encoder::new(Arc::clone(self.folder.shared()), base))
    }

    /// Ends a snapshot that is not complete.
    pub fn abandon_snapshot(&mut self) {
        if matches!(self.phase, Phase::Snapshot { .. }) {
            self.phase = Phase::Idle;
        }
    }

    /// The next piece of the snapshot that was begun, a bounded slice of work; `None` after the last
    /// one.
    pub fn next_piece(&mut self) -> Option<Box<Piece>> {
        let Phase::Snapshot { page } = self.phase else { return None };
        let windows = Arc::clone(&self.folder.shared().windows.read());
        let mut piece = Piece::new(self.next, windows);
        let next = self.folder.capture(page, &mut piece);
        piece.is_last = next.is_none();
        self.phase = next.map_or(Phase::Idle, |page| Phase::Snapshot { page });
        Some(Box::new(piece))
    }

    /// Folds a record; what was refused is added to `refused`. A record below
    /// [`Writer::next_offset`] was folded before and changes nothing.
    pub fn apply(
        &mut self,
        offset: Offset,
        record: &Record,
        refused: &mut Refused,
    ) -> Result<(), ApplyError> {
        if offset < self.next {
            return Ok(());
        }
        match record.kind {
            RecordKind::Write(version) => {
                self.view.decode(version, &record.value)?;
                let view = std::mem::take(&mut self.view);
                let folded = self.fold(offset, Some(record.timestamp), &record.tenant, &view, refused);
                self.view = view;
                folded?;
                if self.view.kept_bytes() > KEEP_DECODED {
                    self.view = View::new();
                }
            }
            RecordKind::Settings => {
                let settings = FoldSettings::decode(&record.value)?;
                account(&mut self.accounts, self.folder.shared(), &record.tenant)?.set(settings);
            }
        }
        self.next = offset + 1;
        Ok(())
    }

    /// As [`Writer::apply`] for a write record that was decoded elsewhere.
    pub fn apply_view(
        &mut self,
        offset: Offset,
        tenant: &Tenant,
        view: &View,
        refused: &mut Refused,
    ) -> Result<(), ApplyError> {
        if offset >= self.next {
            self.fold(offset, None, tenant, view, refused)?;
            self.next = offset + 1;
        }
        Ok(())
    }

    fn fold(
        &mut self,
        offset: Offset,
        timestamp: Option<Millis>,
        tenant: &Tenant,
        view: &View,
        refused: &mut Refused,
    ) -> Result<(), ApplyError> {
        let account = account(&mut self.accounts, self.folder.shared(), tenant)?;
        if let Some(timestamp) = timestamp {
            account.state.tick(timestamp);
        }
        let maxt = account.maxt;
        self.folder.fold(offset, account, tenant, view, refused);
        if std::mem::take(&mut self.folder.windows.changed) {
            let mut tenants = self.bounds_now();
            // As it was before this record.
            if let Some(bounds) = tenants.iter_mut().find(|bounds| bounds.tenant == *tenant) {
                bounds.maxt = maxt;
            }
            let tenants = Arc::new(tenants);
            for window in self.folder.windows.all() {
                window.before.get_or_init(|| Arc::clone(&tenants));
            }
        }
        Ok(())
    }

    fn bounds_now(&self) -> Vec<TenantBounds> {
        let bounds = |(tenant, account): (&Tenant, &Account)| TenantBounds {
            tenant: tenant.clone(),
            settings: account.settings.clone(),
            maxt: account.maxt,
        };
        let mut all: Vec<TenantBounds> = self.accounts.iter().map(bounds).collect();
        all.sort_unstable_by(|a, b| a.tenant.cmp(&b.tenant));
        all
    }

    /// Begins to cut every window that ends at or before `before`: from now on new samples for these
    /// windows go to a new generation. False: there is nothing to cut, or a cut is not finished yet.
    pub fn begin_cut(&mut self, before: Millis) -> bool {
        let end = before.div_euclid(self.folder.shared().options.chunk_range);
        if !matches!(self.phase, Phase::Idle) || !self.folder.windows.has_below(end) {
            return false;
        }
        self.folder.windows.freeze(end);
        self.phase = Phase::Sweep { page: 0, end, next_offset: self.next };
        true
    }

    /// One bounded slice of what waits.
    pub fn step(&mut self) -> Step {
        if self.folder.windows.write_one() {
            return Step::More;
        }
        match self.phase {
            Phase::Idle | Phase::Given | Phase::Snapshot { .. } => Step::Idle,
            Phase::Sweep { page, end, next_offset } => match self.folder.sweep(page, end) {
                Some(page) => {
                    self.phase = Phase::Sweep { page, end, next_offset };
                    Step::More
                }
                None => {
                    self.phase = Phase::Given;
                    let (shared, windows) = (Arc::clone(self.folder.shared()), &self.folder.windows);
                    Step::Cut(Cut::new(shared, windows.frozen().to_vec(), windows.epoch, next_offset))
                }
            },
            Phase::Collect(ref mut collect) => {
                if collect.step(&mut self.folder) {
                    return Step::More;
                }
                if let Phase::Collect(collect) = std::mem::replace(&mut self.phase, Phase::Idle)
                    && self.next >= self.known.below
                {
                    // While records are folded again, those count who were there the first time.
                    self.known = Arc::new(Known { below: self.next, series: collect.census() });
                }
                Step::Idle
            }
        }
    }

    /// The cut's blocks are durable and can be queried: its windows go. Series without samples are
    /// removed by [`Writer::step`].
    pub fn finish_cut(&mut self, cut: &Cut) {
        if !self.is_given(cut) {
            return;
        }
        self.folder.windows.release();
        let floor = self.folder.floor();
        self.accounts.values_mut().for_each(|account| account.forget(floor));
        self.collect();
        for number in cut.numbers() {
            self.folder.flushed.retain(|(flushed, _)| *flushed != number);
            self.folder.flushed.push((number, cut.next_offset()));
        }
        let needed = self.needed_from();
        self.folder.flushed.retain(|(_, end)| *end > needed);
    }

    /// Begins to collect what nobody needs any more.
    fn collect(&mut self) {
        let states =
            self.accounts.iter().map(|(tenant, account)| (tenant.clone(), Arc::clone(&account.state)));
        let mut tenants: Vec<_> = states.collect();
        tenants.sort_unstable_by_key(|(_, state)| state.number);
        self.phase = Phase::Collect(Collect::new(tenants));
    }

    /// The blocks could not be written: everything stays, and a later cut takes the same windows
    /// again.
    pub fn abandon_cut(&mut self, cut: &Cut) {
        if self.is_given(cut) {
            self.phase = Phase::Idle;
            self.folder.windows.thaw();
        }
    }

    fn is_given(&self, cut: &Cut) -> bool {
        matches!(self.phase, Phase::Given) && cut.epoch() == self.folder.windows.epoch
    }

    /// Newest end of windows that takes no samples in order any more; `None` without samples.
    pub fn closed_before(&self) -> Option<Millis> {
        let maxt = self.accounts.values().map(|account| account.maxt).max()?;
        let range = self.folder.shared().options.chunk_range;
        (maxt != Millis::MIN).then(|| maxt.saturating_sub(range / 2).div_euclid(range).saturating_mul(range))
    }

    /// The first record that has a sample which is in no finished cut.
    fn needed_from(&self) -> Offset {
        self.folder.windows.all().map(|window| window.first).min().unwrap_or(self.next)
    }

    /// What a restart needs to begin at [`Checkpoint::offset`] instead of the first record; `None`
    /// while [`Writer::step`] still collects what a cut has left. With it, places of series that have
    /// left are given to others: it should be durable soon.
    pub fn checkpoint(&mut self) -> Option<Checkpoint> {
        if matches!(self.phase, Phase::Collect(_)) {
            return None;
        }
        if self.next >= self.known.below {
            self.folder.reserve = Reserve::default();
        }
        let oldest = self.folder.windows.all().min_by_key(|window| window.first);
        let offset = self.needed_from();
        let tenants = match oldest.and_then(|window| window.before.get()) {
            Some(before) => before.to_vec(),
            None => self.bounds_now(),
        };
        let (chunk_range, flushed) = (self.folder.shared().options.chunk_range, self.flushed_above(offset));
        Some(Checkpoint { offset, chunk_range, flushed, tenants, known: Arc::clone(&self.known) })
    }

    /// First milliseconds of windows of which records below an offset above `offset` are in blocks.
    fn flushed_above(&self, offset: Offset) -> Vec<(Millis, Offset)> {
        let range = self.folder.shared().options.chunk_range;
        let flushed = self.folder.flushed.iter().filter(|(_, end)| *end > offset);
        flushed.map(|(number, end)| (number.saturating_mul(range), *end)).collect()
    }

    /// Whether no cut was finished between `checkpoint` and the moment of the snapshot that this
    /// head comes from, or the other way round.
    pub fn is_cut_as(&self, checkpoint: &Checkpoint) -> bool {
        let offset = self.needed_from();
        checkpoint.offset == offset && checkpoint.flushed == self.flushed_above(offset)
    }

    /// Tells a head that comes from a snapshot which checkpoint was durable then: who had a place is
    /// not in the snapshot.
    pub fn adopt(&mut self, checkpoint: &Checkpoint) {
        self.known = Arc::clone(&checkpoint.known);
    }

    /// Makes an empty head go on at a checkpoint.
    ///
    /// # Errors
    ///
    /// When a record was folded before, or the checkpoint has too many tenants.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), ApplyError> {
        if self.next != 0 || !self.accounts.is_empty() {
            return Err(ApplyError::NotEmpty(self.folder.shared().options.partition));
        }
        for bounds in &checkpoint.tenants {
            let account = account(&mut self.accounts, self.folder.shared(), &bounds.tenant)?;
            account.set(bounds.settings.clone());
            account.maxt = bounds.maxt;
        }
        let range = self.folder.shared().options.chunk_range;
        if checkpoint.chunk_range == range {
            let flushed = checkpoint.flushed.iter();
            self.folder.flushed = flushed.map(|(start, end)| (start.div_euclid(range), *end)).collect();
        }
        for (tenant, keys) in &checkpoint.known.series {
            let number = account(&mut self.accounts, self.folder.shared(), tenant)?.state.number;
            keys.iter().for_each(|key| self.folder.reserve.insert(number, *key));
        }
        self.known = Arc::clone(&checkpoint.known);
        self.folder.known_below = checkpoint.known.below;
        self.next = checkpoint.offset;
        Ok(())
    }

    /// Offset after the last record folded; 0 before the first.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// A hash of all series and their chunks: equal after equal records, whatever the process.
    pub fn digest(&self) -> u64 {
        crate::digest::of(self.folder.shared())
    }
}

/// The account of a tenant, opened with its first record.
pub(crate) fn account<'a>(
    accounts: &'a mut HashMap<Tenant, Account>,
    shared: &Shared,
    tenant: &Tenant,
) -> Result<&'a mut Account, ApplyError> {
    if !accounts.contains_key(tenant) {
        let number = shared.catalog.write().add_tenant();
        let number = number.ok_or(ApplyError::Tenants(shared.options.partition))?;
        let state = Arc::new(TenantState::new(number));
        shared.tenants.write().insert(tenant.clone(), Arc::clone(&state));
        accounts.insert(tenant.clone(), Account::new(state));
    }
    accounts.get_mut(tenant).ok_or(ApplyError::Tenants(shared.options.partition))
}
