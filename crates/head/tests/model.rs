//! Random records against a naive model: what is taken, what is refused, what is read back.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use norn_contract::log::Record;
use norn_head::Options;
use norn_model::Millis;
use norn_model::histogram::Histogram;
use norn_model::labels::Labels;
use norn_model::rejection::Refused;
use norn_model::sample::stale_nan;
use norn_wire::histogram::HistogramRef;
use norn_wire::settings::FoldSettings;
use proptest::prelude::*;
use support::{Head, T0, Value, float_histogram, histogram, int, plain_settings, read_all, record, settings};

const RANGE: Millis = 300_000;

/// What one series of a record carries.
#[derive(Clone, Debug)]
enum Item {
    Float(u8),
    Stale,
    Int(u8),
    FloatHistogram(u8),
}

#[derive(Clone, Debug)]
enum Step {
    Window { tenant: u8, window: Millis },
    Write { tenant: u8, parts: Vec<(u8, i16, Item)> },
}

fn step() -> impl Strategy<Value = Step> {
    let item = prop_oneof![
        6 => (0u8..3).prop_map(Item::Float),
        1 => Just(Item::Stale),
        2 => (0u8..4).prop_map(Item::Int),
        1 => (0u8..4).prop_map(Item::FloatHistogram),
    ];
    // Mostly forward, now and then at or behind the newest time.
    let shift = prop_oneof![6 => 1i16..20, 1 => Just(0i16), 2 => -150i16..0];
    let part = (0u8..5, shift, item);
    prop_oneof![
        1 => (0u8..2, prop::sample::select(vec![0, 1000, 60_000, 200_000])).prop_map(|(tenant, window)| Step::Window { tenant, window }),
        20 => (0u8..2, prop::collection::vec(part, 1..12)).prop_map(|(tenant, parts)| Step::Write { tenant, parts }),
    ]
}

/// The naive head: all samples of a series in a map.
#[derive(Default)]
struct Model {
    /// Newest time of a series that came in order.
    in_order: BTreeMap<(u8, u8), Millis>,
    series: BTreeMap<(u8, u8), BTreeMap<Millis, Value>>,
    windows: BTreeMap<u8, Millis>,
    newest: BTreeMap<u8, Millis>,
}

impl Model {
    /// Takes a sample, or says why not. `before` is the tenant's newest time before the record.
    fn write(
        &mut self,
        before: Millis,
        tenant: u8,
        series: u8,
        t: Millis,
        value: &Value,
    ) -> Option<&'static str> {
        let window = self.windows.get(&tenant).copied().unwrap_or(0);
        let tenant_newest = self.newest.entry(tenant).or_insert(Millis::MIN);
        let samples = self.series.entry((tenant, series)).or_default();
        let newest = self.in_order.entry((tenant, series)).or_insert(Millis::MIN);
        let is_early = t < before - RANGE / 2;
        if is_early && window == 0 {
            return Some("sample-timestamp-too-old");
        }
        if is_early || t < *newest {
            if window == 0 {
                return Some("sample-out-of-order");
            }
            if t < before - window {
                return Some("sample-timestamp-too-old");
            }
        }
        match samples.get(&t) {
            Some(stored) if stored == value => return None,
            Some(_) => return Some("sample-duplicate-timestamp"),
            None => {}
        }
        if !is_early {
            *newest = t.max(*newest);
        }
        samples.insert(t, value.clone());
        *tenant_newest = t.max(*tenant_newest);
        None
    }

    /// A float stale marker after a histogram ends the series as a histogram.
    fn value(&self, tenant: u8, series: u8, item: &Item) -> Value {
        let newest = self.in_order.get(&(tenant, series));
        let newest = newest.and_then(|t| Some((t, self.series.get(&(tenant, series))?.get(t)?)));
        let stale = || Histogram { sum: stale_nan(), ..Histogram::default() };
        match (item, newest) {
            (Item::Stale, Some((_, Value::Int(_)))) => int(stale()),
            (Item::Stale, Some((_, Value::FloatHistogram(_)))) => float_histogram(stale().to_float()),
            (Item::Stale, _) => Value::float(stale_nan()),
            (Item::Float(n), _) => Value::float(f64::from(*n) * 1.5),
            (Item::Int(n), _) => int(histogram(u64::from(*n))),
            (Item::FloatHistogram(n), _) => float_histogram(histogram(u64::from(*n)).to_float()),
        }
    }

    fn time(&self, tenant: u8, shift: i16) -> Millis {
        let newest = self.newest.get(&tenant).copied().unwrap_or(T0);
        newest + i64::from(shift) * 1000
    }
}

