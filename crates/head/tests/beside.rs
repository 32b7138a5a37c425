//! Rules for exemplars and metadata.
#![allow(clippy::unwrap_used)]

mod support;

use norn_contract::log::Record;
use norn_contract::source::{MetadataRequest, SeriesSource};
use norn_model::metadata::MetricType;
use norn_model::rejection::{Parts, Refused};
use norn_wire::settings::FoldSettings;
use support::{Head, T0, plain_settings, settings};

fn head(with: FoldSettings) -> Head {
    let mut head = Head::new(norn_head::Options::default());
    head.apply(&settings("t", &with));
    head
}

/// Sends a sample with exemplars at `times`.
fn exemplars(head: &mut Head, t: i64, times: &[i64]) -> Refused {
    head.write("t", |b| {
        let mut series = b.series([("__name__", "m")]);
        series.sample(T0 + t, 1.0);
        for at in times {
            series.exemplar([("trace_id", at.to_string())], 1.0, T0 + at);
        }
    })
}

fn kept(head: &Head) -> Vec<i64> {
    head.tenant("t").exemplars().iter().map(|(_, e)| e.timestamp - T0).collect()
}

#[test]
fn late_exemplars_are_refused_only_when_all_are_late() {
    let mut head = head(FoldSettings { max_exemplars: 9, ..plain_settings() });
    assert!(exemplars(&mut head, 1, &[1, 5]).is_empty());
    // Of a set that is sent again with something new, the old part is no mistake.
    let refused = exemplars(&mut head, 2, &[1, 5, 6]);
    assert_eq!((refused.exemplars, refused.first.is_none()), (0, true));
    assert_eq!(refused.discarded().exemplars, 1);
    let refused = exemplars(&mut head, 3, &[4, 5]);
    assert_eq!(refused.exemplars, 2);
    let text = refused.first.unwrap().text;
    assert!(text.contains("out of order") && text.ends_with("{__name__=\"m\"}"), "{text}");
    assert!(exemplars(&mut head, 4, &[6]).is_empty());
    assert_eq!(kept(&head), [1, 5, 6]);
}

#[test]
fn late_exemplars_may_be_ignored() {
    let mut head = head(FoldSettings { max_exemplars: 9, ignore_late_exemplars: true, ..plain_settings() });
    exemplars(&mut head, 1, &[5]);
    let refused = exemplars(&mut head, 2, &[4]);
    assert_eq!((refused.exemplars, refused.first.is_none()), (0, true));
    let parts = Parts { exemplars: 1, ..Parts::default() };
    assert_eq!(refused.reasons, [("exemplar-out-of-order", parts)]);
    assert_eq!(kept(&head), [5]);
}

#[test]
fn exemplars_are_off_at_zero() {
    let mut head = head(plain_settings());
    assert!(exemplars(&mut head, 1, &[5]).is_empty());
    assert!(kept(&head).is_empty());
}

fn describe(head: &mut Head, metric: &str, help: &str) -> Refused {
    head.write("t", |b| b.metadata(metric, MetricType::Gauge, help, ""))
}

fn described(head: &Head) -> Vec<(String, usize)> {
    let request = MetadataRequest { metric: None, limit: None, limit_per_metric: None };
    let source = head.tenant("t");
    let all = futures::executor::block_on(source.metadata(request)).unwrap();
    all.into_iter().map(|(metric, all)| (metric, all.len())).collect()
}

#[test]
fn metadata_has_limits() {
    let limits = FoldSettings { max_metadata: 2, max_metadata_per_metric: 1, ..plain_settings() };
    let mut head = head(limits);
    for (metric, help, id, reason) in [
        ("a", "1", "", ""),
        ("b", "1", "", ""),
        ("a", "1", "", ""),
        ("a", "2", "max-metadata-per-metric", "per_metric_metadata_limit"),
        ("c", "1", "max-metadata-per-user", "per_user_metadata_limit"),
        ("b", "1", "", ""),
    ] {
        let refused = describe(&mut head, metric, help);
        assert_eq!(refused.first.as_ref().map_or("", |r| r.id), id);
        assert_eq!(refused.reasons.first().map_or("", |r| r.0), reason);
        assert_eq!(refused.discarded().metadata, u32::from(!id.is_empty()));
    }
    assert_eq!(described(&head), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    // A higher limit holds from its record on.
    head.apply(&settings("t", &FoldSettings { max_metadata_per_metric: 2, ..plain_settings() }));
    assert!(describe(&mut head, "a", "2").is_empty());
    assert_eq!(describe(&mut head, "a", "3").first.unwrap().id, "max-metadata-per-metric");
}

#[test]
fn without_limits_memory_is_bounded_without_an_error() {
    let mut head = head(plain_settings());
    for i in 0..40 {
        let refused = describe(&mut head, "a", &i.to_string());
        assert!(refused.first.is_none());
        assert_eq!(refused.is_empty(), i < 16);
    }
    assert_eq!(described(&head), [("a".to_owned(), 16)]);
}

#[test]
fn descriptions_that_are_not_sent_again_make_room() {
    const MINUTE: i64 = 60_000;
    let limits = FoldSettings { max_metadata: 2, max_metadata_per_metric: 1, ..plain_settings() };
    let mut head = head(limits);
    for (minute, metric, help, is_kept) in [
        (0, "a", "1", true),
        (1, "b", "1", true),
        (9, "a", "1", true),
        (10, "c", "1", false),
        (12, "c", "1", true),
        (13, "a", "2", false),
        // The clock of another writer is behind.
        (2, "c", "1", true),
        (20, "a", "2", true),
    ] {
        let record = support::record("t", |b| b.metadata(metric, MetricType::Gauge, help, ""));
        let record = Record { timestamp: T0 + minute * MINUTE, ..record };
        assert_eq!(head.apply(&record).is_empty(), is_kept, "{minute} {metric} {help}");
    }
    assert_eq!(described(&head), [("a".to_owned(), 1), ("c".to_owned(), 1)]);
}
