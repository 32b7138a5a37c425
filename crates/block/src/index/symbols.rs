//! The symbol table of an open index.

use super::toc::{section, take_text, take_u32};
use crate::Error;
use crate::file::ReadAt;

/// All texts, 4 bytes each beside them (8 in version 1).
pub(super) struct Symbols {
    text: Box<str>,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    /// Positions in the file, by which version 1 names symbols.
    positions: Option<Vec<u32>>,
}

impl Symbols {
    /// Reads the section at `at`.
    pub(super) fn read(source: &dyn ReadAt, at: u64, version: u8) -> Result<Self, Error> {
        let content = section(source, at, "symbols")?;
        Self::decode(&content, at + 4, version == 1).map_err(|e| e.within("symbols"))
    }

    fn decode(content: &[u8], position: u64, by_position: bool) -> Result<Self, Error> {
        let mut rest = content;
        let count = take_u32(&mut rest)? as usize;
        if count > rest.len() {
            return Err(Error::corrupt(format!("{count} texts in {} bytes", rest.len())));
        }
        let mut text = String::with_capacity(rest.len() - count);
        let mut ends = Vec::with_capacity(count);
        let mut positions = by_position.then(|| Vec::with_capacity(count));
        let mut last = None;
        for _ in 0..count {
            if let Some(positions) = &mut positions {
                let at = position + (content.len() - rest.len()) as u64;
                positions.push(u32::try_from(at).map_err(|_| Error::corrupt("positions exceed 32 bits"))?);
            }
            let symbol = take_text(&mut rest)?;
            if last.is_some_and(|last| last >= symbol) {
                return Err(Error::corrupt(format!("{symbol:?} is out of order")));
            }
            last = Some(symbol);
            text.push_str(symbol);
            ends.push(text.len() as u32);
        }
        Ok(Self { text: text.into_boxed_str(), ends, positions })
    }

    /// The text of an ordinal.
    pub(super) fn text(&self, ordinal: u32) -> &str {
        let ordinal = ordinal as usize;
        let start = if ordinal == 0 { 0 } else { self.ends[ordinal - 1] as usize };
        &self.text[start..self.ends[ordinal] as usize]
    }

    pub(super) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The ordinal that a series entry means by `name`.
    pub(super) fn ordinal(&self, name: u64) -> Result<u32, Error> {
        let found = match &self.positions {
            None => u32::try_from(name).ok().filter(|n| *n < self.len()),
            Some(positions) => {
                let name = u32::try_from(name).ok();
                name.and_then(|name| positions.binary_search(&name).ok()).map(|i| i as u32)
            }
        };
        found.ok_or_else(|| Error::corrupt(format!("there is no symbol {name}")))
    }

    /// The ordinal of a text, searched from `from` on: near it first.
    pub(super) fn find_from(&self, from: u32, text: &str) -> Option<u32> {
        let (mut low, mut step) = (from, 1);
        while low < self.len() && self.text(low) < text {
            let next = low.saturating_add(step);
            if next >= self.len() || self.text(next) >= text {
                break;
            }
            (low, step) = (next, step.saturating_mul(2));
        }
        let (mut low, mut high) = (low, low.saturating_add(step).saturating_add(1).min(self.len()));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.text(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Bytes of memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.text.len() + 4 * (self.ends.len() + self.positions.as_ref().map_or(0, Vec::len))
    }
}

#[cfg(test)]
mod tests {
    use norn_codec::varint::put_uvarint;

    use super::*;

    fn table(texts: &[&str]) -> Vec<u8> {
        let mut out = (texts.len() as u32).to_be_bytes().to_vec();
        for text in texts {
            put_uvarint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    #[test]
    fn finds_every_text_from_every_place() {
        let texts: Vec<String> = (0..100).map(|i| format!("{:03}", i * 2)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let symbols = Symbols::decode(&table(&texts), 9, false).expect("decodes");
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(symbols.text(i as u32), *text);
            assert!((0..=i as u32).all(|from| symbols.find_from(from, text) == Some(i as u32)));
        }
        for text in ["", "001", "199", "zzz"] {
            assert!((0..101).all(|from| symbols.find_from(from, text).is_none()));
        }
    }

    #[test]
    fn version_1_names_by_position() {
        let symbols = Symbols::decode(&table(&["", "ab", "c"]), 9, true).expect("decodes");
        assert_eq!([13, 14, 17].map(|p| symbols.ordinal(p).ok()), [Some(0), Some(1), Some(2)]);
        assert!(symbols.ordinal(15).is_err() && symbols.ordinal(u64::MAX).is_err());
    }

    #[test]
    fn refuses_disorder_and_wild_counts() {
        assert!(Symbols::decode(&table(&["b", "a"]), 9, false).is_err());
        assert!(Symbols::decode(&table(&["a", "a"]), 9, false).is_err());
        assert!(Symbols::decode(&[0xff; 8], 9, false).is_err());
        assert!(Symbols::decode(&[0, 0, 0, 1, 1, 0xff], 9, false).is_err());
    }
}
