//! Submessages that remote write and records share, and the memory budget of a decode.

use norn_model::Millis;
use norn_model::metadata::MetricType;

use crate::protobuf::{FormError, Reader, Span, fixed64_key, len_key, varint_key};

/// Most bytes that the decoded form of one request may take, whatever its length.
pub const MAX_DECODED: usize = 512 << 20;

/// Memory that the decoded form of one message may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    total: usize,
    left: usize,
}

impl Budget {
    /// At most this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { total: bytes, left: bytes }
    }

    /// Enough for any sensible message of `len` bytes: 32 × `len` + 64 KiB, and never more than
    /// [`MAX_DECODED`]. The densest one seen in practice, stale histograms, needs 22 × `len`.
    pub fn for_message(len: usize) -> Self {
        Self::new(len.saturating_mul(32).saturating_add(64 << 10).min(MAX_DECODED))
    }

    /// Bytes taken so far.
    pub(crate) fn spent(&self) -> usize {
        self.total - self.left
    }

    /// Takes the size of one `T`.
    #[inline]
    pub(crate) fn take<T>(&mut self) -> Result<(), FormError> {
        self.take_many::<T>(1)
    }

    /// Takes the size of `count` of them.
    #[inline]
    pub(crate) fn take_many<T>(&mut self, count: usize) -> Result<(), FormError> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(FormError::TooLarge)?;
        self.left = self.left.checked_sub(bytes).ok_or(FormError::TooLarge)?;
        Ok(())
    }
}

/// A cursor over a whole message, if offsets into it fit 32 bits.
pub(crate) fn whole(body: &[u8]) -> Result<Reader<'_>, FormError> {
    if u32::try_from(body.len()).is_err() {
        return Err(FormError::TooLarge);
    }
    Ok(Reader::new(body))
}

/// Part of a flat vector.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range32 {
    pub start: u32,
    pub end: u32,
}

impl Range32 {
    /// From `start` to the end of `items`. Budgets keep vectors of a message below 2^32 items.
    #[inline]
    pub fn since<T>(start: usize, items: &[T]) -> Self {
        Self { start: start as u32, end: items.len() as u32 }
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub fn of<T>(self, items: &[T]) -> &[T] {
        &items[self.start as usize..self.end as usize]
    }
}

/// Name and value of the label message that comes next.
#[inline]
pub(crate) fn label(r: &mut Reader<'_>) -> Result<(Span, Span), FormError> {
    if let Some((name_len, value_len)) = plain_label(r.rest()) {
        let name = Span { start: r.position() as u32 + 3, len: name_len };
        let value = Span { start: name.start + name_len + 2, len: value_len };
        r.advance((5 + name_len + value_len) as usize);
        return Ok((name, value));
    }
    any_label(r.message()?)
}

/// Lengths of name and value where the message is `len 0a n name 12 v value` with short lengths.
#[inline]
fn plain_label(rest: &[u8]) -> Option<(u32, u32)> {
    let [len, 0x0a, name_len, tail @ ..] = rest else { return None };
    let &[0x12, value_len] = tail.get(usize::from(*name_len)..)?.first_chunk::<2>()? else { return None };
    let inner = u32::from(*name_len) + u32::from(value_len) + 4;
    let short = (*len | name_len | value_len) < 0x80;
    let fits = rest.len() > inner as usize && u32::from(*len) == inner;
    (short && fits).then_some((u32::from(*name_len), u32::from(value_len)))
}

fn any_label(mut r: Reader<'_>) -> Result<(Span, Span), FormError> {
    const NAME: u32 = len_key(1);
    const VALUE: u32 = len_key(2);
    let (mut name, mut value) = (Span::default(), Span::default());
    while !r.is_empty() {
        match r.key()? {
            NAME => name = r.span()?,
            VALUE => value = r.span()?,
            key => r.skip(key, 0b110)?,
        }
    }
    Ok((name, value))
}

/// Appends the symbol references of a field whose `key` was read, packed or not. Each is charged
/// as a `T`; packed ones by the bytes they take, which are at least as many.
#[inline]
pub(crate) fn refs<T>(
    r: &mut Reader<'_>,
    key: u32,
    out: &mut Vec<u32>,
    budget: &mut Budget,
) -> Result<(), FormError> {
    if key & 7 == 0 {
        budget.take::<T>()?;
        out.push(r.varint()? as u32);
        return Ok(());
    }
    let mut packed = r.message()?;
    let most = packed.rest().len();
    budget.take_many::<T>(most)?;
    let start = out.len();
    out.resize(start + most, 0);
    let mut count = 0;
    for slot in &mut out[start..] {
        if packed.is_empty() {
            break;
        }
        *slot = packed.varint()? as u32;
        count += 1;
    }
    out.truncate(start + count);
    Ok(())
}

/// One float at one time, as remote write carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub timestamp: Millis,
    /// The value; may be any NaN.
    pub value: f64,
    /// When counting began, in Unix milliseconds; 0 = not known. Only remote write 2 has it.
    pub start_timestamp: Millis,
}

/// The sample message that comes next.
#[inline]
pub(crate) fn sample(r: &mut Reader<'_>) -> Result<Sample, FormError> {
    let mut message = r.message()?;
    let start = message.position();
    if let Some((head, _)) = message.rest().split_first_chunk::<10>()
        && let [0x09, value @ .., 0x10] = head
    {
        message.advance(head.len());
        let timestamp = message.varint()? as i64;
        if message.is_empty() {
            return Ok(Sample { timestamp, value: f64::from_le_bytes(*value), start_timestamp: 0 });
        }
        message.rewind(start);
    }
    any_sample(message)
}

