//! The newest records of one partition, in memory, for readers that follow closely.

use std::collections::VecDeque;
use std::time::Instant;

use norn_contract::log::{Offset, Record};
use parking_lot::{Condvar, Mutex};

/// A reader gets about this many bytes at once.
pub const READ_BYTES: usize = 1 << 20;

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// At least one record was appended.
    Some,
    /// The time is over.
    Nothing,
    /// The record is on disk only; memory begins at this offset.
    Behind(Offset),
    /// Everything was read, and nothing will come.
    Closed,
}

/// The newest durable records of a partition.
pub struct Tail {
    state: Mutex<State>,
    grown: Condvar,
}

struct State {
    /// Offset after the last durable record.
    next: Offset,
    /// The records before `next`.
    records: VecDeque<Record>,
    closed: bool,
}

impl State {
    fn memory_first(&self) -> Offset {
        self.next - self.records.len() as u64
    }
}

impl Tail {
    /// Nothing in memory; the next record will have the offset `next`.
    pub fn new(next: Offset) -> Self {
        Self {
            state: Mutex::new(State { next, records: VecDeque::new(), closed: false }),
            grown: Condvar::new(),
        }
    }

    /// Offset after the last durable record.
    pub fn next(&self) -> Offset {
        self.state.lock().next
    }

    /// Adds a record that is durable now.
    pub fn push(&self, record: Record) {
        let mut state = self.state.lock();
        state.records.push_back(record);
        state.next += 1;
    }

    /// Forgets the oldest record in memory.
    pub fn forget(&self) {
        // What the record points at is freed after the lock.
        let record = self.state.lock().records.pop_front();
        drop(record);
    }

    /// Wakes readers after [`Tail::push`].
    pub fn wake(&self) {
        self.grown.notify_all();
    }

    /// Says that nothing will come.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.grown.notify_all();
    }

    /// Appends records from offset `from` on, waiting for the first until `deadline`.
    pub fn take(&self, from: Offset, deadline: Instant, out: &mut Vec<(Offset, Record)>) -> Taken {
        let mut state = self.state.lock();
        while from >= state.next {
            if state.closed {
                return Taken::Closed;
            }
            if self.grown.wait_until(&mut state, deadline).timed_out() && from >= state.next {
                return Taken::Nothing;
            }
        }
        let first = state.memory_first();
        let Some(skip) = from.checked_sub(first) else { return Taken::Behind(first) };
        let mut bytes = 0;
        for (offset, record) in (from..).zip(state.records.iter().skip(skip as usize)) {
            bytes += record.value.len();
            out.push((offset, record.clone()));
            if bytes >= READ_BYTES {
                break;
            }
        }
        Taken::Some
    }
}
