//! A block as a source of series, alone and merged with others.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use futures::executor::block_on;
use norn_block::Block;
use norn_contract::merge::Merged;
use norn_contract::source::{
    Coverage, LabelsRequest, MetadataRequest, Need, SelectRequest, SeriesSource, SourceError,
};
use norn_log::disk::Disk;
use norn_model::labels::Labels;
use support::{Floats, block, matchers, read, request, ulid};

fn series(name: &str, instance: u32, times: impl Iterator<Item = i64>) -> Floats {
    let labels = Labels::from_pairs([("__name__", name), ("instance", &format!("{instance:03}"))]);
    (labels, times.map(|t| (t, t as f64 + f64::from(instance))).collect())
}

fn all(range: std::ops::Range<i64>) -> Vec<Floats> {
    let times = || range.clone().step_by(10);
    let mut all: Vec<Floats> = (0..200).map(|i| series("cpu", i, times())).collect();
    all.extend((0..3).map(|i| series("up", i, times().take(5 * (i as usize + 1)))));
    all
}

fn labels_request(texts: &[&str], mint: i64, maxt: i64, limit: usize) -> LabelsRequest {
    let matchers = if texts.is_empty() { Vec::new() } else { vec![matchers(texts)] };
    LabelsRequest { matchers, mint, maxt, limit }
}

#[test]
fn selects_in_label_order_by_matchers_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let written = all(0..2000);
    let block = block(dir.path(), 1, 0..2000, &written);
    assert_eq!(read(&block, request(&["__name__=~.+"])), written);
    assert_eq!(read(&block, request(&["__name__=up", "instance!=001"])).len(), 2);
    // Chunks hold 50 samples, 500 ms: 500…999 takes one of them, and only the series that are there.
    let part = SelectRequest { mint: 520, maxt: 980, ..request(&["__name__!="]) };
    let found = read(&block, part);
    assert_eq!(found.len(), 200);
    assert!(found.iter().all(|(_, s)| s.len() == 50 && s[0].0 == 500));
    let selection = block_on(block.select(request(&["__name__=up"]))).unwrap();
    assert_eq!(selection.coverage, Coverage { mint: 0, maxt: 1999 });
    let beside = SelectRequest { mint: 2000, maxt: 5000, ..request(&["__name__=up"]) };
    assert!(read(&block, beside).is_empty());
}

#[test]
fn holds_the_limit_of_series() {
    let dir = tempfile::tempdir().unwrap();
    let block = block(dir.path(), 1, 0..2000, &all(0..2000));
    let limited = |max_series| {
        let request = SelectRequest { max_series, need: Need::Labels, ..request(&["__name__=cpu"]) };
        block_on(block.select(request)).map(|s| s.labels.len())
    };
    assert_eq!(limited(200), Ok(200));
    assert_eq!(limited(199), Err(SourceError::TooManySeries { limit: 199 }));
}

#[test]
fn lists_names_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let block = block(dir.path(), 1, 0..2000, &all(0..2000));
    let names = |r| block_on(block.label_names(r)).unwrap();
    let values = |r| block_on(block.label_values("instance".into(), r)).unwrap();
    assert_eq!(names(labels_request(&[], 0, 10, 0)), ["__name__", "instance"]);
    assert_eq!(names(labels_request(&["__name__=up"], 0, 10, 1)), ["__name__"]);
    assert!(names(labels_request(&[], 2000, 3000, 0)).is_empty());
    assert_eq!(values(labels_request(&[], 0, 10, 0)).len(), 200);
    assert_eq!(values(labels_request(&["__name__=up"], 0, 10, 0)), ["000", "001", "002"]);
    assert_eq!(values(labels_request(&["__name__=up"], 60, 100, 0)), ["001", "002"]);
    assert!(block_on(block.metadata(MetadataRequest::default())).unwrap().is_empty());
}

#[test]
fn blocks_merge_with_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let sources: Vec<Arc<dyn SeriesSource>> = vec![
        Arc::new(block(dir.path(), 1, 0..2000, &all(0..2000))),
        Arc::new(block(dir.path(), 2, 2000..4000, &all(2000..4000)[50..])),
    ];
    let merged = read(&*Merged::of(sources), request(&["__name__=cpu"]));
    let want = all(0..4000);
    assert_eq!(merged.len(), 200);
    assert_eq!(merged[50..], want[50..200]);
    assert!(merged[..50].iter().zip(&want).all(|(got, want)| got.1 == want.1[..200]));
}

#[test]
fn a_damaged_block_is_an_error_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    block(dir.path(), 1, 0..2000, &all(0..2000));
    let home = dir.path().join(ulid(1).to_string());
    let path = home.join("chunks/000001");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let block = Block::open(&Disk, &home).unwrap();
    let selection = block_on(block.select(request(&["__name__=~.+"]))).unwrap();
    let read = |i| selection.data.read(i, &mut Default::default());
    let failed: Vec<SourceError> = (0..203).filter_map(|i| read(i).err()).collect();
    assert_eq!(failed.len(), 1);
    let text = failed[0].to_string();
    assert!(text.contains(&ulid(1).to_string()) && text.contains("chunks/000001"), "{text}");

    std::fs::write(home.join("tombstones"), b"\x01\x30\xba\x30\x01").unwrap();
    assert!(Block::open(&Disk, &home).is_err());
    std::fs::remove_file(home.join("tombstones")).unwrap();
    assert!(Block::open(&Disk, &home).is_ok());
    std::fs::remove_file(home.join("meta.json")).unwrap();
    let error = Block::open(&Disk, &home).err().unwrap().to_string();
    assert!(error.contains("meta.json"), "{error}");
}
