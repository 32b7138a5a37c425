//! Indexes written and read, cut, changed, and of version 1.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use norn_codec::crc::crc32c;
use norn_codec::varint::{put_uvarint, put_varint};
use norn_log::disk::Disk;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;

use super::toc::Toc;
use super::{ChunkMeta, Reader, Writer};
use crate::Error;

type Series = BTreeMap<Labels, Vec<ChunkMeta>>;

fn write(series: &Series, max_postings: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut writer = Writer::create(Arc::new(Disk), &path).unwrap().with_max_postings(max_postings);
    for (labels, chunks) in series {
        writer.add(labels, chunks).unwrap();
    }
    let written = writer.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((written.series as usize, written.bytes), (series.len(), bytes.len() as u64));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the spool is left");
    bytes
}

fn open(bytes: &[u8]) -> Result<Reader, Error> {
    Reader::open(Box::new(bytes.to_vec()))
}

/// Everything a reader can give.
type Content = (Vec<(Labels, Vec<ChunkMeta>)>, BTreeMap<(String, String), Vec<Labels>>);

fn content(bytes: &[u8]) -> Result<Content, Error> {
    let index = open(bytes)?;
    let mut cursor = index.series();
    let mut all = Vec::new();
    let mut by_ref = BTreeMap::new();
    for at in index.all_postings()? {
        let mut series = cursor.read(at)?;
        let labels = series.labels()?;
        all.push((labels.clone(), series.chunks()?.collect::<Result<Vec<_>, _>>()?));
        by_ref.insert(at, labels);
    }
    let mut lists = BTreeMap::new();
    for name in index.label_names() {
        for value in index.label_values(name) {
            let list = index.postings(name, value)?;
            let labels: Option<Vec<Labels>> = list.iter().map(|at| by_ref.get(at).cloned()).collect();
            let labels = labels.ok_or_else(|| Error::corrupt("a series that is not there"))?;
            lists.insert((name.to_owned(), value.to_owned()), labels);
        }
    }
    Ok((all, lists))
}

fn expected(series: &Series) -> Content {
    let mut lists: BTreeMap<(String, String), Vec<Labels>> = BTreeMap::new();
    for labels in series.keys() {
        for (name, value) in labels {
            lists.entry((name.to_owned(), value.to_owned())).or_default().push(labels.clone());
        }
    }
    (series.iter().map(|(l, c)| (l.clone(), c.clone())).collect(), lists)
}

fn labels() -> impl Strategy<Value = Labels> {
    let name = prop::sample::select(&["a", "b", "__name__", "é", "long_name"][..]);
    let value = prop_oneof![
        prop::sample::select(&["1", "2", "10", "x", "é\"\n"][..]).prop_map(str::to_owned),
        "[ab]{1,200}",
    ];
    prop::collection::vec((name, value), 0..5).prop_map(Labels::from_pairs)
}

fn chunks() -> impl Strategy<Value = Vec<ChunkMeta>> {
    let steps = prop::collection::vec((1i64..1 << 40, 0i64..1 << 40, 0u64..1 << 20), 1..6);
    (-(1i64 << 41)..1 << 41, steps).prop_map(|(mut t, steps)| {
        let mut at = 8;
        let chunk = |(gap, length, bytes)| {
            let mint = t + gap;
            t = mint + length;
            at += bytes;
            ChunkMeta { mint, maxt: t, at }
        };
        steps.into_iter().map(chunk).collect()
    })
}

fn series(max: usize) -> impl Strategy<Value = Series> {
    prop::collection::btree_map(labels(), chunks(), 0..max)
}

fn some_matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let op =
        prop::sample::select(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][..]);
    let name = prop::sample::select(&["a", "b", "__name__", "none"][..]);
    let value = prop::sample::select(&["1", "10", "", "x", "1|2", "1.*", ".+", ".*", "[ab]+", "a.*b"][..]);
    let matcher = (op, name, value).prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap());
    prop::collection::vec(matcher, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trips_in_one_pass_or_many(series in series(30), max_postings in 1usize..20) {
        let bytes = write(&series, usize::MAX);
        prop_assert_eq!(content(&bytes).unwrap(), expected(&series));
        prop_assert!(write(&series, max_postings) == bytes);
    }

    #[test]
    fn selects_what_matches(series in series(40), sets in prop::collection::vec(some_matchers(), 1..12)) {
        let bytes = write(&series, usize::MAX);
        let index = open(&bytes).unwrap();
        let mut cursor = index.series();
        for matchers in sets {
            let found = index.select(&matchers).unwrap();
            let found: Vec<Labels> = found.iter().map(|at| cursor.read(*at).unwrap().labels().unwrap()).collect();
            let passes = |l: &&Labels| matchers.iter().all(|m| m.matches(l.get(m.name())));
            let want: Vec<Labels> = series.keys().filter(passes).cloned().collect();
            prop_assert_eq!(found, want, "{:?}", matchers);
        }
    }

    #[test]
    fn wild_bytes_never_panic(series in series(10), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut bytes = write(&series, usize::MAX);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = content(&resummed(bytes));
    }
}

