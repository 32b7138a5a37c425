//! `norn-bench ingest|query|latency|requests`: see `benches/README.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match args.first().map(String::as_str) {
        Some("ingest") => norn_benches::ingest::run(rest),
        Some("query") => norn_benches::query::run(rest),
        Some("latency") => norn_benches::latency::run(rest),
        Some("requests") => norn_benches::requests::run(rest),
        _ => {
            eprintln!(
                "usage: norn-bench ingest|query|latency|requests --url URL --pid PID [...]; see benches/README.md"
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("norn-bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}
