//! Lets closed time ranges leave the heads: one per process, for all partitions.
//!
//! ```text
//! idle → surveying → cutting → writing ─→ finishing → idle
//!          what can    heads     one block    heads let go; then checkpoint
//!          be cut?     freeze    a step       files; then the log is trimmed
//! ```
//!
//! The order is the promise: samples are durable in a visible block before a head lets them go,
//! and a checkpoint that says where to begin reading is durable before the log lets go what lies
//! before it. Whatever step a crash follows, the next start finds every sample in the log or in a
//! block; those in both come out once.
//!
//! Now and then, and after each cut, it also has the heads written into snapshots.
//!
//! [`Cutter::step`] decides and works but never waits, so that a simulation can drive it; the
//! thread around it waits.

mod snapshot;
mod write;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use futures::channel::oneshot;
use norn_contract::clock::Clock;
use norn_contract::log::{IngestLog, Offset, Partition};
use norn_contract::rng::Rng;
use norn_head::{Checkpoint, Cut, Reader};
use norn_limits::TenantLimits;
use norn_model::Millis;

use crate::blocks::LocalBlocks;
use crate::checkpoints::Checkpoints;
pub(crate) use crate::cutter::snapshot::Saved;
use crate::cutter::snapshot::Saving;
use crate::cutter::write::Writing;
use crate::partition::{Answer, Command, Survey};
use crate::snapshots::Snapshots;
use crate::stats::CutStats;
use crate::{OnFatal, Options};

/// Time between two looks at what is old and what is idle.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// What comes in at the cutter.
pub enum Message {
    /// A partition answers.
    Answer(Partition, Answer),
    /// Everything in memory shall become blocks; told when that was tried.
    Flush(oneshot::Sender<()>),
}

/// Cuts blocks and does what has to be done now and then.
pub struct Cutter {
    /// How it is set up.
    pub(crate) options: Options,
    /// Commands to the partitions.
    pub(crate) partitions: Vec<Sender<Command>>,
    /// Answers and requests.
    pub(crate) inbox: Receiver<Message>,
    pub(crate) blocks: Arc<LocalBlocks>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) snapshots: Snapshots,
    pub(crate) log: Arc<dyn IngestLog>,
    pub(crate) limits: TenantLimits,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) stats: Arc<CutStats>,
    pub(crate) heads: Vec<Arc<Reader>>,
    pub(crate) state: State,
    pub(crate) agenda: Agenda,
}

/// What is due when.
#[derive(Default)]
pub(crate) struct Agenda {
    /// Next look at whether there is something to cut.
    look_at: Option<Millis>,
    /// Next time old blocks are deleted and idle ones closed.
    tend_at: Option<Millis>,
    /// Next count of active series.
    count_at: Option<Millis>,
    /// Next round of snapshots.
    save_at: Option<Millis>,
    /// By partition, from where on its snapshot needs the log.
    saved: Vec<Offset>,
    /// The newest bound that was cut at: below it there is nothing new but late samples, which
    /// wait for the next range.
    cut_before: Option<Millis>,
    still: Vec<Still>,
    /// Who waits for a flush that has not begun yet.
    waiting: Vec<oneshot::Sender<()>>,
    /// Who waits for the cut that is under way.
    served: Vec<oneshot::Sender<()>>,
    is_warned: bool,
}

/// Since when a partition stands still.
#[derive(Clone, Copy, Default)]
struct Still {
    next: Offset,
    since: Millis,
    /// All of it was cut since.
    is_cut: bool,
}

impl Still {
    fn look(&mut self, survey: &Survey, now: Millis) {
        if self.next != survey.next || !survey.is_caught_up || self.since > now {
            *self = Self { next: survey.next, since: now, is_cut: false };
        }
    }
}

#[derive(Default)]
pub(crate) enum State {
    #[default]
    Idle,
    Surveying(Answers<Survey>),
    Cutting(Answers<Option<Cut>>),
    Writing(Writing),
    Finishing(Answers<Checkpoint>),
    Saving(Saving),
}

/// One answer from each partition, as they come.
pub(crate) struct Answers<T>(Vec<Option<T>>);

impl<T> Answers<T> {
    fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| None).collect())
    }

    fn put(&mut self, partition: Partition, answer: T) {
        if let Some(place) = self.0.get_mut(partition as usize) {
            *place = Some(answer);
        }
    }

    /// All answers, once they are there.
    fn take(&mut self) -> Option<Vec<T>> {
        if self.0.iter().any(Option::is_none) {
            return None;
        }
        Some(std::mem::take(&mut self.0).into_iter().flatten().collect())
    }
}