/// The same bytes with a right checksum of the table of contents, the symbols and the offset
/// table, so that what stands behind the checksums is looked at.
fn resummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len();
    let sum = |bytes: &mut Vec<u8>, at: usize, len: usize| {
        if let Some(content) = bytes.get(at..at + len) {
            let crc = crc32c(content).to_be_bytes();
            if let Some(place) = bytes.get_mut(at + len..at + len + 4) {
                place.copy_from_slice(&crc);
            }
        }
    };
    sum(&mut bytes, end - 52, 48);
    for toc_at in [end - 52, end - 12] {
        let at = u64::from_be_bytes(bytes[toc_at..toc_at + 8].try_into().unwrap()) as usize;
        if let Some(len) = bytes.get(at..at.saturating_add(4)) {
            let len = u32::from_be_bytes(len.try_into().unwrap()) as usize;
            sum(&mut bytes, at + 4, len);
        }
    }
    bytes
}

/// More than any buffer or window holds, and more lists than one pass.
#[test]
fn many_series_come_back() {
    let chunk = |i: i64| ChunkMeta { mint: i, maxt: i + 7, at: 8 + i as u64 };
    let labels = |i: i64| {
        let pairs = [
            ("__name__", format!("metric_{}", i % 50)),
            ("instance", format!("host-{i:05}.example.org:9100")),
        ];
        Labels::from_pairs(pairs)
    };
    let series: Series = (0..20_000).map(|i| (labels(i), vec![chunk(i), chunk(i + 8)])).collect();
    let bytes = write(&series, 30_000);
    assert!(bytes.len() > 1 << 20);
    assert!(content(&bytes).unwrap() == expected(&series));
    assert!(write(&series, usize::MAX) == bytes);
    let index = open(&bytes).unwrap();
    let found = index.select(&[Matcher::new(MatchOp::Regex, "instance", "host-0[0-4].*").unwrap()]).unwrap();
    assert_eq!(found.len(), 5000);
    assert!(found.is_sorted());
}

fn few() -> Series {
    let chunk = |mint, maxt, at| ChunkMeta { mint, maxt, at };
    let pairs = |n: &str| [("__name__".to_owned(), "up".to_owned()), ("i".to_owned(), n.to_owned())];
    Series::from([
        (Labels::from_pairs(pairs("a")), vec![chunk(-5, 10, 8), chunk(11, 11, 100)]),
        (Labels::from_pairs(pairs("b")), vec![chunk(i64::MIN, i64::MAX, 1 << 32 | 8)]),
        (Labels::from_pairs([("__name__", "x")]), vec![chunk(0, 0, u64::MAX)]),
    ])
}

#[test]
fn refuses_every_cut_and_every_change_that_matters() {
    let bytes = write(&few(), usize::MAX);
    let whole = content(&bytes).unwrap();
    assert_eq!(whole, expected(&few()));
    let mut tolerated = 0;
    for i in 0..bytes.len() {
        assert!(content(&bytes[..i]).is_err(), "cut at {i}");
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[i] ^= 1 << bit;
            match content(&changed) {
                Ok(got) => {
                    assert_eq!(got, whole, "byte {i} bit {bit}");
                    tolerated += 1;
                }
                Err(e) => assert!(matches!(e, Error::Corrupt(_) | Error::Unsupported(_)), "{e}"),
            }
        }
    }
    // Padding, and the version byte where it becomes 3.
    let padding = bytes.len() - covered(&bytes);
    assert_eq!(tolerated, padding * 8 + 1);
}

