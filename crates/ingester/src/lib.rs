//! Consumes log partitions into heads, lets closed time ranges leave them as blocks, and answers
//! for both.
//!
//! One thread a partition reads records in order and applies them to that partition's head; the
//! head is a fold over the log, so a start is nothing but reading from a checkpoint on. What a
//! record's content was refused for is told to whoever waits for its offset.
//!
//! ```text
//! log ─ partition ─ head ─┬─ cutter ─ blocks
//!  ▲                      └──── queries ─┘
//!  └── trim ─ checkpoints ─ cutter
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`partition`] | the thread: log → head → outcome |
//! | [`cutter`] | the thread: heads → blocks, then checkpoints, then the log is trimmed |
//! | [`blocks`] | what left the heads: blocks on local disk |
//! | [`checkpoints`] | where a start begins to read |
//! | [`snapshots`] | heads as files, which make a start fast |
//! | `holdings` | what the heads hold |
//! | [`outcome`] | who waits for which offset |
//! | [`progress`] | how far a partition has come |
//! | [`stats`] | what the cutter counts |
//! | [`api`] | endpoints for operators |
//!
//! Promises: a record whose outcome was told is visible to every query that starts later, in a
//! head or in a block. Refuses: to acknowledge anything (the log does), to skip a record or a
//! block it can not read without saying so.

pub mod api;
pub mod blocks;
pub mod checkpoints;
pub mod cutter;
mod holdings;
pub mod outcome;
pub mod partition;
pub mod progress;
pub mod snapshots;
pub mod stats;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use norn_contract::applied::{AppliedError, AppliedRecords, Outcome};
use norn_contract::cardinality::{Cardinality, CardinalityRequest, CountSeries};
use norn_contract::clock::Clock;
use norn_contract::fs::FileSystem;
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_contract::merge::Merged;
use norn_contract::rng::Rng;
use norn_contract::source::{Coverage, SeriesSource, SourceError, TenantSources};
use norn_head::Reader;
pub use norn_head::{MemoryStats, TenantStats};
use norn_kit::pool::Pool;
use norn_limits::TenantLimits;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

use crate::blocks::{BlocksError, LocalBlocks};
use crate::checkpoints::{CheckpointError, Checkpoints};
use crate::cutter::{Cutter, Message};
use crate::outcome::Outcomes;
use crate::partition::{Command, Worker};
use crate::progress::Progress;
use crate::snapshots::Snapshots;
use crate::stats::CutStats;

/// Called once when a partition can not go on: the process must end, since what it acknowledges
/// from then on would not become visible.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// Mebibytes of sealed chunks that each head keeps in memory; older ones are in files.
const KEEP_SLABS: usize = 4;

/// How an ingester is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Blocks, a directory a tenant.
    pub blocks_dir: PathBuf,
    /// Checkpoints, and samples of heads that are in the log too.
    pub head_dir: PathBuf,
    /// Time range of a block.
    pub block_range: Duration,
    /// Time between two looks at whether there is something to cut; 0 for never.
    pub look_every: Duration,
    /// A partition without records for so long is cut whole; 0 for never.
    pub idle_timeout: Duration,
    /// Time between two counts of active series; 0 for never.
    pub active_series_every: Duration,
    /// How long a series is active after its newest sample.
    pub active_series_idle: Duration,
    /// Time between two snapshots of the heads; 0 for never but after a cut and at the end.
    pub save_every: Duration,
}

impl Options {
    /// The defaults, with everything below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            blocks_dir: dir.join("tsdb"),
            head_dir: dir.join("head"),
            block_range: minutes(120),
            look_every: minutes(1),
            idle_timeout: minutes(60),
            active_series_every: minutes(1),
            active_series_idle: minutes(20),
            save_every: minutes(10),
        }
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
    /// Randomness for the names of blocks.
    pub rng: Arc<dyn Rng>,
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
    /// A checkpoint can not be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Blocks can not be used.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// A checkpoint does not fit the head.
    #[error("partition {partition} can not be restored: {reason}")]
    Restore {
        /// The partition.
        partition: Partition,
        /// Why.
        reason: String,
    },
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
    stats: Arc<CutStats>,
    clock: Arc<dyn Clock>,
    limits: TenantLimits,
    inbox: Mutex<Sender<Message>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    cutter: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

struct PartitionHandle {
    head: Arc<Reader>,
    outcomes: Arc<Outcomes>,
    progress: Arc<Progress>,
}

impl Ingester {
    /// Starts a thread for each partition the log knows, and one that cuts blocks.
    ///
    /// # Errors
    ///
    /// When the log or the blocks can not be read, a checkpoint is not usable, or no thread can be
    /// started.
    pub fn start(parts: Parts, on_fatal: &OnFatal) -> Result<Arc<Self>, StartError> {
        let clock = Arc::clone(&parts.clock);
        let (ingester, workers, cutter) = Self::start_stepped(parts)?;
        for worker in workers {
            let name = format!("partition-{}", worker.partition);
            let thread = worker.spawn(on_fatal.clone());
            let thread = thread.map_err(|error| StartError::Thread { name, error })?;
            ingester.threads.lock().push(thread);
        }
        let thread = cutter.spawn(clock, Arc::clone(&ingester.stop), on_fatal.clone());
        let thread = thread.map_err(|error| StartError::Thread { name: "cutter".into(), error })?;
        *ingester.cutter.lock() = Some(thread);
        Ok(ingester)
    }

