//! Samples that came too late for the open chunk of their series.
//!
//! They wait in a short sorted buffer and go to the arena as chunks of their own when it is full.
//! Such chunks may overlap everything. Most series have none: a row points here only if it must.

use norn_contract::source::ChunkBuf;
use norn_model::Millis;

use crate::arena::{Address, NOWHERE};
use crate::fold::{Fold, Refusal};
use crate::value::{self, Value};

/// Samples the buffer holds.
const BUFFER: usize = 32;

/// See the module doc.
#[derive(Clone, Debug)]
pub(crate) struct Late {
    buffer: Vec<(Millis, Value)>,
    chunks: Vec<LateChunk>,
    mint: Millis,
}

impl Default for Late {
    fn default() -> Self {
        Self { buffer: Vec::new(), chunks: Vec::new(), mint: Millis::MAX }
    }
}

/// A sealed chunk of late samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateChunk {
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
    pub(crate) at: Address,
}

impl Late {
    /// The stored value at `t`.
    pub(crate) fn find(&self, t: Millis, fold: &Fold<'_>) -> Option<Value> {
        if let Ok(i) = self.position(t) {
            return self.buffer.get(i).map(|(_, value)| value.clone());
        }
        let covering = self.chunks.iter().filter(|c| c.mint <= t && t <= c.maxt);
        covering.filter_map(|c| fold.arena.read(c.at, |h, bytes| value::find(h.encoding, bytes, t))?).next()
    }

    fn position(&self, t: Millis) -> Result<usize, usize> {
        self.buffer.binary_search_by_key(&t, |(at, _)| *at)
    }

    /// Keeps a sample for a timestamp that has none.
    pub(crate) fn insert(&mut self, t: Millis, value: Value, fold: &Fold<'_>) -> Result<(), Refusal> {
        if self.buffer.len() >= BUFFER {
            self.seal(fold)?;
        }
        let (Ok(i) | Err(i)) = self.position(t);
        self.buffer.insert(i, (t, value));
        self.mint = self.mint.min(t);
        Ok(())
    }

    fn seal(&mut self, fold: &Fold<'_>) -> Result<(), Refusal> {
        let mut buf = ChunkBuf::default();
        value::encode(&self.buffer, &mut buf);
        let before = self.chunks.len();
        for chunk in &buf.chunks {
            match fold.seal(NOWHERE, chunk.encoding, (chunk.mint, chunk.maxt), buf.slice(chunk)) {
                Ok(at) => self.chunks.push(LateChunk { mint: chunk.mint, maxt: chunk.maxt, at }),
                Err(refusal) => {
                    self.chunks.truncate(before);
                    return Err(refusal);
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }

    /// Oldest timestamp; [`Millis::MAX`] when there is none.
    pub(crate) fn mint(&self) -> Millis {
        self.mint
    }

    /// Samples in the buffer, in order.
    pub(crate) fn buffer(&self) -> &[(Millis, Value)] {
        &self.buffer
    }

    /// Sealed chunks, in the order they were sealed.
    pub(crate) fn chunks(&self) -> &[LateChunk] {
        &self.chunks
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        let buffered: usize = self.buffer.iter().map(|(_, value)| value.size_bytes()).sum();
        self.buffer.capacity() * size_of::<(Millis, Value)>()
            + buffered
            + self.chunks.capacity() * size_of::<LateChunk>()
    }
}
