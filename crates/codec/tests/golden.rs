//! Chunks as Prometheus writes them, both ways. `testdata/README.md` describes the files.
#![allow(clippy::unwrap_used)]

use norn_codec::histogram::{
    AppendError, Floats, Integers, Iter, Kind, OpenChunk, decode_float, decode_float_with_starts,
};
use norn_codec::xor::XorState;
use norn_codec::{xor, xor2};
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};

/// The lines of a file by case: name, then (tag, rest).
fn cases(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let mut cases: Vec<(&str, Vec<_>)> = Vec::new();
    for (tag, rest) in text.lines().filter_map(|l| l.split_once(' ')) {
        match tag {
            "case" => cases.push((rest, Vec::new())),
            _ => cases.last_mut().unwrap().1.push((tag, rest)),
        }
    }
    assert!(cases.len() > 5);
    cases
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn bits(text: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(text, 16).unwrap())
}

/// Samples of a float case as bits, and the chunk.
fn floats(lines: &[(&str, &str)]) -> (Vec<(i64, u64)>, Vec<u8>) {
    let samples = lines.iter().filter(|l| l.0 == "s").map(|l| {
        let (t, v) = l.1.split_once(' ').unwrap();
        (t.parse().unwrap(), bits(v).to_bits())
    });
    (samples.collect(), unhex(lines.last().unwrap().1))
}

fn pairs(timestamps: &[i64], values: &[f64]) -> Vec<(i64, u64)> {
    timestamps.iter().copied().zip(values.iter().map(|v| v.to_bits())).collect()
}

#[test]
fn xor_both_ways() {
    for (name, lines) in cases(include_str!("../testdata/xor.txt")) {
        let (samples, chunk) = floats(&lines);
        let (mut state, mut bytes) = (XorState::new(), Vec::new());
        for &(t, v) in &samples {
            state.append(&mut bytes, t, f64::from_bits(v)).unwrap();
        }
        state.finish(&mut bytes, 0);
        assert_eq!(bytes, chunk, "{name}");
        let read: Vec<_> =
            xor::iter(&chunk).unwrap().map(|s| s.map(|(t, v)| (t, v.to_bits())).unwrap()).collect();
        assert_eq!(read, samples, "{name}");
    }
}

/// Lines without their last field, which is the start of a series, and these starts.
fn split_starts<'a>(lines: &[(&'a str, &'a str)]) -> (Vec<(&'a str, &'a str)>, Vec<i64>) {
    let split = lines.iter().map(|(tag, rest)| match rest.rsplit_once(' ') {
        Some((rest, start)) => ((*tag, rest), Some(start.parse().unwrap())),
        None => ((*tag, *rest), None),
    });
    let (lines, starts): (Vec<_>, Vec<_>) = split.unzip();
    (lines, starts.into_iter().flatten().collect())
}

#[test]
fn xor2_both_ways() {
    for (name, lines) in cases(include_str!("../testdata/xor2.txt")) {
        let (lines, starts) = split_starts(&lines);
        let (samples, chunk) = floats(&lines);
        let mut open = xor2::OpenChunk::new();
        for (&(t, v), start) in samples.iter().zip(&starts) {
            open.append(t, f64::from_bits(v), *start).unwrap();
        }
        let mut bytes = Vec::new();
        open.finish(&mut bytes);
        assert_eq!(bytes, chunk, "{name}");
        assert_eq!(bytes.len(), open.size_bytes());
        let (mut t, mut v, mut s) = (Vec::new(), Vec::new(), Vec::new());
        xor2::decode_with_starts(&chunk, i64::MIN, i64::MAX, &mut t, &mut v, &mut s).unwrap();
        assert_eq!((pairs(&t, &v), &s), (samples.clone(), &starts), "{name}");
        (t, v) = (Vec::new(), Vec::new());
        xor2::decode(&chunk, i64::MIN, i64::MAX, &mut t, &mut v).unwrap();
        assert_eq!(pairs(&t, &v), samples, "{name}");
        for len in 0..chunk.len() {
            assert!(xor2::decode(&chunk[..len], i64::MIN, i64::MAX, &mut t, &mut v).is_err(), "{name} {len}");
        }
        assert_eq!(t.len(), samples.len());
    }
}

