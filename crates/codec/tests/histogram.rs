//! Histogram chunks: any sequence comes back with every observation; any bytes are survived.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use norn_codec::histogram::{
    AppendError, Floats, Integers, Iter, Kind, MAX_STARTED_SAMPLES, OpenChunk, decode, decode_float,
    decode_float_with_starts,
};
use norn_codec::xor2;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};
use norn_model::sample::stale_nan;
use proptest::prelude::*;

type Counts = BTreeMap<i32, u16>;

/// What a generated sample is made of.
#[derive(Clone, Debug)]
struct Recipe {
    positive: Counts,
    negative: Counts,
    zero: u64,
    schema: i32,
    hint: ResetHint,
    stale: bool,
}

impl Recipe {
    fn histogram(&self) -> Histogram {
        if self.stale {
            return Histogram { sum: stale_nan(), ..Histogram::default() };
        }
        let (positive_spans, positive_buckets) = side(&self.positive);
        let (negative_spans, negative_buckets) = side(&self.negative);
        let observations = self.positive.values().chain(self.negative.values()).map(|c| u64::from(*c));
        Histogram {
            reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: 1e-128,
            zero_count: self.zero,
            count: self.zero + observations.sum::<u64>(),
            sum: 0.1 * self.zero as f64,
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: if self.schema == -53 { vec![0.5, 1.0] } else { Vec::new() },
        }
    }
}

fn side(counts: &Counts) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut buckets): (Vec<Span>, Vec<i64>) = Default::default();
    let (mut next, mut before) = (0, 0);
    for (&index, &count) in counts {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
        buckets.push(i64::from(count) - before);
        before = i64::from(count);
    }
    (spans, buckets)
}

/// A float histogram's observations without empty buckets.
fn observations(h: &FloatHistogram) -> [Vec<(i64, f64)>; 2] {
    [(&h.positive_spans, &h.positive_buckets), (&h.negative_spans, &h.negative_buckets)].map(
        |(spans, buckets)| {
            let mut next = 0;
            let indices = spans.iter().flat_map(|s| {
                let first = next + i64::from(s.offset);
                next = first + i64::from(s.length);
                first..next
            });
            indices.zip(buckets.iter().copied()).filter(|(_, c)| *c != 0.0).collect()
        },
    )
}

fn recipes() -> impl Strategy<Value = Vec<Recipe>> {
    let counts =
        || prop::collection::btree_map(-6i32..12, prop_oneof![1 => Just(0u16), 3 => 0u16..300], 0..9);
    let hint = prop_oneof![
        8 => Just(ResetHint::Unknown), 1 => Just(ResetHint::Reset), 1 => Just(ResetHint::NotReset), 2 => Just(ResetHint::Gauge)
    ];
    let schema = prop_oneof![12 => Just(3), 1 => Just(0), 1 => Just(-53)];
    let one = (counts(), counts(), 0u64..9, schema, hint, prop::bool::weighted(0.05));
    let jump = one.prop_map(|(positive, negative, zero, schema, hint, stale)| Recipe {
        positive,
        negative,
        zero,
        schema,
        hint,
        stale,
    });
    // Most samples grow from the one before, as a counter does.
    prop::collection::vec((jump, prop::bool::weighted(0.8)), 1..25).prop_map(|steps| {
        let mut out: Vec<Recipe> = Vec::new();
        for (step, grow) in steps {
            let next = match out.last() {
                Some(last) if grow && !last.stale && !step.stale => grown(last, &step),
                _ => step,
            };
            out.push(next);
        }
        out
    })
}

fn grown(last: &Recipe, step: &Recipe) -> Recipe {
    let add = |a: &Counts, b: &Counts| {
        // Empty buckets come and go.
        let mut sum: Counts =
            a.iter().filter(|(i, c)| **c > 0 || **i % 2 == 0).map(|(i, c)| (*i, *c)).collect();
        for (i, c) in b {
            *sum.entry(*i).or_default() += c / 16;
        }
        sum
    };
    Recipe {
        positive: add(&last.positive, &step.positive),
        negative: add(&last.negative, &step.negative),
        zero: last.zero + step.zero,
        ..last.clone()
    }
}

fn append_all<K: Kind>(samples: &[K::Histogram]) -> Vec<Vec<u8>> {
    let mut open: Vec<OpenChunk<K>> = Vec::new();
    for (t, h) in samples.iter().enumerate() {
        let t = t as i64 * 1000;
        match open.last_mut().map(|chunk| chunk.append(t, h)) {
            Some(Ok(())) => continue,
            Some(Err(AppendError::NewChunk)) | None => {}
            Some(Err(e)) => panic!("{e}"),
        }
        open.push(OpenChunk::begin(open.last(), t, h).unwrap());
    }
    let chunks = open.iter().map(|chunk| {
        let mut bytes = Vec::new();
        chunk.finish(&mut bytes);
        bytes
    });
    chunks.collect()
}

