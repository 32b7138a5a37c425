//! Takes a record apart.

use super::HEADER_NUMBERS;
use super::model::{MASKED, Model};
use crate::protobuf::{len_key, put_varint, zigzag};

/// Lists are found again by this many values of a hash.
const SLOTS: usize = 256;

/// The streams.
#[derive(Debug, Default)]
struct Streams {
    /// Lengths of symbols.
    lengths: Vec<u8>,
    texts: Vec<u8>,
    /// What a series consists of.
    heads: Vec<u8>,
    /// Which values of labels were not expected.
    masks: Vec<u8>,
    /// These values, and names of new lists.
    references: Vec<u8>,
    /// Differences of timestamps in runs.
    times: Vec<u8>,
    /// What is kept as it is.
    rest: Vec<u8>,
    values: Vec<u64>,
}

/// Splits one record after the other in the same memory.
#[derive(Debug)]
pub struct Splitter {
    streams: Streams,
    model: Model,
    /// Numbers of lists by a hash of their names, plus 1.
    slots: Box<[u32; SLOTS]>,
    run: Run,
    /// One series.
    references: Vec<u32>,
    samples: Vec<(u64, u64)>,
}

/// Equal differences between timestamps.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    last: u64,
    difference: u64,
    count: u64,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// A splitter.
    pub fn new() -> Self {
        Self {
            streams: Streams::default(),
            model: Model::new(),
            slots: Box::new([0; SLOTS]),
            run: Run::default(),
            references: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Appends the columns of the record `value`, which is below 4 GiB, to `out`.
    pub fn split(&mut self, value: &[u8], out: &mut Vec<u8>) {
        self.clear();
        let mut rest = value;
        while let Some((text, behind)) = field(rest, len_key(4) as u8) {
            put_varint(&mut self.streams.lengths, text.len() as u64);
            self.streams.texts.extend_from_slice(text);
            rest = behind;
        }
        while let Some((body, behind)) = field(rest, len_key(5) as u8) {
            let Some(unread) = self.parse(body) else { break };
            self.put(unread);
            rest = behind;
        }
        self.streams.rest.extend_from_slice(rest);
        self.end_run();
        self.streams.write(out);
    }

    /// About how many bytes the splitter keeps for reuse.
    pub fn kept_bytes(&self) -> usize {
        let s = &self.streams;
        let bytes = [&s.lengths, &s.texts, &s.heads, &s.masks, &s.references, &s.times, &s.rest];
        let series = 4 * self.references.capacity() + 16 * self.samples.capacity();
        let streams = bytes.iter().map(|b| b.capacity()).sum::<usize>() + 8 * s.values.capacity();
        streams + series + self.model.kept_bytes()
    }

    fn clear(&mut self) {
        self.streams.clear();
        self.model.clear();
        self.slots.fill(0);
        self.run = Run::default();
    }

    /// Reads references and samples of a series and gives what is behind them; `None` when it does
    /// not start with pairs of references.
    #[inline]
    fn parse<'a>(&mut self, body: &'a [u8]) -> Option<&'a [u8]> {
        let (mut packed, mut rest) = field(body, len_key(1) as u8)?;
        self.references.clear();
        while !packed.is_empty() {
            self.references.push(u32::try_from(varint(&mut packed)?).ok()?);
        }
        self.samples.clear();
        while let Some((timestamp, value, behind)) = sample(rest) {
            self.samples.push((timestamp, value));
            rest = behind;
        }
        self.references.len().is_multiple_of(2).then_some(rest)
    }

    #[inline]
    fn put(&mut self, unread: &[u8]) {
        let plain = self.samples.len() == 1 && unread.is_empty();
        let list = self.put_list();
        put_varint(&mut self.streams.heads, list << 1 | u64::from(!plain));
        if !plain {
            put_varint(&mut self.streams.heads, self.samples.len() as u64);
            put_varint(&mut self.streams.heads, unread.len() as u64);
            self.streams.rest.extend_from_slice(unread);
        }
        self.put_values();
        for i in 0..self.samples.len() {
            let (timestamp, value) = self.samples[i];
            self.put_time(timestamp);
            self.streams.values.push(value);
        }
    }

    /// Finds the list of the series' names: 0 for that of the series before, otherwise its number
    /// plus 1. A new one is added.
    #[inline]
    fn put_list(&mut self) -> u64 {
        let known = self.model.names(self.model.list);
        if same_names(&self.references, known) { 0 } else { self.put_other_list() }
    }

    fn put_other_list(&mut self) -> u64 {
        let names = self.references.iter().step_by(2);
        let hash = names.fold(0u32, |h, n| (h ^ n).wrapping_mul(0x9e37_79b1).rotate_left(15));
        let slot = hash as usize % SLOTS;
        let number = self.slots[slot];
        if let Some(list) = (number as usize).checked_sub(1).and_then(|n| self.model.list(n))
            && same_names(&self.references, self.model.names(list))
        {
            self.model.list = list;
            return u64::from(number);
        }
        put_varint(&mut self.streams.references, self.references.len() as u64 / 2);
        for name in self.references.iter().step_by(2) {
            put_varint(&mut self.streams.references, self.model.store(*name));
        }
        self.model.list = self.model.add_list(self.references.iter().step_by(2).copied());
        self.slots[slot] = self.model.lists() as u32;
        self.model.lists() as u64
    }

    #[inline]
    fn put_values(&mut self) {
        let mut mask = 0u64;
        for (i, pair) in self.references.chunks_exact(2).enumerate() {
            let (name, value) = (pair[0], pair[1]);
            let expected = i < MASKED && self.model.expected(name) == value;
            if !expected {
                mask |= 1u64.checked_shl(i as u32).unwrap_or(0);
                put_varint(&mut self.streams.references, self.model.store(value));
                self.model.learn(name, value);
            }
        }
        put_varint(&mut self.streams.masks, mask);
    }

    #[inline]
    fn put_time(&mut self, timestamp: u64) {
        let difference = timestamp.wrapping_sub(self.run.last);
        self.run.last = timestamp;
        if difference == self.run.difference {
            self.run.count += 1;
        } else {
            self.end_run();
            (self.run.difference, self.run.count) = (difference, 1);
        }
    }

    fn end_run(&mut self) {
        if self.run.count > 0 {
            put_varint(&mut self.streams.times, zigzag(self.run.difference as i64));
            put_varint(&mut self.streams.times, self.run.count - 1);
        }
    }
}

