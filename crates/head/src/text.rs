//! Interned strings: every label name and value of the partition, once.
//!
//! A text's number says where it lies: 64 KiB slab in the upper half, position in the lower. There
//! it is written as its length and its bytes; lengths below 127 are one byte, longer ones byte 127
//! and three 7-bit digits, so that a slab is a `str` and slices of it need no second check.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::table::Table;

const SLAB: usize = 1 << 16;
const LONG: u8 = 0x7f;
const LONG_HEADER: usize = 4;

/// Number of an interned text.
pub(crate) type TextId = u32;

/// The text `""`, which as a label's value means that the label is absent.
pub(crate) const EMPTY: TextId = 0;
/// Longest text that can be kept.
pub(crate) const MAX_LEN: usize = SLAB - LONG_HEADER;

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Texts {
    slabs: Vec<String>,
    table: Table,
    hasher: RandomState,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Self { slabs: Vec::new(), table: Table::default(), hasher: RandomState::default() };
        let empty = texts.intern("");
        debug_assert_eq!(empty, Some(EMPTY));
        texts
    }
}

impl Texts {
    /// The text with number `id`; `""` for numbers that were never given.
    #[inline]
    pub(crate) fn get(&self, id: TextId) -> &str {
        at(&self.slabs, id).unwrap_or_default()
    }

    /// The number of `text`.
    #[inline]
    pub(crate) fn find(&self, text: &str) -> Option<TextId> {
        let hash = self.hasher.hash_one(text.as_bytes());
        self.table.find(hash, |id| self.get(id) == text)
    }

    /// The number of `text`, given now if need be; `None` when it is longer than [`MAX_LEN`] or
    /// 4 GiB of texts are kept.
    pub(crate) fn intern(&mut self, text: &str) -> Option<TextId> {
        if let Some(id) = self.find(text) {
            return Some(id);
        }
        if text.len() > MAX_LEN {
            return None;
        }
        let need = text.len() + LONG_HEADER;
        if self.slabs.last().is_none_or(|slab| slab.len() + need > SLAB) {
            if self.slabs.len() == 1 << 16 {
                return None;
            }
            let capacity = if self.slabs.is_empty() { 0 } else { SLAB };
            self.slabs.push(String::with_capacity(capacity));
        }
        let number = self.slabs.len() - 1;
        let slab = &mut self.slabs[number];
        let id = ((number << 16) | slab.len()) as TextId;
        push(slab, text);
        let (slabs, hasher) = (&self.slabs, &self.hasher);
        let rehash = |id| hasher.hash_one(at(slabs, id).unwrap_or_default().as_bytes());
        self.table.insert(hasher.hash_one(text.as_bytes()), id, rehash);
        Some(id)
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.slabs.iter().map(String::capacity).sum::<usize>() + self.table.size_bytes()
    }
}

fn push(slab: &mut String, text: &str) {
    let len = text.len();
    if len < LONG as usize {
        slab.push(len as u8 as char);
    } else {
        slab.push(LONG as char);
        for shift in [14, 7, 0] {
            slab.push(((len >> shift) & 0x7f) as u8 as char);
        }
    }
    slab.push_str(text);
}

#[inline]
fn at(slabs: &[String], id: TextId) -> Option<&str> {
    let slab = slabs.get((id >> 16) as usize)?;
    let start = (id & 0xffff) as usize;
    let bytes = slab.as_bytes();
    let first = *bytes.get(start)?;
    let (len, header) = if first < LONG {
        (first as usize, 1)
    } else {
        let digits = bytes.get(start + 1..start + LONG_HEADER)?;
        (digits.iter().fold(0, |n, &b| (n << 7) | b as usize), LONG_HEADER)
    };
    slab.get(start + header..start + header + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interns_each_text_once() {
        let mut texts = Texts::default();
        assert_eq!(texts.find(""), Some(EMPTY));
        let long = "ü".repeat(20_000);
        let mut ids = Vec::new();
        for i in 0..20_000 {
            ids.push(texts.intern(&format!("value-{i}")));
        }
        let long_id = texts.intern(&long);
        assert_eq!(texts.intern(&long), long_id);
        assert_eq!(long_id.map(|id| texts.get(id) == long), Some(true));
        for (i, id) in ids.iter().enumerate() {
            let text = format!("value-{i}");
            assert_eq!(texts.find(&text), *id);
            assert_eq!(id.map(|id| texts.get(id).to_owned()), Some(text));
        }
        assert_eq!(texts.find("absent"), None);
        assert_eq!(texts.intern(&"x".repeat(MAX_LEN + 1)), None);
        assert_eq!(texts.intern(&"x".repeat(MAX_LEN)).map(|id| texts.get(id).len()), Some(MAX_LEN));
        assert_eq!(texts.get(u32::MAX), "");
    }
}