impl Cutter {
    /// Starts the thread. It ends when `stop` is set; any other end is told through `on_fatal`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn spawn(
        self,
        clock: Arc<dyn Clock>,
        stop: Arc<AtomicBool>,
        on_fatal: OnFatal,
    ) -> io::Result<JoinHandle<()>> {
        Builder::new().name("cutter".to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| self.run(&*clock, &stop))).is_err() {
                on_fatal("the cutter of blocks panicked".to_owned());
            }
        })
    }

    fn run(mut self, clock: &dyn Clock, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if !self.step(clock.now())
                && let Ok(message) = self.inbox.recv_timeout(Duration::from_millis(100))
            {
                self.take(message);
            }
        }
    }

    /// Does what can be done at `now` without waiting, at most one block of it. Says whether there
    /// is more.
    pub fn step(&mut self, now: Millis) -> bool {
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
        match std::mem::take(&mut self.state) {
            State::Idle => self.begin(now),
            State::Surveying(mut answers) => match answers.take() {
                Some(surveys) => self.decide(&surveys, now),
                None => self.state = State::Surveying(answers),
            },
            State::Cutting(mut answers) => match answers.take() {
                Some(cuts) => self.begin_writing(cuts, now),
                None => self.state = State::Cutting(answers),
            },
            State::Writing(writing) => {
                self.write_next(writing, now);
                return true;
            }
            State::Finishing(mut answers) => match answers.take() {
                Some(checkpoints) => self.finish(&checkpoints, now),
                None => self.state = State::Finishing(answers),
            },
            State::Saving(saving) => {
                self.save_next(saving);
                // What was due meanwhile did not begin.
                return matches!(self.state, State::Idle);
            }
        }
        false
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.agenda.waiting.is_empty()
    }

    fn take(&mut self, message: Message) {
        match (message, &mut self.state) {
            (Message::Flush(done), _) => self.agenda.waiting.push(done),
            (Message::Answer(from, Answer::Survey(survey)), State::Surveying(all)) => all.put(from, survey),
            (Message::Answer(from, Answer::Cut(cut)), State::Cutting(all)) => all.put(from, cut),
            (Message::Answer(from, Answer::Checkpoint(c)), State::Finishing(all)) => all.put(from, c),
            (Message::Answer(from, Answer::Saved(saved)), State::Saving(saving)) => saving.put(from, saved),
            // Nothing is asked twice, so there is no answer that nobody waits for.
            (Message::Answer(from, _), _) => tracing::error!(partition = from, "an answer nobody asked for"),
        }
    }

    fn begin(&mut self, now: Millis) {
        self.housekeep(now);
        if !self.agenda.waiting.is_empty() {
            self.agenda.served = std::mem::take(&mut self.agenda.waiting);
            self.begin_cutting(&vec![Millis::MAX; self.partitions.len()]);
        } else if is_due(&mut self.agenda.look_at, self.options.look_every, now) {
            self.partitions.iter().for_each(|partition| ask(partition, Command::Survey));
            self.state = State::Surveying(Answers::new(self.partitions.len()));
        } else if is_due(&mut self.agenda.save_at, self.options.save_every, now) {
            self.begin_saving();
        }
    }

    fn housekeep(&mut self, now: Millis) {
        if is_due(&mut self.agenda.tend_at, TEND_EVERY, now) {
            self.blocks.close_idle();
            self.remove_old_blocks(now);
        }
        if is_due(&mut self.agenda.count_at, self.options.active_series_every, now) {
            let since = now.saturating_sub(millis(self.options.active_series_idle));
            self.stats.count_active(&self.heads, since);
        }
    }

    fn remove_old_blocks(&mut self, now: Millis) {
        for tenant in self.blocks.tenants() {
            let retention = self.limits.for_tenant(&tenant).compactor_blocks_retention_period;
            if retention.is_zero() {
                self.warn_of_single_copy();
                continue;
            }
            let before = now.saturating_sub(millis(retention));
            match self.blocks.remove(&tenant, |meta| meta.max_time <= before) {
                Ok(0) => {}
                Ok(blocks) => {
                    tracing::info!(user = %tenant, blocks, ?retention, "blocks were deleted by retention");
                    self.stats.retentions.fetch_add(blocks as u64, Ordering::Relaxed);
                }
                Err(e) => tracing::error!(user = %tenant, error = %e, "old blocks can not be deleted"),
            }
        }
    }

    fn warn_of_single_copy(&mut self) {
        if !std::mem::replace(&mut self.agenda.is_warned, true) {
            tracing::warn!(
                path = %self.options.blocks_dir.display(),
                "blocks are kept for ever, and this disk is their only copy: back it up, and see \
                 -compactor.blocks-retention-period to bound what they take"
            );
        }
    }

    /// Which partition shall cut how much.
    fn decide(&mut self, surveys: &[Survey], now: Millis) {
        let range = millis(self.options.block_range).max(1);
        // One tenant's samples from the future must not be what everyone's ranges are cut by.
        let over = now.div_euclid(range).saturating_mul(range);
        let closed = closed_before(surveys).map(|closed| closed.min(over));
        let is_new = closed.is_some() && closed > self.agenda.cut_before;
        let start = Still { since: now, ..Still::default() };
        self.agenda.still.resize(surveys.len(), start);
        let idle = millis(self.options.idle_timeout);
        let mut wanted = Vec::with_capacity(surveys.len());
        for (survey, still) in surveys.iter().zip(&mut self.agenda.still) {
            still.look(survey, now);
            let is_idle = idle > 0 && now.saturating_sub(still.since) >= idle;
            if is_idle && !still.is_cut && survey.closed_before.is_some() {
                still.is_cut = true;
                wanted.push(Millis::MAX);
            } else {
                wanted.push(closed.filter(|_| is_new).unwrap_or(Millis::MIN));
            }
        }
        if wanted.iter().all(|before| *before == Millis::MIN) {
            return;
        }
        self.agenda.cut_before = closed.max(self.agenda.cut_before);
        self.begin_cutting(&wanted);
    }

    fn begin_cutting(&mut self, wanted: &[Millis]) {
        for (partition, before) in self.partitions.iter().zip(wanted) {
            ask(partition, Command::Begin(*before));
        }
        self.state = State::Cutting(Answers::new(self.partitions.len()));
    }

    /// The last act: where to begin reading becomes durable, then what lies before may go.
    fn finish(&mut self, checkpoints: &[Checkpoint], now: Millis) {
        for (partition, checkpoint) in (0..).zip(checkpoints) {
            let saved = self.checkpoints.save(partition, checkpoint);
            self.stats.checkpoints.count(saved.is_ok());
            if let Err(error) = saved {
                tracing::error!(partition, %error, "no checkpoint: the log is kept");
            } else if let Err(error) = self.log.trim(partition, checkpoint.offset) {
                tracing::error!(partition, %error, "the log can not be trimmed");
            }
        }
        // Those that were written before the cut can not be used any more.
        self.agenda.saved.clear();
        self.agenda.save_at = Some(now);
        self.tell_served();
    }

    fn tell_served(&mut self) {
        for done in self.agenda.served.drain(..) {
            // Who went away does not need to know.
            let _ = done.send(());
        }
    }
}

