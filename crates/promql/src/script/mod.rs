//! The test script language of PromQL: data, queries and what they must give.
//!
//! A script is lines. `load <step>` puts series into an in-memory source, `clear` empties it, and
//! `eval instant at <time> <query>` or `eval range from <t> to <t> step <s> <query>` runs a query
//! and compares the result with the lines that follow, up to an empty line. An instant case is
//! also run with `@` on every selector at other times, and as the middle step of a range query.
//!
//! ```text
//! text ──parse──▶ Command ──load──▶ MemorySource
//!                    └──────run──▶ Engine ──compare──▶ Report
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`parse`] | lines to commands |
//! | [`item`] | values of series lines |
//! | [`load`] | series to samples, classic histograms to native ones |
//! | [`at`] | `@` on every selector of a query |
//! | [`compare`] | results against expectations |
//! | [`run`](mod@run) | running a file |
//! | [`execute`] | running it against the engine |

pub mod at;
pub mod compare;
pub mod execute;
pub mod item;
pub mod load;
pub mod parse;
pub mod run;

use std::fmt;

pub use execute::Runner;

/// What became of one script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Name of the script.
    pub file: String,
    /// `eval` cases that held.
    pub passed: usize,
    /// `eval` cases in the script.
    pub total: usize,
    /// Why the others did not, and commands that could not be run.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether everything held.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty() && self.passed == self.total
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}/{}", self.file, self.passed, self.total)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {}:{failure}", self.file))
    }
}

/// One case that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Line of the command, from 1.
    pub line: usize,
    /// The command, and how it was run.
    pub case: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, case, expected, got } = self;
        write!(f, "{line}: {case}\n    expected: {expected}\n    got:      {got}")
    }
}

/// A script that can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
