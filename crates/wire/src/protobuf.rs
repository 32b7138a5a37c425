//! The protobuf wire format: a cursor over untrusted bytes, and the writers records need.

/// Deepest nesting of (unknown) groups that is skipped.
pub const MAX_GROUP_DEPTH: u32 = 32;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LEN: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// Bytes that are not a protobuf message of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A length or scalar reaches beyond its message.
    #[error("message ends inside a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("varint is longer than 64 bits")]
    Varint,
    /// Field number 0, an unknown wire type, or a key above 32 bits.
    #[error("invalid field key")]
    Key,
    /// A known field with a wire type it can not have.
    #[error("field {0} has the wrong wire type")]
    WireType(u32),
    /// A group without its end, or an end without its group.
    #[error("group is not closed by its own end")]
    Group,
    /// Groups in groups, deeper than any real message.
    #[error("groups are nested deeper than {MAX_GROUP_DEPTH}")]
    TooDeep,
    /// Longer than 4 GiB, or its decoded form is above the [`Budget`](crate::Budget).
    #[error("message is too large to decode")]
    TooLarge,
}

type Result<T> = std::result::Result<T, FormError>;

/// The key of a varint field.
pub(crate) const fn varint_key(field: u32) -> u32 {
    field << 3 | VARINT
}

/// The key of a double.
pub(crate) const fn fixed64_key(field: u32) -> u32 {
    field << 3 | FIXED64
}

/// The key of a string, message or packed field.
pub(crate) const fn len_key(field: u32) -> u32 {
    field << 3 | LEN
}

/// A byte range of the message; offsets count from the start of the outermost message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// The bytes; `body` is what the span was made from.
    #[inline]
    pub fn of(self, body: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &body[start..start + self.len as usize]
    }
}

/// A cursor. Inner messages keep the outer message's offsets.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// From the start of the outermost message to the end of this one.
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `body`, whose length fits [`Span`].
    pub fn new(body: &'a [u8]) -> Self {
        debug_assert!(u32::try_from(body.len()).is_ok());
        Self { buf: body, pos: 0 }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pos >= self.buf.len()
    }

    /// Offset from the start of the outermost message.
    #[inline]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// The bytes of a span that an inner message gave.
    #[inline]
    pub fn text(&self, span: Span) -> &'a [u8] {
        span.of(self.buf)
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.buf.get(self.pos..).unwrap_or_default()
    }

    /// Moves on by `n` bytes that the caller has seen in [`Reader::rest`].
    #[inline]
    pub fn advance(&mut self, n: usize) {
        self.pos += n;
    }

    /// Goes back to a position of this message.
    #[inline]
    pub fn rewind(&mut self, position: usize) {
        self.pos = position;
    }

    /// Forced inline: called out of line it doubles the cost of a series of references.
    #[inline(always)]
    pub fn varint(&mut self) -> Result<u64> {
        match self.rest() {
            [a, ..] if *a < 0x80 => {
                self.pos += 1;
                Ok(u64::from(*a))
            }
            [a, b, ..] if *b < 0x80 => {
                self.pos += 2;
                Ok(u64::from(*a & 0x7f) | u64::from(*b) << 7)
            }
            rest => {
                let (value, len) = long_varint(rest, self.buf)?;
                self.pos += len;
                Ok(value)
            }
        }
    }

    /// The next field's key: number × 8 + wire type. Neither is judged but for number 0.
    #[inline]
    pub fn key(&mut self) -> Result<u32> {
        let key = u32::try_from(self.varint()?).map_err(|_| FormError::Key)?;
        if key < 8 { Err(FormError::Key) } else { Ok(key) }
    }

    #[inline]
    pub fn double(&mut self) -> Result<f64> {
        let bytes = self.rest().first_chunk::<8>().ok_or(FormError::Truncated)?;
        self.pos += 8;
        Ok(f64::from_le_bytes(*bytes))
    }

    /// Reads a length and steps over that many bytes; gives the offset after them.
    #[inline]
    fn delimited(&mut self) -> Result<(usize, usize)> {
        let len = usize::try_from(self.varint()?).map_err(|_| FormError::Truncated)?;
        let start = self.pos;
        if len > self.buf.len() - start {
            return Err(FormError::Truncated);
        }
        self.pos = start + len;
        Ok((start, self.pos))
    }

    /// Where the next string lies.
    #[inline]
    pub fn span(&mut self) -> Result<Span> {
        let (start, end) = self.delimited()?;
        Ok(Span { start: start as u32, len: (end - start) as u32 })
    }

    /// The next string.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let (start, end) = self.delimited()?;
        Ok(&self.buf[start..end])
    }

    /// A cursor over the next inner message.
    #[inline]
    pub fn message(&mut self) -> Result<Reader<'a>> {
        let (start, end) = self.delimited()?;
        Ok(Reader { buf: &self.buf[..end], pos: start })
    }

    /// The values of a repeated varint field whose key was just read, packed or not.
    #[inline]
    pub fn varints<E: From<FormError>>(
        &mut self,
        key: u32,
        mut each: impl FnMut(u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if key & 7 == VARINT {
            return each(self.varint()?);
        }
        let mut packed = self.message()?;
        while !packed.is_empty() {
            each(packed.varint()?)?;
        }
        Ok(())
    }

    /// The values of a repeated double field whose key was just read, packed or not.
    pub fn doubles<E: From<FormError>>(
        &mut self,
        key: u32,
        mut each: impl FnMut(f64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if key & 7 == FIXED64 {
            return each(self.double()?);
        }
        let mut packed = self.message()?;
        while !packed.is_empty() {
            each(packed.double()?)?;
        }
        Ok(())
    }

    /// Steps over the field whose `key` was read and not understood. `known` has a bit for each
    /// field number of the message: those are refused, because only their wire type can be wrong.
    #[cold]
    pub fn skip(&mut self, key: u32, known: u32) -> Result<()> {
        let field = key >> 3;
        if field < 32 && known >> field & 1 == 1 {
            return Err(FormError::WireType(field));
        }
        self.skip_value(key, MAX_GROUP_DEPTH)
    }

    fn skip_value(&mut self, key: u32, depth: u32) -> Result<()> {
        match key & 7 {
            VARINT => self.varint().map(drop),
            FIXED64 => self.skip_bytes(8),
            LEN => self.delimited().map(drop),
            FIXED32 => self.skip_bytes(4),
            GROUP_START => self.skip_group(key >> 3, depth),
            GROUP_END => Err(FormError::Group),
            _ => Err(FormError::Key),
        }
    }

    fn skip_group(&mut self, field: u32, depth: u32) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(FormError::TooDeep)?;
        loop {
            let key = self.key()?;
            if key == field << 3 | GROUP_END {
                return Ok(());
            }
            self.skip_value(key, depth)?;
        }
    }

    fn skip_bytes(&mut self, n: usize) -> Result<()> {
        if self.rest().len() < n {
            return Err(FormError::Truncated);
        }
        self.pos += n;
        Ok(())
    }
}

