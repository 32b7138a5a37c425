//! Exemplars by matchers and time.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use futures::FutureExt;
use norn_contract::source::{ExemplarsRequest, SeriesExemplars, SeriesSource};
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::sample::Exemplar;
use norn_wire::settings::FoldSettings;
use support::{Head, plain_settings, settings};

/// Exemplars of `(job, time)` in order of arrival.
fn head(all: &[(&str, Millis)]) -> Head {
    let mut head = Head::new(norn_head::Options::default());
    head.apply(&settings("t", &FoldSettings { max_exemplars: 100, ..plain_settings() }));
    for (i, (job, t)) in all.iter().enumerate() {
        let refused = head.write("t", |b| {
            let mut series = b.series([("__name__", "up"), ("job", job)]);
            series.sample(i as Millis, 1.0).exemplar([("id", "7")], 2.0, *t);
        });
        assert!(refused.is_empty());
    }
    head
}

fn ask(head: &Head, sets: &[&[Matcher]], mint: Millis, maxt: Millis) -> Vec<SeriesExemplars> {
    let matchers = sets.iter().map(|set| Arc::from(*set)).collect();
    let reader = head.tenant("t");
    let request = ExemplarsRequest { matchers, mint, maxt };
    SeriesSource::exemplars(&*reader, request).now_or_never().expect("a head answers at once").unwrap()
}

fn of(job: &str, times: &[Millis]) -> SeriesExemplars {
    let labels = Labels::from_pairs([("__name__", "up"), ("job", job)]);
    let exemplar =
        |t: &Millis| Exemplar { labels: Labels::from_pairs([("id", "7")]), value: 2.0, timestamp: *t };
    (labels, times.iter().map(exemplar).collect())
}

#[test]
fn series_come_in_order_each_once_and_their_exemplars_by_time() {
    let head = head(&[("b", 50), ("a", 40), ("b", 55), ("c", 55), ("b", 55), ("b", 60), ("b", 60)]);
    let job = |job: &str| Matcher::equal("job", job);
    let up = Matcher::equal("__name__", "up");
    let all = [of("a", &[40]), of("b", &[50, 55, 60]), of("c", &[55])];
    assert_eq!(ask(&head, &[std::slice::from_ref(&up)], Millis::MIN, Millis::MAX), all);
    assert_eq!(ask(&head, &[&[job("b")], &[up.clone(), job("b")]], 51, 60), [of("b", &[55, 60])]);
    assert_eq!(ask(&head, &[&[job("c")], &[job("a")]], 0, 100), [of("a", &[40]), of("c", &[55])]);
    assert_eq!(ask(&head, &[&[job("b")]], 61, 100), []);
    assert_eq!(ask(&head, &[&[job("d")]], 0, 100), []);
    assert_eq!(ask(&head, &[], 0, 100), []);
}
