//! Queries made from a seed, asked of Norn and of a real Prometheus with the same data.
//!
//! `NORN_SEED` and `NORN_GENERATED_QUERIES` choose another seed and size, `NORN_QUERY` asks one
//! query alone and prints both answers.

use anyhow::{Context, Result, bail};
use norn_tests::differential::check::Checker;
use norn_tests::differential::report::Report;
use norn_tests::differential::servers::Servers;
use norn_tests::generator::grammar::{Query, query};
use norn_tests::generator::invalid::invalid;

/// Queries of the everyday test; a quarter as many invalid ones come on top.
const EVERYDAY: usize = 2_000;
const SEED: u64 = 1;
const NON_EMPTY: f64 = 0.7;

fn variable(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

#[test]
fn generated_queries() -> Result<()> {
    let seed = variable("NORN_SEED", SEED)?;
    let count = variable("NORN_GENERATED_QUERIES", EVERYDAY as u64)? as usize;
    let servers = Servers::start(seed)?;
    if let Ok(text) = std::env::var("NORN_QUERY") {
        return one(&servers, seed, &text);
    }
    let valid = Report::run(&servers, seed, count, |index| query(seed, index))?;
    println!("{}\nseed {seed}, valid: {}", valid.coverage(), valid.summary());
    let invalid = Report::run(&servers, seed, count / 4, |index| Query {
        text: invalid(seed, index),
        uses: Default::default(),
    })?;
    println!("seed {seed}, invalid: {}", invalid.summary());
    for query in valid.loose.iter().chain(&invalid.loose) {
        println!("  within the tolerance only: {query}");
    }
    let differences = valid.differences.len() + invalid.differences.len();
    if differences > 0 {
        bail!("{differences} queries differ:\n{}{}", valid.replays(seed), invalid.replays(seed));
    }
    if valid.answered_share() < NON_EMPTY {
        bail!("only {:.3} of the valid queries have an answer", valid.answered_share());
    }
    if invalid.refused * 2 < invalid.asked {
        bail!("only {} of {} invalid queries were refused", invalid.refused, invalid.asked);
    }
    Ok(())
}

fn one(servers: &Servers, seed: u64, text: &str) -> Result<()> {
    let mut checker = Checker::new(servers, seed);
    println!("{}", checker.show(text)?);
    let verdict = checker.check(text)?;
    if !verdict.differences.is_empty() {
        bail!("{}", verdict.differences.join("\n"));
    }
    Ok(())
}
