//! One partition: log → head → outcome, and what the cutter asks of the head.
//!
//! The head has one writer, so the cutter's commands are carried out here, between two batches of
//! records: a slice of work at a time, and never a wait for the disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use norn_contract::log::{LogError, LogReader, Offset, Partition, Record};
use norn_head::{Checkpoint, Cut, Step, Writer};
use norn_model::Millis;
use norn_model::rejection::Refused;

use crate::OnFatal;
use crate::cutter::{Message, Saved};
use crate::outcome::Outcomes;
use crate::progress::{Progress, Reporter};
use crate::snapshots::Snapshots;

/// Longest wait for a record before the thread looks at commands again.
const WAIT: Duration = Duration::from_millis(200);
/// The same while a snapshot is under way.
const SAVING_WAIT: Duration = Duration::from_millis(1);

/// What the cutter asks of a partition. Each is answered, unless it gives something up.
pub enum Command {
    /// How far can be cut? Answered with [`Answer::Survey`].
    Survey,
    /// Cut the windows that end at or before this. Answered with [`Answer::Cut`].
    Begin(Millis),
    /// The cut's blocks are visible and durable. Answered with [`Answer::Checkpoint`].
    Finish(Cut),
    /// There are no blocks of the cut.
    Abandon(Cut),
    /// From where would a start read? Answered with [`Answer::Checkpoint`].
    Checkpoint,
    /// Begin a snapshot, if there are records the last one, which begins at this offset, has not
    /// seen. Answered with [`Answer::Saved`].
    Snapshot(Option<Offset>),
    /// The snapshot's next piece. Answered with [`Answer::Saved`].
    Piece,
    /// The snapshot can not be written.
    AbandonSnapshot,
}

/// What waits until the head has nothing else to do.
pub enum Wish {
    /// Begin to cut the windows that end at or before this.
    Begin(Millis),
    /// Give a checkpoint.
    Checkpoint,
}

/// What a partition answers the cutter.
#[allow(private_interfaces, reason = "only the cutter looks into it")]
pub enum Answer {
    /// How things are.
    Survey(Survey),
    /// The cut; `None` where there was nothing to cut.
    Cut(Option<Cut>),
    /// From where a start would read.
    Checkpoint(Checkpoint),
    /// What a snapshot needs.
    Saved(Saved),
}

/// How far a partition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What its samples allow to be cut; `None` without any.
    pub closed_before: Option<Millis>,
    /// Whether everything is applied that was in the log at the start.
    pub is_caught_up: bool,
    /// Offset after the last record applied.
    pub next: Offset,
}

/// What the thread owns. The thread is the loop around [`Worker::step`].
pub struct Worker {
    /// Its partition.
    pub partition: Partition,
    /// Where records come from.
    pub reader: Box<dyn LogReader>,
    /// Where they go.
    pub head: Writer,
    /// Who is told.
    pub outcomes: Arc<Outcomes>,
    /// How far the start has come.
    pub progress: Arc<Progress>,
    /// Set when what is left in the log need not be applied any more.
    pub stop: Arc<AtomicBool>,
    /// Records of a step, empty between steps.
    pub batch: Vec<(Offset, Record)>,
    /// What the head shall do once nothing is left to do of the cut before.
    pub wish: Option<Wish>,
    /// Whether a snapshot is under way: then the next piece is soon asked for.
    pub is_saving: bool,
    /// Where a snapshot is left at the end.
    pub snapshots: Snapshots,
    /// What the cutter asks.
    pub commands: Receiver<Command>,
    /// Where it is answered.
    pub cutter: Sender<Message>,
}

