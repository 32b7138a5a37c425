//! `cargo run -p norn-sim -- [--seeds N] [--first N] [--seconds N] [--seed N] [--trace]`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use norn_sim::world::{Plan, Tally, run};
use parking_lot::Mutex;

const USAGE: &str = "\
usage: norn-sim [options]
  --seeds N     runs of N seeds (1000)
  --first N     the first seed (0)
  --seconds N   stops after so many seconds
  --seed N      this seed alone
  --trace       prints every event";

struct Args {
    seeds: u64,
    first: u64,
    seconds: u64,
    trace: bool,
}

fn args() -> Option<Args> {
    let mut out = Args { seeds: 1000, first: 0, seconds: u64::MAX, trace: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse::<u64>().ok();
        match arg.as_str() {
            "--seeds" => out.seeds = number()?,
            "--first" => out.first = number()?,
            "--seconds" => out.seconds = number()?,
            "--seed" => (out.first, out.seeds) = (number()?, 1),
            "--trace" => out.trace = true,
            _ => return None,
        }
    }
    Some(out)
}

/// Runs a seed; a panic is a failure like any other.
fn run_seed(seed: u64, trace: bool) -> Result<Tally, String> {
    let plan = Plan { trace, ..Plan::new(seed) };
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
}

#[derive(Default)]
struct Report {
    runs: u64,
    failed: Vec<(u64, String)>,
    slowest: Vec<(Duration, u64)>,
    sum: Tally,
}

impl Report {
    fn add(&mut self, seed: u64, took: Duration, outcome: Result<Tally, String>) {
        self.runs += 1;
        self.slowest.push((took, seed));
        self.slowest.sort_unstable_by(|a, b| b.cmp(a));
        self.slowest.truncate(3);
        match outcome {
            Ok(tally) => {
                self.sum.acknowledged += tally.acknowledged;
                self.sum.refused += tally.refused;
                self.sum.survived += tally.survived;
                self.sum.cuts += tally.cuts;
                self.sum.ends += tally.ends;
                self.sum.queries += tally.queries;
                self.sum.blocks += tally.blocks;
            }
            Err(why) => {
                println!("seed {seed}: {why}\n  replay: cargo run -p norn-sim -- --seed {seed} --trace");
                self.failed.push((seed, why));
            }
        }
    }

    fn print(&self, took: Duration) {
        let Tally { acknowledged, refused, survived, cuts, ends, queries, blocks, .. } = self.sum;
        println!(
            "{} seeds in {:.1} s: {acknowledged} records acknowledged, {refused} refused, {survived} survived \
             unacknowledged, {cuts} power cuts, {ends} other ends, {queries} queries compared, {blocks} blocks at the ends",
            self.runs,
            took.as_secs_f64()
        );
        for (took, seed) in &self.slowest {
            println!("  slowest: seed {seed}, {} ms", took.as_millis());
        }
        println!("{} of {} seeds failed", self.failed.len(), self.runs);
    }
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A failure is told with its seed, not where it happens.
    if !args.trace {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let (started, next) = (Instant::now(), AtomicU64::new(args.first));
    let report = Mutex::new(Report::default());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64).min(args.seeds);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.elapsed().as_secs() < args.seconds {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - args.first >= args.seeds {
                        return;
                    }
                    let began = Instant::now();
                    let outcome = run_seed(seed, args.trace);
                    report.lock().add(seed, began.elapsed(), outcome);
                }
            });
        }
    });
    let report = report.into_inner();
    report.print(started.elapsed());
    if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
