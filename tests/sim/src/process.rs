//! One life of the process: the real log, ingester and heads, without threads.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::executor::block_on;
use norn_contract::clock::Clock;
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_contract::rng::Rng;
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource, TenantSources};
use norn_ingester::cutter::Cutter;
use norn_ingester::partition::Worker;
use norn_ingester::{Ingester, Parts, StartError};
use norn_kit::pool::Pool;
use norn_limits::TenantLimits;
use norn_log::EmbeddedLog;
use norn_log::memory::{Dice, MemoryFs};
use norn_log::options::Options;
use norn_log::step::{Step, Steps};
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::tenant::Tenant;

use crate::value::{Value, decode_chunk};

/// A series and every sample its chunks hold, in the order of the chunks.
pub type Series = (Labels, Vec<(Millis, Value)>);

/// Where checkpoints are.
pub const HEAD_DIR: &str = "/data/head";

/// One life of the process.
pub struct Process {
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// Its threads.
    pub steps: Steps,
    /// All partitions.
    pub ingester: Arc<Ingester>,
    /// Their threads.
    pub workers: Vec<Worker>,
    /// The thread that makes blocks.
    pub cutter: Cutter,
}

/// Time and randomness, as the seed has it. They live longer than processes.
#[derive(Debug, Default)]
pub struct Fate {
    now: AtomicI64,
    random: AtomicU64,
}

impl Fate {
    /// It is `now`, and random numbers follow from `seed`.
    pub fn new(now: Millis, seed: u64) -> Self {
        Self { now: AtomicI64::new(now), random: AtomicU64::new(seed) }
    }

    /// Time moves.
    pub fn pass(&self, by: Millis) {
        self.now.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for Fate {
    fn now(&self) -> Millis {
        self.now.load(Ordering::Relaxed)
    }
}

impl Rng for Fate {
    fn next_u64(&self) -> u64 {
        let state = self.random.fetch_add(1, Ordering::Relaxed);
        Dice::new(state.wrapping_mul(0x9e37_79b9)).below(u64::MAX)
    }
}

impl Process {
    /// Opens the log and the blocks and starts to replay. `cuts` says whether closed windows leave
    /// the heads.
    pub fn start(options: Options, fs: &MemoryFs, fate: &Arc<Fate>, cuts: bool) -> Result<Self, StartError> {
        let (log, steps) = EmbeddedLog::open_stepped(options, Arc::new(fs.clone()))?;
        let seconds = |n: u64| Duration::from_secs(if cuts { n } else { 0 });
        let parts = Parts {
            options: norn_ingester::Options {
                look_every: seconds(1),
                idle_timeout: seconds(3600),
                active_series_every: Duration::ZERO,
                ..norn_ingester::Options::new("/data")
            },
            log: log.clone(),
            fs: Arc::new(fs.clone()),
            clock: fate.clone(),
            rng: fate.clone(),
            pool: pool()?,
            limits: TenantLimits::default(),
        };
        let (ingester, workers, cutter) = Ingester::start_stepped(parts)?;
        Ok(Self { log, steps, ingester, workers, cutter })
    }

    /// A step of one partition's worker; gives what it has come to.
    pub fn work(&mut self, partition: usize) -> Result<Offset, LogError> {
        let worker = &mut self.workers[partition];
        worker.step(Duration::ZERO)?;
        Ok(worker.progress.next())
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        let blocks = self.ingester.blocks();
        blocks.tenants().iter().map(|tenant| blocks.of(tenant).len()).sum()
    }

    /// Whether a partition has applied every durable record.
    pub fn is_caught_up(&self, partition: usize) -> bool {
        self.workers[partition].progress.next() >= self.log.range(partition as Partition).end
    }

    /// Ends as a stop does: everything that waits is written, the log is marked as closed.
    pub fn close(&mut self) {
        self.log.close();
        while self.steps.write() != Step::Ended {}
        while self.steps.keep() == Step::Worked {}
    }

    /// Everything of a tenant within a range.
    pub fn read(&self, tenant: &Tenant, mint: Millis, maxt: Millis) -> Result<Vec<Series>, String> {
        let source = self.ingester.tenant(tenant);
        let any = Matcher::new(MatchOp::Regex, "__name__", ".+").map_err(|e| e.to_string())?;
        read(&*source, any, mint, maxt)
    }
}

/// One for all lives: what is read of blocks does not depend on who reads.
fn pool() -> Result<Pool, StartError> {
    static POOL: OnceLock<Pool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool.clone());
    }
    let failed = |error| StartError::Thread { name: "read".to_owned(), error };
    let pool = Pool::new("read", 1).map_err(failed)?;
    Ok(POOL.get_or_init(|| pool).clone())
}

fn read(source: &dyn SeriesSource, any: Matcher, mint: Millis, maxt: Millis) -> Result<Vec<Series>, String> {
    let request = SelectRequest { matchers: Arc::new([any]), mint, maxt, need: Need::Samples, max_series: 0 };
    let selection = block_on(source.select(request)).map_err(|e| format!("select failed: {e}"))?;
    if !selection.labels.is_sorted_by(|a, b| a < b) {
        return Err("series are not in order, each once".into());
    }
    let mut buf = ChunkBuf::default();
    let mut all = Vec::new();
    for (i, labels) in selection.labels.into_iter().enumerate() {
        buf.clear();
        selection.data.read(i, &mut buf).map_err(|e| format!("read of {labels} failed: {e}"))?;
        let samples = samples(&buf).map_err(|e| format!("{labels}: {e}"))?;
        all.push((labels, samples.into_iter().filter(|(t, _)| (mint..=maxt).contains(t)).collect()));
    }
    Ok(all)
}

fn samples(buf: &ChunkBuf) -> Result<Vec<(Millis, Value)>, String> {
    if !buf.chunks.is_sorted_by_key(|chunk| chunk.mint) {
        return Err("chunks are not in order".into());
    }
    let mut all = Vec::new();
    for chunk in &buf.chunks {
        let decoded = decode_chunk(chunk.encoding, buf.slice(chunk)).map_err(|e| e.to_string())?;
        let ends = (decoded.first().map(|s| s.0), decoded.last().map(|s| s.0));
        if ends != (Some(chunk.mint), Some(chunk.maxt)) || !decoded.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(format!("a chunk of {}..={} holds {ends:?}", chunk.mint, chunk.maxt));
        }
        all.extend(decoded);
    }
    Ok(all)
}
