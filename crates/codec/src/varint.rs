//! LEB128 and zigzag integers on bytes.

use crate::DecodeError;

/// Longest encoding of a 64-bit integer.
pub const MAX_LEN: usize = 10;

/// Maps small negative numbers to small numbers.
pub fn zigzag(x: i64) -> u64 {
    ((x << 1) ^ (x >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

/// Appends `x`, 7 bits a byte.
pub fn put_uvarint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends `x` as zigzag.
pub fn put_varint(out: &mut Vec<u8>, x: i64) {
    put_uvarint(out, zigzag(x));
}

/// Reads an integer and moves `input` past it.
pub fn take_uvarint(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut decoder = Decoder::default();
    while let Some((&byte, rest)) = input.split_first() {
        *input = rest;
        if let Some(x) = decoder.push(byte)? {
            return Ok(x);
        }
    }
    Err(DecodeError::Truncated)
}

/// Reads a zigzag integer and moves `input` past it.
pub fn take_varint(input: &mut &[u8]) -> Result<i64, DecodeError> {
    take_uvarint(input).map(unzigzag)
}

/// Takes an integer byte by byte.
#[derive(Default)]
pub(crate) struct Decoder {
    value: u64,
    shift: u32,
}

impl Decoder {
    /// Adds a byte; the integer when it was the last one.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>, DecodeError> {
        if self.shift == 63 && byte > 1 {
            return Err(DecodeError::Invalid("variable-length integer exceeds 64 bits"));
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        Ok((byte < 0x80).then_some(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_edges() {
        for x in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, i64::MIN + 1] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, x);
            assert!(bytes.len() <= MAX_LEN);
            let mut input = &bytes[..];
            assert_eq!(take_varint(&mut input), Ok(x));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn refuses_endless_and_cut_integers() {
        assert!(matches!(take_uvarint(&mut &[0xff; 11][..]), Err(DecodeError::Invalid(_))));
        assert_eq!(take_uvarint(&mut &[0x80; 3][..]), Err(DecodeError::Truncated));
        assert_eq!(take_uvarint(&mut &[][..]), Err(DecodeError::Truncated));
    }
}
