//! Runs PromQL test scripts: `promqltest [-v] FILE…` prints a line for each file, and with `-v` every
//! failure.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use norn_promql::script::{self, parse::Times, run::Evaluate};
use norn_promql::testing::MemorySource;
use norn_promql::value::Output;
use norn_promql::{Cancel, Engine, Options, Request};
use norn_promql_syntax::ast::Expr;

/// An engine over the source that scripts fill.
struct Runner {
    engine: Engine,
    source: Arc<MemorySource>,
}

impl Evaluate for Runner {
    fn evaluate(&self, text: &str, expr: &Expr, times: Times) -> Result<Output, String> {
        let request = match times {
            Times::At(at) => Request::instant(text, at),
            Times::Range { start, end, step } => Request::range(text, start, end, step),
        };
        block_on(self.engine.run_parsed(expr, &request, self.source.clone(), Cancel::new()))
            .map_err(|e| e.to_string())
    }
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let verbose = files.iter().any(|f| f == "-v");
    files.retain(|f| f != "-v");
    let options = Options {
        max_samples: 10_000,
        timeout: Duration::from_secs(100),
        delayed_name_removal: true,
        syntax: norn_promql_syntax::Options::all(),
        ..Options::default()
    };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().build()?);
    let (mut passed, mut total) = (0, 0);
    for file in &files {
        let source = Arc::new(MemorySource::default());
        let runner = Runner { engine: Engine::new(options.clone(), pool.clone()), source: source.clone() };
        let report = script::run(file, &std::fs::read_to_string(file)?, &source, &runner);
        passed += report.passed;
        total += report.total;
        println!("{file}: {}/{}", report.passed, report.total);
        if verbose {
            report.failures.iter().for_each(|failure| println!("  {failure}"));
        }
    }
    println!("{passed}/{total}");
    Ok(if passed == total { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
