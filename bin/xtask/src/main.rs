//! `cargo xtask`: everything a developer or CI runs, in one place.
//!
//! | command | does |
//! |---|---|
//! | `tidy` | layers, formatting, clippy, licences, unused and duplicate dependencies, call sites |
//! | `test [--full]` | every test; `--full` adds the long runs |
//! | `generated` | generated queries alone; `NORN_SEED`, `NORN_GENERATED_QUERIES`, `NORN_QUERY` |
//! | `components [NAME…]` | installs real parts that tests run against |
//! | `bench ingest\|query …` | drives a server with fixed bytes and reports what it cost |
//!
//! [`run`] starts commands, [`components`] knows where real parts come from, [`tidy`] and [`test`]
//! are the two commands CI runs.

mod bench;
mod components;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>
  tidy                       check layers, format, lints, licences, dependencies
  test [--full]              run every test (--full: the long runs too)
  generated                  generated queries alone (NORN_SEED, NORN_GENERATED_QUERIES, NORN_QUERY)
  components [NAME...]       install real parts for tests (all, if none is named)
  bench ingest|query [...]   benchmark a server; see benches/README.md";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match args.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("test") => test::run(rest),
        Some("generated") => test::generated(),
        Some("components") => components::run(rest),
        Some("bench") => bench::run(rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}
