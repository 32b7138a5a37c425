//! `cargo xtask bench`: builds the load generator and hands over to it.

use anyhow::Result;

use crate::run;

/// Runs `norn-bench` of `benches/` in release mode with the arguments as given.
pub fn run(args: &[String]) -> Result<()> {
    let mut cargo = run::cargo(&["run", "--release", "--quiet", "--package", "norn-benches", "--"]);
    cargo.args(args);
    run::check(cargo)
}
