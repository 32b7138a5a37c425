//! The symbols of one record: the fixed table, then the record's own.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::protobuf::{Span, put_bytes_field};

/// Texts of references 0–35, the same in every version 2 record.
pub const FIXED_SYMBOLS: [&str; 36] = [
    "",
    "__name__",
    "__aggregation__",
    "<aggregated>",
    "le",
    "component",
    "cortex_request_duration_seconds_bucket",
    "storage_operation_duration_seconds_bucket",
    "grafana",
    "asserts_env",
    "asserts_request_context",
    "asserts_source",
    "asserts_entity_type",
    "asserts_request_type",
    "name",
    "image",
    "cluster",
    "namespace",
    "pod",
    "job",
    "instance",
    "container",
    "replicaset",
    "interface",
    "status_code",
    "resource",
    "operation",
    "method",
    "kube-system",
    "kube-system/cadvisor",
    "node-exporter",
    "node-exporter/node-exporter",
    "kube-system/kubelet",
    "kube-system/node-local-dns",
    "kube-state-metrics/kube-state-metrics",
    "default/kubernetes",
];

/// References below this are the fixed table's or reserved.
pub const FIRST_OWN_SYMBOL: u32 = 64;

/// Reference of `__name__`.
pub(super) const METRIC_NAME: u32 = 1;

/// Field number of a record's own symbols.
pub(super) const SYMBOLS_FIELD: u32 = 4;

/// Whether `reference` lies in the part of the fixed table that has no text yet.
#[inline]
pub(super) fn is_reserved(reference: u32) -> bool {
    reference.wrapping_sub(FIXED_SYMBOLS.len() as u32) < FIRST_OWN_SYMBOL - FIXED_SYMBOLS.len() as u32
}

/// Texts by reference and references by text.
///
/// `text` starts with the fixed table and goes on with the record's own symbols: as they are, or
/// `FRAMED` as protobuf fields, so that a writer copies them out in one piece.
#[derive(Debug)]
pub(super) struct Symbols<const FRAMED: bool> {
    pub text: Vec<u8>,
    pub spans: Vec<Span>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl<const FRAMED: bool> Symbols<FRAMED> {
    pub fn new() -> Self {
        let (mut text, mut spans) = (Vec::new(), Vec::new());
        for symbol in FIXED_SYMBOLS {
            spans.push(Span { start: text.len() as u32, len: symbol.len() as u32 });
            text.extend_from_slice(symbol.as_bytes());
        }
        spans.resize(FIRST_OWN_SYMBOL as usize, Span::default());
        Self { text, spans, index: HashTable::new(), hasher: RandomState::default() }
    }

    /// Bytes of `text` that are the fixed table's.
    pub fn fixed_len(&self) -> usize {
        let last = self.spans[FIXED_SYMBOLS.len() - 1];
        (last.start + last.len) as usize
    }

    /// Forgets the record's own symbols and the index.
    pub fn clear(&mut self) {
        self.text.truncate(self.fixed_len());
        self.spans.truncate(FIRST_OWN_SYMBOL as usize);
        self.index.clear();
    }

    /// Makes the fixed table known to [`Symbols::intern`].
    pub fn index_fixed(&mut self) {
        for reference in 0..FIXED_SYMBOLS.len() as u32 {
            let hash = self.hasher.hash_one(self.get(reference));
            let (text, spans, hasher) = (&self.text, &self.spans, &self.hasher);
            self.index.insert_unique(hash, reference, |r| hasher.hash_one(spans[*r as usize].of(text)));
        }
    }

    #[inline]
    pub fn get(&self, reference: u32) -> &[u8] {
        self.spans[reference as usize].of(&self.text)
    }

    /// The reference of `symbol`, a new one if it is not there yet.
    #[inline]
    pub fn intern(&mut self, symbol: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(symbol);
        let (text, spans) = (&self.text, &self.spans);
        match self.index.find(hash, |r| spans[*r as usize].of(text) == symbol) {
            Some(r) => *r,
            None => self.insert(hash, symbol),
        }
    }

    fn insert(&mut self, hash: u64, symbol: &[u8]) -> u32 {
        let reference = self.append(symbol);
        let (text, spans, hasher) = (&self.text, &self.spans, &self.hasher);
        self.index.insert_unique(hash, reference, |r| hasher.hash_one(spans[*r as usize].of(text)));
        reference
    }

    /// Gives `symbol` the next reference, without a look at the index.
    ///
    /// Messages are below 4 GiB and so are the distinct texts of one.
    #[inline]
    pub fn append(&mut self, symbol: &[u8]) -> u32 {
        if FRAMED {
            put_bytes_field(&mut self.text, SYMBOLS_FIELD, symbol);
        } else {
            self.text.extend_from_slice(symbol);
        }
        let start = (self.text.len() - symbol.len()) as u32;
        self.spans.push(Span { start, len: symbol.len() as u32 });
        (self.spans.len() - 1) as u32
    }
}

/// References of the label at each position of the series before.
///
/// Neighbours in a request share most names and many values at the same place, and comparing
/// with a known text is cheaper than hashing.
#[derive(Debug, Default)]
pub(super) struct Previous {
    pairs: Vec<(u32, u32)>,
}

impl Previous {
    /// Must be called when references lose their meaning.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// References of the label at `position`, which is 0, 1, 2… of each series.
    #[inline]
    pub fn intern<const F: bool>(
        &mut self,
        symbols: &mut Symbols<F>,
        position: usize,
        name: &[u8],
        value: &[u8],
    ) -> (u32, u32) {
        let Some(slot) = self.pairs.get_mut(position) else {
            let pair = (symbols.intern(name), symbols.intern(value));
            self.pairs.push(pair);
            return pair;
        };
        if symbols.get(slot.0) != name {
            slot.0 = symbols.intern(name);
        }
        if symbols.get(slot.1) != value {
            slot.1 = symbols.intern(value);
        }
        *slot
    }
}
