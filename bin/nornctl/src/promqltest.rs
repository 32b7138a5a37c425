//! `nornctl promqltest FILE…`: runs PromQL test scripts against the engine.

use std::sync::Arc;

use anyhow::{Context, Result};
use norn_promql::script::Runner;
use rayon::ThreadPoolBuilder;

/// Runs the scripts and prints `FILE: passed/total` with each failure; whether everything held.
pub fn run(files: &[String]) -> Result<bool> {
    let runner = Runner::new(Arc::new(ThreadPoolBuilder::new().build()?));
    let mut all_hold = true;
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
        let report = runner.run(file, &text);
        println!("{report}");
        all_hold &= report.is_ok();
    }
    Ok(all_hold)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn script(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn says_whether_scripts_hold() {
        let good = script("good.test", "eval instant at 0 1 + 1\n  2\n");
        let bad = script("bad.test", "eval instant at 0 1 + 1\n  3\n");
        assert!(run(std::slice::from_ref(&good)).unwrap());
        assert!(!run(&[good.clone(), bad.clone()]).unwrap());
        assert!(run(&["/nonexistent.test".to_owned()]).is_err());
        std::fs::remove_file(good).unwrap();
        std::fs::remove_file(bad).unwrap();
    }
}
