//! One partition's thread: log → head → outcome.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use norn_contract::log::{LogError, LogReader, Offset, Partition, Record};
use norn_head::Writer;
use norn_model::rejection::Refused;

use crate::OnFatal;
use crate::outcome::Outcomes;
use crate::progress::{Progress, Reporter};

/// Longest wait for a record before the thread looks at the clock again.
const WAIT: Duration = Duration::from_millis(500);

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
        Ok(())
    }

    /// Waits up to `wait` for records and applies what is there; `false` when the log is closed and
    /// everything was applied.
    ///
    /// # Errors
    ///
    /// When the log can not be read any further.
    pub fn step(&mut self, wait: Duration) -> Result<bool, LogError> {
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