fn labels(series: u8) -> [(&'static str, &'static str); 2] {
    let name = ["a", "b", "c", "d", "e"][series as usize];
    [("__name__", "m"), ("series", name)]
}

/// The record of a step, and what the model refuses of it: ids in order.
fn play(model: &mut Model, tenant: u8, parts: &[(u8, i16, Item)]) -> (Record, Vec<&'static str>) {
    let mut refused = Vec::new();
    let first = parts.first().map_or(T0, |(_, shift, _)| model.time(tenant, *shift));
    let before = model.newest.get(&tenant).copied().unwrap_or(first);
    let made = record(["t", "u"][tenant as usize], |b| {
        for (series, shift, item) in parts {
            let t = model.time(tenant, *shift);
            let value = model.value(tenant, *series, item);
            refused.extend(model.write(before, tenant, *series, t, &value));
            let mut built = b.series(labels(*series));
            match item {
                Item::Float(n) => built.sample(t, f64::from(*n) * 1.5),
                Item::Stale => built.sample(t, stale_nan()),
                Item::Int(n) => built.histogram(t, HistogramRef::Int(&histogram(u64::from(*n)))),
                Item::FloatHistogram(n) => {
                    built.histogram(t, HistogramRef::Float(&histogram(u64::from(*n)).to_float()))
                }
            };
        }
    });
    (made, refused)
}

fn check(head: &Head, model: &Model, range: (Millis, Millis)) {
    for (tenant, id) in [(0, "t"), (1, "u")] {
        if head.reader.tenant(&support::tenant(id)).is_none() {
            assert!(model.series.keys().all(|(t, _)| *t != tenant));
            continue;
        }
        let any = [norn_model::matcher::Matcher::equal("__name__", "m")];
        let found = read_all(&*head.tenant(id), &any, range.0, range.1).unwrap();
        let found: BTreeMap<Labels, _> =
            found.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
        let within = |samples: &BTreeMap<Millis, Value>| -> BTreeMap<Millis, Value> {
            samples.range(range.0..=range.1).map(|(t, v)| (*t, v.clone())).collect()
        };
        let mine = model.series.iter().filter(|((t, _), _)| *t == tenant);
        let want: BTreeMap<Labels, _> = mine
            .map(|((_, series), samples)| (Labels::from_pairs(labels(*series)), within(samples)))
            .filter(|(_, samples)| !samples.is_empty())
            .collect();
        assert_eq!(found, want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn behaves_as_a_map_of_maps(
        steps in prop::collection::vec(step(), 1..120),
        samples_per_chunk in 1u16..12,
        ranged in (0i64..400, 0i64..400),
    ) {
        let options = Options { samples_per_chunk, chunk_range: RANGE, ..Options::default() };
        let (mut head, mut model) = (Head::new(options.clone()), Model::default());
        let mut records = Vec::new();
        for step in &steps {
            match step {
                Step::Window { tenant, window } => {
                    let new = FoldSettings { out_of_order_window: *window, ..plain_settings() };
                    let record = settings(["t", "u"][*tenant as usize], &new);
                    model.windows.insert(*tenant, *window);
                    head.apply(&record);
                    records.push(record);
                }
                Step::Write { tenant, parts } => {
                    let (record, want) = play(&mut model, *tenant, parts);
                    let refused = head.apply(&record);
                    prop_assert_eq!((refused.samples + refused.histograms) as usize, want.len());
                    prop_assert_eq!(refused.first.map(|r| r.id), want.first().copied());
                    records.push(record);
                }
            }
        }
        check(&head, &model, (Millis::MIN, Millis::MAX));
        let from = T0 + ranged.0 * 1000;
        check(&head, &model, (from, from + ranged.1 * 1000));

        // The same records again, from the start, give the same state.
        let mut again = Head::new(options);
        records.iter().for_each(|record| { again.apply(record); });
        prop_assert_eq!(again.writer.digest(), head.writer.digest());
        let mut refused = Refused::default();
        let last = again.writer.next_offset();
        let more = record("t", |b| { b.series(labels(0)).sample(Millis::MAX, 1.0); });
        again.writer.apply(last, &more, &mut refused).unwrap();
        prop_assert_ne!(again.writer.digest(), head.writer.digest());
    }
}