/// Bytes that are not padding.
fn covered(bytes: &[u8]) -> usize {
    let toc = Toc::read(&bytes.to_vec()).unwrap();
    let index = open(bytes).unwrap();
    let entries: Vec<u64> = index.all_postings().unwrap().iter().map(|at| u64::from(*at) * 16).collect();
    let entry_bytes: u64 = entries.iter().map(|at| 1 + u64::from(bytes[*at as usize]) + 4).sum();
    let first_list = toc.postings.next_multiple_of(4);
    (toc.series + entry_bytes + (bytes.len() as u64 - first_list)) as usize
}

#[test]
fn the_writer_refuses_disorder() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(Arc::new(Disk), &dir.path().join("index")).unwrap();
    let chunk = |mint, maxt, at| ChunkMeta { mint, maxt, at };
    let labels = |value| Labels::from_pairs([("a", value)]);
    writer.add(&labels("b"), &[chunk(1, 2, 8)]).unwrap();
    for (labels, chunks) in [
        (labels("b"), vec![chunk(1, 2, 8)]),
        (labels("a"), vec![chunk(1, 2, 8)]),
        (labels("c"), vec![chunk(2, 1, 8)]),
        (labels("c"), vec![chunk(1, 2, 8), chunk(2, 3, 20)]),
        (labels("c"), vec![chunk(1, 2, 20), chunk(3, 4, 8)]),
    ] {
        let added = writer.add(&labels, &chunks);
        assert!(matches!(added, Err(Error::Invalid(_))), "{labels} {chunks:?}");
    }
    writer.add(&labels("c"), &[chunk(1, 2, 8), chunk(3, 3, 8)]).unwrap();
}

fn framed(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes(), content, &crc32c(content).to_be_bytes()].concat()
}

fn text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Positions of symbols in the file, in version 1, and the section.
fn symbols_v1(texts: &[&str]) -> (Vec<u64>, Vec<u8>) {
    let mut content = (texts.len() as u32).to_be_bytes().to_vec();
    let mut positions = Vec::new();
    for t in texts {
        positions.push(5 + 4 + content.len() as u64);
        text(&mut content, t);
    }
    (positions, framed(&content))
}

#[test]
fn reads_version_1() {
    let (symbols, section) = symbols_v1(&["", "a", "b", "x", "y"]);
    let mut bytes = [&super::MAGIC[..], &[1], &section].concat();
    let mut places = Vec::new();
    for pairs in [&[(1, 3), (2, 4)][..], &[(1, 4)]] {
        let mut content = Vec::new();
        put_uvarint(&mut content, pairs.len() as u64);
        for (name, value) in pairs {
            put_uvarint(&mut content, symbols[*name]);
            put_uvarint(&mut content, symbols[*value]);
        }
        put_uvarint(&mut content, 1);
        put_varint(&mut content, 7);
        put_uvarint(&mut content, 2);
        put_uvarint(&mut content, 8);
        places.push(bytes.len() as u32);
        let mut length = Vec::new();
        put_uvarint(&mut length, content.len() as u64);
        bytes.extend([&length, &content[..], &crc32c(&content).to_be_bytes()].concat());
    }
    let mut table = 4u32.to_be_bytes().to_vec();
    // In no order, as old writers left it.
    for (name, value, series) in
        [("b", "y", &places[..1]), ("a", "y", &places[1..]), ("", "", &places[..]), ("a", "x", &places[..1])]
    {
        table.push(2);
        text(&mut table, name);
        text(&mut table, value);
        put_uvarint(&mut table, bytes.len() as u64);
        let mut list = (series.len() as u32).to_be_bytes().to_vec();
        list.extend(series.iter().flat_map(|at| at.to_be_bytes()));
        bytes.extend(framed(&list));
    }
    let at = bytes.len() as u64;
    bytes.extend(framed(&table));
    let toc = Toc {
        symbols: 5,
        series: 0,
        label_indices: 0,
        label_index_table: 0,
        postings: 0,
        postings_table: at,
    };
    bytes.extend(toc.encode());

    let chunk = vec![ChunkMeta { mint: 7, maxt: 9, at: 8 }];
    let series = Series::from([
        (Labels::from_pairs([("a", "x"), ("b", "y")]), chunk.clone()),
        (Labels::from_pairs([("a", "y")]), chunk),
    ]);
    assert_eq!(content(&bytes).unwrap(), expected(&series));
    let names: BTreeSet<String> = open(&bytes).unwrap().label_names().map(str::to_owned).collect();
    assert_eq!(names, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
}
