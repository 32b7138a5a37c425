//! A range as the reference gives it when it is asked step by step.
//!
//! In range queries the reference keeps what is evaluated step by step in a map and so adds it up
//! in random order; in instant queries it keeps series order. One instant query a step takes that
//! randomness out.

use std::collections::BTreeSet;

use super::answer::{Answer, Data};
use super::times::Times;

/// Queries that may still differ in the last bits, and why.
pub const LOOSE: &[(&str, &str)] = &[
    ("count_values", "groups come in the order of a map"),
    ("histogram_quantile", "classic buckets are grouped in a map"),
    ("histogram_fraction", "classic buckets are grouped in a map"),
    ("info", "series are joined in the order of a map"),
    ("sort", "an instant query sorts, its range does not: no instant query shows the range's order"),
    ("topk", "an instant query sorts what it picks, its range does not"),
    ("bottomk", "an instant query sorts what it picks, its range does not"),
    ("limitk", "an instant query gives what it picks in the order of a heap, its range does not"),
    ("limit_ratio", "an instant query gives what it picks in the order of a heap, its range does not"),
    (":", "inside a subquery what is evaluated step by step is in the order of a map"),
];

/// Queries that may take either zero, and why: the reference's sort is not stable, and which of a
/// +0 and a −0 it puts first decides the sign.
pub const EITHER_ZERO: &[&str] = &["quantile", "sort"];

/// Relative difference allowed to [`LOOSE`] queries.
pub const TOLERANCE: f64 = 1e-12;

/// The tolerance for a query that differs even step by step.
pub fn tolerance(query: &str) -> f64 {
    if LOOSE.iter().any(|(part, _)| query.contains(part)) {
        TOLERANCE
    } else if EITHER_ZERO.iter().any(|part| query.contains(part)) {
        // So small that only equal numbers pass.
        f64::MIN_POSITIVE
    } else {
        0.0
    }
}

/// The query with what depends on start, end and step as numbers.
pub fn pinned(query: &str, times: &Times) -> String {
    let second = |millis: i64| format!("{}.{:03}", millis / 1000, millis % 1000);
    query
        .replace("start()", &second(times.start))
        .replace("end()", &second(times.end))
        .replace("range()", &second(times.end - times.start))
        .replace("step()", &second(times.step))
}

/// One answer from the answers at each step, in time order.
pub fn assemble(steps: Vec<Answer>) -> Answer {
    let mut whole = Data { kind: "matrix".to_owned(), ..Data::default() };
    for step in steps {
        match step {
            Answer::Refused { .. } => return step,
            Answer::Result(data) => {
                for (metric, samples) in data.series {
                    whole.series.entry(metric).or_default().extend(samples);
                }
                whole.notes.extend(data.notes);
            }
        }
    }
    Answer::Result(whole)
}

/// Replaces the annotations of `answer`.
pub fn with_notes(answer: Answer, notes: &BTreeSet<String>) -> Answer {
    match answer {
        Answer::Result(data) => Answer::Result(Data { notes: notes.clone(), ..data }),
        refused @ Answer::Refused { .. } => refused,
    }
}
