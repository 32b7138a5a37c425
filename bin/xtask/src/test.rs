//! `cargo xtask test`: parts in order, each with a time budget; the slowest are listed at the end.
//!
//! A part whose component can not be had is NOT RUN: it is named with the way to get it, and
//! fails the command where `CI=true`.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::{components, run, tidy};

struct Part {
    name: &'static str,
    /// How long it may take on two cores from a clean clone.
    budget: Duration,
    /// Components it can not run without.
    needs: &'static [&'static str],
    /// Whether it belongs to `--full` alone.
    full: bool,
    run: fn() -> Result<()>,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

const PARTS: &[Part] = &[
    Part { name: "tidy", budget: minutes(5), needs: &[], full: false, run: tidy::run },
    Part { name: "unit", budget: minutes(8), needs: &[], full: false, run: unit },
    Part { name: "fuzz", budget: minutes(5), needs: &[], full: false, run: fuzz },
    Part { name: "simulation", budget: minutes(5), needs: &[], full: false, run: simulation },
    Part { name: "release build", budget: minutes(7), needs: &[], full: false, run: release },
    Part {
        name: "integration",
        budget: minutes(8),
        needs: &["prometheus", "node_exporter"],
        full: false,
        run: integration,
    },
    Part { name: "faults", budget: minutes(3), needs: &[], full: false, run: faults },
    Part {
        name: "faults of disks",
        budget: minutes(1),
        needs: &["small disks"],
        full: false,
        run: || run::check(tests_of(FAULTS_OF_DISKS)),
    },
    Part {
        name: "system calls",
        budget: minutes(1),
        needs: &["strace"],
        full: false,
        run: || run::check(tests_of(SYSTEM_CALLS)),
    },
    Part {
        name: "generated queries, all",
        budget: minutes(5),
        needs: &["prometheus"],
        full: true,
        run: generated_all,
    },
    Part { name: "200 × kill -9", budget: minutes(12), needs: &[], full: true, run: kills },
    Part { name: "simulation, long", budget: minutes(13), needs: &[], full: true, run: simulation_long },
    Part { name: "fuzz, long", budget: minutes(15), needs: &[], full: true, run: fuzz_long },
];

/// Tests that make a fault under load.
const FAULTS: &str = "faults::";
/// Those of them that need small disks, and strace.
const FAULTS_OF_DISKS: &str = "faults::small_disk::";
const SYSTEM_CALLS: &str = "faults::system_calls::";

/// Runs the parts; the error names the first that failed.
pub fn run(args: &[String]) -> Result<()> {
    let full = match args {
        [] => false,
        [flag] if flag == "--full" => true,
        _ => bail!("usage: cargo xtask test [--full]"),
    };
    require_system_tools()?;
    let mut report = Vec::new();
    let mut not_run = Vec::new();
    for part in PARTS.iter().filter(|p| full || !p.full) {
        let missing: Vec<String> = part
            .needs
            .iter()
            .filter_map(|name| components::ensure(name).err().map(|e| format!("{e:#}")))
            .collect();
        if !missing.is_empty() {
            not_run.push(format!("{}: {}", part.name, missing.join("; ")));
            continue;
        }
        println!("\n=== {} (budget {} min)", part.name, part.budget.as_secs() / 60);
        let start = Instant::now();
        (part.run)().map_err(|e| e.context(format!("part {:?} failed", part.name)))?;
        report.push((start.elapsed(), part));
    }
    conclude(report, &not_run)
}

fn conclude(mut report: Vec<(Duration, &Part)>, not_run: &[String]) -> Result<()> {
    let total: Duration = report.iter().map(|(t, _)| *t).sum();
    report.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    println!("\n=== {} s in all, slowest first", total.as_secs());
    for (time, part) in &report {
        let over = if *time > part.budget { "  OVER BUDGET: move what grew to --full" } else { "" };
        println!("{:>6} s  {} (budget {} s){over}", time.as_secs(), part.name, part.budget.as_secs());
    }
    for part in not_run {
        println!("NOT RUN {part}");
    }
    println!("{} passed, 0 failed, {} skipped", report.len(), not_run.len());
    if !not_run.is_empty() && std::env::var("CI").is_ok_and(|v| v == "true") {
        bail!("{} parts were not run", not_run.len());
    }
    Ok(())
}

