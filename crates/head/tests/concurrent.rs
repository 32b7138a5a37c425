//! Readers beside the writer: nothing torn, nothing missing that was taken before.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use norn_head::{Options, Reader};
use norn_model::Millis;
use norn_model::matcher::Matcher;
use norn_wire::histogram::HistogramRef;
use norn_wire::settings::FoldSettings;
use support::{
    T0, Value, float_histogram, histogram, int, plain_settings, read_all, record, settings, tenant,
};

const SERIES: usize = 300;
const SCRAPES: i64 = 400;
const STEP: i64 = 1000;

fn float(series: usize, scrape: i64) -> f64 {
    (series as f64).sqrt() * scrape as f64
}

/// A sample at every scrape: histograms in series 0 and 1, floats in the others. Series 2 leaves
/// out every 7th sample and gets it a scrape later, out of order. New series appear all the time.
fn write(writer: &mut norn_head::Writer, scrape: i64) {
    let t = T0 + scrape * STEP;
    let made = record("t", |b| {
        for series in 0..SERIES {
            let number = series.to_string();
            let mut built = b.series([("__name__", "m"), ("series", &number)]);
            let (h, as_float) = (histogram(scrape as u64), histogram(scrape as u64).to_float());
            match series {
                0 => built.histogram(t, HistogramRef::Int(&h)),
                1 => built.histogram(t, HistogramRef::Float(&as_float)),
                2 if scrape % 7 == 3 => continue,
                2 if scrape % 7 == 4 => {
                    built.sample(t, float(2, scrape)).sample(t - STEP, float(2, scrape - 1))
                }
                _ => built.sample(t, float(series, scrape)),
            };
        }
        let fresh = scrape.to_string();
        b.series([("__name__", "churn"), ("scrape", &fresh)]).sample(t, 1.0);
    });
    let mut refused = norn_model::rejection::Refused::default();
    writer.apply(writer.next_offset(), &made, &mut refused).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Every series read has the right value for each scrape up to at least `done`, without a gap.
fn check(reader: &Reader, done: i64) {
    let Some(source) = reader.tenant(&tenant("t")) else { return };
    let found = read_all(&*source, &[Matcher::equal("__name__", "m")], Millis::MIN, Millis::MAX).unwrap();
    if done >= 0 {
        assert_eq!(found.len(), SERIES);
    }
    for (labels, samples) in found {
        let series: usize = labels.get("series").parse().unwrap();
        let last = samples.last_key_value().map_or(-1, |(t, _)| (t - T0) / STEP);
        assert!(last >= done - i64::from(series == 2), "series {series} ends at {last} before {done}");
        for scrape in 0..=last {
            let t = T0 + scrape * STEP;
            let want = match series {
                0 => int(histogram(scrape as u64)),
                1 => float_histogram(histogram(scrape as u64).to_float()),
                _ => Value::float(float(series, scrape)),
            };
            match samples.get(&t) {
                Some(value) => assert_eq!(*value, want, "series {series} scrape {scrape}"),
                None => assert!(
                    series == 2 && scrape % 7 == 3 && scrape >= last - 1,
                    "gap in {series} at {scrape}"
                ),
            }
        }
    }
    let fresh = read_all(&*source, &[Matcher::equal("__name__", "churn")], Millis::MIN, Millis::MAX).unwrap();
    assert!(fresh.len() as i64 > done);
}

#[test]
fn readers_see_consistent_prefixes() {
    let options = Options { samples_per_chunk: 20, ..Options::default() };
    let (mut writer, reader) = norn_head::new(options);
    let mut refused = norn_model::rejection::Refused::default();
    let window = FoldSettings { out_of_order_window: 10 * STEP, ..plain_settings() };
    writer.apply(0, &settings("t", &window), &mut refused).unwrap();
    let (done, over) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (reader, done, over) = (Arc::clone(&reader), Arc::clone(&done), Arc::clone(&over));
            thread::spawn(move || {
                let mut rounds = 0;
                while !over.load(Ordering::Acquire) {
                    check(&reader, done.load(Ordering::Acquire));
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    for scrape in 0..SCRAPES {
        write(&mut writer, scrape);
        done.store(scrape, Ordering::Release);
    }
    over.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    check(&reader, SCRAPES - 1);
}
