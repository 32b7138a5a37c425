//! The first difference between two answers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::{Answer, Data, Samples};

/// What is compared, and how closely.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Largest relative difference of two numbers; 0 compares the digits.
    pub tolerance: f64,
    /// Whether warnings and infos are compared with their positions.
    pub positions: bool,
}

/// Errors with which the reference fails inside: `info` whose label selector has an `@`, and a pinned
/// range in parentheses.
const FAULTS: &[&str] = &["unexpected error: interface conversion", "unexpected number of samples"];

/// A note that 3.14 places at the first argument, later versions at the vector, as Norn does.
const MISPLACED: &str = " has NaN observations, ";

/// The first difference, oracle first.
pub fn first(oracle: &Answer, norn: &Answer, rule: Rule) -> Option<String> {
    match (oracle, norn) {
        (Answer::Refused { kind: k, text: t }, Answer::Refused { kind, text }) => (k != kind
            || sorted_pair(t) != sorted_pair(text))
        .then(|| format!("error: oracle {k}: {t}\n      norn {kind}: {text}")),
        (Answer::Refused { text, .. }, Answer::Result(_)) if FAULTS.iter().any(|f| text.starts_with(f)) => {
            None
        }
        (Answer::Refused { kind, text }, Answer::Result(_)) => {
            Some(format!("only oracle refuses: {kind}: {text}"))
        }
        (Answer::Result(_), Answer::Refused { kind, text }) => {
            Some(format!("only norn refuses: {kind}: {text}"))
        }
        (Answer::Result(x), Answer::Result(y)) => data(x, y, rule),
    }
}

/// Whether each of `norn`'s samples is in one of the oracle's answers to the same query, none is
/// missing that all of them have, and one of them has the same annotations.
///
/// What the reference adds up in random order comes out differently each time it is asked.
pub fn is_one_of(oracle: &[Answer], norn: &Answer) -> bool {
    let exact = Rule { tolerance: 0.0, positions: true };
    let Answer::Result(norn) = norn else {
        return oracle.iter().any(|answer| first(answer, norn, exact).is_none());
    };
    let answers: Vec<&Data> = oracle
        .iter()
        .filter_map(|a| match a {
            Answer::Result(data) if data.kind == norn.kind => Some(data),
            _ => None,
        })
        .collect();
    let Some(first) = answers.first() else { return false };
    let value = |data: &Data, metric: &str, time: f64| -> Option<Value> {
        let samples = data.series.get(metric)?;
        let at = samples.binary_search_by(|(t, _)| t.total_cmp(&time)).ok()?;
        Some(samples[at].1.clone())
    };
    let seen = |metric: &str, time: f64, own: &Value| {
        answers.iter().any(|data| value(data, metric, time).as_ref() == Some(own))
    };
    let all_have = |metric: &str, time: f64| answers.iter().all(|d| value(d, metric, time).is_some());
    let each = |data: &Data, holds: &dyn Fn(&str, f64, &Value) -> bool| {
        data.series.iter().all(|(metric, samples)| samples.iter().all(|(t, v)| holds(metric, *t, v)))
    };
    each(norn, &seen)
        && each(first, &|metric, time, _| !all_have(metric, time) || value(norn, metric, time).is_some())
        && answers.iter().any(|data| notes(&data.notes, &norn.notes, true).is_none())
}

/// The two series that a join found to be duplicates, in label order: 3.14 names them as it finds
/// them, later versions sorted, as Norn does.
fn sorted_pair(error: &str) -> String {
    let Some((before, rest)) = error.split_once(" hand-side of the operation: [") else {
        return error.to_owned();
    };
    let Some((pair, after)) = rest.split_once("];") else { return error.to_owned() };
    let mut series: Vec<&str> = pair.split("}, {").map(|s| s.trim_matches(['{', '}'])).collect();
    series.sort_unstable();
    format!("{before} {series:?} {after}")
}

fn data(x: &Data, y: &Data, rule: Rule) -> Option<String> {
    if x.kind != y.kind {
        return Some(format!("type: oracle {}, norn {}", x.kind, y.kind));
    }
    values(x, y, rule).or_else(|| notes(&x.notes, &y.notes, rule.positions))
}

fn values(x: &Data, y: &Data, rule: Rule) -> Option<String> {
    let only = |a: &Data, b: &Data| a.series.keys().find(|k| !b.series.contains_key(*k)).cloned();
    if let Some(metric) = only(x, y) {
        return Some(format!("series only of oracle: {metric}"));
    }
    if let Some(metric) = only(y, x) {
        return Some(format!("series only of norn: {metric}"));
    }
    x.series
        .iter()
        .find_map(|(metric, s)| samples(s, &y.series[metric], rule).map(|d| format!("{metric} {d}")))
}

fn samples(x: &Samples, y: &Samples, rule: Rule) -> Option<String> {
    for ((t, v), (u, w)) in x.iter().zip(y) {
        if t != u {
            return Some(format!("time: oracle {t}, norn {u}"));
        }
        if !same(v, w, rule.tolerance) {
            return Some(format!("at {t}: oracle {v}, norn {w}"));
        }
    }
    (x.len() != y.len()).then(|| format!("samples: oracle {}, norn {}", x.len(), y.len()))
}

