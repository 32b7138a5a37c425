//! Embedded ingest log: one physical log for all partitions, on one disk.
//!
//! Appends wait in a queue; one thread writes all that waits, syncs once, and answers. Files are
//! drawn in `docs/formats/log.md`. One disk is one copy.
//!
//! ```text
//! append → queue → writer → segment file → fdatasync ┬→ tail (memory) ┬→ reader
//!                    ↑ spares ← trim                 └→ the future    │
//!                                 segment files, when behind ─────────┘
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`options`] | how a log is opened |
//! | `format` | bytes of segments and frames |
//! | `pack` | values in frames: columns, zstd |
//! | `recover` | what is found at opening; torn tail or damage |
//! | [`inspect`], [`mod@repair`] | what tools need: a walk over all frames, mending damage |
//! | `queue`, `writer` | group commit |
//! | `tail`, `reader`, `cursor` | reading, from memory and from files |
//! | `segments`, `spares` | the files: kept, recycled, prepared |
//! | [`stats`] | figures |
//! | [`step`] | the threads without threads |
//! | [`disk`], `memory` | the file system, and one for tests that crashes |
//! | `contract_tests` | what every log must pass |

pub mod disk;
pub mod inspect;
pub mod options;
pub mod repair;
pub mod stats;
pub mod step;

#[cfg(feature = "contract-tests")]
pub mod contract_tests;
#[cfg(feature = "memory-fs")]
pub mod memory;

mod cursor;
mod format;
mod pack;
mod queue;
mod reader;
mod recover;
mod segments;
mod shared;
mod spares;
mod tail;
mod writer;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{Builder, JoinHandle};

use futures::future::BoxFuture;
use norn_contract::fs::{FileLock, FileSystem};
use norn_contract::log::{IngestLog, LogError, LogReader, Offset, Partition, Record};
use parking_lot::Mutex;

use crate::format::SegmentHeader;
use crate::options::Options;
use crate::pack::{Packers, Unpacker};
use crate::queue::{Pending, Queue};
use crate::reader::Reader;
use crate::recover::Recovered;
use crate::segments::{Created, Segments, failed};
use crate::shared::Shared;
use crate::spares::Spares;
use crate::stats::{Counters, Stats};
use crate::step::Steps;
use crate::tail::Tail;
use crate::writer::Writer;

/// The log. Dropping it closes it.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    fs: Arc<dyn FileSystem>,
    writable: Partition,
    max_record_bytes: usize,
    packers: Packers,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn FileLock>>>,
}

impl EmbeddedLog {
    /// Opens the log in `options.dir`, or starts a new one.
    ///
    /// [`LogError::Unavailable`] when another process has it open, the options do not fit or the
    /// disk fails; [`LogError::Corrupt`] when durable bytes are damaged.
    pub fn open(options: Options, fs: Arc<dyn FileSystem>) -> Result<Arc<Self>, LogError> {
        let (log, Steps { writer, keeper }) = Self::open_stepped(options, fs)?;
        log.spawn("norn-log-write", || writer.run())?;
        log.spawn("norn-log-spare", || keeper.run())?;
        Ok(log)
    }

