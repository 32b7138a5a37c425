//! The one thread that writes: takes all that waits, writes it, syncs once, and answers.
//!
//! [`Writer::step`] is one such round; the thread is the loop around it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use norn_contract::fs::{File, FileSystem};
use norn_contract::log::{LogError, Offset, Partition};

use crate::format::{ALIGN, FRAME_HEADER, FrameHeader, FrameKind, SegmentHeader};
use crate::options::OnFatal;
use crate::queue::Pending;
use crate::segments::{self, Created, NotCreated, Segment, failed, is_full, is_passing, seconds};
use crate::shared::Shared;
use crate::step::Step;

const PADDING: [u8; ALIGN] = [0; ALIGN];

/// Why a round failed.
enum Failure {
    /// No room, or no file descriptor: nothing was lost, and there may be one later.
    Full(LogError),
    /// The log must not be written any more.
    Fatal(LogError),
}

/// State of the writing thread.
pub struct Writer {
    pub shared: Arc<Shared>,
    pub fs: Arc<dyn FileSystem>,
    pub segment: Arc<Segment>,
    pub file: Box<dyn File>,
    /// Where the next frame goes. All before it is durable.
    pub position: u64,
    /// Whether the file had its size before it was written to.
    pub preallocated: bool,
    /// Whether the segment must not be written any more: bytes of a write that failed lie behind
    /// `position`, or a file that says that the segment ends there may have its name already.
    pub spoiled: bool,
    pub next: Vec<Offset>,
    /// Records in memory, oldest first.
    pub recent: VecDeque<(Partition, usize)>,
    pub recent_bytes: usize,
    pub on_fatal: Option<OnFatal>,
    /// Frame headers of a round, reused.
    pub headers: Vec<u8>,
    /// Records of a round, empty between rounds.
    pub batch: VecDeque<Pending>,
    /// Whether the log was closed, or failed.
    pub ended: bool,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub fn run(mut self) {
        while self.step() != Step::Ended {
            self.shared.queue.wait();
        }
    }

