//! The embedded log against the suite for all logs, on a real disk and in memory.

use std::sync::Arc;

use norn_contract::fs::FileSystem;
use norn_contract::log::IngestLog;
use norn_log::EmbeddedLog;
use norn_log::contract_tests::{Suite, run};
use norn_log::disk::Disk;
use norn_log::memory::MemoryFs;
use norn_log::options::{Compression, Options};

fn check(dir: &std::path::Path, fs: &Arc<dyn FileSystem>, adjust: impl Fn(&mut Options)) {
    let open = |name: &str, partitions| {
        let mut options = Options::new(dir.join(name));
        options.partitions = partitions;
        options.segment_bytes = 8 << 20;
        options.max_record_bytes = 4 << 20;
        adjust(&mut options);
        let log: Arc<dyn IngestLog> =
            EmbeddedLog::open(options, Arc::clone(fs)).unwrap_or_else(|e| panic!("open {name}: {e}"));
        log
    };
    run(Suite { open: &open, settings: true });
}

#[test]
fn on_disk() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let fs: Arc<dyn FileSystem> = Arc::new(Disk);
    check(dir.path(), &fs, |_| {});
}

#[test]
fn in_memory_with_readers_that_read_files() {
    let fs: Arc<dyn FileSystem> = Arc::new(MemoryFs::default());
    check("/a".as_ref(), &fs, |o| o.memory_bytes = 0);
    check("/b".as_ref(), &fs, |o| (o.memory_bytes, o.spare_segments) = (10_000, 0));
}

#[test]
fn in_every_form() {
    let fs: Arc<dyn FileSystem> = Arc::new(MemoryFs::default());
    for (dir, compression) in
        [("/c", Compression::Columns), ("/d", Compression::Zstd), ("/e", Compression::None)]
    {
        check(dir.as_ref(), &fs, |o| (o.memory_bytes, o.compression) = (0, compression));
    }
}