    /// As [`EmbeddedLog::open`], but without threads: nothing is written unless the caller steps.
    /// For simulations, which decide what happens when.
    pub fn open_stepped(options: Options, fs: Arc<dyn FileSystem>) -> Result<(Arc<Self>, Steps), LogError> {
        options.check()?;
        let dir = &options.dir;
        fs.create_dir_all(dir).map_err(|e| failed(dir, &e))?;
        let lock_path = dir.join("LOCK");
        let lock = fs.lock(&lock_path).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => {
                LogError::Unavailable(format!("another process has {} open", dir.display()))
            }
            _ => failed(&lock_path, &e),
        })?;
        let found = recover::recover(&*fs, dir)?;
        Self::assemble(options, fs, lock, found)
    }

    fn assemble(
        options: Options,
        fs: Arc<dyn FileSystem>,
        lock: Box<dyn FileLock>,
        mut found: Recovered,
    ) -> Result<(Arc<Self>, Steps), LogError> {
        let dir = &options.dir;
        let known = found.next.len().max(options.partitions as usize);
        found.next.resize(known, 0);
        let (spares, keeper) = Spares::new(
            Arc::clone(&fs),
            dir.clone(),
            options.segment_bytes,
            options.spare_segments,
            options.recycled_segments,
            found.spares,
        );
        let spare = spares.take();
        let preallocated = spare.is_some();
        let last = found.segments.back();
        let header = SegmentHeader {
            sequence: last.map_or(0, |s| s.header.sequence + 1),
            previous_end: last.map_or(0, |s| s.end()),
            salt: last.map_or(options.salt, |s| s.header.salt.wrapping_add(1)),
            begun: 0,
            next: found.next.clone(),
        };
        let created = segments::create(&*fs, dir, header, spare).map_err(|e| failed(dir, &e.error))?;
        let Created { segment, file } = created;
        found.segments.push_back(Arc::clone(&segment));
        let shared = Arc::new(Shared {
            dir: options.dir,
            segment_bytes: options.segment_bytes,
            memory_bytes: options.memory_bytes,
            queue: Queue::new(options.max_queued_bytes),
            tails: found.next.iter().map(|next| Tail::new(*next)).collect(),
            segments: Segments::new(found.segments),
            spares,
            keep: Mutex::new(vec![0; known]),
            retention: options.retention,
            newest: AtomicI64::new(0),
            counters: Counters::default(),
            failed: AtomicBool::new(false),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            fs: Arc::clone(&fs),
            position: segment.header.len() as u64,
            segment,
            file,
            preallocated,
            spoiled: false,
            next: found.next,
            recent: Default::default(),
            recent_bytes: 0,
            on_fatal: options.on_fatal,
            headers: Vec::new(),
            batch: VecDeque::new(),
            ended: false,
        };
        let log = Self {
            shared,
            fs,
            writable: options.partitions,
            max_record_bytes: options.max_record_bytes,
            packers: Packers::new(options.compression),
            threads: Mutex::new(Vec::new()),
            lock: Mutex::new(Some(lock)),
        };
        Ok((Arc::new(log), Steps { writer, keeper }))
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
        let thread = Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|e| LogError::Unavailable(format!("can not start a thread: {e}")))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Makes durable what waits, refuses the rest, and ends the threads. Readers can still read
    /// everything.
    pub fn close(&self) {
        self.shared.queue.refuse(LogError::Unavailable("the log is closed".into()));
        self.shared.spares.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ingest log panicked");
            }
        }
        self.lock.lock().take();
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let sync_buckets = counters.sync_buckets();
        let (queued_records, queued_bytes) = self.shared.queue.depth();
        let (segments, segment_bytes) = self.shared.segments.size();
        Stats {
            records: counters.records.load(Ordering::Relaxed),
            value_bytes: counters.value_bytes.load(Ordering::Relaxed),
            written_bytes: counters.written_bytes.load(Ordering::Relaxed),
            syncs: sync_buckets.iter().sum(),
            sync_seconds: counters.sync_seconds(),
            sync_buckets,
            queued_records,
            queued_bytes,
            max_queued_bytes: self.shared.queue.limit(),
            segments,
            segment_bytes,
            partitions: (0..self.known()).map(|p| self.range(p)).collect(),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    fn admit(&self, partition: Partition, record: &Record) -> Result<(), LogError> {
        if partition >= self.writable {
            return Err(LogError::Unavailable(format!("partition {partition} takes no records")));
        }
        let (size, limit) = (record.value.len(), self.max_record_bytes);
        if size > limit {
            return Err(LogError::TooLarge { size, limit });
        }
        Ok(())
    }
}

impl IngestLog for EmbeddedLog {
    fn writable(&self) -> Partition {
        self.writable
    }

    fn known(&self) -> Partition {
        self.shared.tails.len() as Partition
    }

    fn append(&self, partition: Partition, record: Record) -> BoxFuture<'static, Result<Offset, LogError>> {
        let queued = self.admit(partition, &record).and_then(|()| {
            let (pending, outcome) = Pending::new(partition, record, &self.packers);
            self.shared.queue.push(pending).map(|()| outcome)
        });
        match queued {
            Ok(outcome) => Box::pin(async {
                outcome.await.unwrap_or_else(|_| Err(LogError::Unavailable("the log is closed".into())))
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn range(&self, partition: Partition) -> Range<Offset> {
        self.shared.range(partition)
    }

    fn read(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let Range { start: first, end: next } = self.range(partition);
        if partition >= self.known() || from < first || from > next {
            return Err(LogError::OutOfRange { partition, offset: from, first, next });
        }
        Ok(Box::new(Reader {
            shared: Arc::clone(&self.shared),
            fs: Arc::clone(&self.fs),
            partition,
            next: from,
            place: None,
            tenant: None,
            unpacker: Unpacker::default(),
        }))
    }

    fn trim(&self, partition: Partition, before: Offset) -> Result<(), LogError> {
        let Range { start: first, end: next } = self.range(partition);
        if partition >= self.known() || before > next {
            return Err(LogError::OutOfRange { partition, offset: before, first, next });
        }
        let mut keep = self.shared.keep.lock();
        let point = &mut keep[partition as usize];
        *point = before.max(*point);
        drop(keep);
        self.shared.let_go();
        Ok(())
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}