impl Worker {
    /// Starts the thread. It ends when the log is closed and everything was applied, or when it is
    /// told to stop; any other end is told through `on_fatal`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn spawn(mut self, on_fatal: OnFatal) -> io::Result<JoinHandle<()>> {
        let partition = self.partition;
        Builder::new().name(format!("partition-{partition}")).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
            self.outcomes.end();
            let why = match ended {
                Ok(Ok(())) => return,
                Ok(Err(e)) => e.to_string(),
                Err(_) => "panicked".to_owned(),
            };
            on_fatal(format!("partition {partition} cannot go on: {why}"));
        })
    }

    fn run(&mut self) -> Result<(), LogError> {
        let progress = self.progress.clone();
        let mut reporter = Reporter::new(&progress);
        while !self.stop.load(Ordering::Relaxed) && self.step(WAIT)? {
            reporter.report();
        }
        self.leave();
        Ok(())
    }

    /// Leaves a snapshot for the next start.
    fn leave(&mut self) {
        self.head.abandon_snapshot();
        if !self.progress.is_done() {
            return;
        }
        if let Err(error) = self.snapshots.save(self.partition, &mut self.head) {
            tracing::warn!(partition = self.partition, %error, "no snapshot of the head: the next start reads more of the log");
        }
    }

    /// Does what the cutter asked and a slice of the head's own work, then waits up to `wait` for
    /// records and applies what is there; `false` when the log is closed and everything was
    /// applied.
    ///
    /// # Errors
    ///
    /// When the log can not be read any further.
    pub fn step(&mut self, wait: Duration) -> Result<bool, LogError> {
        self.obey();
        let wait = match (self.work(), self.is_saving) {
            (true, _) => Duration::ZERO,
            (false, true) => wait.min(SAVING_WAIT),
            (false, false) => wait,
        };
        let mut batch = std::mem::take(&mut self.batch);
        let read = self.reader.next(&mut batch, wait);
        for (offset, record) in batch.drain(..) {
            self.apply(offset, &record);
        }
        self.batch = batch;
        match read {
            Ok(()) => Ok(true),
            Err(LogError::Unavailable(_)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Survey => self.answer(Answer::Survey(Survey {
                    closed_before: self.head.closed_before(),
                    is_caught_up: self.progress.is_done(),
                    next: self.progress.next(),
                })),
                Command::Begin(before) => self.wish = Some(Wish::Begin(before)),
                Command::Finish(cut) => {
                    self.head.finish_cut(&cut);
                    self.wish = Some(Wish::Checkpoint);
                }
                Command::Abandon(cut) => self.head.abandon_cut(&cut),
                Command::Checkpoint => self.wish = Some(Wish::Checkpoint),
                Command::Snapshot(last) => self.begin_snapshot(last),
                Command::Piece => self.next_piece(),
                Command::AbandonSnapshot => {
                    self.head.abandon_snapshot();
                    self.is_saving = false;
                }
            }
        }
    }

    fn begin_snapshot(&mut self, last: Option<Offset>) {
        let is_new = last.is_none_or(|last| last < self.head.next_offset());
        let encoder = if is_new && self.progress.is_done() { self.head.begin_snapshot() } else { None };
        self.is_saving = encoder.is_some();
        self.answer(Answer::Saved(Saved::Begun(encoder.map(Box::new))));
    }

    fn next_piece(&mut self) {
        let piece = self.head.next_piece();
        self.is_saving = piece.is_some();
        self.answer(Answer::Saved(Saved::Piece(piece)));
    }

    /// One slice of what waits in the head. Says whether more does.
    fn work(&mut self) -> bool {
        match self.head.step() {
            Step::Idle => self.fulfil(),
            Step::More => true,
            Step::Cut(cut) => {
                self.answer(Answer::Cut(Some(cut)));
                true
            }
        }
    }

    /// Does what waits for the head to have nothing else to do. Says whether that began something.
    fn fulfil(&mut self) -> bool {
        match self.wish.take() {
            None => false,
            Some(Wish::Begin(before)) if self.head.begin_cut(before) => true,
            Some(Wish::Begin(_)) => {
                self.answer(Answer::Cut(None));
                false
            }
            Some(Wish::Checkpoint) => {
                match self.head.checkpoint() {
                    Some(checkpoint) => self.answer(Answer::Checkpoint(checkpoint)),
                    None => self.wish = Some(Wish::Checkpoint),
                }
                false
            }
        }
    }

    fn answer(&self, answer: Answer) {
        // The cutter ends before the partitions do.
        let _ = self.cutter.send(Message::Answer(self.partition, answer));
    }

    fn apply(&mut self, offset: Offset, record: &Record) {
        let mut refused = Refused::default();
        if let Err(e) = self.head.apply(offset, record, &mut refused) {
            // Later records are good; stopping here would take the whole partition away.
            tracing::error!(partition = self.partition, offset, user = %record.tenant, error = %e, "record skipped: it can not be decoded");
            self.progress.count_undecodable();
            self.outcomes.tell_undecodable(offset);
        } else {
            self.outcomes.tell(offset, refused);
        }
        self.progress.advance(offset + 1);
    }
}
