//! The postings offset table of an open index.

use std::ops::Range;

use norn_codec::varint::take_uvarint;

use super::symbols::Symbols;
use super::toc::{section, take_text, take_u32};
use crate::Error;
use crate::file::ReadAt;

/// Shortest entry: number of texts, two empty texts, a position.
const MIN_ENTRY: usize = 4;

/// Where the list of each label pair is; 12 bytes a pair.
pub(super) struct Table {
    /// Position of the list of all series.
    pub(super) all: u64,
    names: Vec<Name>,
    /// Ordinals of values, ascending within a name.
    values: Vec<u32>,
    /// Positions of lists, beside `values`.
    lists: Vec<u64>,
}

struct Name {
    symbol: u32,
    /// End of its values.
    end: usize,
}

impl Table {
    /// Reads the section at `at`.
    pub(super) fn read(source: &dyn ReadAt, at: u64, version: u8, symbols: &Symbols) -> Result<Self, Error> {
        let what = "postings offset table";
        let content = section(source, at, what)?;
        Self::decode(&content, version == 1, symbols).map_err(|e| e.within(what))
    }

    fn decode(content: &[u8], unordered: bool, symbols: &Symbols) -> Result<Self, Error> {
        let mut rest = content;
        let count = take_u32(&mut rest)? as usize;
        if count > rest.len() / MIN_ENTRY {
            return Err(Error::corrupt(format!("{count} entries in {} bytes", rest.len())));
        }
        let mut all = None;
        let mut entries = Vec::with_capacity(count);
        let mut near = Near::default();
        for _ in 0..count {
            if take_uvarint(&mut rest)? != 2 {
                return Err(Error::corrupt("an entry has not two texts"));
            }
            let (name, value) = (take_text(&mut rest)?, take_text(&mut rest)?);
            let list = take_uvarint(&mut rest)?;
            if name.is_empty() && value.is_empty() {
                all = Some(list);
                continue;
            }
            if unordered {
                near = Near::default();
            }
            let (name, value) = near.find(symbols, name, value)?;
            entries.push((name, value, list));
        }
        if unordered {
            entries.sort_unstable();
        }
        if !entries.is_sorted_by_key(|(name, value, _)| (name, value))
            || entries.windows(2).any(|w| (w[0].0, w[0].1) == (w[1].0, w[1].1))
        {
            return Err(Error::corrupt("entries are out of order"));
        }
        let all = all.ok_or_else(|| Error::corrupt("the list of all series is missing"))?;
        Ok(Self::of(all, &entries))
    }

    fn of(all: u64, entries: &[(u32, u32, u64)]) -> Self {
        let mut names: Vec<Name> = Vec::new();
        for (i, &(symbol, _, _)) in entries.iter().enumerate() {
            match names.last_mut() {
                Some(last) if last.symbol == symbol => last.end = i + 1,
                _ => names.push(Name { symbol, end: i + 1 }),
            }
        }
        let values = entries.iter().map(|e| e.1).collect();
        Self { all, names, values, lists: entries.iter().map(|e| e.2).collect() }
    }

    /// Ordinals of all names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = u32> {
        self.names.iter().map(|name| name.symbol)
    }

    /// The entries of a name.
    fn entries(&self, symbols: &Symbols, name: &str) -> Range<usize> {
        let Ok(i) = self.names.binary_search_by(|n| symbols.text(n.symbol).cmp(name)) else { return 0..0 };
        let start = if i == 0 { 0 } else { self.names[i - 1].end };
        start..self.names[i].end
    }

    /// Values of a name and the positions of their lists, in order of values.
    pub(super) fn values(&self, symbols: &Symbols, name: &str) -> impl Iterator<Item = (u32, u64)> {
        self.entries(symbols, name).map(|i| (self.values[i], self.lists[i]))
    }

    /// Values of a name that start with `prefix`, as [`Table::values`].
    pub(super) fn values_with(
        &self,
        symbols: &Symbols,
        name: &str,
        prefix: &str,
    ) -> impl Iterator<Item = (u32, u64)> {
        let range = self.entries(symbols, name);
        let values = &self.values[range.clone()];
        let start = values.partition_point(|&v| symbols.text(v) < prefix);
        let len = values[start..].partition_point(|&v| symbols.text(v).starts_with(prefix));
        let start = range.start + start;
        (start..start + len).map(|i| (self.values[i], self.lists[i]))
    }

    /// Position of the list of a pair.
    pub(super) fn find(&self, symbols: &Symbols, name: &str, value: &str) -> Option<u64> {
        let range = self.entries(symbols, name);
        let values = &self.values[range.clone()];
        let i = values.binary_search_by(|&v| symbols.text(v).cmp(value)).ok()?;
        Some(self.lists[range.start + i])
    }

    /// Bytes of memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.names.len() * size_of::<Name>() + self.values.len() * 12
    }
}

/// Where the last entry's texts were: the next ones are not far.
#[derive(Default)]
struct Near {
    name: u32,
    value: u32,
}

impl Near {
    fn find(&mut self, symbols: &Symbols, name: &str, value: &str) -> Result<(u32, u32), Error> {
        let missing = |text| move || Error::corrupt(format!("{text:?} is out of order or not a symbol"));
        let found = symbols.find_from(self.name, name).ok_or_else(missing(name))?;
        let from = if found == self.name { self.value } else { 0 };
        self.value = symbols.find_from(from, value).ok_or_else(missing(value))?;
        self.name = found;
        Ok((self.name, self.value))
    }
}
