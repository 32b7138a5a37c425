//! Fields of frames: integers, texts, columns.

use norn_codec::columns;
use norn_codec::crc::Crc32c;
use norn_codec::varint::{put_uvarint, put_varint, take_uvarint, take_varint};

use super::{FRAME_HEADER, Kind, SnapshotError};

/// Appends a frame to `out`.
pub(super) fn put_frame(kind: Kind, body: &[u8], out: &mut Vec<u8>) -> Result<(), SnapshotError> {
    let len = u32::try_from(body.len()).map_err(|_| SnapshotError::Full)?;
    out.extend_from_slice(&(kind as u32).to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&checksum(kind as u32, body).to_le_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// Checksum of a frame.
pub(super) fn checksum(kind: u32, body: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&kind.to_le_bytes()).update(&(body.len() as u32).to_le_bytes()).update(body);
    crc.finish()
}

/// Kind, length of the body, checksum.
pub(super) fn frame_header(bytes: &[u8; FRAME_HEADER]) -> (u32, usize, u32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    let number = u32::from_le_bytes;
    (number([a, b, c, d]), number([e, f, g, h]) as usize, number([i, j, k, l]))
}

/// A body that grows.
#[derive(Default)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    columns: columns::Encoder,
    column: Vec<i64>,
}

impl Body {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        put_uvarint(&mut self.bytes, number);
        self
    }

    pub(super) fn signed(&mut self, number: i64) -> &mut Self {
        put_varint(&mut self.bytes, number);
        self
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn column(&mut self, values: impl Iterator<Item = i64>) -> Result<(), SnapshotError> {
        self.column.clear();
        self.column.extend(values);
        Ok(self.columns.put(&self.column, &mut self.bytes)?)
    }
}

/// A body that is read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        Ok(take_uvarint(&mut self.0)?)
    }

    /// A number of things of which each takes a byte or more.
    pub(super) fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len());
        count.ok_or(SnapshotError::Damaged("a part says it has more than it can"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, SnapshotError> {
        Ok(take_varint(&mut self.0)?)
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], SnapshotError> {
        let len = self.count()?;
        let (blob, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(blob)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, SnapshotError> {
        std::str::from_utf8(self.blob()?).map_err(|_| SnapshotError::Damaged("a text is not UTF-8"))
    }

    /// A column of exactly `rows` integers.
    pub(super) fn column(&mut self, rows: usize) -> Result<Vec<i64>, SnapshotError> {
        let mut out = Vec::new();
        columns::take(&mut self.0, rows, &mut out)?;
        if out.len() != rows {
            return Err(SnapshotError::Damaged("a column is too short"));
        }
        Ok(out)
    }

    /// A column of numbers below 2^32.
    pub(super) fn small_column(&mut self, rows: usize) -> Result<Vec<u32>, SnapshotError> {
        let small = |n: i64| u32::try_from(n).map_err(|_| SnapshotError::Damaged("a number is too large"));
        self.column(rows)?.into_iter().map(small).collect()
    }
}
