//! Log segments, with the target's flags in front.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_log::EmbeddedLog;
use norn_log::memory::MemoryFs;
use norn_log::options::Compression;
use norn_model::tenant::Tenant;

use crate::targets::log::{PATH, options};

/// A segment with some records in two partitions.
fn segment(compression: Compression, closed: bool) -> Option<Vec<u8>> {
    let fs = MemoryFs::default();
    let mut options = options();
    options.partitions = 2;
    options.compression = compression;
    let log = EmbeddedLog::open(options, Arc::new(fs.clone())).ok()?;
    for i in 0..6u8 {
        let kind = if i == 3 { RecordKind::Settings } else { RecordKind::Write(i % 3) };
        let tenant = Tenant::admit(["a", "team-b"][usize::from(i % 2)]).ok()?;
        let value = if i == 5 { record()? } else { Bytes::from(vec![i; usize::from(i) * 40]) };
        let record = Record { tenant, kind, timestamp: i64::from(i), value };
        block_on(log.append(u32::from(i % 2), record)).ok()?;
    }
    if !closed {
        fs.crash_after(0);
    }
    drop(log);
    let mut bytes = fs.bytes(Path::new(PATH))?;
    bytes.truncate(6 << 10);
    Some(bytes)
}

/// The last of the seeds of records.
fn record() -> Option<Bytes> {
    super::wire::record().last().map(|seed| Bytes::copy_from_slice(&seed[1..]))
}

/// Whole and unfinished logs; checksums mended after a change or not.
pub fn segments() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (compression, closed) in
        [(Compression::None, true), (Compression::Columns, false), (Compression::Zstd, true)]
    {
        let segment = segment(compression, closed).unwrap_or_default();
        out.extend([0u8, 1, 2, 3].map(|flags| [&[flags][..], &segment].concat()));
    }
    out
}
