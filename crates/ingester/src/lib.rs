//! Consumes log partitions into heads and answers for recent data.
//!
//! One thread a partition reads records in order and applies them to that partition's head; the
//! head is a fold over the log, so a start is nothing but reading from the first offset. What a
//! record's content was refused for is told to whoever waits for its offset.
//!
//! | module | subject |
//! |---|---|
//! | [`partition`] | the thread: log → head → outcome |
//! | [`outcome`] | who waits for which offset |
//! | [`progress`] | how far a partition has come |
//!
//! Promises: a record whose outcome was told is visible to every query that starts later.
//! Refuses: to acknowledge anything (the log does), to skip a record it can not read without
//! saying so.

pub mod outcome;
pub mod partition;
pub mod progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use futures::future::BoxFuture;
use norn_contract::applied::{AppliedError, AppliedRecords, Outcome};
use norn_contract::cardinality::{Cardinality, CardinalityRequest, CountSeries};
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_contract::merge::Merged;
use norn_contract::source::{SeriesSource, SourceError, TenantSources};
use norn_head::Reader;
pub use norn_head::{MemoryStats, TenantStats};
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

use crate::outcome::Outcomes;
use crate::partition::Worker;
use crate::progress::Progress;

/// Called once when a partition can not go on: the process must end, since what it acknowledges
/// from then on would not become visible.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// All partitions of this process.
pub struct Ingester {
    partitions: Vec<PartitionHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

struct PartitionHandle {
    head: Arc<Reader>,
    outcomes: Arc<Outcomes>,
    progress: Arc<Progress>,
}

impl Ingester {
    /// Starts a thread for each partition the log knows.
    ///
    /// # Errors
    ///
    /// When the log can not be read from its first offset, or no thread can be started.
    pub fn start(log: &Arc<dyn IngestLog>, on_fatal: &OnFatal) -> Result<Arc<Self>, LogError> {
        let (ingester, workers) = Self::start_stepped(log)?;
        for worker in workers {
            let number = worker.partition;
            let thread = worker.spawn(on_fatal.clone()).map_err(|e| {
                LogError::Unavailable(format!("cannot start the thread of partition {number}: {e}"))
            })?;
            ingester.threads.lock().push(thread);
        }
        Ok(ingester)
    }

    /// As [`Ingester::start`], but without threads: nothing is applied unless the caller steps the
    /// workers. For simulations, which decide what happens when.
    ///
    /// # Errors
    ///
    /// When the log can not be read from its first offset.
    pub fn start_stepped(log: &Arc<dyn IngestLog>) -> Result<(Arc<Self>, Vec<Worker>), LogError> {
        let (mut partitions, mut workers) = (Vec::new(), Vec::new());
        let stop = Arc::new(AtomicBool::new(false));
        for number in 0..log.known().max(log.writable()) {
            let range = log.range(number);
            let reader = log.read(number, range.start)?;
            let (head, reader_half) =
                norn_head::new(norn_head::Options { partition: number, ..Default::default() });
            let handle = PartitionHandle {
                head: reader_half,
                outcomes: Arc::new(Outcomes::new(range.start)),
                progress: Arc::new(Progress::new(number, range)),
            };
            workers.push(Worker {
                partition: number,
                reader,
                head,
                outcomes: handle.outcomes.clone(),
                progress: handle.progress.clone(),
                stop: stop.clone(),
                batch: Vec::new(),
            });
            partitions.push(handle);
        }
        Ok((Arc::new(Self { partitions, threads: Mutex::new(Vec::new()), stop }), workers))
    }

    /// Whether every record that was in the log at the start has been applied.
    pub fn is_caught_up(&self) -> bool {
        self.partitions.iter().all(|p| p.progress.is_done())
    }

    /// How far the start has come, for people: `replaying the log: 1,200 of 5,000 records`.
    pub fn describe_progress(&self) -> String {
        progress::describe(self.partitions.iter().map(|p| &*p.progress))
    }

    /// Records of the log that were skipped because they can not be decoded.
    pub fn undecodable_records(&self) -> u64 {
        self.partitions.iter().map(|p| p.progress.undecodable()).sum()
    }

    /// The heads, by partition.
    pub fn heads(&self) -> impl Iterator<Item = &Arc<Reader>> {
        self.partitions.iter().map(|p| &p.head)
    }

    /// Ends the threads although the log may hold more, as in the middle of a replay: the log
    /// keeps it for the next start. Whoever waits for a record hears of it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }

    /// Waits for the threads; they end when the log is closed and everything was applied.
    pub fn join(&self) {
        for thread in self.threads.lock().drain(..) {
            // A panic was already reported through `on_fatal` by the thread's own guard.
            let _ = thread.join();
        }
    }
}

impl AppliedRecords for Ingester {
    fn applied(&self, partition: Partition, offset: Offset) -> BoxFuture<'static, Outcome> {
        match self.partitions.get(partition as usize) {
            Some(p) => Box::pin(p.outcomes.of(offset)),
            None => Box::pin(std::future::ready(Err(AppliedError::Stopped))),
        }
    }
}

impl TenantSources for Ingester {
    fn tenant(&self, tenant: &Tenant) -> Arc<dyn SeriesSource> {
        Merged::of(
            self.partitions
                .iter()
                .filter_map(|p| p.head.tenant(tenant))
                .map(|source| source as Arc<dyn SeriesSource>)
                .collect(),
        )
    }
}

impl CountSeries for Ingester {
    fn count(
        &self,
        tenant: &Tenant,
        request: CardinalityRequest,
    ) -> BoxFuture<'_, Result<Cardinality, SourceError>> {
        let empty = Cardinality { values: vec![Vec::new(); request.names.len()], ..Cardinality::default() };
        let heads: Vec<_> = self.partitions.iter().filter_map(|p| p.head.tenant(tenant)).collect();
        Box::pin(async move {
            Ok(heads.iter().fold(empty, |mut sum, head| {
                sum.merge(head.count(&request));
                sum
            }))
        })
    }
}
