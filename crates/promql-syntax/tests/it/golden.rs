//! Answers that Prometheus 3.14 gave, kept in `testdata/`.

use norn_promql_syntax::{Options, parse, pretty, to_json};
use serde_json::Value;

/// One query and what Prometheus said.
struct Case {
    query: String,
    want: Result<(String, Value), String>,
}

fn cases(file: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = file.lines().filter(|l| !l.starts_with('#'));
    while let Some(line) = lines.next() {
        let query = text(line, "query");
        let line = lines.next().expect("an answer");
        let want = if line.starts_with("error ") {
            Err(text(line, "error"))
        } else {
            let json = lines.next().and_then(|l| l.strip_prefix("json ")).expect("json");
            Ok((text(line, "pretty"), serde_json::from_str(json).expect("json")))
        };
        cases.push(Case { query, want });
    }
    cases
}

fn text(line: &str, key: &str) -> String {
    let (found, text) = line.split_once(' ').expect("a key");
    assert_eq!(found, key, "{line}");
    serde_json::from_str(text).expect("a text")
}

/// Numbers as floats: `2` and `2.0` are the same in JSON.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(n) => n.as_f64().into(),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, plain(v))).collect(),
        other => other,
    }
}

fn check(file: &str, options: &Options, at_least: usize) {
    let cases = cases(file);
    assert!(cases.len() >= at_least, "only {} cases", cases.len());
    for Case { query, want } in cases {
        let got = match parse(&query, options) {
            Ok(expr) => Ok((pretty(&expr), plain(to_json(&expr)))),
            Err(e) => Err(e.to_string()),
        };
        assert_eq!(got, want.map(|(pretty, json)| (pretty, plain(json))), "{query}");
    }
}

#[test]
fn written_queries() {
    check(include_str!("../../testdata/written.txt"), &Options::all(), 300);
}

#[test]
fn mutated_queries() {
    check(include_str!("../../testdata/mutated.txt"), &Options::all(), 150);
}

#[test]
fn default_options() {
    check(include_str!("../../testdata/defaults.txt"), &Options::default(), 60);
}
