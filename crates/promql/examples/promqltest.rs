//! Runs PromQL test scripts: `promqltest [-v] FILE…` prints a line for each file, and with `-v` every
//! failure.

use std::process::ExitCode;
use std::sync::Arc;

use norn_promql::script::Runner;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let verbose = files.iter().any(|f| f == "-v");
    files.retain(|f| f != "-v");
    let runner = Runner::new(Arc::new(rayon::ThreadPoolBuilder::new().build()?));
    let (mut passed, mut total) = (0, 0);
    for file in &files {
        let report = runner.run(file, &std::fs::read_to_string(file)?);
        passed += report.passed;
        total += report.total;
        if verbose {
            println!("{report}");
        } else {
            println!("{file}: {}/{}", report.passed, report.total);
        }
    }
    println!("{passed}/{total}");
    Ok(if passed == total { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