fn any_sample(mut r: Reader<'_>) -> Result<Sample, FormError> {
    const VALUE: u32 = fixed64_key(1);
    const TIMESTAMP: u32 = varint_key(2);
    const START: u32 = varint_key(3);
    let mut sample = Sample::default();
    while !r.is_empty() {
        match r.key()? {
            VALUE => sample.value = r.double()?,
            TIMESTAMP => sample.timestamp = r.varint()? as i64,
            START => sample.start_timestamp = r.varint()? as i64,
            key => r.skip(key, 0b1110)?,
        }
    }
    Ok(sample)
}

/// The metric type of an enum field: the low 32 bits count.
pub(crate) fn metric_type(n: u64) -> MetricType {
    MetricType::from_number(n & 0xffff_ffff)
}

/// Metadata as remote write 1 and old records carry it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FamilyMetadata {
    pub kind: MetricType,
    pub family: Span,
    pub help: Span,
    pub unit: Span,
}

/// The metadata message that comes next.
pub(crate) fn family_metadata(r: &mut Reader<'_>) -> Result<FamilyMetadata, FormError> {
    const TYPE: u32 = varint_key(1);
    const FAMILY: u32 = len_key(2);
    const HELP: u32 = len_key(4);
    const UNIT: u32 = len_key(5);
    let mut r = r.message()?;
    let mut metadata = FamilyMetadata::default();
    while !r.is_empty() {
        match r.key()? {
            TYPE => metadata.kind = metric_type(r.varint()?),
            FAMILY => metadata.family = r.span()?,
            HELP => metadata.help = r.span()?,
            UNIT => metadata.unit = r.span()?,
            key => r.skip(key, 0b11_0110)?,
        }
    }
    Ok(metadata)
}

/// Metadata by symbol references, as remote write 2 and version 2 records carry it in a series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefMetadata {
    pub kind: MetricType,
    pub help: u32,
    pub unit: u32,
}

impl RefMetadata {
    /// Merges the metadata message that comes next.
    pub fn merge(&mut self, r: &mut Reader<'_>) -> Result<(), FormError> {
        const TYPE: u32 = varint_key(1);
        const HELP: u32 = varint_key(3);
        const UNIT: u32 = varint_key(4);
        let mut r = r.message()?;
        while !r.is_empty() {
            match r.key()? {
                TYPE => self.kind = metric_type(r.varint()?),
                HELP => self.help = r.varint()? as u32,
                UNIT => self.unit = r.varint()? as u32,
                key => r.skip(key, 0b1_1010)?,
            }
        }
        Ok(())
    }
}

/// The parts of an exemplar message that all formats share: value and time. Its labels, texts or
/// references, go to `label`, which reads them for the key it is given.
pub(crate) fn exemplar(
    r: &mut Reader<'_>,
    mut label: impl FnMut(u32, &mut Reader<'_>) -> Result<(), FormError>,
) -> Result<(f64, Millis), FormError> {
    const LABELS: u32 = len_key(1);
    const LABEL_REF: u32 = varint_key(1);
    const VALUE: u32 = fixed64_key(2);
    const TIMESTAMP: u32 = varint_key(3);
    let mut r = r.message()?;
    let (mut value, mut timestamp) = (0.0, 0);
    while !r.is_empty() {
        match r.key()? {
            key @ (LABELS | LABEL_REF) => label(key, &mut r)?,
            VALUE => value = r.double()?,
            TIMESTAMP => timestamp = r.varint()? as i64,
            key => r.skip(key, 0b1110)?,
        }
    }
    Ok((value, timestamp))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::protobuf::{put_bytes_field, put_varint};

    /// A long label whose length and name look like a short label to who forgets the high bits.
    #[test]
    fn a_long_label_is_not_taken_for_a_short_one() {
        for (at, value_len) in [(10, 200u8), (11, 200), (12, 200), (10, 114), (11, 115)] {
            let mut name = vec![b'n'; 1000];
            name[at - 2..at].copy_from_slice(&[0x12, value_len]);
            let mut content = Vec::new();
            put_bytes_field(&mut content, 1, &name);
            let mut value = vec![b'v'; 0];
            while content.len() + value.len() + 3 != 1280 + (value_len as usize + 14 - 128) {
                value.push(b'v');
            }
            put_bytes_field(&mut content, 2, &value);
            let mut message = Vec::new();
            put_varint(&mut message, content.len() as u64);
            message.extend_from_slice(&content);
            assert_eq!(message[..2], [value_len + 14, 0x0a], "the shape this test is about");
            let (n, v) = label(&mut Reader::new(&message)).unwrap();
            assert_eq!((n.of(&message), v.of(&message)), (&name[..], &value[..]));
        }
    }

    #[test]
    fn references_of_two_bytes_count_once() {
        let bytes = [4, 0x80, 0x01, 0x81, 0x01, 7];
        let (mut r, mut out, mut budget) = (Reader::new(&bytes), vec![5], Budget::new(100));
        refs::<u32>(&mut r, len_key(1), &mut out, &mut budget).unwrap();
        refs::<u32>(&mut r, varint_key(1), &mut out, &mut budget).unwrap();
        assert_eq!(out, [5, 128, 129, 7]);
        assert_eq!(budget.spent(), 20);
    }

    #[test]
    fn the_low_half_of_an_enum_counts() {
        assert_eq!(metric_type(1 << 32 | 2), MetricType::Gauge);
        assert_eq!(metric_type(-2i64 as u64), MetricType::Unknown);
    }
}
