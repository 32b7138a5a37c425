//! What all operators of one running query share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use norn_contract::source::Selection;
use parking_lot::Mutex;

use crate::annotation::Notes;
use crate::cancel::Cancel;
use crate::decode::Scratch;
use crate::error::{QueryError, too_many_samples};
use crate::ledger::{Charge, Ledger};
use crate::operator::measure::Profile;

/// Cells that are granted however low the limit of samples is.
const MIN_CELLS: u64 = 1 << 20;

/// Features that change what operators do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Metric names go away at the end of the query.
    pub delayed_name_removal: bool,
    /// `__type__` and `__unit__` are understood.
    pub type_and_unit_labels: bool,
}

/// A running query.
pub struct Query {
    /// Features in force.
    pub features: Features,
    /// Series of each selector.
    pub selections: Vec<Selection>,
    /// Warnings and infos so far.
    pub notes: Notes,
    /// Memory account.
    pub ledger: Arc<Ledger>,
    /// Asked to stop.
    pub cancel: Cancel,
    /// When time is over.
    pub deadline: Instant,
    /// Most samples that may be held.
    pub max_samples: u64,
    /// Threads that may work on it.
    pub threads: usize,
    /// What it did.
    pub counters: Counters,
    /// What each operator did, where that was asked for.
    pub profile: Option<Profile>,
    scratch: Mutex<Vec<Scratch>>,
}

/// Running totals.
#[derive(Debug, Default)]
pub struct Counters {
    /// Samples presented to functions and operators.
    pub samples: AtomicU64,
    /// Samples held now.
    pub held: AtomicU64,
    /// Most samples held at once.
    pub peak: AtomicU64,
    /// Bytes of chunks read.
    pub chunk_bytes: AtomicU64,
}

impl Query {
    /// A query that has read nothing.
    pub fn new(
        features: Features,
        selections: Vec<Selection>,
        ledger: Arc<Ledger>,
        cancel: Cancel,
        deadline: Instant,
        max_samples: u64,
    ) -> Self {
        Self {
            features,
            selections,
            notes: Notes::default(),
            ledger,
            cancel,
            deadline,
            max_samples,
            threads: rayon::current_num_threads(),
            counters: Counters::default(),
            profile: None,
            scratch: Mutex::default(),
        }
    }

    /// Fails when the query should not go on.
    pub fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Canceled);
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// Counts samples presented to an operator or function.
    pub fn count_samples(&self, samples: u64) {
        self.counters.samples.fetch_add(samples, Ordering::Relaxed);
        if let Some(profile) = &self.profile {
            profile.read(samples, 0);
        }
    }

    /// Counts bytes of chunks.
    pub fn count_chunk_bytes(&self, bytes: usize) {
        self.counters.chunk_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(profile) = &self.profile {
            profile.read(0, bytes as u64);
        }
    }

    /// Counts samples that are held from now on.
    pub fn hold(&self, samples: u64) -> Result<(), QueryError> {
        let held = self.counters.held.fetch_add(samples, Ordering::Relaxed) + samples;
        self.counters.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.max_samples {
            return Err(too_many_samples());
        }
        Ok(())
    }

    /// Takes memory for `rows` of `steps` cells before it is allocated. Empty cells take as much as full
    /// ones, so their number is bounded as samples are.
    pub fn reserve(&self, rows: usize, steps: usize, cell_bytes: usize) -> Result<Charge, QueryError> {
        let cells = rows.saturating_mul(steps);
        if cells as u64 > self.max_samples.max(MIN_CELLS) {
            return Err(too_many_samples());
        }
        self.ledger.charge(cells.saturating_mul(cell_bytes))
    }

    /// Samples held now; give it to [`Query::release_to`] when what was read since is gone.
    pub fn held(&self) -> u64 {
        self.counters.held.load(Ordering::Relaxed)
    }

    /// Forgets what was held since `held`.
    pub fn release_to(&self, held: u64) {
        self.counters.held.store(held, Ordering::Relaxed);
    }

    /// Runs `f` with buffers that are reused from batch to batch.
    pub fn with_scratch<T>(&self, f: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let result = f(&mut scratch);
        self.scratch.lock().push(scratch);
        result
    }
}
