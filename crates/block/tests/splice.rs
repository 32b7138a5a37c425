//! Chunks that overlap or reach beyond the range: what a block makes of them.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use norn_block::{Block, Builder, Options};
use norn_codec::histogram::{Integers, Iter, OpenChunk};
use norn_contract::source::{ChunkBuf, SeriesSource};
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{Histogram, Span};
use norn_model::labels::Labels;
use proptest::prelude::*;
use support::{floats, push_floats, read, request, ulid};

fn through_a_block(input: &ChunkBuf, range: std::ops::Range<i64>) -> (ChunkBuf, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::create(Arc::new(Disk), dir.path(), Options::new(ulid(1), range)).unwrap();
    builder.add(&Labels::from_pairs([("a", "b")]), input).unwrap();
    let Some(meta) = builder.finish().unwrap() else { return (ChunkBuf::default(), 0) };
    let block = Block::open(&Disk, &dir.path().join(ulid(1).to_string())).unwrap();
    let selection = block_on(block.select(request(&["a=b"]))).unwrap();
    let mut out = ChunkBuf::default();
    selection.data.read(0, &mut out).unwrap();
    (out, meta.stats.num_samples)
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        count: n * 3,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n as i64, n as i64],
        ..Histogram::default()
    }
}

fn push_histograms(times: std::ops::Range<i64>, out: &mut ChunkBuf) {
    let first = times.start;
    let mut chunk = OpenChunk::<Integers>::begin(None, first, &histogram(first as u64)).unwrap();
    for t in times.skip(1) {
        chunk.append(t, &histogram(t as u64)).unwrap();
    }
    let mut bytes = Vec::new();
    chunk.finish(&mut bytes);
    out.push(ChunkEncoding::Histogram, first, chunk.last_timestamp(), &bytes);
}

#[test]
fn what_fits_is_taken_byte_for_byte() {
    let mut input = ChunkBuf::default();
    push_floats(&[(1, 1.0), (2, 2.0)], &mut input);
    push_histograms(3..20, &mut input);
    let (out, samples) = through_a_block(&input, 0..20);
    assert_eq!(samples, 19);
    let chunks =
        |buf: &ChunkBuf| buf.chunks.iter().map(|c| (c.encoding, buf.slice(c).to_vec())).collect::<Vec<_>>();
    assert_eq!(chunks(&out), chunks(&input));
}

#[test]
fn histograms_and_floats_merge_and_are_cut() {
    let mut input = ChunkBuf::default();
    push_histograms(0..100, &mut input);
    push_floats(&[(20, 1.0), (200, 2.0), (201, 2.0)], &mut input);
    push_histograms(90..150, &mut input);
    let (out, samples) = through_a_block(&input, 10..201);
    let encodings: Vec<_> = out.chunks.iter().map(|c| c.encoding).collect();
    assert_eq!(encodings.first(), Some(&ChunkEncoding::Histogram));
    assert_eq!(encodings.last(), Some(&ChunkEncoding::Xor));
    let mut times = Vec::new();
    for chunk in &out.chunks {
        if chunk.encoding == ChunkEncoding::Xor {
            times.extend(norn_codec::xor::iter(out.slice(chunk)).unwrap().map(|s| s.unwrap().0));
            continue;
        }
        let mut iter = Iter::<Integers>::new(out.slice(chunk)).unwrap();
        while let Some(t) = iter.advance().unwrap() {
            assert_eq!(iter.histogram().unwrap().positive_buckets, histogram(t as u64).positive_buckets);
            times.push(t);
        }
    }
    // At 20 the histogram was first.
    assert_eq!(times, (10..150).chain([200]).collect::<Vec<_>>());
    assert_eq!(samples, times.len() as u64);
}

#[test]
fn a_chunk_that_can_not_be_decoded_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::create(Arc::new(Disk), dir.path(), Options::new(ulid(1), 0..10)).unwrap();
    let mut input = ChunkBuf::default();
    input.push(ChunkEncoding::Xor, 5, 15, &[0, 9, 1]);
    let error = builder.add(&Labels::from_pairs([("a", "b")]), &input).err().unwrap().to_string();
    assert!(error.contains(r#"{a="b"}"#), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn floats_come_out_merged_and_cut(
        parts in prop::collection::vec((-50i64..300, prop::collection::vec((1i64..30, -5i8..5), 1..200)), 0..6),
        start in -20i64..200,
        length in 1i64..3000,
    ) {
        let mut chunks: Vec<Vec<(i64, f64)>> = Vec::new();
        for (mut t, steps) in parts {
            chunks.push(steps.into_iter().map(|(step, v)| { t += step; (t, f64::from(v)) }).collect());
        }
        chunks.sort_by_key(|c| c[0].0);
        let mut input = ChunkBuf::default();
        chunks.iter().for_each(|c| push_floats(c, &mut input));
        let mut want = BTreeMap::new();
        for &(t, v) in chunks.iter().flatten() {
            if (start..start + length).contains(&t) {
                want.entry(t).or_insert(v);
            }
        }
        let (out, samples) = through_a_block(&input, start..start + length);
        prop_assert_eq!(floats(&out), want.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(samples, floats(&out).len() as u64);
        prop_assert!(out.chunks.is_sorted_by(|a, b| a.maxt < b.mint));
    }
}

#[test]
fn a_series_without_samples_in_the_range_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let series = |v, t| (Labels::from_pairs([("a", v)]), vec![(t, 1.0)]);
    let block = support::block(dir.path(), 1, 0..10, &[series("1", 5), series("2", 15), series("3", -1)]);
    assert_eq!(read(&block, request(&[])), [series("1", 5)]);
}
