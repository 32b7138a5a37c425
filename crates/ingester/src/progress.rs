//! How far a partition has come, at the start and since.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use norn_contract::log::{Offset, Partition};

/// How often a long replay says where it is.
const EVERY: Duration = Duration::from_secs(5);

/// One partition's way through the log: what was there at the start, and how much is applied.
pub struct Progress {
    partition: Partition,
    range: Range<Offset>,
    next: AtomicU64,
    undecodable: AtomicU64,
}

impl Progress {
    /// Nothing of `range` is applied yet.
    pub fn new(partition: Partition, range: Range<Offset>) -> Self {
        let next = AtomicU64::new(range.start);
        Self { partition, range, next, undecodable: AtomicU64::new(0) }
    }

    /// Says that everything below `next` is applied.
    pub fn advance(&self, next: Offset) {
        self.next.store(next, Ordering::Release);
    }

    /// Whether everything that was there at the start is applied.
    pub fn is_done(&self) -> bool {
        self.next() >= self.range.end
    }

    /// The offset after the last applied record.
    pub fn next(&self) -> Offset {
        self.next.load(Ordering::Acquire)
    }

    /// Counts a record that was skipped because it can not be decoded.
    pub fn count_undecodable(&self) {
        self.undecodable.fetch_add(1, Ordering::Relaxed);
    }

    /// Records skipped so far.
    pub fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    fn done(&self) -> u64 {
        self.next().min(self.range.end) - self.range.start
    }

    fn total(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// One line for people.
pub fn describe<'a>(parts: impl Iterator<Item = &'a Progress>) -> String {
    let (done, total) = parts.fold((0, 0), |(d, t), p| (d + p.done(), t + p.total()));
    format!("replaying the log: {done} of {total} records")
}

/// Logs a partition's replay every few seconds, and its end.
pub struct Reporter<'a> {
    progress: &'a Progress,
    started: Instant,
    said: Instant,
    finished: bool,
}

impl<'a> Reporter<'a> {
    /// Starts the clock. A replay of nothing has nothing to say.
    pub fn new(progress: &'a Progress) -> Self {
        let now = Instant::now();
        Self { progress, started: now, said: now, finished: progress.total() == 0 }
    }

    /// Says something if it is time to.
    pub fn report(&mut self) {
        if self.finished {
            return;
        }
        let Progress { partition, .. } = self.progress;
        let seconds = self.started.elapsed().as_secs_f32();
        if self.progress.is_done() {
            self.finished = true;
            tracing::info!(partition, records = self.progress.total(), seconds, "log replayed");
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let (done, total) = (self.progress.done(), self.progress.total());
            let percent = done * 100 / total;
            tracing::info!(partition, done, total, percent, seconds, "replaying the log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_there_at_the_start() {
        let (a, b) = (Progress::new(0, 10..20), Progress::new(1, 0..0));
        assert!(!a.is_done() && b.is_done());
        a.advance(15);
        assert_eq!(describe([&a, &b].into_iter()), "replaying the log: 5 of 10 records");
        a.advance(25);
        assert!(a.is_done());
        assert_eq!(describe([&a, &b].into_iter()), "replaying the log: 10 of 10 records");
    }
}
