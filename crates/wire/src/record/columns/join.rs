//! Puts a record together again.

use super::model::{MASKED, Model};
use super::{ColumnsError, HEADER_NUMBERS};
use crate::fields::Range32;
use crate::protobuf::{
    Reader, close, open, put_bytes_field, put_double_field, put_message, put_uint_field, put_varint, unzigzag,
};

type Result<T> = std::result::Result<T, ColumnsError>;

impl From<crate::protobuf::FormError> for ColumnsError {
    fn from(_: crate::protobuf::FormError) -> Self {
        Self
    }
}

/// The record of `len` bytes whose columns these are.
///
/// Takes memory for a few times `len` and for a few times the columns at most.
pub fn join(columns: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut joiner = Joiner::new(columns, len)?;
    joiner.symbols()?;
    while !joiner.heads.is_empty() {
        joiner.series()?;
    }
    joiner.finish()
}

struct Joiner<'a> {
    lengths: Reader<'a>,
    texts: &'a [u8],
    heads: Reader<'a>,
    masks: Reader<'a>,
    references: Reader<'a>,
    times: Reader<'a>,
    rest: &'a [u8],
    planes: &'a [u8],
    values: usize,
    /// Values used.
    used: usize,
    model: Model,
    time: u64,
    difference: u64,
    /// Timestamps left in the run.
    run: u64,
    out: Vec<u8>,
    len: usize,
}

fn cut<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_| ColumnsError)?;
    let (head, tail) = bytes.split_at_checked(len).ok_or(ColumnsError)?;
    *bytes = tail;
    Ok(head)
}

impl<'a> Joiner<'a> {
    fn new(columns: &'a [u8], len: usize) -> Result<Self> {
        if u32::try_from(columns.len()).is_err() {
            return Err(ColumnsError);
        }
        let mut header = Reader::new(columns);
        let mut numbers = [0; HEADER_NUMBERS];
        for number in &mut numbers {
            *number = header.varint()?;
        }
        let [lengths, texts, heads, masks, references, times, rest, values] = numbers;
        let mut bytes = header.rest();
        Ok(Self {
            lengths: Reader::new(cut(&mut bytes, lengths)?),
            texts: cut(&mut bytes, texts)?,
            heads: Reader::new(cut(&mut bytes, heads)?),
            masks: Reader::new(cut(&mut bytes, masks)?),
            references: Reader::new(cut(&mut bytes, references)?),
            times: Reader::new(cut(&mut bytes, times)?),
            rest: cut(&mut bytes, rest)?,
            planes: (values.checked_mul(8) == Some(bytes.len() as u64))
                .then_some(bytes)
                .ok_or(ColumnsError)?,
            values: values as usize,
            used: 0,
            model: Model::new(),
            time: 0,
            difference: 0,
            run: 0,
            out: Vec::with_capacity(len),
            len,
        })
    }

    /// Fails when `more` bytes would make the record too long.
    #[inline]
    fn room(&self, more: usize) -> Result<()> {
        if more <= self.len.saturating_sub(self.out.len()) { Ok(()) } else { Err(ColumnsError) }
    }

    fn symbols(&mut self) -> Result<()> {
        while !self.lengths.is_empty() {
            let len = self.lengths.varint()?;
            let text = cut(&mut self.texts, len)?;
            self.room(text.len())?;
            put_bytes_field(&mut self.out, 4, text);
        }
        Ok(())
    }

    #[inline]
    fn series(&mut self) -> Result<()> {
        let head = self.heads.varint()?;
        let (mut samples, mut unread) = (1, 0);
        if head & 1 == 1 {
            (samples, unread) = (self.heads.varint()?, self.heads.varint()?);
        }
        self.list(head >> 1)?;
        let start = open(&mut self.out, 5);
        self.labels()?;
        for _ in 0..samples {
            self.sample()?;
        }
        let unread = cut(&mut self.rest, unread)?;
        self.room(unread.len())?;
        self.out.extend_from_slice(unread);
        close(&mut self.out, start);
        Ok(())
    }

    /// Sets the list of names.
    #[inline]
    fn list(&mut self, stored: u64) -> Result<()> {
        let Some(number) = usize::try_from(stored).map_err(|_| ColumnsError)?.checked_sub(1) else {
            return Ok(());
        };
        if number < self.model.lists() {
            self.model.list = self.model.list(number).ok_or(ColumnsError)?;
            return Ok(());
        }
        if number > self.model.lists() {
            return Err(ColumnsError);
        }
        let count = self.references.varint()?;
        // A name takes a byte at least.
        if count > self.references.rest().len() as u64 {
            return Err(ColumnsError);
        }
        let mut names = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let stored = self.references.varint()?;
            names.push(self.model.load(stored).ok_or(ColumnsError)?);
        }
        self.model.list = self.model.add_list(names);
        Ok(())
    }

    #[inline]
    fn labels(&mut self) -> Result<()> {
        let mask = self.masks.varint()?;
        let list: Range32 = self.model.list;
        // A list of many names takes few bytes when it comes again.
        self.room(2 * (list.end - list.start) as usize)?;
        let start = open(&mut self.out, 1);
        for i in 0..(list.end - list.start) as usize {
            let name = self.model.names(list)[i];
            let expected = i < MASKED && mask >> i & 1 == 0;
            let value = if expected {
                self.model.expected(name)
            } else {
                let stored = self.references.varint()?;
                let value = self.model.load(stored).ok_or(ColumnsError)?;
                self.model.learn(name, value);
                value
            };
            put_varint(&mut self.out, u64::from(name));
            put_varint(&mut self.out, u64::from(value));
        }
        close(&mut self.out, start);
        Ok(())
    }

    #[inline]
    fn sample(&mut self) -> Result<()> {
        self.room(2)?;
        if self.run == 0 {
            self.difference = unzigzag(self.times.varint()?) as u64;
            self.run = self.times.varint()?.checked_add(1).ok_or(ColumnsError)?;
        }
        self.run -= 1;
        self.time = self.time.wrapping_add(self.difference);
        let value = self.value()?;
        let time = self.time;
        put_message(&mut self.out, 2, |out| {
            put_double_field(out, 1, f64::from_bits(value));
            put_uint_field(out, 2, time);
        });
        Ok(())
    }

    #[inline]
    fn value(&mut self) -> Result<u64> {
        if self.used == self.values {
            return Err(ColumnsError);
        }
        let planes = self.planes.chunks_exact(self.values).zip(0..);
        let value = planes.fold(0, |v, (plane, i)| v | u64::from(plane[self.used]) << (8 * i));
        self.used += 1;
        Ok(value)
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        let left = !self.masks.is_empty() || !self.references.is_empty() || !self.times.is_empty();
        if left || self.run > 0 || self.used < self.values || !self.texts.is_empty() {
            return Err(ColumnsError);
        }
        self.room(self.rest.len())?;
        self.out.extend_from_slice(self.rest);
        if self.out.len() == self.len { Ok(self.out) } else { Err(ColumnsError) }
    }
}
