//! Zero samples where series began to count.
#![allow(clippy::unwrap_used)]

mod support;

use norn_model::Millis;
use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};
use norn_wire::histogram::HistogramRef;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;
use support::{Head, T0, Value, float_histogram, histogram, int, plain_settings, settings};

const TOTAL: &[(&str, &str)] = &[("__name__", "c_total")];

fn head(zero_samples: bool) -> Head {
    let mut head = Head::new(norn_head::Options::default());
    head.apply(&settings("t", &FoldSettings { zero_samples, ..plain_settings() }));
    head
}

fn write(head: &mut Head, created: Millis, samples: &[(Millis, f64)]) {
    let refused = head.write("t", |b| {
        let mut series = b.series(TOTAL.iter().copied());
        series.created(created);
        for (t, value) in samples {
            series.sample(*t, *value);
        }
    });
    assert!(refused.is_empty(), "{refused:?}");
}

fn stored(head: &Head) -> Vec<(Millis, f64)> {
    let value = |value: &Value| match value {
        Value::Float(bits) => f64::from_bits(*bits),
        _ => panic!("no float"),
    };
    head.all("t")[0].1.iter().map(|(t, v)| (t - T0, value(v))).collect()
}

#[test]
fn a_series_begins_with_zero_where_the_tenant_says_so() {
    for (zero_samples, expected) in [(false, &[(0, 7.0)][..]), (true, &[(-5000, 0.0), (0, 7.0)])] {
        let mut head = head(zero_samples);
        write(&mut head, T0 - 5000, &[(T0, 7.0)]);
        assert_eq!(stored(&head), expected);
    }
}

#[test]
fn a_beginning_is_stored_once_and_a_reset_again() {
    let mut head = head(true);
    write(&mut head, T0 - 5000, &[(T0, 7.0), (T0 + 1000, 8.0)]);
    write(&mut head, T0 - 5000, &[(T0 + 15_000, 9.0)]);
    // Equal to a sample, in between of samples, equal to its own sample: nothing to store.
    write(&mut head, T0 + 15_000, &[(T0 + 30_000, 10.0)]);
    write(&mut head, T0 + 20_000, &[(T0 + 45_000, 11.0)]);
    write(&mut head, T0 + 60_000, &[(T0 + 60_000, 12.0)]);
    write(&mut head, T0 + 65_000, &[(T0 + 75_000, 1.0)]);
    let expected = [
        (-5000, 0.0),
        (0, 7.0),
        (1000, 8.0),
        (15_000, 9.0),
        (30_000, 10.0),
        (45_000, 11.0),
        (60_000, 12.0),
        (65_000, 0.0),
        (75_000, 1.0),
    ];
    assert_eq!(stored(&head), expected);
}

#[test]
fn what_lies_too_far_back_is_left_out() {
    const HOUR: Millis = 3_600_000;
    let mut head = head(true);
    for created in [T0 - HOUR - 1, Millis::MIN, -1, 0, T0 + 1, Millis::MAX] {
        let mut b = Builder::new();
        let name = format!("m{created}");
        b.series([("__name__", name.as_str())]).sample(T0, 1.0).created(created);
        let record = norn_contract::log::Record { value: b.finish(), ..support::record("t", |_| {}) };
        assert!(head.apply(&record).is_empty());
    }
    let all = head.all("t");
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|(_, samples)| samples.len() == 1), "{all:?}");
    write(&mut head, T0 - HOUR, &[(T0, 1.0)]);
    assert_eq!(stored(&head), [(-HOUR, 0.0), (0, 1.0)]);
}

#[test]
fn histograms_begin_with_one_of_their_kind() {
    let custom = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        custom_values: vec![1.0, 2.0],
        ..FloatHistogram::default()
    };
    let mut head = head(true);
    let h = histogram(4);
    for (name, h) in [("int", HistogramRef::Int(&h)), ("custom", HistogramRef::Float(&custom))] {
        let refused = head.write("t", |b| {
            b.series([("__name__", name)]).histogram(T0, h).created(T0 - 1000);
        });
        assert!(refused.is_empty(), "{refused:?}");
    }
    let all = head.all("t");
    // They lie in one chunk, whose buckets they share.
    let zero = FloatHistogram { count: 0.0, positive_buckets: vec![0.0, 0.0], ..custom.clone() };
    let values = |i: usize| all[i].1.iter().map(|(t, v)| (t - T0, v.clone())).collect::<Vec<_>>();
    assert_eq!(values(0), [(-1000, float_histogram(zero)), (0, float_histogram(custom))]);
    let zero = Histogram { zero_count: 0, count: 0, sum: 0.0, positive_buckets: vec![0, 0], ..h.clone() };
    assert_eq!(values(1), [(-1000, int(zero)), (0, int(h))]);
}

#[test]
fn a_histogram_that_is_refused_begins_nothing() {
    let mut head = head(true);
    let bad = Histogram { count: 99, ..histogram(4) };
    let refused = head.write("t", |b| {
        b.series([("__name__", "h")]).histogram(T0, HistogramRef::Int(&histogram(1))).created(T0 - 1000);
    });
    assert!(refused.is_empty());
    let refused = head.write("t", |b| {
        b.series([("__name__", "h")]).histogram(T0 + 2000, HistogramRef::Int(&bad)).created(T0 + 1000);
    });
    assert_eq!(refused.histograms, 1);
    assert_eq!(head.all("t")[0].1.len(), 2);
}
