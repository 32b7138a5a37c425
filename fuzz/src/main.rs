//! Driver on stable Rust: replays all inputs that are kept, then tries random ones.
//!
//! ```text
//! norn-fuzz replay [-seconds 40] [-seed 1] [-trace] [target…]   default: every target
//! norn-fuzz run <target> <file>…                                 one input after the other
//! norn-fuzz seed <directory>                                     seeds as files, for norn-libfuzzer
//! ```
//!
//! A panic is reported with the input as a file under `fuzz/failures/<target>`, and the exit code
//! is 1. An abort (stack overflow) leaves no file: run again with `-trace`, which writes every
//! input before it is tried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use norn_fuzz::{TARGETS, Target, corpus, find, mutate};
use norn_log::memory::Dice;

/// From here on an input is slow and reported as a failure; unoptimised builds included.
const SLOW: Duration = Duration::from_secs(5);
/// A target is given up after so many failures.
const MAX_FAILURES: usize = 5;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("replay") => Replay::parse(&args[1..]).and_then(|r| r.run()),
        Some("run") => run_files(&args[1..]),
        Some("seed") => write_seeds(&args[1..]),
        _ => Err("use: norn-fuzz replay|run|seed; see fuzz/README.md".into()),
    };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("{failures} failures");
            ExitCode::FAILURE
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

struct Replay {
    targets: Vec<&'static Target>,
    seconds: f64,
    seed: u64,
    trace: bool,
}

fn target(name: &str) -> Result<&'static Target, String> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        format!("no target {name:?}; there are {}", names.join(", "))
    })
}

impl Replay {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut replay = Self { targets: Vec::new(), seconds: 40.0, seed: 1, trace: false };
        let mut args = args.iter();
        let number = |flag: &str, value: Option<&String>| {
            let parsed = value.and_then(|v| v.parse::<f64>().ok()).filter(|v| *v >= 0.0);
            parsed.ok_or_else(|| format!("{flag} needs a number"))
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-seconds" => replay.seconds = number(arg, args.next())?,
                "-seed" => replay.seed = number(arg, args.next())? as u64,
                "-trace" => replay.trace = true,
                name => replay.targets.push(target(name)?),
            }
        }
        if replay.targets.is_empty() {
            replay.targets = TARGETS.iter().collect();
        }
        Ok(replay)
    }

    fn run(&self) -> Result<usize, String> {
        let share = Duration::from_secs_f64(self.seconds / self.targets.len() as f64);
        let mut failures = 0;
        for target in &self.targets {
            failures += self.run_target(target, share).map_err(|e| e.to_string())?;
        }
        Ok(failures)
    }

    fn run_target(&self, target: &Target, share: Duration) -> std::io::Result<usize> {
        let (started, mut failures, mut execs) = (Instant::now(), 0, 0u64);
        let mut pool = corpus::load(target)?;
        let kept = pool.len();
        pool.extend((target.seeds)());
        for input in &pool {
            failures += usize::from(!self.check(target, input)?);
        }
        let mut dice = Dice::new(self.seed);
        while started.elapsed() < share && failures < MAX_FAILURES {
            let input = mutate::next(target, &pool, &mut dice);
            failures += usize::from(!self.check(target, &input)?);
            execs += 1;
        }
        println!(
            "{:<16} {kept} kept, {} seeds, {execs} random inputs in {:.1} s, {failures} failures",
            target.name,
            pool.len() - kept,
            started.elapsed().as_secs_f64()
        );
        Ok(failures)
    }

    /// Tries an input; writes it to a file when the target fails or is slow.
    fn check(&self, target: &Target, input: &[u8]) -> std::io::Result<bool> {
        let dir = failures_dir(target);
        if self.trace {
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join("trace"), input)?;
        }
        let started = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
        let took = started.elapsed();
        if passed && took < SLOW {
            return Ok(true);
        }
        let path = corpus::save(&dir, input)?;
        println!("{}: failed after {took:?}: {}", target.name, path.display());
        Ok(false)
    }
}

fn failures_dir(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("failures").join(target.name)
}

fn run_files(args: &[String]) -> Result<usize, String> {
    let [name, paths @ ..] = args else { return Err("run needs a target and files".into()) };
    let target = target(name)?;
    let mut failures = 0;
    for path in paths {
        let input = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        failures += usize::from(catch_unwind(|| (target.run)(&input)).is_err());
    }
    Ok(failures)
}

fn write_seeds(args: &[String]) -> Result<usize, String> {
    let [dir] = args else { return Err("seed needs a directory".into()) };
    for target in TARGETS {
        let dir = Path::new(dir).join(target.name);
        let kept = corpus::load(target).map_err(|e| e.to_string())?;
        for input in (target.seeds)().iter().chain(&kept) {
            corpus::save(&dir, input).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        println!("{}", dir.display());
    }
    Ok(0)
}