fn list<T>(text: &str, item: impl Fn(&str) -> T) -> Vec<T> {
    let inner = &text[1..text.len() - 1];
    if inner.is_empty() { Vec::new() } else { inner.split(',').map(item).collect() }
}

fn span(text: &str) -> Span {
    let (offset, length) = text.split_once(':').unwrap();
    Span { offset: offset.parse().unwrap(), length: length.parse().unwrap() }
}

fn hint(text: &str) -> ResetHint {
    [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge]
        [text.parse::<usize>().unwrap()]
}

fn parse_int(line: &str) -> (i64, Histogram) {
    let f: Vec<_> = line.split(' ').collect();
    let h = Histogram {
        reset_hint: hint(f[1]),
        schema: f[2].parse().unwrap(),
        zero_threshold: bits(f[3]),
        count: f[4].parse().unwrap(),
        zero_count: f[5].parse().unwrap(),
        sum: bits(f[6]),
        positive_spans: list(f[7], span),
        negative_spans: list(f[8], span),
        positive_buckets: list(f[9], |b| b.parse().unwrap()),
        negative_buckets: list(f[10], |b| b.parse().unwrap()),
        custom_values: list(f[11], bits),
    };
    (f[0].parse().unwrap(), h)
}

fn parse_float(line: &str) -> (i64, FloatHistogram) {
    let f: Vec<_> = line.split(' ').collect();
    let h = FloatHistogram {
        reset_hint: hint(f[1]),
        schema: f[2].parse().unwrap(),
        zero_threshold: bits(f[3]),
        count: bits(f[4]),
        zero_count: bits(f[5]),
        sum: bits(f[6]),
        positive_spans: list(f[7], span),
        negative_spans: list(f[8], span),
        positive_buckets: list(f[9], bits),
        negative_buckets: list(f[10], bits),
        custom_values: list(f[11], bits),
    };
    (f[0].parse().unwrap(), h)
}

/// Appends as a head does, and gives the chunks.
fn append_all<K: Kind>(samples: &[(i64, K::Histogram)]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut open: Option<OpenChunk<K>> = None;
    for (t, h) in samples {
        match open.as_mut().map(|chunk| chunk.append(*t, h)) {
            Some(Ok(())) => continue,
            Some(Err(AppendError::NewChunk)) | None => {}
            Some(Err(e)) => panic!("{e}"),
        }
        let next = OpenChunk::begin(open.as_ref(), *t, h).unwrap();
        chunks.extend(open.replace(next).map(|c| finished(&c)));
    }
    chunks.extend(open.map(|c| finished(&c)));
    chunks
}

fn finished<K: Kind>(chunk: &OpenChunk<K>) -> Vec<u8> {
    let mut bytes = Vec::new();
    chunk.finish(&mut bytes);
    assert_eq!(bytes.len(), chunk.size_bytes());
    bytes
}

fn read_all<K: Kind>(chunk: &[u8]) -> Vec<(i64, K::Histogram)> {
    let mut iter = Iter::<K>::new(chunk).unwrap();
    let mut out = Vec::new();
    while let Some(t) = iter.advance().unwrap() {
        out.push((t, iter.histogram().unwrap()));
    }
    out
}

/// Equal with floats compared by their bits: stale markers are NaN.
fn same(a: &impl std::fmt::Debug, b: &impl std::fmt::Debug) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn both_ways<K: Kind>(text: &str, parse: fn(&str) -> (i64, K::Histogram), tag: &str)
where
    K::Histogram: std::fmt::Debug,
{
    for (name, lines) in cases(text) {
        let of = |tag| lines.iter().filter(move |l| l.0 == tag).map(|l| l.1);
        let input: Vec<_> = of("in").map(parse).collect();
        let chunks: Vec<_> = of("chunk").map(unhex).collect();
        assert_eq!(append_all::<K>(&input), chunks, "{name}");
        let exact: Vec<_> = chunks.iter().flat_map(|c| read_all::<K>(c)).collect();
        let wanted: Vec<_> = of(tag).map(parse).collect();
        assert!(same(&exact, &wanted), "{name}\n{exact:#?}\n{wanted:#?}");
        let (mut t, mut h) = (Vec::new(), Vec::new());
        for chunk in &chunks {
            decode_float(K::ENCODING, chunk, i64::MIN, i64::MAX, &mut t, &mut h).unwrap();
            assert_eq!(finished(&OpenChunk::<K>::resume(chunk).unwrap()), *chunk, "{name}");
            for len in 0..chunk.len() {
                assert!(decode_float(K::ENCODING, &chunk[..len], 0, i64::MAX, &mut t, &mut h).is_err());
            }
        }
        let floats: Vec<_> = t.into_iter().zip(h).collect();
        let wanted: Vec<_> = of("float").map(parse_float).collect();
        assert!(same(&floats, &wanted), "{name}\n{floats:#?}\n{wanted:#?}");
    }
}

