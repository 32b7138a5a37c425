//! Rules that a text search can hold: where `unsafe` and new tenants may stand, how long files get.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run;

/// Longest source file, tests included.
const MAX_LINES: usize = 900;

/// The places where a tenant id from outside becomes a [`Tenant`]; tests may make their own.
const ADMITTERS: &[&str] = &[
    "crates/head/src/checkpoint.rs",
    "crates/model/src/tenant.rs",
    "crates/http/src/tenant.rs",
    "crates/log/src/reader.rs",
    "crates/ingester/src/blocks/mod.rs",
    "crates/head/src/snapshot/load.rs",
];

/// Findings, one line each.
pub fn check() -> Result<Vec<String>> {
    let root = run::root();
    let mut files = Vec::new();
    for dir in ["crates", "bin", "tests", "benches", "fuzz"] {
        collect(&root.join(dir), &mut files)?;
    }
    let mut findings = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        let content = fs::read_to_string(&file)?;
        findings.extend(check_file(&name, &content));
    }
    Ok(findings)
}

fn check_file(name: &str, content: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = content.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{name} has {lines} lines (limit {MAX_LINES}): split it by subject"));
    }
    let product = content.split("#[cfg(test)]").next().unwrap_or_default();
    if uses_unsafe(product) && !name.starts_with("crates/codec/") && !name.ends_with("tidy/source.rs") {
        findings.push(format!("{name} uses unsafe; only crates/codec may"));
    }
    let product_source = name.starts_with("crates/") && name.contains("/src/");
    let is_test = !product_source || name.contains("testing") || name.ends_with("tests.rs");
    if product.contains("Tenant::admit(") && !is_test && !ADMITTERS.contains(&name) {
        findings.push(format!("{name} makes a Tenant from a string; see crates/model/src/tenant.rs"));
    }
    findings
}

fn uses_unsafe(source: &str) -> bool {
    source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .any(|code| code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl"))
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|n| n != "target") {
                collect(&path, into)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_looks_for() {
        let make = "fn f() { Tenant::admit(x); }";
        assert_eq!(check_file("crates/head/src/a.rs", make).len(), 1);
        assert!(check_file("crates/http/src/tenant.rs", make).is_empty());
        assert!(check_file("crates/head/src/a.rs", &format!("#[cfg(test)]\n{make}")).is_empty());
        assert_eq!(check_file("crates/head/src/a.rs", "unsafe { x }").len(), 1);
        assert_eq!(check_file("crates/head/src/a.rs", &"\n".repeat(901)).len(), 1);
    }
}
