//! A crate depends only on lower layers; on its own layer only along the listed arrows.

use serde_json::Value;

use super::{members, text};

/// Layers from the bottom, and the arrows allowed inside one: `(from, to)`.
const LAYERS: &[&[&str]] = &[
    &["norn-model", "norn-codec", "norn-wire", "norn-contract", "norn-config", "norn-kit"],
    &["norn-log", "norn-http", "norn-limits", "norn-promql-syntax"],
    &["norn-block", "norn-head", "norn-promql"],
    &["norn-distributor", "norn-ingester", "norn-querier"],
    &["norn-node"],
    &["norn", "nornctl", "xtask", "norn-tests", "norn-benches", "norn-fuzz", "norn-sim"],
];

const ARROWS: &[(&str, &str)] = &[
    ("norn-codec", "norn-model"),
    ("norn-wire", "norn-codec"),
    ("norn-wire", "norn-model"),
    ("norn-contract", "norn-model"),
    ("norn-kit", "norn-model"),
    ("norn-tests", "norn-benches"),
];

/// Findings, one line each.
pub fn check(metadata: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    for package in members(metadata) {
        let name = text(package, "name");
        let Some(from) = layer(name) else {
            findings.push(format!("crate {name} has no layer; add it to xtask's layers.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to_name = text(dependency, "name");
            let Some(to) = layer(to_name) else { continue };
            let allowed = to < from || ARROWS.contains(&(name, to_name));
            if dependency["kind"].is_null() && !allowed {
                findings.push(format!("{name} (layer {from}) must not depend on {to_name} (layer {to})"));
            }
        }
    }
    findings
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;

    fn workspace(from: &str, to: &str) -> serde_json::Value {
        json!({"packages": [{"name": from, "source": null, "dependencies": [{"name": to, "kind": null}]}]})
    }

    #[test]
    fn refuses_upward_and_sideways() {
        assert!(check(&workspace("norn-head", "norn-codec")).is_empty());
        assert_eq!(check(&workspace("norn-codec", "norn-head")).len(), 1);
        assert_eq!(check(&workspace("norn-ingester", "norn-querier")).len(), 1);
        assert_eq!(check(&workspace("norn-unheard-of", "serde")).len(), 1);
    }
}
