//! Many queries: counts, coverage and differences.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use super::check::{Checker, Verdict};
use super::servers::Servers;
use crate::generator::grammar::Query;

const WORKERS: usize = 3;

/// What came of many queries.
#[derive(Debug, Default)]
pub struct Report {
    /// Queries asked.
    pub asked: usize,
    /// With a non-empty answer of the oracle.
    pub answered: usize,
    /// Refused by the oracle.
    pub refused: usize,
    /// Ranges compared step by step, as the first comparison differed.
    pub stepwise: usize,
    /// Equal to one of several answers of the oracle, which come in random order.
    pub repeated: usize,
    /// Equal only within the tolerance.
    pub loose: Vec<String>,
    /// Query and what differs.
    pub differences: Vec<(String, String)>,
    coverage: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Report {
    /// Asks `count` queries on several connections.
    pub fn run(
        servers: &Servers,
        seed: u64,
        count: usize,
        make: impl Fn(usize) -> Query + Sync,
    ) -> Result<Self> {
        let next = AtomicUsize::new(0);
        let report = Mutex::new(Self::default());
        std::thread::scope(|scope| {
            let worker = || -> Result<()> {
                let mut checker = Checker::new(servers, seed);
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok(());
                    }
                    let query = make(index);
                    let verdict = checker.check(&query.text)?;
                    report.lock().unwrap_or_else(|e| e.into_inner()).add(query, verdict);
                }
            };
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .try_for_each(|w| w.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked")))
        })?;
        let mut report = report.into_inner().unwrap_or_else(|e| e.into_inner());
        report.differences.sort();
        Ok(report)
    }

    fn add(&mut self, query: Query, verdict: Verdict) {
        self.asked += 1;
        self.answered += usize::from(verdict.answered);
        self.refused += usize::from(verdict.refused);
        self.stepwise += usize::from(verdict.stepwise);
        self.repeated += usize::from(verdict.repeated);
        for (name, argument) in query.uses {
            *self.coverage.entry(name).or_default().entry(argument).or_default() += 1;
        }
        if verdict.loose {
            self.loose.push(query.text.clone());
        }
        if !verdict.differences.is_empty() {
            self.differences.push((query.text, verdict.differences.join("\n    ")));
        }
    }

    /// Share of queries with a non-empty answer.
    pub fn answered_share(&self) -> f64 {
        self.answered as f64 / self.asked.max(1) as f64
    }

    /// One line of counts.
    pub fn summary(&self) -> String {
        format!(
            "{} queries, {:.1} % with a non-empty answer, {} refused, {} compared step by step, {} with one of several answers, {} equal within the tolerance only, {} differ",
            self.asked,
            100.0 * self.answered_share(),
            self.refused,
            self.stepwise,
            self.repeated,
            self.loose.len(),
            self.differences.len()
        )
    }

    /// How often each function and operator met each kind of argument.
    pub fn coverage(&self) -> String {
        let mut text = String::from("function or operator × kind of argument:\n");
        for (name, arguments) in &self.coverage {
            let list: Vec<String> = arguments.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
            let _ = writeln!(text, "  {name}: {}", list.join(", "));
        }
        let pairs: usize = self.coverage.values().map(BTreeMap::len).sum();
        let _ = write!(text, "{} functions and operators, {pairs} pairs", self.coverage.len());
        text
    }

    /// Each difference with the command that replays it.
    pub fn replays(&self, seed: u64) -> String {
        let mut text = String::new();
        for (query, difference) in &self.differences {
            let quoted = query.replace('\'', "'\\''");
            let _ = writeln!(
                text,
                "{query}\n    {difference}\n    replay: NORN_SEED={seed} NORN_QUERY='{quoted}' cargo xtask generated"
            );
        }
        text
    }
}