#[test]
fn histograms_both_ways() {
    both_ways::<Integers>(include_str!("../testdata/histogram.txt"), parse_int, "int");
}

#[test]
fn float_histograms_both_ways() {
    both_ways::<Floats>(include_str!("../testdata/float_histogram.txt"), parse_float, "float");
}

/// Appends as a head does to chunks with starts, and gives them.
fn append_started<K: Kind>(samples: &[(i64, K::Histogram)], starts: &[i64]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut open: Option<OpenChunk<K>> = None;
    for ((t, h), start) in samples.iter().zip(starts) {
        match open.as_mut().map(|chunk| chunk.append_with_start(*t, *start, h)) {
            Some(Ok(())) => continue,
            Some(Err(AppendError::NewChunk)) | None => {}
            Some(Err(e)) => panic!("{e}"),
        }
        let next = OpenChunk::begin_with_start(open.as_ref(), *t, *start, h).unwrap();
        assert_eq!(next.encoding(), K::ENCODING_WITH_STARTS);
        chunks.extend(open.replace(next).map(|c| finished(&c)));
    }
    chunks.extend(open.map(|c| finished(&c)));
    chunks
}

fn starts_both_ways<K: Kind>(text: &str, parse: fn(&str) -> (i64, K::Histogram))
where
    K::Histogram: std::fmt::Debug,
{
    for (name, lines) in cases(text) {
        let of = |tag| split_starts(&lines.iter().copied().filter(|l| l.0 == tag).collect::<Vec<_>>());
        let (input, starts) = of("in");
        let input: Vec<_> = input.into_iter().map(|l| parse(l.1)).collect();
        let chunks: Vec<_> = lines.iter().filter(|l| l.0 == "chunk").map(|l| unhex(l.1)).collect();
        assert_eq!(append_started::<K>(&input, &starts), chunks, "{name}");
        let (mut t, mut h, mut s) = (Vec::new(), Vec::new(), Vec::new());
        let encoding = K::ENCODING_WITH_STARTS;
        for chunk in &chunks {
            decode_float_with_starts(encoding, chunk, i64::MIN, i64::MAX, &mut t, &mut h, &mut s).unwrap();
            assert_eq!(finished(&OpenChunk::<K>::resume_with_starts(chunk).unwrap()), *chunk, "{name}");
            let count = norn_codec::sample_count(encoding, chunk).unwrap();
            assert_eq!(Iter::<K>::with_starts(chunk).unwrap().count(), usize::from(count), "{name}");
            let before = (t.len(), h.len(), s.len());
            for len in 0..chunk.len() {
                let cut = &chunk[..len];
                assert!(
                    decode_float_with_starts(encoding, cut, 0, i64::MAX, &mut t, &mut h, &mut s).is_err()
                );
            }
            assert_eq!((t.len(), h.len(), s.len()), before);
        }
        let (floats, starts) = of("float");
        let wanted: Vec<_> = floats.into_iter().map(|l| parse_float(l.1)).collect();
        let floats: Vec<_> = t.into_iter().zip(h).collect();
        assert!(same(&floats, &wanted), "{name}\n{floats:#?}\n{wanted:#?}");
        assert_eq!(s, starts, "{name}");
    }
}

#[test]
fn histograms_with_starts_both_ways() {
    starts_both_ways::<Integers>(include_str!("../testdata/histogram_starts.txt"), parse_int);
}

#[test]
fn float_histograms_with_starts_both_ways() {
    starts_both_ways::<Floats>(include_str!("../testdata/float_histogram_starts.txt"), parse_float);
}

#[test]
fn float_chunks_hold_no_histograms() {
    for encoding in [ChunkEncoding::Xor, ChunkEncoding::Xor2] {
        assert!(decode_float(encoding, &[0; 100], 0, 1, &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