impl Streams {
    fn clear(&mut self) {
        self.lengths.clear();
        self.texts.clear();
        self.heads.clear();
        self.masks.clear();
        self.references.clear();
        self.times.clear();
        self.rest.clear();
        self.values.clear();
    }

    fn write(&self, out: &mut Vec<u8>) {
        let streams: [&[u8]; HEADER_NUMBERS - 1] =
            [&self.lengths, &self.texts, &self.heads, &self.masks, &self.references, &self.times, &self.rest];
        for stream in streams {
            put_varint(out, stream.len() as u64);
        }
        put_varint(out, self.values.len() as u64);
        for stream in streams {
            out.extend_from_slice(stream);
        }
        for shift in (0..64).step_by(8) {
            out.extend(self.values.iter().map(|v| (v >> shift) as u8));
        }
    }
}

/// Whether every second of `references` is the name in `names`.
#[inline]
fn same_names(references: &[u32], names: &[u32]) -> bool {
    references.len() == 2 * names.len() && references.iter().step_by(2).eq(names)
}

/// Content of the length-delimited field with `key` at the start of `bytes`, and what is behind it;
/// `None` when there is another field or its length is written too long.
#[inline(always)]
fn field(bytes: &[u8], key: u8) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    if *first != key {
        return None;
    }
    let len = varint(&mut rest)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Timestamp, bits of the value, and what is behind the sample message at the start of `bytes`;
/// `None` when there is none that is written in the usual way.
#[inline]
fn sample(bytes: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (mut message, rest) = field(bytes, len_key(2) as u8)?;
    let mut value = 0;
    if let [0x09, tail @ ..] = message {
        let (bits, tail) = tail.split_first_chunk::<8>()?;
        value = u64::from_le_bytes(*bits);
        if value == 0 {
            return None;
        }
        message = tail;
    }
    let mut timestamp = 0;
    if let [0x10, tail @ ..] = message {
        message = tail;
        timestamp = varint(&mut message)?;
        if timestamp == 0 {
            return None;
        }
    }
    message.is_empty().then_some((timestamp, value, rest))
}

/// The varint at the start of `bytes`; `None` when it is written longer than need be.
#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    match *bytes {
        [a, tail @ ..] if *a < 0x80 => {
            *bytes = tail;
            Some(u64::from(*a))
        }
        [a, b, tail @ ..] if (1..0x80).contains(b) => {
            *bytes = tail;
            Some(u64::from(*a & 0x7f) | u64::from(*b) << 7)
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return (*byte != 0 && (i < 9 || *byte == 1)).then_some(value);
        }
    }
    None
}
