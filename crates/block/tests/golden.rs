//! A block that Prometheus wrote: read sample for sample, written again byte for byte.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use norn_block::{Block, Builder, Options};
use norn_contract::source::{ChunkBuf, LabelsRequest, SeriesSource};
use norn_log::disk::Disk;
use norn_model::labels::Labels;
use support::{Floats, read, request};

fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/prometheus"))
}

/// What `prometheus.om` says.
fn content() -> Vec<Floats> {
    const START: i64 = 1_700_000_100_000;
    let mut all = Vec::new();
    for code in ["200", "404"] {
        let pairs = [("__name__", "requests_total"), ("code", code), ("path", "/é\"x")];
        all.push((
            Labels::from_pairs(pairs),
            (0..100).map(|i| (START + 250 + i * 30_000, (i * 3) as f64)).collect(),
        ));
    }
    all.push((Labels::from_pairs([("__name__", "single")]), vec![(START, f64::NAN)]));
    for instance in ["a:9100", "b:9100"] {
        let pairs = [("__name__", "up"), ("instance", instance), ("job", "node")];
        let samples = (0..300).map(|i| (START + i * 15_000, (i * 7 % 13) as f64 / 4.0)).collect();
        all.push((Labels::from_pairs(pairs), samples));
    }
    all
}

fn bits(series: &[Floats]) -> Vec<(String, Vec<(i64, u64)>)> {
    let samples =
        |s: &[(i64, f64)]| s.iter().map(|(t, v)| (*t, if v.is_nan() { 1 } else { v.to_bits() })).collect();
    series.iter().map(|(l, s)| (l.to_string(), samples(s))).collect()
}

#[test]
fn reads_every_sample() {
    let block = Block::open(&Disk, golden()).unwrap();
    assert_eq!(bits(&read(&block, request(&[]))), bits(&content()));
    assert_eq!(
        block.index().label_names().collect::<Vec<_>>(),
        ["__name__", "code", "instance", "job", "path"]
    );
    let up =
        LabelsRequest { matchers: vec![support::matchers(&["job=node"])], mint: 0, maxt: i64::MAX, limit: 0 };
    assert_eq!(block_on(block.label_names(up.clone())).unwrap(), ["__name__", "instance", "job"]);
    assert_eq!(block_on(block.label_values("instance".into(), up)).unwrap(), ["a:9100", "b:9100"]);
}

#[test]
fn writes_the_same_bytes() {
    let from = Block::open(&Disk, golden()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(from.meta().ulid, from.meta().min_time..from.meta().max_time);
    let mut builder = Builder::create(Arc::new(Disk), dir.path(), options).unwrap();
    let selection = block_on(from.select(request(&[]))).unwrap();
    for (i, labels) in selection.labels.iter().enumerate() {
        let mut buf = ChunkBuf::default();
        selection.data.read(i, &mut buf).unwrap();
        builder.add(labels, &buf).unwrap();
    }
    let meta = builder.finish().unwrap().unwrap();
    assert_eq!(meta, *from.meta());
    let written = dir.path().join(meta.ulid.to_string());
    for file in ["index", "chunks/000001", "tombstones", "meta.json"] {
        assert!(fs::read(written.join(file)).unwrap() == fs::read(golden().join(file)).unwrap(), "{file}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(written).unwrap().count(), 4);
}
