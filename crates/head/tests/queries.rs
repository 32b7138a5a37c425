//! Matchers against a naive filter, names and values of labels, metadata, limits, time ranges.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use norn_contract::source::{ChunkBuf, LabelsRequest, MetadataRequest, SeriesSource, SourceError};
use norn_head::Options;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::metadata::{Metadata, MetricType};
use norn_wire::histogram::HistogramRef;
use proptest::prelude::*;
use support::{Head, T0, read_all, select};

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).unwrap()
}

fn names(head: &Head, id: &str, request: LabelsRequest) -> Vec<String> {
    head.tenant(id).label_names(request).now_or_never().unwrap().unwrap()
}

fn values(head: &Head, id: &str, name: &str, request: LabelsRequest) -> Vec<String> {
    head.tenant(id).label_values(name.to_owned(), request).now_or_never().unwrap().unwrap()
}

fn request(matchers: Vec<Vec<Matcher>>, mint: Millis, maxt: Millis, limit: usize) -> LabelsRequest {
    let matchers = matchers.into_iter().map(Arc::from).collect();
    LabelsRequest { matchers, mint, maxt, limit }
}

const ALWAYS: (Millis, Millis) = (Millis::MIN, Millis::MAX);

fn label_sets() -> impl Strategy<Value = Vec<Vec<(&'static str, &'static str)>>> {
    let value = || prop::sample::select(vec!["", "x", "y", "xy", "ü", "yy"]);
    let set = (value(), value(), value())
        .prop_map(|(a, b, c)| vec![("__name__", "m"), ("a", a), ("b", b), ("c", c)]);
    prop::collection::vec(set, 1..60)
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let op = prop::sample::select(vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
    let name = prop::sample::select(vec!["__name__", "a", "b", "c", "none"]);
    let value =
        prop::sample::select(vec!["", "m", "x", "y", "x|y", "x.*", ".*", ".+", "|x", "(x|ü)y?", "nothing"]);
    let one = (op, name, value).prop_map(|(op, name, value)| matcher(op, name, value));
    prop::collection::vec(one, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn selects_what_a_naive_filter_selects(sets in label_sets(), matchers in matchers()) {
        let mut head = Head::new(Options::default());
        for (i, set) in sets.iter().enumerate() {
            head.sample(set, T0 + i as i64, 1.0);
            // Another tenant has the same series and more.
            head.write("u", |b| { b.series(set.iter().copied()).sample(T0, 1.0); });
        }
        head.write("u", |b| { b.series([("__name__", "m"), ("a", "x"), ("d", "z")]).sample(T0, 1.0); });
        let all: BTreeSet<Labels> = sets.iter().map(|set| Labels::from_pairs(set.iter().copied())).collect();
        let passes = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name())));
        let want: Vec<Labels> = all.iter().filter(|l| passes(l)).cloned().collect();
        let found = read_all(&*head.tenant("t"), &matchers, ALWAYS.0, ALWAYS.1).unwrap();
        prop_assert_eq!(found.into_iter().map(|(l, _)| l).collect::<Vec<_>>(), want.clone());

        let of = |name: &str| {
            let values: BTreeSet<String> = want.iter().map(|l| l.get(name).to_owned()).filter(|v| !v.is_empty()).collect();
            values.into_iter().collect::<Vec<_>>()
        };
        let asked = || request(vec![matchers.clone()], ALWAYS.0, ALWAYS.1, 0);
        prop_assert_eq!(values(&head, "t", "a", asked()), of("a"));
        let want_names: BTreeSet<String> = want.iter().flat_map(|l| l.iter()).map(|(n, _)| n.to_owned()).collect();
        prop_assert_eq!(names(&head, "t", asked()), want_names.into_iter().collect::<Vec<_>>());
    }
}

fn numbered(n: usize) -> Head {
    let mut head = Head::new(Options::default());
    head.write("t", |b| {
        for i in 0..n {
            let (i, parity) = (format!("{i:05}"), (i % 2).to_string());
            b.series([("__name__", "m"), ("i", &i), ("parity", &parity)])
                .sample(T0 + i.parse::<i64>().unwrap(), 1.0);
        }
    });
    head
}

#[test]
fn many_series_come_in_label_order() {
    let head = numbered(20_000);
    let odd = [matcher(MatchOp::Equal, "parity", "1"), matcher(MatchOp::NotRegex, "i", "000.*")];
    let found = read_all(&*head.tenant("t"), &odd, ALWAYS.0, ALWAYS.1).unwrap();
    assert_eq!(found.len(), 9_950);
    let first: Vec<&str> = found.iter().take(2).map(|(l, _)| l.get("i")).collect();
    assert_eq!(first, ["00101", "00103"]);
}

