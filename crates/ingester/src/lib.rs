//! Consumes log partitions into heads, and answers for recent data and for local blocks.
//!
//! One thread a partition reads records in order and applies them to that partition's head; the
//! head is a fold over the log, so a start is nothing but reading from the first offset. What a
//! record's content was refused for is told to whoever waits for its offset.
//!
//! | module | subject |
//! |---|---|
//! | [`partition`] | the thread: log → head → outcome |
//! | [`blocks`] | what left the heads: blocks on local disk |
//! | `holdings` | what the heads hold |
//! | [`outcome`] | who waits for which offset |
//! | [`progress`] | how far a partition has come |
//!
//! Promises: a record whose outcome was told is visible to every query that starts later, in a
//! head or in a block. Refuses: to acknowledge anything (the log does), to skip a record or a
//! block it can not read without saying so.

pub mod blocks;
mod holdings;
pub mod outcome;
pub mod partition;
pub mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use futures::future::BoxFuture;
use norn_contract::applied::{AppliedError, AppliedRecords, Outcome};
use norn_contract::cardinality::{Cardinality, CardinalityRequest, CountSeries};
use norn_contract::clock::Clock;
use norn_contract::fs::FileSystem;
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_contract::merge::Merged;
use norn_contract::source::{Coverage, SeriesSource, SourceError, TenantSources};
use norn_head::Reader;
pub use norn_head::{MemoryStats, TenantStats};
use norn_kit::pool::Pool;
use norn_limits::TenantLimits;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

use crate::blocks::{BlocksError, LocalBlocks};
use crate::outcome::Outcomes;
use crate::partition::Worker;
use crate::progress::Progress;

/// Called once when a partition can not go on: the process must end, since what it acknowledges
/// from then on would not become visible.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// How an ingester is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Blocks, a directory a tenant.
    pub blocks_dir: PathBuf,
}

impl Options {
    /// The defaults, with everything below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { blocks_dir: dir.join("tsdb") }
    }
}

/// What an ingester is made of.
#[derive(Clone)]
pub struct Parts {
    /// How it is set up.
    pub options: Options,
    /// Where records come from.
    pub log: Arc<dyn IngestLog>,
    /// The disk.
    pub fs: Arc<dyn FileSystem>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where blocks are read.
    pub pool: Pool,
    /// How long blocks are kept.
    pub limits: TenantLimits,
}

/// An ingester that can not start. The text names what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log can not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Blocks can not be used.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// No thread could be started.
    #[error("cannot start thread {name}: {error}")]
    Thread {
        /// Its name.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// All partitions of this process, and the blocks cut from them.
pub struct Ingester {
    partitions: Vec<PartitionHandle>,
    blocks: Arc<LocalBlocks>,
    clock: Arc<dyn Clock>,
    limits: TenantLimits,
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
    /// When the log or the blocks can not be read, or no thread can be
    /// started.
    pub fn start(parts: Parts, on_fatal: &OnFatal) -> Result<Arc<Self>, StartError> {
        let (ingester, workers) = Self::start_stepped(parts)?;
        for worker in workers {
            let name = format!("partition-{}", worker.partition);
            let thread = worker.spawn(on_fatal.clone());
            let thread = thread.map_err(|error| StartError::Thread { name, error })?;
            ingester.threads.lock().push(thread);
        }
        Ok(ingester)
    }

    /// As [`Ingester::start`], but without threads: nothing happens unless the caller steps the
    /// workers. For simulations, which decide what happens when.
    ///
    /// # Errors
    ///
    /// When the log or the blocks can not be read.
    pub fn start_stepped(parts: Parts) -> Result<(Arc<Self>, Vec<Worker>), StartError> {
        let Parts { options, log, fs, clock, pool, limits } = parts;
        let blocks = LocalBlocks::open(fs, options.blocks_dir, pool)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut partitions, mut workers) = (Vec::new(), Vec::new());
        for number in 0..log.known().max(log.writable()) {
            let (handle, worker) = open_partition(number, &*log, stop.clone())?;
            partitions.push(handle);
            workers.push(worker);
        }
        let ingester = Self { partitions, blocks, clock, limits, threads: Mutex::default(), stop };
        Ok((Arc::new(ingester), workers))
    }

    /// The blocks on local disk.
    pub fn blocks(&self) -> &Arc<LocalBlocks> {
        &self.blocks
    }

    /// From when on heads and blocks of `tenant` have everything that was written.
    fn coverage(&self, tenant: &Tenant) -> Coverage {
        let retention = self.limits.for_tenant(tenant).compactor_blocks_retention_period;
        if retention.is_zero() {
            return Coverage::ALL;
        }
        let retention = Millis::try_from(retention.as_millis()).unwrap_or(Millis::MAX);
        Coverage { mint: self.clock.now().saturating_sub(retention), ..Coverage::ALL }
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

    /// Offsets after the last applied record, by partition.
    pub fn applied_offsets(&self) -> impl Iterator<Item = Offset> {
        self.partitions.iter().map(|p| p.progress.next())
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
        let heads = self.partitions.iter().filter_map(|p| p.head.tenant(tenant));
        let heads = Merged::of(heads.map(|source| source as Arc<dyn SeriesSource>).collect());
        let blocks = Arc::new(self.blocks.source(tenant));
        Merged::in_turn(vec![heads, blocks], self.coverage(tenant))
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

fn open_partition(
    number: Partition,
    log: &dyn IngestLog,
    stop: Arc<AtomicBool>,
) -> Result<(PartitionHandle, Worker), StartError> {
    let range = log.range(number);
    let (writer, head) = norn_head::new(norn_head::Options { partition: number, ..Default::default() });
    let handle = PartitionHandle {
        head,
        outcomes: Arc::new(Outcomes::new(range.start)),
        progress: Arc::new(Progress::new(number, range.clone())),
    };
    let worker = Worker {
        partition: number,
        reader: log.read(number, range.start)?,
        head: writer,
        outcomes: handle.outcomes.clone(),
        progress: handle.progress.clone(),
        stop,
        batch: Vec::new(),
    };
    Ok((handle, worker))
}