    /// Writes what waits; never waits for more.
    pub fn step(&mut self) -> Step {
        if self.ended {
            return Step::Ended;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let open = self.shared.queue.take(&mut batch);
        let step = match (open, batch.is_empty()) {
            (true, true) => Step::Idle,
            (true, false) => self.round(&mut batch),
            (false, _) => self.end(),
        };
        self.batch = batch;
        step
    }

    fn round(&mut self, batch: &mut VecDeque<Pending>) -> Step {
        match self.commit(batch) {
            Ok(()) => {}
            Err(Failure::Full(error)) => self.give_up(batch, &error),
            Err(Failure::Fatal(error)) => {
                self.fail(batch, error);
                return Step::Ended;
            }
        }
        Step::Worked
    }

    fn end(&mut self) -> Step {
        self.ended = true;
        if let Err(Failure::Fatal(error) | Failure::Full(error)) = self.write_closed() {
            tracing::warn!(%error, "ingest log could not be marked as closed");
        }
        Step::Ended
    }

    /// Makes a batch durable, in as many rounds as it needs segments.
    fn commit(&mut self, batch: &mut VecDeque<Pending>) -> Result<(), Failure> {
        while !batch.is_empty() {
            let better = !self.preallocated && self.shared.spares.any();
            if self.spoiled || better || self.fitting(batch) == 0 {
                self.roll()?;
            }
            let count = self.fitting(batch);
            let started = Instant::now();
            let end = self.write(batch, count)?;
            self.file.sync_data().map_err(|e| Failure::Fatal(failed(&self.segment.path, &e)))?;
            self.shared.counters.synced(started.elapsed(), end - self.position);
            self.position = end;
            self.segment.set_end(end);
            self.publish(batch, count);
        }
        Ok(())
    }

    /// How many records of `batch` fit into what is left of the segment.
    fn fitting(&self, batch: &VecDeque<Pending>) -> usize {
        let mut end = self.position;
        let fits = |p: &&Pending| {
            end += frame_len(p);
            end <= self.shared.segment_bytes
        };
        batch.iter().take_while(fits).count()
    }

    /// Writes the first `count` records and says where they end.
    fn write(&mut self, batch: &VecDeque<Pending>, count: usize) -> Result<u64, Failure> {
        self.headers.clear();
        // The offsets count only once the round is durable.
        let mut next = self.next.clone();
        for p in batch.iter().take(count) {
            let slot = &mut next[p.partition as usize];
            let header = record_header(p, *slot, self.position);
            header.encode(Some(&p.record.tenant), self.segment.header.salt, &mut self.headers);
            *slot += 1;
        }
        let mut slices = Vec::with_capacity(3 * count);
        let (mut at, mut end) = (0, self.position);
        for p in batch.iter().take(count) {
            let header_len = FRAME_HEADER + p.record.tenant.as_str().len();
            let padding =
                (header_len + p.payload.len()).next_multiple_of(ALIGN) - header_len - p.payload.len();
            slices.push(IoSlice::new(&self.headers[at..at + header_len]));
            slices.push(IoSlice::new(&p.payload));
            slices.push(IoSlice::new(&PADDING[..padding]));
            at += header_len;
            end += frame_len(p);
        }
        match self.file.write_at(&mut slices, self.position) {
            Ok(()) => Ok(end),
            Err(e) if is_full(&e) => {
                self.spoiled = true;
                Err(Failure::Full(failed(&self.segment.path, &e)))
            }
            Err(e) => Err(Failure::Fatal(failed(&self.segment.path, &e))),
        }
    }

    /// Shows the first `count` records to readers and answers whoever waits for them.
    fn publish(&mut self, batch: &mut VecDeque<Pending>, count: usize) {
        let before = self.next.clone();
        let mut bytes = 0;
        let mut replies = Vec::with_capacity(count);
        for p in batch.drain(..count) {
            let (partition, record, reply) = p.split();
            self.shared.newest.fetch_max(record.timestamp, Ordering::Relaxed);
            let slot = &mut self.next[partition as usize];
            replies.push((reply, *slot));
            *slot += 1;
            bytes += record.value.len();
            self.remember(partition, record.value.len());
            self.shared.tails[partition as usize].push(record);
        }
        self.forget();
        for (tail, (old, new)) in self.shared.tails.iter().zip(before.iter().zip(&self.next)) {
            if old != new {
                tail.wake();
            }
        }
        self.shared.queue.done(count, bytes);
        self.shared.counters.records.fetch_add(count as u64, Ordering::Relaxed);
        self.shared.counters.value_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        for (reply, offset) in replies {
            Pending::resolve(reply, Ok(offset));
        }
    }

    fn remember(&mut self, partition: Partition, bytes: usize) {
        self.recent.push_back((partition, bytes));
        self.recent_bytes += bytes + RECORD_OVERHEAD;
    }

    /// Keeps what is in memory within its bound.
    fn forget(&mut self) {
        while self.recent_bytes > self.shared.memory_bytes {
            let Some((partition, bytes)) = self.recent.pop_front() else { return };
            self.recent_bytes -= bytes + RECORD_OVERHEAD;
            self.shared.tails[partition as usize].forget();
        }
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> Result<(), Failure> {
        let header = SegmentHeader {
            sequence: self.segment.header.sequence + 1,
            previous_end: self.position,
            salt: self.segment.header.salt.wrapping_add(1),
            begun: seconds(self.shared.newest.load(Ordering::Relaxed)),
            next: self.next.clone(),
        };
        let spare = self.shared.spares.take();
        let preallocated = spare.is_some();
        if self.spoiled {
            // Not needed for correctness: the next header says where this segment ends.
            if let Err(error) = self.file.set_len(self.position) {
                tracing::warn!(file = %self.segment.path.display(), %error, "can not cut a segment");
            }
        }
        let created = segments::create(&*self.fs, &self.shared.dir, header, spare);
        let Created { segment, file } = created.map_err(|NotCreated { error: e, spare }| {
            self.spoiled = true;
            if let (Some(spare), true) = (spare, is_passing(&e)) {
                self.shared.spares.give_back(spare);
            }
            let error = failed(&self.shared.dir, &e);
            if is_passing(&e) { Failure::Full(error) } else { Failure::Fatal(error) }
        })?;
        self.position = segment.header.len() as u64;
        self.shared.segments.push(Arc::clone(&segment));
        self.shared.let_go();
        (self.segment, self.file) = (segment, file);
        (self.preallocated, self.spoiled) = (preallocated, false);
        Ok(())
    }

    /// Marks the end, so that damage to anything before it is noticed.
    fn write_closed(&mut self) -> Result<(), Failure> {
        if self.spoiled || self.position + FRAME_HEADER as u64 > self.shared.segment_bytes {
            return Ok(());
        }
        self.headers.clear();
        closed_header(self.position).encode(None, self.segment.header.salt, &mut self.headers);
        let written = self.file.write_at(&mut [IoSlice::new(&self.headers)], self.position);
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Failure::Fatal(failed(&self.segment.path, &e)))?;
        self.segment.set_end(self.position + FRAME_HEADER as u64);
        Ok(())
    }

    /// Refuses the batch; the next one may have more luck.
    fn give_up(&mut self, batch: &mut VecDeque<Pending>, error: &LogError) {
        // Whoever waits for a record says so where it is handled.
        tracing::debug!(%error, records = batch.len(), "ingest log can not take records now");
        let bytes = batch.iter().map(|p| p.record.value.len()).sum();
        self.shared.queue.done(batch.len(), bytes);
        for p in batch.drain(..) {
            Pending::resolve(p.split().2, Err(error.clone()));
        }
    }

    fn fail(&mut self, batch: &mut VecDeque<Pending>, error: LogError) {
        tracing::error!(%error, "ingest log failed and takes nothing any more");
        self.ended = true;
        self.shared.failed.store(true, Ordering::Relaxed);
        self.shared.queue.refuse(error.clone());
        for p in batch.drain(..) {
            Pending::resolve(p.split().2, Err(error.clone()));
        }
        if let Some(on_fatal) = &self.on_fatal {
            on_fatal(&error);
        }
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody waits for ever; a panic is told like any other failure.
    fn drop(&mut self) {
        let ended = LogError::Unavailable("the log is closed".into());
        if std::thread::panicking()
            && let Some(on_fatal) = &self.on_fatal
        {
            self.shared.failed.store(true, Ordering::Relaxed);
            on_fatal(&LogError::Unavailable("its writing thread panicked".into()));
        }
        self.shared.queue.refuse(ended.clone());
        self.shared.queue.fail_pending(&ended);
        for tail in &self.shared.tails {
            tail.close();
        }
    }
}

/// What a record in memory weighs besides its value.
const RECORD_OVERHEAD: usize = 64;

fn frame_len(p: &Pending) -> u64 {
    let len = FRAME_HEADER + p.record.tenant.as_str().len() + p.payload.len();
    len.next_multiple_of(ALIGN) as u64
}

fn record_header(p: &Pending, offset: Offset, synced: u64) -> FrameHeader {
    FrameHeader {
        kind: FrameKind::Record(p.record.kind, p.encoding),
        tenant_len: 0,
        payload_len: p.payload.len() as u32,
        payload_crc: p.crc,
        partition: p.partition,
        offset,
        timestamp: p.record.timestamp,
        synced: synced as u32,
        value_len: p.record.value.len() as u32,
    }
}

fn closed_header(synced: u64) -> FrameHeader {
    FrameHeader {
        kind: FrameKind::Closed,
        tenant_len: 0,
        payload_len: 0,
        payload_crc: 0,
        partition: 0,
        offset: 0,
        timestamp: 0,
        synced: synced as u32,
        value_len: 0,
    }
}