#[test]
fn time_ranges_and_limits_hold() {
    let head = numbered(1000);
    let any = [matcher(MatchOp::Equal, "__name__", "m")];
    let tenant = head.tenant("t");
    let found = read_all(&*tenant, &any, T0 + 10, T0 + 19).unwrap();
    assert_eq!(found.iter().map(|(l, s)| (l.get("i").len(), s.len())).collect::<Vec<_>>(), vec![(5, 1); 10]);
    assert!(read_all(&*tenant, &any, T0 + 1000, Millis::MAX).unwrap().is_empty());
    let refused = select(&*tenant, &any, T0 + 10, T0 + 19, 9).err();
    assert_eq!(refused, Some(SourceError::TooManySeries { limit: 9 }));
    assert!(select(&*tenant, &any, T0 + 10, T0 + 19, 10).is_ok());
    let early = request(vec![any.to_vec()], T0, T0 + 4, 3);
    assert_eq!(values(&head, "t", "i", early), ["00000", "00001", "00002"]);
    assert_eq!(values(&head, "t", "i", request(vec![], T0, T0 + 4, 2)), ["00000", "00001"]);
    assert_eq!(values(&head, "t", "i", request(vec![], T0 - 9, T0 - 1, 0)), [""; 0]);
    assert_eq!(names(&head, "t", request(vec![], T0, T0, 2)), ["__name__", "i"]);
    assert_eq!(values(&head, "t", "none", request(vec![], T0, T0, 0)), [""; 0]);
    assert!(head.reader.tenant(&support::tenant("other")).is_none());
}

#[test]
fn reads_give_only_chunks_of_the_range() {
    let mut head = Head::new(Options { samples_per_chunk: 10, ..Options::default() });
    for i in 0..1000 {
        head.sample(&[("__name__", "m")], T0 + i * 1000, i as f64);
    }
    let any = [matcher(MatchOp::Equal, "__name__", "m")];
    for (from, to) in [(0, 0), (500, 505), (995, 2000), (-5, 3)] {
        let (mint, maxt) = (T0 + from * 1000, T0 + to * 1000);
        let selection = select(&*head.tenant("t"), &any, mint, maxt, 0).unwrap();
        let mut buf = ChunkBuf::default();
        selection.data.read(0, &mut buf).unwrap();
        assert!(buf.chunks.len() <= 2);
        let want = (from.max(0)..=to.min(999)).count();
        assert_eq!(support::samples(&buf, mint, maxt).len(), want);
    }
}

#[test]
fn no_chunk_crosses_a_range() {
    let mut head = Head::new(Options { chunk_range: 100_000, ..Options::default() });
    for i in 0..100 {
        head.sample(&[("__name__", "m"), ("kind", "float")], i * 9_999 - 300_000, i as f64);
        head.write("t", |b| {
            let h = support::histogram(i as u64);
            let mut series = b.series([("__name__", "m"), ("kind", "histogram")]);
            series.histogram(i * 9_999 - 300_000, HistogramRef::Int(&h));
        });
    }
    let any = [matcher(MatchOp::Equal, "__name__", "m")];
    let selection = select(&*head.tenant("t"), &any, ALWAYS.0, ALWAYS.1, 0).unwrap();
    for series in 0..2 {
        let mut buf = ChunkBuf::default();
        selection.data.read(series, &mut buf).unwrap();
        assert!(buf.chunks.iter().all(|c| c.mint.div_euclid(100_000) == c.maxt.div_euclid(100_000)));
        assert!((10..=12).contains(&buf.chunks.len()), "{}", buf.chunks.len());
    }
}

#[test]
fn metadata_is_a_set_per_metric() {
    let mut head = Head::new(Options::default());
    head.write("t", |b| {
        b.metadata("b", MetricType::Counter, "one", "");
        b.metadata("b", MetricType::Counter, "two", "s");
        b.metadata("b", MetricType::Counter, "one", "");
        b.metadata("a", MetricType::Gauge, "", "");
    });
    let tenant = head.tenant("t");
    let ask = |metric: Option<&str>, limit, limit_per_metric| {
        let request = MetadataRequest { metric: metric.map(str::to_owned), limit, limit_per_metric };
        tenant.metadata(request).now_or_never().unwrap().unwrap()
    };
    let entry = |kind, help: &str, unit: &str| Metadata { kind, help: help.into(), unit: unit.into() };
    let (one, two) = (entry(MetricType::Counter, "one", ""), entry(MetricType::Counter, "two", "s"));
    let a = ("a".to_owned(), vec![entry(MetricType::Gauge, "", "")]);
    let b = ("b".to_owned(), vec![one.clone(), two]);
    assert_eq!(ask(None, None, None), [a.clone(), b.clone()]);
    assert_eq!(ask(None, Some(1), None), [a]);
    assert_eq!(ask(Some("b"), None, None), [b]);
    assert_eq!(ask(Some("b"), None, Some(1)), [("b".to_owned(), vec![one])]);
    assert_eq!(ask(Some("c"), None, None), []);
    assert_eq!(ask(None, Some(0), None), []);
    head.write("t", |b| (0..1000).for_each(|i| b.metadata(&format!("m{i:04}"), MetricType::Gauge, "", "")));
    let all = ask(None, None, None);
    assert!(all.len() == 1002 && all.is_sorted());
    assert_eq!(ask(None, Some(600), None), all[..600]);
}
