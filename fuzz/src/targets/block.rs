//! Blocks: any bytes as an index, a chunk file, `meta.json` or tombstones are read or refused.

use norn_block::file::ReadAt;
use norn_block::index::{ChunkMeta, Reader};
use norn_block::meta::Meta;
use norn_block::{Error, chunks, tombstones};
use norn_codec::crc::crc32c;
use norn_contract::source::ChunkBuf;
use norn_model::matcher::{MatchOp, Matcher};

const TOC: usize = 52;

/// Bytes: a flag (1: mend the checksums of both tables and of the table of contents), then an
/// index.
pub fn index(data: &[u8]) {
    let Some((flag, index)) = data.split_first() else { return };
    let mut index = index.to_vec();
    if flag & 1 != 0 {
        mend(&mut index);
    }
    let len = index.len();
    let Ok(reader) = Reader::open(Box::new(index)) else { return };
    assert!(reader.memory_bytes() <= 64 * len, "{} bytes of memory for {len}", reader.memory_bytes());
    let names: Vec<&str> = reader.label_names().collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    for name in names {
        let mut values = reader.label_values(name);
        assert!(reader.label_values(name).is_sorted_by(|a, b| a < b));
        let Some(value) = values.next() else { panic!("{name:?} has no value") };
        let listed = reader.postings(name, value);
        let equal = reader.select(&[Matcher::equal(name, value)]);
        // An empty value asks for the series that do not have the name.
        if !value.is_empty() {
            assert_eq!(listed.ok(), equal.ok());
        }
        if let Ok(any) = Matcher::new(MatchOp::Regex, name, ".+") {
            let _ = reader.select(&[any]);
        }
    }
    read_series(&reader);
}

/// What a series says can be used as it is.
fn read_series(reader: &Reader) {
    let Ok(all) = reader.all_postings() else { return };
    let mut cursor = reader.series();
    for at in all.into_iter().take(100) {
        let Ok(mut series) = cursor.read(at) else { continue };
        if let Ok(labels) = series.labels() {
            assert!(labels.iter().all(|(_, value)| !value.is_empty()));
        }
        let Ok(chunks) = series.chunks() else { continue };
        for chunk in chunks.map_while(Result::ok) {
            assert!(chunk.mint <= chunk.maxt);
        }
    }
}

/// Puts right checksums where the table of contents and the lengths say that they are.
fn mend(index: &mut [u8]) {
    let Some(toc) = index.len().checked_sub(TOC) else { return };
    for field in [toc, toc + 40] {
        let at = index[field..field + 8].iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        let Some(content) = at.checked_add(4).filter(|n| *n <= toc) else { continue };
        let len = index[at..content].iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        sum(&mut index[..toc], content, len);
    }
    sum(index, toc, TOC - 4);
}

fn sum(bytes: &mut [u8], at: usize, len: usize) {
    if let Some(content) = bytes.get(at..).and_then(|b| b.get(..len)) {
        let crc = crc32c(content).to_be_bytes();
        if let Some(place) = bytes.get_mut(at + len..at + len + 4) {
            place.copy_from_slice(&crc);
        }
    }
}

/// Bytes: a position, then a chunk file.
pub fn chunk_file(data: &[u8]) {
    let Some((position, file)) = data.split_first() else { return };
    let file = Box::new(file.to_vec()) as Box<dyn ReadAt>;
    let Ok(reader) = chunks::Reader::of(vec![file]) else { return };
    let meta = |at: u64| ChunkMeta { mint: 0, maxt: 0, at };
    let mut out = ChunkBuf::default();
    out.bytes.push(7);
    for metas in [vec![meta(u64::from(*position))], vec![meta(8), meta(u64::from(*position))]] {
        let before = out.chunks.len();
        match reader.read(&metas, &mut out) {
            Ok(()) => assert_eq!(out.chunks.len(), before + metas.len()),
            Err(Error::Corrupt(_) | Error::Unsupported(_)) => assert_eq!(out.chunks.len(), before),
            Err(e) => panic!("{e}"),
        }
        assert_eq!(out.bytes[0], 7);
    }
}

/// Bytes: `meta.json`. What was read is written and read alike, but for fractions in fields of
/// others, of which the last digit may change.
pub fn meta(data: &[u8]) {
    let Ok(mut meta) = Meta::decode(data) else { return };
    meta.other.clear();
    meta.compaction.other.clear();
    if let Some(thanos) = &mut meta.thanos {
        thanos.other.clear();
    }
    let again = meta.encode().and_then(|bytes| Meta::decode(&bytes));
    assert!(again.is_ok_and(|again| again == meta));
}

/// Bytes: tombstones without their checksum.
pub fn deletions(data: &[u8]) {
    let mut bytes = data.to_vec();
    let crc = crc32c(bytes.get(5..).unwrap_or_default());
    bytes.extend_from_slice(&crc.to_be_bytes());
    let Ok(found) = tombstones::decode(&bytes) else { return };
    assert!(tombstones::decode(&tombstones::encode(&found)).is_ok_and(|again| again == found));
}
