//! Tools around Norn.
//!
//! | command | does |
//! |---|---|
//! | [`promqltest`] | runs PromQL test scripts |

mod promqltest;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: nornctl promqltest FILE…";

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
        _ => bail!("{USAGE}"),
    }
}
