//! Block names: ULIDs.
//!
//! 48 bits of Unix milliseconds, then 80 random bits, in Crockford's base 32: 26 characters that
//! sort by time.

use std::fmt;
use std::str::FromStr;

use norn_model::Millis;
use serde::{Deserialize, Serialize};

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a ULID.
pub const LEN: usize = 26;

/// A block's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ulid(u128);

/// A text that is not a ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a ULID")]
pub struct NotUlid;

impl Ulid {
    /// An id of the time `now`, of which 48 bits are kept, and of 80 `random` bits.
    pub fn new(now: Millis, random: [u8; 10]) -> Self {
        let random = random.iter().fold(0u128, |n, &byte| n << 8 | u128::from(byte));
        let time = now.max(0) as u128 & ((1 << 48) - 1);
        Self(time << 80 | random)
    }

    /// Unix milliseconds of the id.
    pub fn time(self) -> Millis {
        (self.0 >> 80) as Millis
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |i: usize| DIGITS[(self.0 >> (5 * (LEN - 1 - i))) as usize & 31];
        let text: [u8; LEN] = std::array::from_fn(digit);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for Ulid {
    type Err = NotUlid;

    /// Takes upper case alone: ids are names of directories and object keys.
    fn from_str(text: &str) -> Result<Self, NotUlid> {
        let bytes: &[u8; LEN] = text.as_bytes().try_into().map_err(|_| NotUlid)?;
        if bytes[0] > b'7' {
            return Err(NotUlid);
        }
        let digit = |byte: &u8| DIGITS.iter().position(|d| d == byte).ok_or(NotUlid);
        bytes.iter().try_fold(0u128, |n, byte| Ok(n << 5 | digit(byte)? as u128)).map(Self)
    }
}

impl From<Ulid> for String {
    fn from(id: Ulid) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Ulid {
    type Error = NotUlid;

    fn try_from(text: String) -> Result<Self, NotUlid> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_published_example_and_reads_it_back() {
        // Time of the specification's example, 1469918176385 = 01ARYZ6S41.
        let id = Ulid::new(1_469_918_176_385, [0; 10]);
        assert_eq!(id.to_string(), "01ARYZ6S410000000000000000");
        assert_eq!(id.time(), 1_469_918_176_385);
        let full = Ulid::new((1 << 48) - 1, [0xff; 10]);
        assert_eq!(full.to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        for id in [id, full, Ulid::new(-5, [7; 10]), Ulid::new(1_700_000_000_000, *b"0123456789")] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in
            ["", "01ARYZ6S41000000000000000", "81ARYZ6S410000000000000000", "01ARYZ6S4100000000000000i0"]
        {
            assert_eq!(text.parse::<Ulid>(), Err(NotUlid), "{text}");
        }
        assert_eq!("../../../../../../../../..".parse::<Ulid>(), Err(NotUlid));
    }
}
