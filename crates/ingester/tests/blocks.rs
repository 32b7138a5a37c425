//! Blocks on local disk beside the heads: what is opened, refused and answered.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use norn_block::ulid::Ulid;
use norn_block::{Builder, Options};
use norn_codec::xor::XorState;
use norn_contract::source::ChunkBuf;
use norn_ingester::blocks::LocalBlocks;
use norn_kit::pool::Pool;
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use support::{Process, tenant};

/// A block of one series with a sample every second whose value is its time.
fn block(dir: &Path, name: &str, range: Range<i64>, seed: u8) -> Ulid {
    fs::create_dir_all(dir).unwrap();
    let options = Options::new(Ulid::new(range.end, [seed; 10]), range.clone());
    let id = options.ulid;
    let mut builder = Builder::create(Arc::new(Disk), dir, options).unwrap();
    let (mut state, mut bytes) = (XorState::new(), Vec::new());
    for t in range.clone().step_by(1000) {
        state.append(&mut bytes, t, t as f64).unwrap();
    }
    state.finish(&mut bytes, 0);
    let mut chunks = ChunkBuf::default();
    chunks.push(ChunkEncoding::Xor, range.start, state.last_timestamp(), &bytes);
    builder.add(&Labels::from_pairs([("__name__", name)]), &chunks).unwrap();
    builder.finish().unwrap().unwrap();
    id
}

fn times(range: Range<i64>) -> Vec<(i64, f64)> {
    range.step_by(1000).map(|t| (t, t as f64)).collect()
}

fn open(dir: &Path) -> Result<Arc<LocalBlocks>, norn_ingester::blocks::BlocksError> {
    LocalBlocks::open(Arc::new(Disk), dir.join("tsdb"), Pool::new("read", 1).unwrap())
}

#[test]
fn heads_and_blocks_answer_as_one_and_shared_samples_come_out_once() {
    let dir = tempfile::tempdir().unwrap();
    let of = |id: &str| dir.path().join("tsdb").join(id);
    block(&of("a"), "m", 0..100_000, 1);
    block(&of("a"), "only_in_a_block", 0..100_000, 2);
    block(&of("b"), "m", 0..50_000, 1);
    let process = Process::start(dir.path(), 2);
    // The head has the second half of the block too, and what came since.
    for t in (50_000..200_000).step_by(1000) {
        process.append(t as u32 / 1000 % 2, "a", "m", t, t as f64);
    }
    assert_eq!(process.samples("a", "m"), times(0..200_000));
    assert_eq!(process.samples("a", "only_in_a_block"), times(0..100_000));
    assert_eq!(process.samples("b", "m"), times(0..50_000));
    assert_eq!(process.samples("c", "m"), []);
    assert_eq!(process.names("a"), ["m", "only_in_a_block"]);
    process.stop();
}

#[test]
fn leftovers_go_and_what_is_no_block_stays() {
    let dir = tempfile::tempdir().unwrap();
    let of = dir.path().join("tsdb/a");
    let id = block(&of, "m", 0..100_000, 1);
    for leftover in
        ["01ARYZ6S410000000000000000.tmp-for-creation", "01ARYZ6S410000000000000000.tmp-for-deletion"]
    {
        fs::create_dir_all(of.join(leftover).join("chunks")).unwrap();
        fs::write(of.join(leftover).join("chunks/000001"), b"torn").unwrap();
        fs::write(of.join(leftover).join("index"), b"").unwrap();
    }
    fs::create_dir_all(of.join("01ARYZ6S410000000000000001.tmp-for-creation")).unwrap();
    fs::create_dir_all(of.join("wal")).unwrap();
    fs::create_dir_all(dir.path().join("tsdb/lost+found")).unwrap();
    let blocks = open(dir.path()).unwrap();
    assert_eq!(blocks.of(&tenant("a")).len(), 1);
    let mut left: Vec<_> =
        fs::read_dir(&of).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [id.to_string(), "wal".to_owned()]);
    assert_eq!(blocks.tenants(), [tenant("a")]);
}

#[test]
fn a_broken_block_is_refused_with_its_path_and_what_to_do() {
    for (file, bytes) in [("index", &b"garbage"[..]), ("meta.json", b"{}"), ("chunks/000001", b"")] {
        let dir = tempfile::tempdir().unwrap();
        let of = dir.path().join("tsdb/a");
        let id = block(&of, "m", 0..100_000, 1);
        let path = of.join(id.to_string());
        fs::write(path.join(file), bytes).unwrap();
        let error = open(dir.path()).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()), "{file}: {error}");
        assert!(error.contains("move it out of the directory of blocks"), "{file}: {error}");
        fs::remove_dir_all(&path).unwrap();
        assert!(open(dir.path()).unwrap().tenants().is_empty());
    }
    let dir = tempfile::tempdir().unwrap();
    let of = dir.path().join("tsdb/a");
    let id = block(&of, "m", 0..100_000, 1);
    fs::rename(of.join(id.to_string()), of.join("01ARYZ6S410000000000000000")).unwrap();
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains(&id.to_string()) && error.contains("01ARYZ6S41"), "{error}");
}

#[test]
fn one_process_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(first);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn blocks_that_go_are_read_to_the_end_by_who_has_them_and_by_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let of = dir.path().join("tsdb/a");
    block(&of, "m", 0..100_000, 1);
    block(&of, "m", 100_000..200_000, 1);
    let process = Process::start(dir.path(), 1);
    let blocks = Arc::clone(process.ingester.blocks());
    let running = process.select("a", "m");
    assert_eq!(blocks.remove(&tenant("a"), |meta| meta.max_time <= 100_000).unwrap(), 1);
    assert_eq!(support::read(&running, 0), times(0..200_000));
    assert_eq!(process.samples("a", "m"), times(100_000..200_000));
    blocks.close_idle();
    blocks.close_idle();
    assert_eq!(process.samples("a", "m"), times(100_000..200_000));
    assert_eq!(blocks.remove(&tenant("a"), |_| true).unwrap(), 1);
    assert_eq!(process.samples("a", "m"), []);
    assert!(!of.exists(), "a tenant without blocks leaves nothing behind");
    process.stop();
}
