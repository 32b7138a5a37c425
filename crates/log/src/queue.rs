//! Records that wait to become durable.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::channel::oneshot;
use norn_contract::log::{LogError, Offset, Partition, Record};
use parking_lot::{Condvar, Mutex};

use crate::format::{Encoding, crc};
use crate::pack::Packers;

/// Where the outcome of an append comes from.
pub type Outcome = oneshot::Receiver<Result<Offset, LogError>>;

/// A record, ready to be written.
pub struct Pending {
    /// Its partition.
    pub partition: Partition,
    /// The record.
    pub record: Record,
    /// The value as it is written.
    pub payload: Bytes,
    /// How.
    pub encoding: Encoding,
    /// CRC of the payload.
    pub crc: u32,
    /// Who waits.
    reply: oneshot::Sender<Result<Offset, LogError>>,
}

impl Pending {
    /// Packs and takes the checksum.
    pub fn new(partition: Partition, record: Record, packers: &Packers) -> (Self, Outcome) {
        let (reply, outcome) = oneshot::channel();
        let (payload, encoding) = packers.pack(&record);
        let crc = crc(&payload);
        (Self { partition, record, payload, encoding, crc, reply }, outcome)
    }

    /// Tells who waits.
    pub fn resolve(reply: Reply, outcome: Result<Offset, LogError>) {
        // Whoever appended may have stopped waiting.
        let _ = reply.0.send(outcome);
    }

    /// The record and who waits for it.
    pub fn split(self) -> (Partition, Record, Reply) {
        (self.partition, self.record, Reply(self.reply))
    }
}

/// Who waits for an append.
pub struct Reply(oneshot::Sender<Result<Offset, LogError>>);

/// The queue.
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

struct State {
    pending: VecDeque<Pending>,
    /// Bytes of values that are not durable yet, those being written included.
    bytes: usize,
    records: usize,
    /// Why no more is taken.
    refusal: Option<LogError>,
}

impl Queue {
    /// Takes up to `limit` bytes of values.
    pub fn new(limit: usize) -> Self {
        let state = State { pending: VecDeque::new(), bytes: 0, records: 0, refusal: None };
        Self { state: Mutex::new(state), filled: Condvar::new(), limit }
    }

    /// Adds a record, unless the queue is full or closed.
    pub fn push(&self, pending: Pending) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let len = pending.record.value.len();
        if state.records > 0 && state.bytes + len > self.limit {
            return Err(LogError::Unavailable(format!(
                "{} bytes wait to be written, the limit is {}",
                state.bytes, self.limit
            )));
        }
        state.bytes += len;
        state.records += 1;
        state.pending.push_back(pending);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until there are records, or none will come.
    pub fn wait(&self) {
        let mut state = self.state.lock();
        while state.pending.is_empty() && state.refusal.is_none() {
            self.filled.wait(&mut state);
        }
    }

    /// Moves all records that wait into `out`, which is empty. `false` when there is none and none
    /// will come.
    pub fn take(&self, out: &mut VecDeque<Pending>) -> bool {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.pending, out);
        !out.is_empty() || state.refusal.is_none()
    }

    /// Makes room after records were written or given up.
    pub fn done(&self, records: usize, bytes: usize) {
        let mut state = self.state.lock();
        state.records -= records;
        state.bytes -= bytes;
    }

    /// Takes no more, for the first reason given.
    pub fn refuse(&self, reason: LogError) {
        self.state.lock().refusal.get_or_insert(reason);
        self.filled.notify_one();
    }

    /// Bytes that may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Records and bytes that wait.
    pub fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.records, state.bytes)
    }

    /// Fails what waits.
    pub fn fail_pending(&self, reason: &LogError) {
        let pending = {
            let mut state = self.state.lock();
            state.bytes = 0;
            state.records = 0;
            std::mem::take(&mut state.pending)
        };
        for p in pending {
            Pending::resolve(p.split().2, Err(reason.clone()));
        }
    }
}
