//! The ingest log: any bytes as a segment are opened or refused, and what is opened goes on; what
//! is refused can be mended, or nothing is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use norn_codec::crc::crc32c;
use norn_contract::log::{IngestLog, LogError, Offset, Partition, Record, RecordKind};
use norn_log::EmbeddedLog;
use norn_log::memory::MemoryFs;
use norn_log::options::Options;
use norn_log::repair;
use norn_model::tenant::Tenant;

/// Where the segment lies.
pub const PATH: &str = "/log/00000000000000000000.log";
const FRAME_HEADER: usize = 48;

/// Bytes: flags (1: mend the header's checksum, 2: mend those of frames), then a segment.
pub fn target(data: &[u8]) {
    let Some((flags, segment)) = data.split_first() else { return };
    let mut segment = segment.to_vec();
    if flags & 1 != 0 {
        mend_header(&mut segment);
    }
    if flags & 2 != 0 {
        mend_frames(&mut segment);
    }
    let fs = MemoryFs::default();
    fs.put(Path::new(PATH), segment);
    let plan = repair::plan(&fs, Path::new("/log")).unwrap_or_else(|e| panic!("{e}"));
    let log = match open(&fs) {
        Some(log) => log,
        None if !plan.hopeless.is_empty() => return,
        None => mend(&fs),
    };
    let before: Vec<_> = (0..log.known()).take(8).map(|p| read_all(&log, p)).collect();
    let next = log.range(0).end;
    let appended = block_on(log.append(0, record()));
    assert!(matches!(appended, Ok(offset) if offset == next), "{appended:?}");
    drop(log);
    let Some(log) = open(&fs) else { panic!("what was opened once can not be opened again") };
    assert_eq!(log.range(0).end, next + 1);
    for (p, before) in (0..).zip(before).skip(1) {
        assert!(read_all(&log, p) == before);
    }
}

/// What can be mended opens afterwards.
fn mend(fs: &MemoryFs) -> Arc<EmbeddedLog> {
    let (done, copies) = repair::repair(fs, Path::new("/log")).unwrap_or_else(|e| panic!("{e}"));
    let why = EmbeddedLog::open(options(), Arc::new(fs.clone())).err();
    assert!(!copies.is_empty(), "refused, though nothing is to be mended: {why:?} {done:?}");
    open(fs).unwrap_or_else(|| panic!("can not be opened after {done:?}"))
}

/// The smallest options that take a segment of a fuzz input.
pub fn options() -> Options {
    let mut options = Options::new("/log");
    options.segment_bytes = 64 << 10;
    options.max_record_bytes = 8 << 10;
    options.spare_segments = 0;
    options.recycled_segments = 0;
    options.salt = 1;
    options
}

fn open(fs: &MemoryFs) -> Option<Arc<EmbeddedLog>> {
    match EmbeddedLog::open(options(), Arc::new(fs.clone())) {
        Ok(log) => Some(log),
        Err(LogError::Corrupt(_)) => None,
        Err(e) => panic!("{e}"),
    }
}

fn record() -> Record {
    let tenant = Tenant::admit("t").unwrap_or_else(|e| panic!("{e}"));
    Record { tenant, kind: RecordKind::Write(2), timestamp: 0, value: Bytes::from_static(b"v") }
}

/// All records of a partition, or what is wrong with one.
fn read_all(log: &EmbeddedLog, partition: Partition) -> Result<Vec<(Offset, Record)>, String> {
    let range = log.range(partition);
    let mut reader = log.read(partition, range.start).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    while (out.len() as u64) < range.end - range.start {
        let before = out.len();
        match reader.next(&mut out, Duration::ZERO) {
            Ok(()) => assert!(out.len() > before, "a reader stands still"),
            Err(e) => {
                assert!(matches!(e, LogError::Corrupt(_)), "{e}");
                return Err(e.to_string());
            }
        }
    }
    assert!(out.iter().map(|(offset, _)| *offset).eq(range));
    Ok(out)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Makes the segment header's checksum right.
fn mend_header(segment: &mut [u8]) -> Option<()> {
    let partitions = u32_at(segment, 36)? as usize;
    let entries = segment.get(48..48usize.checked_add(partitions.checked_mul(8)?)?)?;
    let sum = crc32c(&[segment.get(..40)?, entries].concat());
    segment.get_mut(40..44)?.copy_from_slice(&sum.to_le_bytes());
    Some(())
}

/// Makes the checksums of all frames right that follow each other from the header on.
fn mend_frames(segment: &mut [u8]) -> Option<()> {
    let salt = u32_at(segment, 32)?;
    let mut at = u32_at(segment, 12)? as usize;
    loop {
        let header = at.checked_add(FRAME_HEADER + usize::from(*segment.get(at.checked_add(10)?)?))?;
        let end = header.checked_add(u32_at(segment, at + 12)? as usize)?;
        let payload = crc32c(segment.get(header..end)?);
        segment.get_mut(at + 16..at + 20)?.copy_from_slice(&payload.to_le_bytes());
        let sum = crc32c(segment.get(at + 8..header)?) ^ salt;
        segment.get_mut(at + 4..at + 8)?.copy_from_slice(&sum.to_le_bytes());
        at = end.next_multiple_of(8);
    }
}
