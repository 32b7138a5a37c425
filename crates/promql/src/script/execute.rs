//! Scripts against the engine.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_promql_syntax::ast::Expr;

use super::Report;
use super::parse::Times;
use super::run::{Evaluate, run};
use crate::cancel::Cancel;
use crate::engine::{Engine, Options, Request};
use crate::testing::MemorySource;
use crate::value::Output;

/// Runs scripts, each over a source of its own, with the settings their expectations assume:
/// every part of the language on, start timestamps too, names dropped at the end of a query, at
/// most 10,000 samples.
pub struct Runner {
    engine: Engine,
}

impl Runner {
    /// A runner whose queries are evaluated on `pool`.
    pub fn new(pool: Arc<rayon::ThreadPool>) -> Self {
        let options = Options {
            lookback: 300_000,
            max_samples: 10_000,
            timeout: Duration::from_secs(100),
            default_subquery_step: 60_000,
            delayed_name_removal: true,
            use_start_timestamps: true,
            syntax: norn_promql_syntax::Options::all(),
            ..Options::default()
        };
        Self { engine: Engine::new(options, pool) }
    }

    /// Runs the script `text`; `file` is its name in the report.
    pub fn run(&self, file: &str, text: &str) -> Report {
        let source = Arc::new(MemorySource::default());
        run(file, text, &source, &Queries { engine: &self.engine, source: Arc::clone(&source) })
    }
}

struct Queries<'a> {
    engine: &'a Engine,
    source: Arc<MemorySource>,
}

impl Evaluate for Queries<'_> {
    fn evaluate(&self, text: &str, expr: &Expr, times: Times) -> Result<Output, String> {
        let request = match times {
            Times::At(time) => Request::instant(text, time),
            Times::Range { start, end, step } => Request::range(text, start, end, step),
        };
        let output = self.engine.run_parsed(expr, &request, self.source.clone(), Cancel::default());
        block_on(output).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::{Path, PathBuf};

    use super::*;

    fn runner() -> Runner {
        Runner::new(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads")))
    }

    /// Runs every script of a directory; `None` where it is absent.
    fn run_all(directory: &Path) -> Option<Vec<Report>> {
        let mut scripts: Vec<PathBuf> = std::fs::read_dir(directory)
            .ok()?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "test"))
            .collect();
        scripts.sort();
        let runner = runner();
        let report = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).expect("script");
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let report = runner.run(&name, &text);
            say(&report);
            report
        };
        Some(scripts.iter().map(report).collect())
    }

    /// Prints past the test harness, which hides what passing tests print.
    fn say(what: &dyn std::fmt::Display) {
        writeln!(std::io::stderr(), "{what}").expect("standard error");
    }

    #[track_caller]
    fn all_hold(reports: &[Report]) {
        let failed: Vec<_> = reports.iter().filter(|r| !r.is_ok()).map(|r| r.file.as_str()).collect();
        assert!(failed.is_empty(), "{failed:?}; what differs is listed above");
    }

    #[test]
    fn own_scripts() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql");
        let reports = run_all(&directory).expect("scripts");
        assert!(reports.iter().map(|r| r.total).sum::<usize>() >= 150);
        all_hold(&reports);
    }

    #[test]
    fn public_corpus() {
        let directory = std::env::var_os("NORN_PROMQLTEST_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest"),
            PathBuf::from,
        );
        match run_all(&directory) {
            Some(reports) if !reports.is_empty() => all_hold(&reports),
            _ => say(&format_args!("NOT RUN: no promqltest scripts in {}", directory.display())),
        }
    }

    #[test]
    fn a_wrong_expectation_fails() {
        let report =
            runner().run("x", "load 1m\n  m 1\n\neval instant at 0 m\n  m 2\n\neval instant at 0 m\n  m 1\n");
        assert_eq!((report.passed, report.total, report.failures.len()), (1, 2, 1));
    }
}