/// The varint at the start of `rest`, which is the end of `buf`, and its length.
///
/// Looks at eight bytes at once: the next ones or, near the end of the message, its last ones
/// moved down, with zeros for what is not there. Not a method and not inlined, so that a
/// [`Reader`] stays in registers.
#[inline(never)]
fn long_varint(rest: &[u8], buf: &[u8]) -> Result<(u64, usize)> {
    let word = match (rest.first_chunk::<8>(), buf.last_chunk::<8>()) {
        (Some(head), _) => u64::from_le_bytes(*head),
        (None, Some(tail)) if !rest.is_empty() => u64::from_le_bytes(*tail) >> (64 - 8 * rest.len()),
        _ => return slow_varint(rest),
    };
    let ends = !word & 0x8080_8080_8080_8080;
    let len = ends.trailing_zeros() as usize / 8 + 1;
    if len > rest.len().min(8) {
        return slow_varint(rest);
    }
    // All bits up to the end marker of the last byte, then seven of each eight.
    let x = word & (ends ^ (ends - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
    let x = (x & 0x007f_007f_007f_007f) | (x & 0x7f00_7f00_7f00_7f00) >> 1;
    let x = (x & 0x0000_3fff_0000_3fff) | (x & 0x3fff_0000_3fff_0000) >> 2;
    Ok(((x & 0x0fff_ffff) | (x & 0x0fff_ffff_0000_0000) >> 4, len))
}

#[cold]
fn slow_varint(rest: &[u8]) -> Result<(u64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            let fits = i < 9 || byte <= 1;
            return if fits { Ok((value, i + 1)) } else { Err(FormError::Varint) };
        }
    }
    Err(if rest.len() < 10 { FormError::Truncated } else { FormError::Varint })
}

/// The signed number that zigzag maps to `n`.
#[inline]
pub(crate) fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[inline]
pub(crate) fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    if n < 0x80 {
        return out.push(n as u8);
    }
    if n < 0x4000 {
        return out.extend_from_slice(&[n as u8 | 0x80, (n >> 7) as u8]);
    }
    let mut buf = [0u8; 10];
    let mut len = 0;
    while n >= 0x80 {
        buf[len] = n as u8 | 0x80;
        n >>= 7;
        len += 1;
    }
    buf[len] = n as u8;
    out.extend_from_slice(&buf[..=len]);
}

/// Appends a varint field unless it is 0.
#[inline]
pub(crate) fn put_uint_field(out: &mut Vec<u8>, field: u32, n: u64) {
    if n != 0 {
        put_varint(out, u64::from(varint_key(field)));
        put_varint(out, n);
    }
}

