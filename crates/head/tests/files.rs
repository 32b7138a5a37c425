//! Sealed chunks in files: the same answers, little memory, and no loss when the disk is full.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_contract::source::ChunkBuf;
use norn_head::{Options, Step, Storage};
use norn_log::memory::{Dice, MemoryFs};
use norn_model::Millis;
use norn_model::matcher::Matcher;
use support::{Head, T0, select};

const RANGE: Millis = 1_000_000;
const SERIES: u64 = 200;
const W0: Millis = T0.div_euclid(RANGE) * RANGE;
const SLAB: usize = 1 << 20;

fn stored(fs: &MemoryFs, keep_slabs: usize) -> Options {
    let storage = Storage { fs: Arc::new(fs.clone()), dir: PathBuf::from("/chunks"), keep_slabs };
    Options { chunk_range: RANGE, partition: 3, storage: Some(storage), ..Options::default() }
}

/// Values that take their eight bytes, at every millisecond of `times`.
fn fill(heads: &mut [&mut Head], times: std::ops::Range<Millis>) {
    for t in times.step_by(100) {
        let mut dice = Dice::new(t as u64);
        let values: Vec<f64> = (0..SERIES).map(|_| f64::from_bits(dice.below(1 << 62))).collect();
        let record = support::record("t", |b| {
            for (i, value) in values.iter().enumerate() {
                b.series([("__name__", "m"), ("i", &i.to_string())]).sample(t, *value);
            }
        });
        for head in heads.iter_mut() {
            assert!(head.apply(&record).is_empty());
        }
    }
}

fn settle(head: &mut Head) {
    while !matches!(head.writer.step(), Step::Idle) {}
}

#[test]
fn chunks_in_files_read_as_those_in_memory() {
    let fs = MemoryFs::default();
    fs.put(Path::new("/chunks/3-17-0.chunks"), vec![1; 100]);
    fs.put(Path::new("/chunks/33-17-0.chunks"), vec![1; 100]);
    let mut head = Head::new(stored(&fs, 1));
    assert_eq!(fs.paths(), [PathBuf::from("/chunks/33-17-0.chunks")]);
    let mut plain = Head::new(Options { chunk_range: RANGE, ..Options::default() });
    fill(&mut [&mut head, &mut plain], W0..W0 + 150_000);
    settle(&mut head);
    let (memory, all) = (head.reader.memory(), plain.reader.memory());
    assert_eq!(all.chunk_files, 0);
    assert!(memory.sealed_chunks <= 2 * SLAB && memory.chunk_files as usize >= SLAB / 2, "{memory:?}");
    assert_eq!(memory.sealed_chunks + memory.chunk_files as usize, all.sealed_chunks);
    assert_eq!(head.writer.digest(), plain.writer.digest());

    // A selection reads on when the window has gone, and the file goes with the last reader.
    fill(&mut [&mut head], W0 + RANGE..W0 + RANGE + 200);
    let source = head.tenant("t");
    let selection = select(&*source, &[Matcher::equal("i", "7")], Millis::MIN, Millis::MAX, 0).unwrap();
    assert!(head.writer.begin_cut(W0 + RANGE));
    let cut = loop {
        if let Step::Cut(cut) = head.writer.step() {
            break cut;
        }
    };
    assert_eq!(cut.select(&support::tenant("t"), &(W0..W0 + RANGE)).labels.len(), SERIES as usize);
    head.writer.finish_cut(&cut);
    drop(cut);
    settle(&mut head);
    assert_eq!(head.reader.memory().chunk_files, 0);
    let mut buf = ChunkBuf::default();
    selection.data.read(0, &mut buf).unwrap();
    assert_eq!(support::samples(&buf, Millis::MIN, Millis::MAX).len(), 1502);
    assert_eq!(fs.paths().len(), 2);
    drop(selection);
    assert_eq!(fs.paths().len(), 1);
}

#[test]
fn a_full_disk_keeps_chunks_in_memory() {
    let fs = MemoryFs::default();
    let mut head = Head::new(stored(&fs, 0));
    let mut plain = Head::new(Options { chunk_range: RANGE, ..Options::default() });
    fs.limit_bytes(Some(SLAB + SLAB / 2));
    fill(&mut [&mut head, &mut plain], W0..W0 + 150_000);
    settle(&mut head);
    let memory = head.reader.memory();
    assert!(memory.sealed_chunks > SLAB && memory.chunk_files as usize <= SLAB + SLAB / 2, "{memory:?}");
    assert_eq!(head.writer.digest(), plain.writer.digest());
    fs.limit_bytes(None);
    fill(&mut [&mut head, &mut plain], W0 + 150_000..W0 + 220_000);
    settle(&mut head);
    assert!(head.reader.memory().sealed_chunks <= SLAB);
    assert_eq!(head.writer.digest(), plain.writer.digest());
}

#[test]
fn a_snapshot_is_whole_while_slabs_wait_to_be_written() {
    let fs = MemoryFs::default();
    let mut head = Head::new(stored(&fs, 0));
    fill(&mut [&mut head], W0..W0 + 150_000);
    // Full slabs wait: nothing was done between the records.
    assert_eq!(head.reader.memory().chunk_files, 0);
    let mut encoder = head.writer.begin_snapshot().unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = head.writer.next_piece() {
        bytes.extend_from_slice(encoder.encode(&piece).unwrap());
    }
    settle(&mut head);
    assert!(head.reader.memory().chunk_files > 0);
    let path = Path::new("/snapshot");
    fs.put(path, bytes);
    let file = norn_contract::fs::FileSystem::open(&fs, path, norn_contract::fs::OpenMode::Read).unwrap();
    let (writer, _) = norn_head::load(stored(&fs, 0), &*file).unwrap();
    assert_eq!(writer.digest(), head.writer.digest());
}
