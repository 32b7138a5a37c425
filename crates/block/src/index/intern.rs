//! Texts and label pairs by number, in the order they are first seen.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::Error;

/// A label pair.
pub(super) struct Pair {
    pub(super) name: u32,
    pub(super) value: u32,
    /// Series that have it.
    pub(super) count: u32,
}

#[derive(Default)]
pub(super) struct Interner {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    by_text: HashTable<u32>,
    pub(super) pairs: Vec<Pair>,
    by_pair: HashTable<u32>,
    state: RandomState,
}

fn slice<'a>(text: &'a str, ends: &[u32], id: u32) -> &'a str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &text[start..ends[id] as usize]
}

impl Interner {
    pub(super) fn text(&self, id: u32) -> &str {
        slice(&self.text, &self.ends, id)
    }

    /// Number of texts.
    pub(super) fn texts(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Bytes of all texts.
    pub(super) fn text_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// The number of a pair; counts it.
    pub(super) fn count_pair(&mut self, name: &str, value: &str) -> Result<u32, Error> {
        let hash = self.state.hash_one((name, value));
        let (pairs, text, ends) = (&self.pairs, &self.text, &self.ends);
        let found = self.by_pair.find(hash, |&id| {
            let pair = &pairs[id as usize];
            slice(text, ends, pair.value) == value && slice(text, ends, pair.name) == name
        });
        if let Some(&id) = found {
            self.pairs[id as usize].count += 1;
            return Ok(id);
        }
        let id = u32::try_from(self.pairs.len()).map_err(|_| Error::TooLarge("the number of label pairs"))?;
        let (name, value) = (self.intern(name)?, self.intern(value)?);
        self.pairs.push(Pair { name, value, count: 1 });
        let (pairs, text, ends, state) = (&self.pairs, &self.text, &self.ends, &self.state);
        self.by_pair.insert_unique(hash, id, |&id| {
            let pair = &pairs[id as usize];
            state.hash_one((slice(text, ends, pair.name), slice(text, ends, pair.value)))
        });
        Ok(id)
    }

    /// The number of a text.
    pub(super) fn intern(&mut self, text: &str) -> Result<u32, Error> {
        let hash = self.state.hash_one(text);
        let found = self.by_text.find(hash, |&id| slice(&self.text, &self.ends, id) == text);
        if let Some(&id) = found {
            return Ok(id);
        }
        let end = u32::try_from(self.text.len() + text.len()).map_err(|_| Error::TooLarge("symbol table"))?;
        let id = self.texts();
        self.text.push_str(text);
        self.ends.push(end);
        let (all, ends, state) = (&self.text, &self.ends, &self.state);
        self.by_text.insert_unique(hash, id, |&id| state.hash_one(slice(all, ends, id)));
        Ok(id)
    }

    /// Gives the memory of look-ups by text back.
    pub(super) fn freeze(&mut self) {
        self.by_text = HashTable::new();
        self.by_pair = HashTable::new();
    }
}
