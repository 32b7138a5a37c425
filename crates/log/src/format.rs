//! Bytes of segments and frames: `docs/formats/log.md`.

use norn_contract::log::{Offset, Partition, RecordKind};
use norn_model::Millis;
use norn_model::tenant::Tenant;

/// Most partitions a log can have.
pub const MAX_PARTITIONS: u32 = 4096;
/// Largest value a frame can hold.
pub const MAX_VALUE: usize = 256 << 20;
/// Bytes of a frame header without the tenant.
pub const FRAME_HEADER: usize = 48;
/// First bytes of every frame.
pub const FRAME_MAGIC: [u8; 4] = *b"Nfrm";
/// Frames start at multiples of this.
pub const ALIGN: usize = 8;

/// The header is of another version.
pub const OTHER_VERSION: &str = "written by another version of the log";

const SEGMENT_MAGIC: [u8; 8] = *b"NORNLOG\0";
const VERSION: u32 = 1;
const PREFIX: usize = 48;
const HEADER_UNIT: usize = 4096;

/// Sequences and offsets stay below this, so that counting on can not overflow.
pub const MAX_NUMBER: u64 = 1 << 62;

const VERBATIM: u8 = 1;
const ZSTD: u8 = 2;
const SETTINGS: u8 = 3;
const COLUMNS: u8 = 4;
const LOST: u8 = 5;
const CLOSED: u8 = 128;
/// Types from [`CLOSED`] on take no offset; a reader that does not know one steps over it.
const FILLER: u8 = 129;

/// Version of the empty record that a lost one is read as.
const VERSION_OF_LOST: u8 = norn_wire::record::VERSION;

/// CRC-32C.
pub fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Header of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment.
    pub sequence: u64,
    /// Where the frames of the segment before end.
    pub previous_end: u64,
    /// What frame checksums are XORed with.
    pub salt: u32,
    /// When the segment was begun, Unix seconds by the clock of records; 0 when not known. Decides
    /// nothing but how long history is kept, so the checksum leaves it out.
    pub begun: u32,
    /// Per partition the offset of its next record.
    pub next: Vec<Offset>,
}

impl SegmentHeader {
    /// Bytes that must be read to learn [`SegmentHeader::read_len`].
    pub const PREFIX: usize = PREFIX;

    /// Length in bytes: where the first frame starts.
    pub fn len(&self) -> usize {
        Self::len_for(self.next.len())
    }

    /// Length of the header of a log with so many partitions.
    pub fn len_for(partitions: usize) -> usize {
        (PREFIX + 8 * partitions).next_multiple_of(HEADER_UNIT)
    }

    /// Length of the header that starts with `prefix`; an error text when it is none.
    pub fn read_len(prefix: &[u8]) -> Result<usize, &'static str> {
        if prefix.get(..8) != Some(&SEGMENT_MAGIC) {
            return Err("not a log segment");
        }
        if u32_at(prefix, 8) != Some(VERSION) {
            return Err(OTHER_VERSION);
        }
        let partitions = u32_at(prefix, 36).unwrap_or(0);
        let len = u32_at(prefix, 12).unwrap_or(0) as usize;
        if partitions == 0 || partitions > MAX_PARTITIONS || len != Self::len_for(partitions as usize) {
            return Err("header lengths do not fit");
        }
        Ok(len)
    }

    /// The header as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; self.len()];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(self.len() as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.previous_end.to_le_bytes());
        out[32..36].copy_from_slice(&self.salt.to_le_bytes());
        out[36..40].copy_from_slice(&(self.next.len() as u32).to_le_bytes());
        out[44..48].copy_from_slice(&self.begun.to_le_bytes());
        for (slot, next) in out[PREFIX..].chunks_exact_mut(8).zip(&self.next) {
            slot.copy_from_slice(&next.to_le_bytes());
        }
        let sum = Self::checksum(&out, self.next.len());
        out[40..44].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn checksum(bytes: &[u8], partitions: usize) -> u32 {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&bytes[..40]);
        digest.update(&bytes[PREFIX..PREFIX + 8 * partitions]);
        digest.finalize() as u32
    }

    /// Reads a header of which all [`SegmentHeader::read_len`] bytes are there.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let len = Self::read_len(bytes)?;
        let bytes = bytes.get(..len).ok_or("header is cut off")?;
        let field = |at| u64_at(bytes, at).unwrap_or(0);
        let partitions = u32_at(bytes, 36).unwrap_or(0) as usize;
        if u32_at(bytes, 40) != Some(Self::checksum(bytes, partitions)) {
            return Err("header checksum is wrong");
        }
        let header = Self {
            sequence: field(16),
            previous_end: field(24),
            salt: u32_at(bytes, 32).unwrap_or(0),
            begun: u32_at(bytes, 44).unwrap_or(0),
            next: (0..partitions).map(|p| field(PREFIX + 8 * p)).collect(),
        };
        if header.sequence > MAX_NUMBER || header.next.iter().any(|n| *n > MAX_NUMBER) {
            return Err("numbers are out of range");
        }
        Ok(header)
    }
}