fn check<K: Kind>(
    samples: &[K::Histogram],
    wanted: &[FloatHistogram],
) -> Result<Vec<Vec<u8>>, TestCaseError> {
    let chunks = append_all::<K>(samples);
    let (mut t, mut h) = (Vec::new(), Vec::new());
    for chunk in &chunks {
        decode_float(K::ENCODING, chunk, i64::MIN, i64::MAX, &mut t, &mut h).unwrap();
        let mut again = Vec::new();
        OpenChunk::<K>::resume(chunk).unwrap().finish(&mut again);
        prop_assert_eq!(&again, chunk);
    }
    prop_assert_eq!(t, (0..wanted.len() as i64).map(|i| i * 1000).collect::<Vec<_>>());
    for (read, wanted) in h.iter().zip(wanted) {
        prop_assert_eq!(read.sum.to_bits(), wanted.sum.to_bits());
        prop_assert_eq!(
            (read.count, read.zero_count, read.schema),
            (wanted.count, wanted.zero_count, wanted.schema)
        );
        prop_assert_eq!(&read.custom_values, &wanted.custom_values);
        prop_assert_eq!(observations(read), observations(wanted));
        prop_assert_eq!(read.reset_hint == ResetHint::Gauge, wanted.reset_hint == ResetHint::Gauge);
    }
    Ok(chunks)
}

/// As [`append_all`], with starts.
fn append_started<K: Kind>(samples: &[K::Histogram], starts: &[i64]) -> Vec<Vec<u8>> {
    let mut open: Vec<OpenChunk<K>> = Vec::new();
    for (i, (h, &start)) in samples.iter().zip(starts).enumerate() {
        let t = i as i64 * 1000;
        match open.last_mut().map(|chunk| chunk.append_with_start(t, start, h)) {
            Some(Ok(())) => continue,
            Some(Err(AppendError::NewChunk)) | None => {}
            Some(Err(e)) => panic!("{e}"),
        }
        open.push(OpenChunk::begin_with_start(open.last(), t, start, h).unwrap());
    }
    let chunks = open.iter().map(|chunk| {
        let mut bytes = Vec::new();
        chunk.finish(&mut bytes);
        bytes
    });
    chunks.collect()
}

/// Starts come back, and histograms are those of chunks without starts.
fn check_started<K: Kind>(samples: &[K::Histogram], starts: &[i64]) -> Result<Vec<Vec<u8>>, TestCaseError> {
    let chunks = append_started::<K>(samples, starts);
    let (mut t, mut h, mut s) = (Vec::new(), Vec::new(), Vec::new());
    for chunk in &chunks {
        let encoding = K::ENCODING_WITH_STARTS;
        decode_float_with_starts(encoding, chunk, i64::MIN, i64::MAX, &mut t, &mut h, &mut s).unwrap();
        let mut again = Vec::new();
        OpenChunk::<K>::resume_with_starts(chunk).unwrap().finish(&mut again);
        prop_assert_eq!(&again, chunk);
    }
    prop_assert_eq!(&s[..], &starts[..s.len()]);
    let (mut plain_t, mut plain) = (Vec::new(), Vec::new());
    for chunk in append_all::<K>(samples) {
        decode_float(K::ENCODING, &chunk, i64::MIN, i64::MAX, &mut plain_t, &mut plain).unwrap();
    }
    prop_assert_eq!(t, plain_t);
    prop_assert_eq!(format!("{h:?}"), format!("{plain:?}"));
    Ok(chunks)
}

