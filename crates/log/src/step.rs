//! The log's two threads as machines that are stepped by hand, for simulations.

use crate::spares::Keeper;
use crate::writer::Writer;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Something was done; there may be more.
    Worked,
    /// The log is closed or failed: there will be nothing to do any more.
    Ended,
}

/// What [`crate::EmbeddedLog::open`] starts threads around. Nothing an append waits for happens
/// but in these steps. Dropping it ends the log as a process that dies does.
pub struct Steps {
    pub(crate) writer: Writer,
    pub(crate) keeper: Keeper,
}

impl Steps {
    /// One round of the writing thread: writes all that waits, syncs once, answers.
    pub fn write(&mut self) -> Step {
        self.writer.step()
    }

    /// One job of the thread that prepares, recycles and removes files.
    pub fn keep(&mut self) -> Step {
        self.keeper.step()
    }
}