/// How a frame's payload holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// One zstd frame.
    Zstd,
    /// Columns.
    Columns,
    /// Not at all: the record was lost, and a repair put this in its place. The value is empty.
    Lost,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A record.
    Record(RecordKind, Encoding),
    /// The log was closed here.
    Closed,
    /// Takes no offset: a filler, or written by a newer version.
    Skip,
    /// Written by a newer version; what follows in its partition can not be understood.
    Unknown(u8),
}

impl FrameKind {
    fn from_bytes(kind: u8, version: u8) -> Self {
        match kind {
            VERBATIM => Self::Record(RecordKind::Write(version), Encoding::Plain),
            ZSTD => Self::Record(RecordKind::Write(version), Encoding::Zstd),
            COLUMNS => Self::Record(RecordKind::Write(version), Encoding::Columns),
            SETTINGS => Self::Record(RecordKind::Settings, Encoding::Plain),
            LOST => Self::Record(RecordKind::Write(VERSION_OF_LOST), Encoding::Lost),
            CLOSED => Self::Closed,
            FILLER.. => Self::Skip,
            other => Self::Unknown(other),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record(RecordKind::Settings, _) => "settings",
            Self::Record(_, Encoding::Plain) => "verbatim",
            Self::Record(_, Encoding::Zstd) => "zstd",
            Self::Record(_, Encoding::Columns) => "columns",
            Self::Record(_, Encoding::Lost) => "lost",
            Self::Closed => "closed",
            Self::Skip => "filler",
            Self::Unknown(_) => "unknown",
        }
    }

    fn to_bytes(self) -> (u8, u8) {
        match self {
            Self::Record(RecordKind::Write(version), Encoding::Plain) => (VERBATIM, version),
            Self::Record(RecordKind::Write(version), Encoding::Zstd) => (ZSTD, version),
            Self::Record(RecordKind::Write(version), Encoding::Columns) => (COLUMNS, version),
            Self::Record(RecordKind::Write(_), Encoding::Lost) => (LOST, 0),
            Self::Record(RecordKind::Settings, _) => (SETTINGS, 0),
            Self::Closed => (CLOSED, 0),
            Self::Skip => (FILLER, 0),
            Self::Unknown(other) => (other, 0),
        }
    }
}

/// Header of a frame, without the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub kind: FrameKind,
    /// Bytes of the tenant id that follows the header.
    pub tenant_len: u8,
    /// Bytes of payload behind the tenant.
    pub payload_len: u32,
    /// Its CRC.
    pub payload_crc: u32,
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
    /// Time of the record.
    pub timestamp: Millis,
    /// Bytes of the segment that were durable when this frame was written.
    pub synced: u32,
    /// Bytes of the value.
    pub value_len: u32,
}

impl FrameHeader {
    /// Bytes of the whole frame without padding; 48 + 255 + 4 GiB at most.
    pub fn unpadded_len(&self) -> u64 {
        (self.header_len() as u64) + u64::from(self.payload_len)
    }

    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> u64 {
        self.unpadded_len().next_multiple_of(ALIGN as u64)
    }

    /// Bytes of header and tenant.
    pub fn header_len(&self) -> usize {
        FRAME_HEADER + usize::from(self.tenant_len)
    }