/// No reset is hidden inside a chunk of counters.
fn check_resets(chunks: &[Vec<u8>]) -> Result<(), TestCaseError> {
    for chunk in chunks {
        let (mut t, mut h) = (Vec::new(), Vec::new());
        decode_float(ChunkEncoding::Histogram, chunk, i64::MIN, i64::MAX, &mut t, &mut h).unwrap();
        for pair in h.windows(2).filter(|p| p[1].reset_hint == ResetHint::NotReset && !p[0].is_stale()) {
            prop_assert!(pair[0].count <= pair[1].count && pair[0].zero_count <= pair[1].zero_count);
            for (before, after) in observations(&pair[0]).iter().zip(&observations(&pair[1])) {
                let after: BTreeMap<_, _> = after.iter().copied().collect();
                prop_assert!(before.iter().all(|(i, c)| after.get(i).is_some_and(|a| a >= c)));
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_observation_comes_back(recipes in recipes()) {
        let integers: Vec<_> = recipes.iter().map(Recipe::histogram).collect();
        let floats: Vec<_> = integers.iter().map(Histogram::to_float).collect();
        let chunks = check::<Integers>(&integers, &floats)?;
        check_resets(&chunks)?;
        check::<Floats>(&floats, &floats)?;
    }

    #[test]
    fn every_start_comes_back(
        recipes in recipes(),
        starts in prop::collection::vec(prop_oneof![3 => Just(0), 3 => -500..9000i64, 1 => any::<i64>()], 200),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let starts: Vec<_> = starts.into_iter().cycle().take(recipes.len()).collect();
        let integers: Vec<_> = recipes.iter().map(Recipe::histogram).collect();
        let floats: Vec<_> = integers.iter().map(Histogram::to_float).collect();
        let mut chunks = check_started::<Integers>(&integers, &starts)?;
        chunks.extend(check_started::<Floats>(&floats, &starts)?);
        for mut bytes in chunks {
            let i = at.index(bytes.len());
            bytes[i] = byte;
            survive(&bytes);
        }
    }

    #[test]
    fn survives_mutation(recipes in recipes(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let integers: Vec<_> = recipes.iter().map(Recipe::histogram).collect();
        let floats: Vec<_> = integers.iter().map(Histogram::to_float).collect();
        let chunks = append_all::<Integers>(&integers).into_iter().chain(append_all::<Floats>(&floats));
        for mut bytes in chunks {
            let i = at.index(bytes.len());
            bytes[i] = byte;
            bytes.truncate(cut.index(bytes.len() * 4));
            survive(&bytes);
        }
    }

    #[test]
    fn survives_garbage(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&bytes);
        let _ = xor2::decode(&bytes, 0, i64::MAX, &mut Vec::new(), &mut Vec::new());
    }
}

fn survive(bytes: &[u8]) {
    for encoding in [ChunkEncoding::Histogram, ChunkEncoding::FloatHistogram] {
        let (mut t, mut h) = (Vec::new(), Vec::new());
        let result = decode_float(encoding, bytes, i64::MIN, i64::MAX, &mut t, &mut h);
        assert_eq!(t.len(), h.len());
        assert!(result.is_ok() || t.is_empty());
    }
    for encoding in [ChunkEncoding::HistogramStarts, ChunkEncoding::FloatHistogramStarts] {
        let (mut t, mut h, mut s) = (Vec::new(), Vec::new(), Vec::new());
        let result = decode_float_with_starts(encoding, bytes, i64::MIN, i64::MAX, &mut t, &mut h, &mut s);
        assert_eq!((t.len(), t.len()), (h.len(), s.len()));
        assert!(result.is_ok() || t.is_empty());
    }
    if let Ok(mut chunk) = OpenChunk::<Integers>::resume_with_starts(bytes) {
        let _ = chunk.append_with_start(chunk.last_timestamp(), 7, &Histogram::default());
    }
    let _ = decode::<Integers>(bytes, 0, i64::MAX, &mut Vec::new(), &mut Vec::new());
    if let Ok(mut chunk) = OpenChunk::<Integers>::resume(bytes) {
        let _ = chunk.append(chunk.last_timestamp(), &Histogram::default());
    }
    if let Ok(mut chunk) = OpenChunk::<Floats>::resume(bytes) {
        let _ = chunk.append(chunk.last_timestamp(), &FloatHistogram::default());
    }
}

#[test]
fn unsound_histograms_are_refused() {
    let sound = Histogram {
        count: 1,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![1],
        ..Histogram::default()
    };
    let mut chunk = OpenChunk::<Integers>::begin(None, 0, &sound).unwrap();
    let spans = |spans: &[(i32, u32)]| Histogram {
        positive_spans: spans.iter().map(|&(offset, length)| Span { offset, length }).collect(),
        ..sound.clone()
    };
    for bad in
        [&[(0, 2)][..], &[], &[(0, u32::MAX)], &[(i32::MAX, 1)], &[(0, 1), (-1, 0)], &[(0, u32::MAX), (0, 2)]]
    {
        let bad = spans(bad);
        assert!(matches!(chunk.append(1, &bad), Err(AppendError::Invalid(_))), "{bad:?}");
        assert!(OpenChunk::<Integers>::begin(None, 1, &bad).is_err());
    }
    assert_eq!(chunk.append(1, &sound), Ok(()));
    assert_eq!(chunk.count(), 2);
}

#[test]
fn a_chunk_without_starts_takes_none() {
    let h = Histogram::default();
    let mut plain = OpenChunk::<Integers>::begin(None, 0, &h).unwrap();
    assert_eq!(plain.append_with_start(1, 5, &h), Err(AppendError::NewChunk));
    assert_eq!((plain.append(1, &h), plain.encoding()), (Ok(()), ChunkEncoding::Histogram));
    let mut started = OpenChunk::begin_with_start(Some(&plain), 2, 5, &h).unwrap();
    for i in 1..i64::from(MAX_STARTED_SAMPLES) {
        started.append_with_start(2 + i, i / 100, &h).unwrap();
    }
    assert_eq!(started.append(1 << 20, &h), Err(AppendError::NewChunk));
    let mut bytes = Vec::new();
    started.finish(&mut bytes);
    let iter = Iter::<Integers>::of(started.encoding(), &bytes).unwrap();
    assert_eq!((iter.count(), iter.header()), (usize::from(MAX_STARTED_SAMPLES), ResetHint::NotReset));
}

#[test]
fn a_full_chunk_asks_for_another() {
    let h = FloatHistogram::default();
    let mut chunk = OpenChunk::<Floats>::begin(None, 0, &h).unwrap();
    for t in 1..i64::from(u16::MAX) {
        chunk.append(t, &h).unwrap();
    }
    assert_eq!(chunk.append(1 << 20, &h), Err(AppendError::NewChunk));
    let mut bytes = Vec::new();
    chunk.finish(&mut bytes);
    assert_eq!(Iter::<Floats>::new(&bytes).unwrap().count(), usize::from(u16::MAX));
}
