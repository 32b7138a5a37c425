//! Files that wait to become segments, made and recycled by a thread of their own.
//!
//! A sync of a file whose bytes were written before takes half the time of one that grows the
//! file, so spares are filled with zeros, and trimmed segments are used again.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use norn_contract::fs::{FileSystem, OpenMode};
use parking_lot::Mutex;

use crate::segments::Segment;
use crate::step::Step;

/// Zeros are written and synced in pieces of this size, so that syncs of the log wait for little.
const PIECE: usize = 4 << 20;

enum Job {
    Prepare,
    Retire(Arc<Segment>),
    Stop,
}

/// The door to the spares.
pub struct Spares {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
}

struct Shared {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    segment_bytes: u64,
    filled: usize,
    kept: usize,
    ready: Mutex<Vec<PathBuf>>,
    number: AtomicU64,
    stop: AtomicBool,
}

/// Does the work; runs until told to stop.
pub struct Keeper {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// Segments to retire, oldest first. One that can not go holds up the later ones: a log with a
    /// hole would be refused as damaged.
    retired: VecDeque<Arc<Segment>>,
}

impl Spares {
    /// Takes over the spare files `found` in `dir`. Fills files until `filled` are ready, and keeps
    /// up to `recycled` trimmed segments on top.
    pub fn new(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        segment_bytes: u64,
        filled: usize,
        recycled: usize,
        found: Vec<String>,
    ) -> (Self, Keeper) {
        let number = found.iter().filter_map(|n| n.strip_suffix(".spare")?.parse::<u64>().ok()).max();
        let ready = Mutex::new(Vec::new());
        let number = AtomicU64::new(number.map_or(0, |n| n.saturating_add(1)));
        let kept = filled + recycled;
        let shared =
            Shared { fs, dir, segment_bytes, filled, kept, ready, number, stop: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        for name in found {
            shared.adopt(shared.dir.join(name));
        }
        let (jobs, receiver) = channel();
        let spares = Self { shared: Arc::clone(&shared), jobs };
        spares.ask(Job::Prepare);
        (spares, Keeper { shared, jobs: receiver, retired: VecDeque::new() })
    }

    /// Whether [`Spares::take`] would give one.
    pub fn any(&self) -> bool {
        !self.shared.ready.lock().is_empty()
    }

    /// A file of segment size, if one is ready; asks for the next.
    pub fn take(&self) -> Option<PathBuf> {
        let taken = self.shared.ready.lock().pop();
        self.ask(Job::Prepare);
        taken
    }

    /// Takes back a file that could not be opened.
    pub fn give_back(&self, spare: PathBuf) {
        self.shared.ready.lock().push(spare);
    }

    /// Recycles or removes a segment that was taken out of the list.
    pub fn retire(&self, segment: Arc<Segment>) {
        self.ask(Job::Retire(segment));
    }

    /// Lets the keeper finish what it was given, except for filling, and end.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.ask(Job::Stop);
    }

    fn ask(&self, job: Job) {
        // The keeper is gone only after it was stopped.
        let _ = self.jobs.send(job);
    }
}

impl Keeper {
    /// Works until stopped.
    pub fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            if self.work(job) == Step::Ended {
                return;
            }
        }
    }

    /// Does the next job; never waits for one.
    pub fn step(&mut self) -> Step {
        match self.jobs.try_recv() {
            Ok(job) => self.work(job),
            Err(TryRecvError::Empty) => Step::Idle,
            Err(TryRecvError::Disconnected) => Step::Ended,
        }
    }

    fn work(&mut self, job: Job) -> Step {
        let done = match job {
            Job::Prepare => self.shared.prepare(),
            Job::Retire(segment) => {
                self.retired.push_back(segment);
                Ok(())
            }
            Job::Stop => return Step::Ended,
        };
        if let Err(error) = done.and_then(|()| self.retire()) {
            tracing::warn!(dir = %self.shared.dir.display(), %error, "can not prepare or remove log segments");
        }
        Step::Worked
    }

    fn retire(&mut self) -> std::io::Result<()> {
        while let Some(oldest) = self.retired.front() {
            self.shared.retire(oldest)?;
            self.retired.pop_front();
        }
        Ok(())
    }
}

impl Shared {
    fn has_less_than(&self, count: usize) -> bool {
        self.ready.lock().len() < count
    }

    /// Whether a file was written for the most part, so that little of it will have to grow.
    fn is_worth_keeping(&self, len: u64) -> bool {
        (self.segment_bytes / 8 * 7..=self.segment_bytes).contains(&len)
    }

    fn new_name(&self) -> PathBuf {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{number:020}.spare"))
    }

    /// Keeps a spare that an earlier process left, or removes it.
    fn adopt(&self, path: PathBuf) {
        let len = self.fs.open(&path, OpenMode::Read).and_then(|f| f.len());
        if self.has_less_than(self.kept) && len.is_ok_and(|len| self.is_worth_keeping(len)) {
            self.ready.lock().push(path);
        } else if let Err(error) = self.fs.remove(&path) {
            tracing::warn!(file = %path.display(), %error, "can not remove a spare log segment");
        }
    }

    fn prepare(&self) -> std::io::Result<()> {
        while self.has_less_than(self.filled) && !self.stop.load(Ordering::Relaxed) {
            let path = self.new_name();
            let unfinished = path.with_extension("tmp");
            if let Err(e) = self.fill(&unfinished) {
                // A full disk must not stay full because of this file.
                return self.fs.remove(&unfinished).and(Err(e));
            }
            if self.stop.load(Ordering::Relaxed) {
                return self.fs.remove(&unfinished);
            }
            self.fs.rename(&unfinished, &path)?;
            self.ready.lock().push(path);
        }
        Ok(())
    }

    fn fill(&self, path: &std::path::Path) -> std::io::Result<()> {
        let file = self.fs.open(path, OpenMode::Create)?;
        let zeros = vec![0; PIECE.min(self.segment_bytes as usize)];
        let mut at = 0;
        while at < self.segment_bytes && !self.stop.load(Ordering::Relaxed) {
            let len = zeros.len().min((self.segment_bytes - at) as usize);
            file.write_at(&mut [IoSlice::new(&zeros[..len])], at)?;
            file.sync_data()?;
            at += len as u64;
        }
        Ok(())
    }

    fn retire(&self, segment: &Arc<Segment>) -> std::io::Result<()> {
        let len = match self.fs.open(&segment.path, OpenMode::Read) {
            Ok(file) => file.len()?,
            // Its name is gone since an earlier try, but that may not be durable.
            Err(e) if e.kind() == ErrorKind::NotFound => return self.fs.sync_dir(&self.dir),
            Err(e) => return Err(e),
        };
        // A reader that still holds it must not see it overwritten.
        let unused = Arc::strong_count(segment) == 1;
        if unused && self.is_worth_keeping(len) && self.has_less_than(self.kept) {
            let path = self.new_name();
            self.fs.rename(&segment.path, &path)?;
            self.fs.sync_dir(&self.dir)?;
            self.ready.lock().push(path);
            return Ok(());
        }
        self.fs.remove(&segment.path)?;
        self.fs.sync_dir(&self.dir)
    }
}