fn require_system_tools() -> Result<()> {
    if run::which("cc").is_none() {
        bail!("a C compiler is missing: install the package `gcc` (Debian: apt-get install build-essential)");
    }
    Ok(())
}

fn unit() -> Result<()> {
    run::check(run::cargo(&[
        "test",
        "--quiet",
        "--workspace",
        "--locked",
        "--exclude",
        "norn-tests",
        "--exclude",
        "norn-fuzz",
        "--exclude",
        "norn-sim",
    ]))
}

fn fuzz() -> Result<()> {
    run::check(run::cargo(&["run", "--quiet", "--locked", "--package", "norn-fuzz", "--", "replay"]))
}

fn fuzz_long() -> Result<()> {
    let args = ["run", "--quiet", "--locked", "--package", "norn-fuzz", "--", "replay", "-seconds", "600"];
    run::check(run::cargo(&args))
}

/// A thousand seeds, and proof that the checks see what a bad disk does.
fn simulation() -> Result<()> {
    run::check(run::cargo(&["test", "--quiet", "--locked", "--profile", "sim", "--package", "norn-sim"]))?;
    run::check(simulate(&["--seeds", "1000"]))
}

/// 50,000 seeds nobody has run before, or as many as ten minutes allow.
fn simulation_long() -> Result<()> {
    let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    run::check(simulate(&["--first", &first, "--seeds", "50000", "--seconds", "600"]))
}

fn simulate(args: &[&str]) -> Command {
    let mut run =
        run::cargo(&["run", "--quiet", "--locked", "--profile", "sim", "--package", "norn-sim", "--"]);
    run.args(args);
    run
}

/// Generated queries alone: size, seed and single queries are chosen by the environment.
pub fn generated() -> Result<()> {
    components::ensure("prometheus")?;
    run::check(generated_queries())
}

/// 20,000 valid queries and a quarter as many invalid ones, of a seed that changes every day.
fn generated_all() -> Result<()> {
    let day = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    let mut test = generated_queries();
    test.env("NORN_GENERATED_QUERIES", "20000");
    if std::env::var_os("NORN_SEED").is_none() {
        test.env("NORN_SEED", day.to_string());
    }
    run::check(test)
}

fn generated_queries() -> Command {
    let mut test = tests_of("generated_queries");
    if let Some(path) = components::find("prometheus") {
        test.env("NORN_PROMETHEUS", path);
    }
    test
}

/// Integration tests whose names hold `filter`, with what they print.
fn tests_of(filter: &str) -> Command {
    let mut test =
        run::cargo(&["test", "--quiet", "--locked", "--package", "norn-tests", "--test", "it", filter]);
    test.args(["--", "--nocapture"]);
    test
}

/// One after the other: each is to have the machine for its load.
fn faults() -> Result<()> {
    let mut test = tests_of(FAULTS);
    test.args(["--test-threads=1", "--skip", FAULTS_OF_DISKS, "--skip", SYSTEM_CALLS]);
    run::check(test)
}

fn kills() -> Result<()> {
    let mut test = tests_of("kill_9_loses_doubles_and_alters_nothing");
    test.env("NORN_KILLS", "200");
    run::check(test)
}

fn release() -> Result<()> {
    run::check(run::cargo(&["build", "--release", "--locked", "--package", "norn", "--package", "nornctl"]))
}

fn integration() -> Result<()> {
    let mut test =
        run::cargo(&["test", "--quiet", "--locked", "--package", "norn-tests", "--", "--skip", FAULTS]);
    for name in ["prometheus", "node_exporter"] {
        if let Some(path) = components::find(name) {
            test.env(format!("NORN_{}", name.to_uppercase()), path);
        }
    }
    run::check(test)
}
