//! Chunks.

use norn_codec::histogram::{Floats, Integers, Kind, OpenChunk};
use norn_codec::xor::XorState;
use norn_codec::xor2;
use norn_model::histogram::{Histogram, ResetHint, Span};
use norn_model::sample::{STALE_NAN_BITS, stale_nan};

const TIME: i64 = 1_760_000_000_000;

/// Float chunks, encoding 1.
pub fn xor() -> Vec<Vec<u8>> {
    let counter = |i: i64| (TIME + i * 15_000, (i * 10) as f64);
    let jumping =
        |i: i64| (TIME + i * i * 977 % 100_000, if i % 7 == 3 { stale_nan() } else { (i as f64).sin() });
    let still = |_| (0, 0.0);
    let far =
        |i: i64| (if i % 2 == 0 { i64::MIN } else { i64::MAX }, f64::from_bits(STALE_NAN_BITS << (i % 9)));
    let chunk = |count: i64, sample: &dyn Fn(i64) -> (i64, f64)| {
        let (mut state, mut bytes) = (XorState::new(), Vec::new());
        for (t, v) in (0..count).map(sample) {
            assert!(state.append(&mut bytes, t, v).is_ok(), "far fewer than fit");
        }
        state.finish(&mut bytes, 0);
        bytes
    };
    vec![
        chunk(0, &still),
        chunk(1, &counter),
        chunk(120, &counter),
        chunk(60, &jumping),
        chunk(200, &still),
        chunk(9, &far),
    ]
}

/// Float chunks, encoding 4: without starts, with one that stays, and with starts that move.
pub fn xor2() -> Vec<Vec<u8>> {
    let chunk = |count: i64, start: &dyn Fn(i64) -> i64| {
        let (mut open, mut bytes) = (xor2::OpenChunk::new(), Vec::new());
        for i in 0..count {
            let value = if i % 11 == 7 { stale_nan() } else { (i / 3 * 10) as f64 };
            let t = TIME + i * 15_000 + i % 4;
            assert!(open.append(t, value, start(i)).is_ok(), "far fewer than fit");
        }
        open.finish(&mut bytes);
        bytes
    };
    let moving = |i: i64| if i < 3 { 0 } else { TIME + (i - 1) * 15_000 };
    vec![
        chunk(0, &|_| 0),
        chunk(60, &|_| 0),
        chunk(60, &|_| TIME - 1000),
        chunk(60, &moving),
        chunk(140, &|i| if i < 135 { TIME } else { TIME + 1 }),
    ]
}

fn sample(i: u64) -> Histogram {
    let wide = i > 5;
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 2,
        zero_threshold: 1e-128,
        zero_count: i,
        count: 5 * i + if wide { 2 * i } else { 0 },
        sum: i as f64 * 1.25,
        positive_spans: if wide {
            vec![Span { offset: -1, length: 3 }, Span { offset: 2, length: 1 }]
        } else {
            vec![Span { offset: -1, length: 3 }]
        },
        positive_buckets: if wide { vec![i as i64, 0, 0, i as i64] } else { vec![i as i64, 0, 0] },
        negative_spans: vec![Span { offset: 4, length: 1 }],
        negative_buckets: vec![i as i64],
        custom_values: vec![],
    }
}

fn custom(i: u64) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Gauge,
        schema: -53,
        count: 2 * i,
        sum: 1.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![i as i64, 0],
        custom_values: vec![0.5, 2.5],
        ..Histogram::default()
    }
}

fn chunk<K: Kind>(kind: u8, histograms: impl Iterator<Item = K::Histogram>) -> Vec<u8> {
    let mut open: Option<OpenChunk<K>> = None;
    for (i, h) in histograms.enumerate() {
        let t = TIME + i as i64 * 15_000;
        let start = if kind < 2 { 0 } else { TIME - 1000 + i as i64 / 5 * 60_000 };
        match &mut open {
            Some(open) => drop(open.append_with_start(t, start, &h)),
            None if kind < 2 => open = OpenChunk::begin(None, t, &h).ok(),
            None => open = OpenChunk::begin_with_start(None, t, start, &h).ok(),
        }
    }
    let mut bytes = vec![kind];
    if let Some(open) = open {
        open.finish(&mut bytes);
    }
    bytes
}

/// Histogram chunks with the kind in front.
pub fn histogram() -> Vec<Vec<u8>> {
    let stale = Histogram { sum: stale_nan(), ..Histogram::default() };
    let growing = || (0..12).map(sample).chain([stale.clone()]);
    vec![
        chunk::<Integers>(0, growing()),
        chunk::<Integers>(0, (0..4).map(custom)),
        chunk::<Floats>(1, growing().map(|h| h.to_float())),
        chunk::<Floats>(1, (0..4).map(custom).map(|h| h.to_float())),
        chunk::<Integers>(2, growing()),
        chunk::<Floats>(3, growing().map(|h| h.to_float())),
    ]
}
