//! Where the sections of an index are.

use norn_codec::crc::crc32c;

use super::{CRC_LEN, HEADER_LEN};
use crate::Error;
use crate::file::{ReadAt, read};

/// Bytes of the table at the end of the file.
pub(super) const LEN: u64 = 6 * 8 + CRC_LEN;

/// Positions of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toc {
    pub(super) symbols: u64,
    pub(super) series: u64,
    pub(super) label_indices: u64,
    pub(super) label_index_table: u64,
    pub(super) postings: u64,
    pub(super) postings_table: u64,
}

impl Toc {
    pub(super) fn encode(&self) -> Vec<u8> {
        let positions = [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_index_table,
            self.postings,
            self.postings_table,
        ];
        let mut out: Vec<u8> = positions.iter().flat_map(|p| p.to_be_bytes()).collect();
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    pub(super) fn read(source: &dyn ReadAt) -> Result<Self, Error> {
        let at = source.size().checked_sub(LEN).filter(|at| *at >= HEADER_LEN);
        let at = at.ok_or_else(|| Error::corrupt("ends early"))?;
        let bytes = read(source, at, LEN)?;
        let (positions, crc) = bytes.split_at(LEN as usize - CRC_LEN as usize);
        if crc32c(positions).to_be_bytes() != *crc {
            return Err(Error::corrupt("checksum of the table of contents differs"));
        }
        let mut positions = positions.as_chunks::<8>().0.iter().map(|p| u64::from_be_bytes(*p));
        let mut next = || positions.next().unwrap_or_default();
        Ok(Self {
            symbols: next(),
            series: next(),
            label_indices: next(),
            label_index_table: next(),
            postings: next(),
            postings_table: next(),
        })
    }
}

/// The content of a section that begins at `at` with a u32 length and ends with a checksum.
pub(super) fn section(source: &dyn ReadAt, at: u64, what: &str) -> Result<Vec<u8>, Error> {
    let checked = || {
        let len = read(source, at, 4)?;
        let len = u64::from(u32::from_be_bytes(len.as_slice().try_into().unwrap_or_default()));
        let mut content = read(source, at + 4, len + CRC_LEN)?;
        let crc = content.split_off(len as usize);
        if crc32c(&content).to_be_bytes() != *crc {
            return Err(Error::corrupt("checksum differs"));
        }
        Ok(content)
    };
    checked().map_err(|e: Error| e.within(&format!("{what} at {at}")))
}

/// Takes a u32 off the front.
pub(super) fn take_u32(input: &mut &[u8]) -> Result<u32, Error> {
    let (first, rest) = input.split_first_chunk::<4>().ok_or_else(|| Error::corrupt("ends early"))?;
    *input = rest;
    Ok(u32::from_be_bytes(*first))
}

/// Takes a length and that many bytes of UTF-8 off the front.
pub(super) fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, Error> {
    let len = norn_codec::varint::take_uvarint(input)?;
    let split = usize::try_from(len).ok().and_then(|len| input.split_at_checked(len));
    let (text, rest) = split.ok_or_else(|| Error::corrupt("a text ends early"))?;
    *input = rest;
    str::from_utf8(text).map_err(|_| Error::corrupt("a text is not UTF-8"))
}