/// Appends a zigzag varint field unless it is 0.
pub(crate) fn put_sint_field(out: &mut Vec<u8>, field: u32, n: i64) {
    put_uint_field(out, field, zigzag(n));
}

/// Appends a zigzag varint without a key, for packed fields.
pub(crate) fn put_sint(out: &mut Vec<u8>, n: i64) {
    put_varint(out, zigzag(n));
}

/// Appends a double field unless all its bits are 0; negative zero is written.
#[inline]
pub(crate) fn put_double_field(out: &mut Vec<u8>, field: u32, v: f64) {
    if v.to_bits() != 0 {
        put_oneof_double(out, field, v);
    }
}

/// Appends a double field, 0 included: members of a oneof are present or absent.
pub(crate) fn put_oneof_double(out: &mut Vec<u8>, field: u32, v: f64) {
    put_varint(out, u64::from(fixed64_key(field)));
    out.extend_from_slice(&v.to_le_bytes());
}

/// Appends a string field.
#[inline]
pub(crate) fn put_bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(len_key(field)));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Opens an inner message: writes its key and one byte for its length. Gives the mark that
/// [`close`] needs.
#[inline]
pub(crate) fn open(out: &mut Vec<u8>, field: u32) -> usize {
    put_varint(out, u64::from(len_key(field)));
    out.push(0);
    out.len()
}

/// Closes the inner message opened at `mark`; moves it when its length needs more than a byte.
#[inline]
pub(crate) fn close(out: &mut Vec<u8>, mark: usize) {
    let len = out.len() - mark;
    if len < 0x80 {
        out[mark - 1] = len as u8;
    } else {
        close_long(out, mark, len);
    }
}

#[cold]
fn close_long(out: &mut Vec<u8>, mark: usize, len: usize) {
    let extra = (len.ilog2() / 7) as usize;
    out.resize(out.len() + extra, 0);
    out.copy_within(mark..mark + len, mark + extra);
    let mut rest = len;
    for byte in &mut out[mark - 1..mark + extra - 1] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[mark + extra - 1] = rest as u8;
}

/// Writes one inner message.
#[inline]
pub(crate) fn put_message(out: &mut Vec<u8>, field: u32, content: impl FnOnce(&mut Vec<u8>)) {
    let mark = open(out, field);
    content(out);
    close(out, mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_round_trip() {
        for bits in 0..64 {
            for n in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                put_varint(&mut out, n);
                for padding in [0, 8] {
                    let mut padded = out.clone();
                    padded.resize(out.len() + padding, 0xff);
                    let mut r = Reader::new(&padded);
                    assert_eq!(r.varint(), Ok(n));
                    assert_eq!(r.position(), out.len());
                }
                for before in [0, 8] {
                    let cut = [vec![0; before], out[..out.len() - 1].to_vec()].concat();
                    let mut r = Reader::new(&cut);
                    r.advance(before);
                    assert_eq!(r.varint(), Err(FormError::Truncated));
                }
            }
        }
    }

    #[test]
    fn varints_may_be_padded_but_not_overflow() {
        let mut padded = [0x80u8; 10];
        padded[9] = 0;
        assert_eq!(Reader::new(&padded).varint(), Ok(0));
        padded[9] = 1;
        assert_eq!(Reader::new(&padded).varint(), Ok(1 << 63));
        padded[9] = 2;
        assert_eq!(Reader::new(&padded).varint(), Err(FormError::Varint));
        assert_eq!(Reader::new(&[0xff; 20]).varint(), Err(FormError::Varint));
    }

    #[test]
    fn groups_are_skipped_to_a_depth() {
        let nested = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
        let skip = |bytes: &[u8]| {
            let mut r = Reader::new(bytes);
            let key = r.key()?;
            r.skip(key, 0)?;
            Ok(r.is_empty())
        };
        assert_eq!(skip(&nested(32)), Ok(true));
        assert_eq!(skip(&nested(33)), Err(FormError::TooDeep));
        assert_eq!(skip(&nested(1_000_000)), Err(FormError::TooDeep));
        assert_eq!(skip(&[0x0b, 0x14]), Err(FormError::Group));
        assert_eq!(skip(&[0x0b]), Err(FormError::Truncated));
        assert_eq!(skip(&[0x0e]), Err(FormError::Key));
    }

    #[test]
    fn long_messages_get_long_lengths() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut out = vec![7];
            put_message(&mut out, 5, |out| out.resize(out.len() + len, 9));
            let mut r = Reader::new(&out[1..]);
            assert_eq!(r.key(), Ok(len_key(5)));
            assert_eq!(r.bytes(), Ok(&vec![9u8; len][..]));
            assert!(r.is_empty());
        }
    }

    #[test]
    fn zigzag_round_trips() {
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
    }
}
