//! The file of deletions.

use norn_codec::crc::crc32c;
use norn_codec::varint::{put_uvarint, put_varint, take_uvarint, take_varint};
use norn_model::Millis;

use crate::Error;

/// The file's name.
pub const FILE_NAME: &str = "tombstones";

const MAGIC: [u8; 4] = 0x0130_ba30_u32.to_be_bytes();
const VERSION: u8 = 1;
const HEADER_LEN: usize = 5;

/// Samples of a series that count as deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Id of the series in the index.
    pub series: u64,
    /// First millisecond deleted.
    pub mint: Millis,
    /// Last millisecond deleted.
    pub maxt: Millis,
}

/// A whole file.
pub fn encode(tombstones: &[Tombstone]) -> Vec<u8> {
    let mut out = [&MAGIC[..], &[VERSION]].concat();
    for t in tombstones {
        put_uvarint(&mut out, t.series);
        put_varint(&mut out, t.mint);
        put_varint(&mut out, t.maxt);
    }
    let crc = crc32c(&out[HEADER_LEN..]);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// The entries of a whole file.
pub fn decode(bytes: &[u8]) -> Result<Vec<Tombstone>, Error> {
    let broken = |what: &str| Error::corrupt(format!("tombstones: {what}"));
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(|| broken("ends early"))?;
    if header[..4] != MAGIC || header[4] != VERSION {
        return Err(broken("magic number or version is another"));
    }
    let (mut entries, crc) = rest.split_last_chunk::<4>().ok_or_else(|| broken("ends early"))?;
    if crc32c(entries) != u32::from_be_bytes(*crc) {
        return Err(broken("checksum differs"));
    }
    let mut found = Vec::new();
    while !entries.is_empty() {
        found.push(Tombstone {
            series: take_uvarint(&mut entries)?,
            mint: take_varint(&mut entries)?,
            maxt: take_varint(&mut entries)?,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_file_is_upstreams() {
        assert_eq!(encode(&[]), [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
        assert!(decode(&encode(&[])).is_ok_and(|t| t.is_empty()));
    }

    #[test]
    fn round_trips_and_refuses_every_change() {
        let all = [
            Tombstone { series: 7, mint: -3, maxt: 900_000 },
            Tombstone { series: u64::MAX, mint: i64::MIN, maxt: i64::MAX },
        ];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes).expect("decodes"), all);
        for i in 0..bytes.len() {
            assert!(decode(&bytes[..i]).is_err());
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[i] ^= 1 << bit;
                assert!(decode(&changed).is_err(), "byte {i} bit {bit}");
            }
        }
    }
}
