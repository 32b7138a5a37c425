//! Interned strings: every label name and value of the partition, once.
//!
//! A text's number leads to where it lies and to how many names and pairs use it; with the last
//! user it goes. It is written as its length and its bytes; lengths below 127 are one byte, longer
//! ones byte 127 and three 7-bit digits, so that a slab is a `str` and slices of it need no second
//! check.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::paged::{self, Paged};
use crate::slab::{self, NOWHERE, Slabs};
use crate::table::Table;

const LONG: u8 = 0x7f;
const LONG_HEADER: usize = 4;

/// Texts that are moved at once.
const MOVES: usize = 256;
/// Numbers that are looked at at once for texts to move.
const LOOKS: u32 = 8192;

/// Number of an interned text.
pub(crate) type TextId = u32;

/// The text `""`, which as a label's value means that the label is absent.
pub(crate) const EMPTY: TextId = 0;
/// Longest text that can be kept.
pub(crate) const MAX_LEN: usize = slab::MAX_LEN - LONG_HEADER;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    users: u32,
}

impl paged::Entry for Entry {
    const HOLE: Self = Self { at: NOWHERE, users: 0 };

    fn is_hole(&self) -> bool {
        self.at == NOWHERE
    }
}

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Texts {
    slabs: Slabs<String>,
    entries: Paged<Entry>,
    table: Table,
    hasher: RandomState,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Self {
            slabs: Slabs::default(),
            entries: Paged::default(),
            table: Table::default(),
            hasher: RandomState::default(),
        };
        let empty = texts.intern("");
        debug_assert_eq!(empty, Some(EMPTY));
        texts.acquire(EMPTY);
        texts
    }
}

impl Texts {
    /// The text with number `id`; `""` for numbers that were never given or have gone.
    #[inline]
    pub(crate) fn get(&self, id: TextId) -> &str {
        get(&self.slabs, &self.entries, id)
    }

    /// The number of `text`.
    #[inline]
    pub(crate) fn find(&self, text: &str) -> Option<TextId> {
        let hash = self.hasher.hash_one(text.as_bytes());
        self.table.find(hash, |id| self.get(id) == text)
    }

    /// The number of `text`, given now if need be; `None` when it is longer than [`MAX_LEN`] or
    /// 4 GiB of texts are kept. A new text has no user yet.
    pub(crate) fn intern(&mut self, text: &str) -> Option<TextId> {
        if let Some(id) = self.find(text) {
            return Some(id);
        }
        if text.len() > MAX_LEN {
            return None;
        }
        let (at, slab) = self.slabs.room(text.len() + header_len(text))?;
        let id = self.entries.push(Entry { at, users: 0 })?;
        push(slab, text);
        let (slabs, entries, hasher) = (&self.slabs, &self.entries, &self.hasher);
        let rehash = |id| hasher.hash_one(get(slabs, entries, id).as_bytes());
        self.table.insert(hasher.hash_one(text.as_bytes()), id, rehash);
        Some(id)
    }

    /// Adds a user of a text.
    pub(crate) fn acquire(&mut self, id: TextId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.users += 1;
        }
    }

    /// Takes a user of a text away; with the last one the text goes.
    pub(crate) fn release(&mut self, id: TextId) {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.users > 0) else { return };
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let at = entry.at;
        let text = get(&self.slabs, &self.entries, id);
        self.table.remove(self.hasher.hash_one(text.as_bytes()), id);
        let len = text.len() + header_len(text);
        self.slabs.release(at, len);
        self.entries.remove(id);
    }

    /// As [`Table::shrink`].
    pub(crate) fn shrink_table(&mut self, part: u32) -> bool {
        let (slabs, entries, hasher) = (&self.slabs, &self.entries, &self.hasher);
        self.table.shrink(part, |id| hasher.hash_one(get(slabs, entries, id).as_bytes()))
    }

    /// Marks slabs that are mostly dead; says whether there are any.
    pub(crate) fn mark(&mut self) -> bool {
        self.slabs.mark()
    }

    /// Moves some texts out of marked slabs, from number `from` on. Gives the number to go on
    /// with, `None` at the end.
    pub(crate) fn evacuate(&mut self, from: TextId) -> Option<TextId> {
        let (mut next, mut moves, mut text) = (from, MOVES, String::new());
        let end = from.saturating_add(LOOKS);
        while moves > 0 && next < end {
            next = self.entries.next(next)?;
            let entry = *self.entries.get(next)?;
            if self.slabs.is_leaving(entry.at) {
                text.clear();
                text.push_str(self.get(next));
                let len = text.len() + header_len(&text);
                let (at, slab) = self.slabs.room(len)?;
                push(slab, &text);
                self.slabs.release(entry.at, len);
                self.entries.get_mut(next)?.at = at;
                moves -= 1;
            }
            next += 1;
        }
        Some(next)
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.slabs.size_bytes() + self.entries.size_bytes() + self.table.size_bytes()
    }
}

#[inline]
fn get<'a>(slabs: &'a Slabs<String>, entries: &Paged<Entry>, id: TextId) -> &'a str {
    entries.get(id).and_then(|entry| at(slabs, entry.at)).unwrap_or_default()
}

fn header_len(text: &str) -> usize {
    if text.len() < LONG as usize { 1 } else { LONG_HEADER }
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
fn at(slabs: &Slabs<String>, address: u32) -> Option<&str> {
    let (slab, start) = slabs.at(address)?;
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

    #[test]
    fn texts_go_with_their_last_user() {
        let mut texts = Texts::default();
        let text = |i: u32| format!("{i:->300}");
        for i in 0..10_000 {
            let id = texts.intern(&text(i)).expect("room");
            texts.acquire(id);
            texts.acquire(id);
        }
        let full = texts.size_bytes();
        for i in 0..10_000 {
            let id = texts.find(&text(i)).expect("known");
            texts.release(id);
            assert_eq!(texts.get(id), text(i));
            if i % 7 > 0 {
                texts.release(id);
                texts.release(id);
                assert_eq!((texts.get(id), texts.find(&text(i))), ("", None));
            }
        }
        assert!(texts.mark());
        let mut next = Some(0);
        while let Some(from) = next {
            next = texts.evacuate(from);
        }
        assert!((0..).any(|part| !texts.shrink_table(part)));
        assert!(texts.size_bytes() * 4 < full, "{} of {full}", texts.size_bytes());
        for i in 0..10_000 {
            let id = texts.find(&text(i));
            assert_eq!(id.map(|id| texts.get(id).to_owned()), Some(text(i)).filter(|_| i % 7 == 0));
        }
        assert_eq!(texts.intern(&text(1)), Some(10_001));
    }
}
