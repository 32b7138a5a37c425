//! `cargo xtask tidy`: what a reviewer should not have to look for.
//!
//! | module | checks |
//! |---|---|
//! | [`layers`] | a crate depends only on lower layers |
//! | [`dependencies`] | licences, duplicates, unused |
//! | [`source`] | `unsafe` only in codec, tenants made in three places, file length |

mod dependencies;
mod layers;
mod source;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::run;

/// Runs every check and lists all findings.
pub fn run() -> Result<()> {
    let metadata: Value =
        serde_json::from_str(&run::output(run::cargo(&["metadata", "--format-version", "1", "--locked"]))?)?;
    let mut findings = Vec::new();
    findings.extend(layers::check(&metadata));
    findings.extend(dependencies::check(&metadata)?);
    findings.extend(source::check()?);
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    for command in [&["fmt", "--all", "--check"][..], &lints] {
        findings.extend(run::check(run::cargo(command)).err().map(|e| format!("{e:#}")));
    }
    for f in &findings {
        eprintln!("tidy: {f}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("tidy: ok");
    Ok(())
}

/// The packages of this workspace.
fn members(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|p| p["source"].is_null())
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