    /// Appends header and tenant, whose length is set here.
    pub fn encode(mut self, tenant: Option<&Tenant>, salt: u32, out: &mut Vec<u8>) {
        let tenant = tenant.map_or(&b""[..], |t| t.as_str().as_bytes());
        self.tenant_len = tenant.len() as u8;
        let start = out.len();
        let (kind, version) = self.kind.to_bytes();
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[kind, version, self.tenant_len, 0]);
        out.extend_from_slice(&self.payload_len.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        out.extend_from_slice(&self.partition.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.value_len.to_le_bytes());
        out.extend_from_slice(tenant);
        let sum = crc(&out[start + 8..]) ^ salt;
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Bytes of header and tenant of the frame that starts with `bytes`; `None` when none does.
    pub fn read_len(bytes: &[u8]) -> Option<usize> {
        if bytes.get(..4)? != FRAME_MAGIC {
            return None;
        }
        Some(FRAME_HEADER + usize::from(*bytes.get(10)?))
    }

    /// Reads a header; `None` when there is no whole one with a right checksum.
    pub fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..Self::read_len(bytes)?)?;
        if u32_at(bytes, 4)? != crc(&bytes[8..]) ^ salt {
            return None;
        }
        Some(Self {
            kind: FrameKind::from_bytes(bytes[8], bytes[9]),
            tenant_len: bytes[10],
            payload_len: u32_at(bytes, 12)?,
            payload_crc: u32_at(bytes, 16)?,
            partition: u32_at(bytes, 20)?,
            offset: u64_at(bytes, 24)?,
            timestamp: u64_at(bytes, 32)? as i64,
            synced: u32_at(bytes, 40)?,
            value_len: u32_at(bytes, 44)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Record(RecordKind::Write(2), Encoding::Zstd),
            tenant_len: 6,
            payload_len: 5,
            payload_crc: 0x0102_0304,
            partition: 7,
            offset: 1 << 40,
            timestamp: -5,
            synced: 4096,
            value_len: 9,
        }
    }

    #[test]
    fn frame_is_drawn_as_documented() {
        let mut out = Vec::new();
        header().encode(Some(&Tenant::admit("team-a").unwrap()), 0, &mut out);
        let mut want = b"Nfrm".to_vec();
        want.extend_from_slice(&crc(&out[8..]).to_le_bytes());
        want.extend_from_slice(&[2, 2, 6, 0, 5, 0, 0, 0, 4, 3, 2, 1, 7, 0, 0, 0]);
        want.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0]);
        want.extend_from_slice(&[0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        want.extend_from_slice(&[0, 16, 0, 0, 9, 0, 0, 0]);
        want.extend_from_slice(b"team-a");
        assert_eq!(out, want);
        assert_eq!(FrameHeader::decode(&out, 0), Some(header()));
        assert_eq!((header().header_len(), header().frame_len()), (54, 64));
    }

    #[test]
    fn frame_refuses_other_salts_and_every_flipped_bit() {
        let mut out = Vec::new();
        header().encode(Some(&Tenant::admit("team-a").unwrap()), 77, &mut out);
        assert_eq!(FrameHeader::decode(&out, 77), Some(header()));
        assert_eq!(FrameHeader::decode(&out, 78), None);
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&out, 77), None, "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(FrameHeader::decode(&out[..53], 77), None);
    }

    #[test]
    fn segment_header_round_trips_and_refuses_damage() {
        let header =
            SegmentHeader { sequence: 9, previous_end: 8192, salt: 5, begun: 6, next: vec![1, 1 << 62, 3] };
        let mut bytes = header.encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(&bytes[..16], b"NORNLOG\0\x01\0\0\0\0\x10\0\0");
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in (0..40).chain(48..72) {
            bytes[at] ^= 1;
            assert!(SegmentHeader::decode(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(SegmentHeader::decode(&bytes[..100]).is_err());
        assert!(SegmentHeader::decode(&[]).is_err());
    }

    #[test]
    fn unknown_types_say_whether_they_can_be_stepped_over() {
        assert_eq!(FrameKind::from_bytes(6, 0), FrameKind::Unknown(6));
        assert_eq!(FrameKind::from_bytes(0, 0), FrameKind::Unknown(0));
        assert_eq!(FrameKind::from_bytes(200, 0), FrameKind::Skip);
    }
}