    /// As [`Ingester::start`], but without threads: nothing happens unless the caller steps the
    /// workers and the cutter. For simulations, which decide what happens when.
    ///
    /// # Errors
    ///
    /// When the log or the blocks can not be read, or a checkpoint is not usable.
    pub fn start_stepped(parts: Parts) -> Result<(Arc<Self>, Vec<Worker>, Cutter), StartError> {
        let Parts { options, log, fs, clock, rng, pool, limits } = parts;
        let blocks = LocalBlocks::open(Arc::clone(&fs), options.blocks_dir.clone(), pool)?;
        let checkpoints = Checkpoints::open(Arc::clone(&fs), options.head_dir.clone())?;
        let snapshots = Snapshots::new(Arc::clone(&fs), options.head_dir.clone());
        let head = norn_head::Options {
            chunk_range: Millis::try_from(options.block_range.as_millis()).unwrap_or(Millis::MAX),
            storage: Some(norn_head::Storage { fs, dir: options.head_dir.clone(), keep_slabs: KEEP_SLABS }),
            ..Default::default()
        };
        let (sender, inbox) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (mut partitions, mut workers, mut commands) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..log.known().max(log.writable()) {
            let (command, receiver) = mpsc::channel();
            let link = Link { commands: receiver, cutter: sender.clone(), stop: stop.clone() };
            let (handle, worker) = open_partition(number, &*log, &checkpoints, &snapshots, &head, link)?;
            partitions.push(handle);
            workers.push(worker);
            commands.push(command);
        }
        let stats = Arc::new(CutStats::default());
        let cutter = Cutter {
            options,
            partitions: commands,
            inbox,
            blocks: Arc::clone(&blocks),
            checkpoints,
            snapshots,
            log,
            limits: limits.clone(),
            rng,
            stats: Arc::clone(&stats),
            heads: partitions.iter().map(|p| Arc::clone(&p.head)).collect(),
            state: Default::default(),
            agenda: Default::default(),
        };
        let (inbox, threads) = (Mutex::new(sender), Mutex::default());
        let ingester =
            Self { partitions, blocks, stats, clock, limits, inbox, threads, cutter: Mutex::default(), stop };
        Ok((Arc::new(ingester), workers, cutter))
    }

    /// Cuts everything that is in memory into blocks; resolves when that was tried. Whether it
    /// succeeded is in the log lines and figures.
    pub fn flush(&self) -> impl Future<Output = ()> + Send + use<> {
        let (done, flushed) = oneshot::channel();
        // A cutter that has ended drops the other half, which resolves this one.
        let _ = self.inbox.lock().send(Message::Flush(done));
        async { flushed.await.unwrap_or_default() }
    }

    /// The blocks on local disk.
    pub fn blocks(&self) -> &Arc<LocalBlocks> {
        &self.blocks
    }

    /// What the cutter counts.
    pub fn cut_stats(&self) -> &CutStats {
        &self.stats
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

    /// Waits for the threads of the partitions, which end when the log is closed and everything
    /// was applied, and ends the cutter.
    pub fn join(&self) {
        // A panic was already reported through `on_fatal` by the thread's own guard.
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.cutter.lock().take() {
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

/// What ties a partition to the rest.
struct Link {
    commands: Receiver<Command>,
    cutter: Sender<Message>,
    stop: Arc<AtomicBool>,
}

fn open_partition(
    number: Partition,
    log: &dyn IngestLog,
    checkpoints: &Checkpoints,
    snapshots: &Snapshots,
    head: &norn_head::Options,
    link: Link,
) -> Result<(PartitionHandle, Worker), StartError> {
    let range = log.range(number);
    let checkpoint = checkpoints.load(number, &range)?;
    if let Some(checkpoint) = &checkpoint {
        // Nothing below is needed any more, and the log does not remember that by itself.
        log.trim(number, checkpoint.offset)?;
    }
    let head_options = norn_head::Options { partition: number, ..head.clone() };
    let (mut writer, head) = match snapshots.load(&head_options, &range, checkpoint.as_ref()) {
        Some(loaded) => loaded,
        None => norn_head::new(head_options),
    };
    if writer.next_offset() == 0
        && let Some(checkpoint) = checkpoint
    {
        let restored = writer.restore(&checkpoint);
        restored.map_err(|e| StartError::Restore { partition: number, reason: e.to_string() })?;
    }
    let first = writer.next_offset().max(range.start);
    let handle = PartitionHandle {
        head,
        outcomes: Arc::new(Outcomes::new(first)),
        progress: Arc::new(Progress::new(number, first..range.end)),
    };
    let worker = Worker {
        partition: number,
        reader: log.read(number, first)?,
        head: writer,
        outcomes: handle.outcomes.clone(),
        progress: handle.progress.clone(),
        stop: link.stop,
        batch: Vec::new(),
        wish: None,
        is_saving: false,
        snapshots: snapshots.clone(),
        commands: link.commands,
        cutter: link.cutter,
    };
    Ok((handle, worker))
}
