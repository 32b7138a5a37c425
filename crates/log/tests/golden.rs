//! A log of three segments that an earlier version wrote: one for each form in which values are
//! kept. It must stay readable, byte for byte.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use norn_contract::fs::FileSystem;
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_log::EmbeddedLog;
use norn_log::contract_tests::read_all;
use norn_log::disk::Disk;
use norn_log::memory::MemoryFs;
use norn_log::options::{Compression, Options};
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/v1"))
}

fn write(n: i64) -> Bytes {
    let mut builder = Builder::new();
    for cpu in ["0", "1", "2", "3"] {
        for mode in ["idle", "user"] {
            builder
                .series([("__name__", "cpu_seconds_total"), ("cpu", cpu), ("mode", mode)])
                .sample(1_700_000_000_000 + 15_000 * n, 1.5 * n as f64);
        }
    }
    builder.series([("__name__", "up")]).sample(1_700_000_000_001, 0.0).created(17);
    builder.finish()
}

/// What each segment holds.
fn records(segment: i64) -> Vec<Record> {
    let record = |tenant, kind, timestamp, value| {
        let tenant = Tenant::admit(tenant).unwrap();
        Record { tenant, kind, timestamp, value }
    };
    let settings = FoldSettings { out_of_order_window: 300_000, ..FoldSettings::default() };
    vec![
        record("a", RecordKind::Settings, -1, settings.encode().into()),
        record("a", RecordKind::Write(2), 10 * segment, write(segment)),
        record("team-b", RecordKind::Write(2), 10 * segment + 1, write(segment + 100)),
        record("team-b", RecordKind::Write(0), 3, Bytes::from_static(b"\x0a\x04\x12\x02\x10\x05")),
        record("a", RecordKind::Write(2), 4, Bytes::new()),
    ]
}

fn options(dir: &Path, compression: Compression) -> Options {
    let mut options = Options::new(dir);
    options.segment_bytes = 64 << 10;
    options.max_record_bytes = 16 << 10;
    (options.spare_segments, options.recycled_segments, options.memory_bytes) = (0, 0, 0);
    (options.compression, options.salt) = (compression, 77);
    options
}

fn want() -> impl Iterator<Item = (u64, Record)> {
    (0..).zip((0..3).flat_map(records))
}

#[test]
fn stays_readable() {
    let fs = MemoryFs::default();
    for name in Disk.list(directory()).unwrap() {
        fs.put(&Path::new("/log").join(&name), std::fs::read(directory().join(&name)).unwrap());
    }
    let log = EmbeddedLog::open(options("/log".as_ref(), Compression::None), Arc::new(fs)).unwrap();
    assert_eq!(log.range(0), 0..15);
    assert!(read_all(&*log, 0, 0).into_iter().eq(want()));
}

/// Headers, verbatim frames and the mark of a closed log are written as ever.
#[test]
fn is_written_alike() {
    let fs = MemoryFs::default();
    let forms = [Compression::None, Compression::Zstd, Compression::Columns];
    for (segment, compression) in (0..).zip(forms) {
        let options = options("/log".as_ref(), compression);
        let log = EmbeddedLog::open(options, Arc::new(fs.clone())).unwrap();
        for record in records(segment) {
            futures::executor::block_on(log.append(0, record)).unwrap();
        }
    }
    for (segment, kind) in [(0, 1), (1, 2), (2, 4)] {
        let name = format!("{segment:020}.log");
        let got = fs.bytes(&Path::new("/log").join(&name)).unwrap();
        if segment == 0 {
            assert!(got == std::fs::read(directory().join(&name)).unwrap());
        }
        // The second frame of each.
        let second = 4096 + (48 + 1 + records(0)[0].value.len()).next_multiple_of(8);
        assert_eq!((&got[second..second + 4], got[second + 8]), (&b"Nfrm"[..], kind));
    }
}
