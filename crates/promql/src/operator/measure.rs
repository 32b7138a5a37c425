//! What each operator of a query costs, for queries that ask.
//!
//! An operator works while its table is opened and while rows are computed. Both go through
//! [`open`](super::open), so that operators themselves know nothing of this. Each thread has at most
//! one operator whose CPU time runs; one that asks another for rows stands still meanwhile.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use norn_kit::cpu_time;

use crate::block::Block;
use crate::error::QueryError;
use crate::operator::{Rows, Table};
use crate::plan::explain::{Operator, Operators, Usage};
use crate::plan::{Plan, VectorPlan};
use crate::query::Query;

thread_local! {
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

/// The operator at work on this thread.
#[derive(Clone, Copy)]
struct Running {
    number: usize,
    /// The thread's CPU time when it began or went on.
    since: Duration,
}

/// Costs of a query's operators.
#[derive(Debug)]
pub struct Profile {
    operators: Operators,
    costs: Vec<Cost>,
}

#[derive(Debug, Default)]
struct Cost {
    is_measured: bool,
    series: AtomicU64,
    samples: AtomicU64,
    samples_read: AtomicU64,
    chunk_bytes: AtomicU64,
    cpu_nanos: AtomicU64,
}

/// Charges CPU time until it goes out of scope; then what ran before goes on.
pub struct Turn<'p> {
    profile: &'p Profile,
    before: Option<Running>,
}

impl Profile {
    /// Nothing done yet of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let operators = Operators::of(plan);
        let mut costs: Vec<Cost> = operators.list.iter().map(|_| Cost::default()).collect();
        operators.opened().for_each(|number| costs[number].is_measured = true);
        Self { operators, costs }
    }

    /// Charges the root.
    pub fn root(&self) -> Turn<'_> {
        self.turn(Some(0))
    }

    /// Charges nobody, while threads are waited for; [`Turn::go_on`] says for whom they work.
    pub fn pause(&self) -> Turn<'_> {
        self.turn(None)
    }

    fn turn(&self, number: Option<usize>) -> Turn<'_> {
        let since = cpu_time::thread();
        let before = RUNNING.replace(number.map(|number| Running { number, since }));
        self.charge(before, since);
        Turn { profile: self, before }
    }

    fn charge(&self, running: Option<Running>, now: Duration) {
        if let Some(Running { number, since }) = running {
            let nanos = now.saturating_sub(since).as_nanos() as u64;
            self.costs[number].cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// Counts a series the root gives without a table.
    pub fn root_gave(&self, samples: usize) {
        self.costs[0].series.fetch_add(1, Ordering::Relaxed);
        self.costs[0].samples.fetch_add(samples as u64, Ordering::Relaxed);
    }

    /// Counts what the operator at work reads.
    pub fn read(&self, samples: u64, chunk_bytes: u64) {
        if let Some(Running { number, .. }) = RUNNING.get() {
            self.costs[number].samples_read.fetch_add(samples, Ordering::Relaxed);
            self.costs[number].chunk_bytes.fetch_add(chunk_bytes, Ordering::Relaxed);
        }
    }

    /// Opens `plan` by `open` and measures that and what the table does later.
    pub fn open<'q>(
        &self,
        plan: &VectorPlan,
        open: impl FnOnce() -> Result<Table<'q>, QueryError>,
    ) -> Result<Table<'q>, QueryError> {
        // Every plan that is opened is a part of the query's plan.
        let Some(number) = self.operators.number(plan) else { return open() };
        let _turn = self.turn(Some(number));
        let table = open()?;
        self.costs[number].series.fetch_add(table.series.len() as u64, Ordering::Relaxed);
        Ok(Table { rows: Box::new(Measured { rows: table.rows, number }), ..table })
    }

    /// The operators with what they cost.
    pub fn operators(&self) -> Vec<Operator> {
        let usage = |cost: &Cost| Usage {
            series: cost.series.load(Ordering::Relaxed),
            samples: cost.samples.load(Ordering::Relaxed),
            samples_read: cost.samples_read.load(Ordering::Relaxed),
            chunk_bytes: cost.chunk_bytes.load(Ordering::Relaxed),
            cpu: Duration::from_nanos(cost.cpu_nanos.load(Ordering::Relaxed)),
        };
        let both = self.operators.list.iter().zip(&self.costs);
        both.map(|(o, cost)| Operator { usage: cost.is_measured.then(|| usage(cost)), ..o.clone() }).collect()
    }
}

impl Turn<'_> {
    /// Charges what ran before, on any thread.
    pub fn go_on(&self) -> Turn<'_> {
        self.profile.turn(self.before.map(|running| running.number))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let since = cpu_time::thread();
        self.profile.charge(RUNNING.get(), since);
        RUNNING.set(self.before.map(|running| Running { since, ..running }));
    }
}

/// Rows whose making is charged to an operator.
struct Measured<'q> {
    rows: Box<dyn Rows + 'q>,
    number: usize,
}

impl Rows for Measured<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let Some(profile) = &q.profile else { return self.rows.fill(q, rows, out) };
        let _turn = profile.turn(Some(self.number));
        self.rows.fill(q, rows, out)?;
        let samples: usize = (0..out.rows()).map(|i| out.row(i).count()).sum();
        profile.costs[self.number].samples.fetch_add(samples as u64, Ordering::Relaxed);
        Ok(())
    }
}