/// The newest bound that samples allow; while the log is replayed only what all partitions allow,
/// since one that is ahead of the others would cut their ranges into pieces.
fn closed_before(surveys: &[Survey]) -> Option<Millis> {
    let all = surveys.iter().map(|survey| survey.closed_before);
    match surveys.iter().all(|survey| survey.is_caught_up) {
        true => all.max().flatten(),
        false => all.min().flatten(),
    }
}

fn ask(partition: &Sender<Command>, command: Command) {
    // A partition that ended is reported by its own thread, and the process ends.
    let _ = partition.send(command);
}

/// Whether `at` has come; then it is `every` later. `at` is set by the first question.
fn is_due(at: &mut Option<Millis>, every: Duration, now: Millis) -> bool {
    let every = millis(every);
    if every == 0 {
        return false;
    }
    let due = *at.get_or_insert(now.saturating_add(every));
    // A clock that was set back must not stop everything until it is there again.
    let is_due = now >= due || now < due.saturating_sub(every);
    if is_due {
        *at = Some(now.saturating_add(every));
    }
    is_due
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(closed_before: Option<Millis>, is_caught_up: bool) -> Survey {
        Survey { closed_before, is_caught_up, next: 0 }
    }

    #[test]
    fn the_furthest_partition_decides_but_in_a_replay_the_one_furthest_behind() {
        let of = |done| closed_before(&[survey(Some(4), true), survey(Some(8), done), survey(Some(2), true)]);
        assert_eq!((of(true), of(false)), (Some(8), Some(2)));
        assert_eq!(closed_before(&[survey(None, true), survey(Some(8), true)]), Some(8));
        assert_eq!(closed_before(&[survey(None, false), survey(Some(8), true)]), None);
    }

    #[test]
    fn what_is_due_comes_again_whatever_the_clock_does() {
        let every = Duration::from_secs(1);
        let mut at = None;
        let due: Vec<_> = [5000, 5999, 6000, 6001, 7000, 90_000, 90_500, 100, 1099, 1100]
            .map(|now| is_due(&mut at, every, now))
            .into();
        assert_eq!(due, [false, false, true, false, true, true, false, true, false, true]);
        assert!(!is_due(&mut None, Duration::ZERO, 5));
    }

    #[test]
    fn a_partition_stands_still_from_its_last_record_on() {
        let mut still = Still::default();
        let at = |next| Survey { closed_before: Some(0), is_caught_up: true, next };
        still.look(&at(7), 100);
        still.is_cut = true;
        still.look(&at(7), 900);
        assert!(still.since == 100 && still.is_cut);
        still.look(&at(8), 1000);
        assert!(still.since == 1000 && !still.is_cut);
        still.look(&at(8), 50);
        assert_eq!(still.since, 50, "the clock was set back");
    }
}
