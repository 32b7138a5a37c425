//! Samples that came too late for the open chunk of their series.
//!
//! They wait in a short sorted buffer and become chunks of their own, one or more a window, when it
//! is full. Such chunks may overlap everything. Most series have none: a row points here only if it
//! must.

use norn_contract::source::ChunkBuf;
use norn_model::Millis;

use crate::fold::Fold;
use crate::page::Place;
use crate::value::{self, Value};
use crate::window::{Chunk, WindowNo};

/// Samples the buffer holds.
const BUFFER: usize = 32;

/// See the module doc.
#[derive(Clone, Debug)]
pub(crate) struct Late {
    buffer: Vec<(Millis, Value)>,
    /// Oldest and newest timestamp, sealed ones too; the first is above the second when there is none.
    mint: Millis,
    maxt: Millis,
}

impl Default for Late {
    fn default() -> Self {
        Self { buffer: Vec::new(), mint: Millis::MAX, maxt: Millis::MIN }
    }
}

impl Late {
    /// Samples between `mint` and `maxt`, of which none waits.
    pub(crate) fn sealed(mint: Millis, maxt: Millis) -> Self {
        Self { buffer: Vec::new(), mint, maxt }
    }

    /// The value at `t` that waits.
    pub(crate) fn find(&self, t: Millis) -> Option<&Value> {
        let at = self.position(t).ok()?;
        self.buffer.get(at).map(|(_, value)| value)
    }

    fn position(&self, t: Millis) -> Result<usize, usize> {
        self.buffer.binary_search_by_key(&t, |(at, _)| *at)
    }

    /// Keeps a sample for a timestamp that has none.
    pub(crate) fn insert(&mut self, t: Millis, value: Value, place: Place, fold: &mut Fold<'_>) {
        if self.buffer.len() >= BUFFER {
            self.seal(WindowNo::MAX, place, fold);
        }
        // From now on the window knows the record that it needs.
        fold.windows.of(fold.number(t), place);
        let (Ok(i) | Err(i)) = self.position(t);
        self.buffer.insert(i, (t, value));
        self.mint = self.mint.min(t);
        self.maxt = self.maxt.max(t);
    }

    /// Seals what waits for windows below `end`.
    pub(crate) fn seal(&mut self, end: WindowNo, place: Place, fold: &mut Fold<'_>) {
        let mut buf = ChunkBuf::default();
        while let Some(number) = self.buffer.first().map(|(t, _)| fold.number(*t)).filter(|n| *n < end) {
            let count = self.buffer.partition_point(|(t, _)| fold.number(*t) == number);
            buf.clear();
            value::encode(self.buffer.get(..count).unwrap_or_default(), &mut buf);
            for chunk in &buf.chunks {
                let (encoding, mint, maxt) = (chunk.encoding, chunk.mint, chunk.maxt);
                let sealed = Chunk { encoding, late: true, mint, maxt };
                fold.windows.seal(number, place, &sealed, buf.slice(chunk));
            }
            self.buffer.drain(..count);
        }
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// First and last timestamp of all late samples; `None` when there are none.
    pub(crate) fn range(&self) -> Option<(Millis, Millis)> {
        (self.mint <= self.maxt).then_some((self.mint, self.maxt))
    }

    /// Samples below `floor` are gone; none of them waits.
    pub(crate) fn forget(&mut self, floor: Millis) {
        self.mint = self.mint.max(floor);
        if self.mint > self.maxt && self.buffer.is_empty() {
            *self = Self::default();
        }
    }

    /// Samples in the buffer, in order.
    pub(crate) fn buffer(&self) -> &[(Millis, Value)] {
        &self.buffer
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        let buffered: usize = self.buffer.iter().map(|(_, value)| value.size_bytes()).sum();
        self.buffer.capacity() * size_of::<(Millis, Value)>() + buffered
    }
}
