//! Licences, duplicate versions and unused dependencies, by the lists in `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{members, packages, text};
use crate::run;

/// Findings, one line each.
pub fn check(metadata: &Value) -> Result<Vec<String>> {
    let deny = fs::read_to_string(run::root().join("deny.toml")).context("deny.toml")?;
    let mut findings = licences(metadata, &list(&deny, "allow"));
    findings.extend(duplicates(metadata, &list(&deny, "skip")));
    findings.extend(unused(metadata)?);
    Ok(findings)
}

/// The quoted strings of the array `key = [ … ]`. `deny.toml` is cargo-deny's format; this reads
/// the two plain arrays of it that are checked on every run.
fn list(toml: &str, key: &str) -> BTreeSet<String> {
    let start = toml.find(&format!("\n{key} = [")).map_or(toml.len(), |i| i + key.len());
    let body = toml[start..].split(']').next().unwrap_or_default();
    body.lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Every package must offer a licence whose parts are all allowed.
fn licences(metadata: &Value, allowed: &BTreeSet<String>) -> Vec<String> {
    packages(metadata)
        .filter(|p| !acceptable(text(p, "license"), allowed))
        .map(|p| {
            format!("licence of {} is {:?}, not allowed in deny.toml", text(p, "name"), text(p, "license"))
        })
        .collect()
}

/// Evaluates an SPDX expression flat: any alternative of `OR` whose `AND` parts are all allowed.
fn acceptable(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ");
    if plain.contains('(') {
        // `A AND (B OR C)`: each group joined by AND must offer one allowed licence.
        return plain.split(" AND ").all(|group| {
            group
                .split(" OR ")
                .any(|l| allowed.contains(l.trim_matches(|c| c == '(' || c == ')' || c == ' ')))
        });
    }
    plain.split(" OR ").any(|alternative| alternative.split(" AND ").all(|l| allowed.contains(l.trim())))
}

/// Two versions of one crate are a finding unless listed under `skip`.
fn duplicates(metadata: &Value, skip: &BTreeSet<String>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for p in packages(metadata) {
        versions.entry(text(p, "name")).or_default().insert(text(p, "version"));
    }
    versions
        .into_iter()
        .filter(|(name, v)| v.len() > 1 && !skip.contains(*name) && !name.starts_with("windows"))
        .map(|(name, v)| {
            format!("{name} is there in versions {v:?}; unify them or list it in deny.toml under skip")
        })
        .collect()
}

/// A dependency whose name does not occur in any source file of its package.
fn unused(metadata: &Value) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in members(metadata) {
        let dir = Path::new(text(package, "manifest_path")).parent().unwrap_or(Path::new("."));
        let mut sources = String::new();
        read_sources(dir, &mut sources)?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name =
                dependency["rename"].as_str().unwrap_or_else(|| text(dependency, "name")).replace('-', "_");
            if !sources.contains(&name) {
                findings.push(format!("{} does not use its dependency {name}", text(package, "name")));
            }
        }
    }
    Ok(findings)
}

fn read_sources(dir: &Path, into: &mut String) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|n| n != "target" && n != "testdata") {
                read_sources(&path, into)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_licence_expressions() {
        let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from).into();
        assert!(acceptable("MIT OR GPL-3.0", &allowed));
        assert!(acceptable("MIT/Apache-2.0", &allowed));
        assert!(acceptable("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!acceptable("(MIT OR Apache-2.0) AND GPL-3.0", &allowed));
        assert!(!acceptable("AGPL-3.0", &allowed));
        assert!(!acceptable("", &allowed));
    }

    #[test]
    fn reads_lists() {
        let toml = "[licenses]\nallow = [\n  \"MIT\", # fine\n  \"ISC\",\n]\n[bans]\nskip = [\"a\"]\n";
        assert_eq!(list(toml, "allow").len(), 2);
        assert_eq!(list(toml, "skip").len(), 1);
    }
}
