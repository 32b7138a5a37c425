//! Numbers of series by label values.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use norn_contract::cardinality::{Cardinality, CardinalityRequest};
use norn_model::Millis;
use norn_model::matcher::{MatchOp, Matcher};
use support::Head;

/// 600 series of `up`, 300 of `down`; those of job `a` end at 100, the others at 200.
fn head() -> Head {
    let mut head = Head::new(norn_head::Options::default());
    for (name, count) in [("up", 600), ("down", 300)] {
        for i in 0..count {
            let (job, end) = if i % 3 == 0 { ("a", 100) } else { ("b", 200) };
            let id = i.to_string();
            head.sample(&[("__name__", name), ("id", &id), ("job", job)], end, 1.0);
        }
    }
    head.write("other", |b| {
        b.series([("__name__", "up")]).sample(1, 1.0);
    });
    head
}

fn count(head: &Head, matchers: &[Matcher], since: Millis, names: &[&str]) -> Cardinality {
    let names = names.iter().map(|n| (*n).to_owned()).collect();
    head.tenant("t").count(&CardinalityRequest { matchers: Arc::from(matchers), since, names })
}

fn values(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect()
}

#[test]
fn series_are_counted_by_value() {
    let head = head();
    let all = count(&head, &[], Millis::MIN, &["job", "none", "__name__"]);
    assert_eq!(all.series, 900);
    let want = [values(&[("a", 300), ("b", 600)]), vec![], values(&[("down", 300), ("up", 600)])];
    assert_eq!(all.values, want);
    // The same when every series is looked at.
    let any = Matcher::new(MatchOp::Regex, "id", ".+").unwrap();
    assert_eq!(count(&head, std::slice::from_ref(&any), Millis::MIN, &["job", "none", "__name__"]), all);
    let up = [Matcher::equal("__name__", "up"), any];
    let of_up = count(&head, &up, Millis::MIN, &["job", "id"]);
    assert_eq!((of_up.series, &of_up.values[0]), (600, &values(&[("a", 200), ("b", 400)])));
    assert!(of_up.values[1].len() == 600 && of_up.values[1].iter().all(|v| v.1 == 1));
}

#[test]
fn only_series_that_go_on_are_active() {
    let head = head();
    let active = count(&head, &[], 150, &["job"]);
    assert_eq!(active, Cardinality { series: 600, values: vec![values(&[("b", 600)])] });
    let down = [Matcher::equal("__name__", "down")];
    assert_eq!(count(&head, &down, 150, &[]).series, 200);
    assert_eq!(count(&head, &down, 201, &["job"]), Cardinality { series: 0, values: vec![vec![]] });
}