fn same(x: &Value, y: &Value, tolerance: f64) -> bool {
    match (x, y) {
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y, tolerance))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y, tolerance)))
        }
        (Value::String(x), Value::String(y)) if tolerance > 0.0 && x != y => {
            match (x.parse::<f64>(), y.parse::<f64>()) {
                (Ok(x), Ok(y)) => (x - y).abs() <= tolerance * x.abs().max(y.abs()),
                _ => false,
            }
        }
        _ => x == y,
    }
}

/// Beyond ten of a kind the reference names an arbitrary ten: then only how many there are counts.
fn notes(x: &BTreeSet<String>, y: &BTreeSet<String>, positions: bool) -> Option<String> {
    let strip = |set: &BTreeSet<String>| -> BTreeSet<String> {
        let has_position = |note: &str| positions && !note.contains(MISPLACED);
        set.iter().map(|n| if has_position(n) { n.clone() } else { without_position(n) }).collect()
    };
    let (mut x, mut y) = (strip(x), strip(y));
    for kind in ["warning", "info"] {
        let omitted = |note: &&String| note.contains(&format!("more {kind} annotations omitted"));
        if x.iter().any(|n| omitted(&n)) && x.iter().find(omitted) == y.iter().find(omitted) {
            let keep = |note: &String| !note.starts_with(&format!("PromQL {kind}"));
            x.retain(keep);
            y.retain(keep);
        }
    }
    (x != y).then(|| {
        let (a, b): (Vec<_>, Vec<_>) = (x.difference(&y).collect(), y.difference(&x).collect());
        format!("annotations: only oracle {a:?}, only norn {b:?}")
    })
}

fn without_position(note: &str) -> String {
    match note.rfind(" (") {
        Some(at) if note.ends_with(')') => note[..at].to_owned(),
        _ => note.to_owned(),
    }
}

/// Whether what is sorted came in the same order; `whole` compares labels too, else only values, as
/// ties may come in any order.
pub fn order(oracle: &Answer, norn: &Answer, whole: bool) -> Option<String> {
    let (Answer::Result(x), Answer::Result(y)) = (oracle, norn) else {
        return None;
    };
    let position = x.order.iter().zip(&y.order).position(|(x, y)| x.1 != y.1 || (whole && x.0 != y.0))?;
    Some(format!("order: place {position}: oracle {:?}, norn {:?}", x.order[position], y.order[position]))
}

#[cfg(test)]
mod tests {
    use super::super::answer::read;
    use super::*;

    const EXACT: Rule = Rule { tolerance: 0.0, positions: true };

    fn vector(labels: &str, value: &str, notes: &str) -> Answer {
        read(
            format!(
                r#"{{"status":"success","infos":[{notes}],"data":{{"resultType":"vector","result":[{{"metric":{{{labels}}},"value":[1.5,"{value}"]}}]}}}}"#
            )
            .as_bytes(),
        )
    }

    #[test]
    fn sees_every_kind_of_difference() {
        let base = vector(r#""a":"1""#, "0.3", "");
        assert_eq!(first(&base, &base.clone(), EXACT), None);
        for other in [
            vector(r#""a":"2""#, "0.3", ""),
            vector(r#""a":"1""#, "0.30000000000000004", ""),
            vector(r#""a":"1""#, "0.3", r#""PromQL info: x (1:1)""#),
            read(br#"{"status":"error","errorType":"execution","error":"x"}"#),
            read(b"oops"),
        ] {
            assert!(first(&base, &other, EXACT).is_some(), "{other:?}");
            assert!(first(&other, &base, EXACT).is_some(), "{other:?}");
        }
        let near = vector(r#""a":"1""#, "0.30000000000000004", "");
        assert_eq!(first(&base, &near, Rule { tolerance: 1e-12, positions: true }), None);
    }

    #[test]
    fn one_of_several_answers_is_enough() {
        let (base, other) = (vector(r#""a":"1""#, "0.3", ""), vector(r#""a":"1""#, "0.4", ""));
        let both = [base.clone(), other.clone()];
        assert!(is_one_of(&both, &base) && is_one_of(&both, &other));
        assert!(!is_one_of(&both, &vector(r#""a":"1""#, "0.5", "")));
        assert!(!is_one_of(&both, &vector(r#""a":"2""#, "0.3", "")));
        assert!(!is_one_of(&both, &vector(r#""a":"1""#, "0.3", r#""PromQL info: x (1:1)""#)));
        let empty = read(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
        assert!(!is_one_of(&both, &empty) && is_one_of(&[base, empty.clone()], &empty));
    }

    #[test]
    fn many_annotations_count_only() {
        let some = |text: &str, n: usize| {
            vector("", "1", &format!(r#""PromQL info: {text}","{n} more info annotations omitted""#))
        };
        assert_eq!(first(&some("x", 3), &some("y", 3), EXACT), None);
        assert!(first(&some("x", 3), &some("y", 4), EXACT).is_some());
    }
}
