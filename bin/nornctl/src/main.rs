//! Tools around Norn.
//!
//! | command | does |
//! |---|---|
//! | [`promqltest`] | runs PromQL test scripts |
//! | [`promql explain`](explain) | prints the plan of a query |
//! | [`log inspect`, `log dump`, `log repair`](log) | look into an ingest log, and mend it |

mod explain;
mod log;
mod promqltest;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: nornctl promqltest FILE…
       nornctl promql explain QUERY [-start TIME] [-end TIME] [-step DURATION]
       nornctl log inspect DIR
       nornctl log dump DIR [--samples]
       nornctl log repair DIR [--yes]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("nornctl: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command; whether what it looked at is in order.
fn run(arguments: &[String]) -> Result<bool> {
    match arguments {
        [command, files @ ..] if command == "promqltest" && !files.is_empty() => promqltest::run(files),
        [command, action, query @ ..] if command == "promql" && action == "explain" && !query.is_empty() => {
            explain::run(query)
        }
        [command, action, rest @ ..] if command == "log" => log::run(action, rest),
        _ => bail!("{USAGE}"),
    }
}
