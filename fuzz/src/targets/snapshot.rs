//! Snapshots of a head: any bytes are a head or refused, and what is a head can be read and written.

use std::io::{Error, ErrorKind, IoSlice, Result};

use norn_codec::crc::Crc32c;
use norn_contract::fs::File;
use norn_head::{Options, Step, load};
use norn_model::Millis;

const HEADER: usize = 16;
const FRAME_HEADER: usize = 12;

/// A file that is only read.
struct Bytes<'a>(&'a [u8]);

impl File for Bytes<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let len = buf.len().min(self.0.len() - start);
        buf[..len].copy_from_slice(&self.0[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, _: &mut [IoSlice<'_>], _: u64) -> Result<()> {
        Err(Error::from(ErrorKind::ReadOnlyFilesystem))
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> Result<()> {
        Err(Error::from(ErrorKind::ReadOnlyFilesystem))
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }
}

/// Options that a snapshot of a fuzz input was made with.
pub fn options() -> Options {
    Options { samples_per_chunk: 4, chunk_range: 60_000, ..Options::default() }
}

/// Bytes: flags (1: mend the checksums of frames), then a snapshot.
pub fn target(data: &[u8]) {
    let Some((flags, snapshot)) = data.split_first() else { return };
    let mut snapshot = snapshot.to_vec();
    if flags & 1 != 0 {
        mend(&mut snapshot);
    }
    let Ok((mut writer, reader)) = load(options(), &Bytes(&snapshot)) else { return };
    // What has no samples goes first.
    while !matches!(writer.step(), Step::Idle) {}
    let digest = writer.digest();
    for (tenant, _) in reader.tenants() {
        assert!(reader.tenant(&tenant).is_some());
    }
    assert!(reader.memory().total() > 0);
    let Some(mut encoder) = writer.begin_snapshot() else { panic!("nothing is left to finish") };
    let mut again = Vec::new();
    while let Some(piece) = writer.next_piece() {
        let Ok(bytes) = encoder.encode(&piece) else { return };
        again.extend_from_slice(bytes);
    }
    let Ok((mut again, _)) = load(options(), &Bytes(&again)) else {
        panic!("what was written can not be read")
    };
    while !matches!(again.step(), Step::Idle) {}
    assert_eq!(again.digest(), digest);
    while !matches!(writer.step(), Step::Idle) {}
    if writer.begin_cut(Millis::MAX) {
        while !matches!(writer.step(), Step::Cut(_) | Step::Idle) {}
    }
}

fn mend(snapshot: &mut [u8]) {
    let mut at = HEADER;
    while let Some(header) = snapshot.get(at..at + FRAME_HEADER) {
        let len = header[4..8].try_into().map_or(0, u32::from_le_bytes) as usize;
        let Some(body) = snapshot.get(at + FRAME_HEADER..(at + FRAME_HEADER).saturating_add(len)) else {
            return;
        };
        let mut crc = Crc32c::new();
        crc.update(&header[..8]).update(body);
        let crc = crc.finish().to_le_bytes();
        snapshot[at + 8..at + FRAME_HEADER].copy_from_slice(&crc);
        at += FRAME_HEADER + len;
    }
}
