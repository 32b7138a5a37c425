//! The open histogram chunk of a series.

use norn_codec::DecodeError;
use norn_codec::histogram::{AppendError, Floats, Integers, Kind, OpenChunk};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_wire::histogram::HistogramRef;

/// Size in bytes at which a chunk is cut, if it has [`MIN_SAMPLES`].
const TARGET_BYTES: usize = 1024;
const MIN_SAMPLES: u16 = 10;
/// Samples at which a chunk is cut however small it is.
const MAX_SAMPLES: u16 = 240;

/// See the module doc.
#[derive(Debug)]
pub(crate) struct OpenHistogram {
    /// First timestamp.
    pub(crate) mint: Millis,
    /// Where the range of the chunk ends.
    pub(crate) end: Millis,
    chunk: Chunk,
}

#[derive(Debug)]
enum Chunk {
    Int(OpenChunk<Integers>),
    Float(OpenChunk<Floats>),
}

impl OpenHistogram {
    /// Begins a chunk that ends before `end`, after `previous`.
    pub(crate) fn begin(
        previous: Option<&Self>,
        t: Millis,
        end: Millis,
        histogram: HistogramRef<'_>,
    ) -> Result<Self, AppendError> {
        let chunk = match (histogram, previous.map(|p| &p.chunk)) {
            (HistogramRef::Int(h), Some(Chunk::Int(previous))) => {
                Chunk::Int(OpenChunk::begin(Some(previous), t, h)?)
            }
            (HistogramRef::Int(h), _) => Chunk::Int(OpenChunk::begin(None, t, h)?),
            (HistogramRef::Float(h), Some(Chunk::Float(previous))) => {
                Chunk::Float(OpenChunk::begin(Some(previous), t, h)?)
            }
            (HistogramRef::Float(h), _) => Chunk::Float(OpenChunk::begin(None, t, h)?),
        };
        Ok(Self { mint: t, end, chunk })
    }

    /// Goes on with a chunk that was copied.
    pub(crate) fn resume(
        encoding: ChunkEncoding,
        bytes: &[u8],
        mint: Millis,
        end: Millis,
    ) -> Result<Self, DecodeError> {
        let chunk = match encoding {
            ChunkEncoding::Histogram => Chunk::Int(OpenChunk::resume(bytes)?),
            ChunkEncoding::FloatHistogram => Chunk::Float(OpenChunk::resume(bytes)?),
            _ => return Err(DecodeError::Invalid("an open chunk has another encoding")),
        };
        Ok(Self { mint, end, chunk })
    }

    /// Appends a newer sample. [`AppendError::NewChunk`] where it has to begin a chunk.
    pub(crate) fn append(&mut self, t: Millis, histogram: HistogramRef<'_>) -> Result<(), AppendError> {
        if t >= self.end || self.is_full() {
            return Err(AppendError::NewChunk);
        }
        match (&mut self.chunk, histogram) {
            (Chunk::Int(chunk), HistogramRef::Int(h)) => chunk.append(t, h),
            (Chunk::Float(chunk), HistogramRef::Float(h)) => chunk.append(t, h),
            _ => Err(AppendError::NewChunk),
        }
    }

    fn is_full(&self) -> bool {
        fn full<K: Kind>(chunk: &OpenChunk<K>) -> bool {
            let count = chunk.count();
            count >= MAX_SAMPLES || (count >= MIN_SAMPLES && chunk.size_bytes() >= TARGET_BYTES)
        }
        match &self.chunk {
            Chunk::Int(chunk) => full(chunk),
            Chunk::Float(chunk) => full(chunk),
        }
    }

    /// How the chunk is encoded.
    pub(crate) fn encoding(&self) -> ChunkEncoding {
        match self.chunk {
            Chunk::Int(_) => ChunkEncoding::Histogram,
            Chunk::Float(_) => ChunkEncoding::FloatHistogram,
        }
    }

    /// Last timestamp.
    pub(crate) fn maxt(&self) -> Millis {
        match &self.chunk {
            Chunk::Int(chunk) => chunk.last_timestamp(),
            Chunk::Float(chunk) => chunk.last_timestamp(),
        }
    }

    /// Appends the chunk's bytes to `out`. The chunk can go on growing.
    pub(crate) fn copy(&self, out: &mut Vec<u8>) {
        match &self.chunk {
            Chunk::Int(chunk) => chunk.finish(out),
            Chunk::Float(chunk) => chunk.finish(out),
        }
    }

    /// Bytes of heap and of itself, about: the chunk, and as much again for its last sample.
    pub(crate) fn size_bytes(&self) -> usize {
        let bytes = match &self.chunk {
            Chunk::Int(chunk) => chunk.size_bytes(),
            Chunk::Float(chunk) => chunk.size_bytes(),
        };
        size_of::<Self>() + 2 * bytes
    }
}
