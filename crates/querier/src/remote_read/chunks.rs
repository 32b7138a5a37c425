//! The answer as frames of chunks.
//!
//! A frame is made when the connection has room for it, so that no more than one is in memory.
//!
//! ```text
//! length of data: uvarint │ CRC-32C of data: u32, big-endian │ data: ChunkedReadResponse
//! ```

use std::time::Instant;

use bytes::Bytes;
use futures::stream;
use norn_codec::crc::crc32c;
use norn_contract::source::{ChunkBuf, SourceError};
use norn_http::axum::body::Body;
use norn_http::axum::http::header;
use norn_http::axum::response::{IntoResponse, Response};
use norn_model::chunk::ChunkEncoding;
use norn_wire::proto::Message;
use norn_wire::proto::read::{Chunk, ChunkedReadResponse, ChunkedSeries};

use super::column::Column;
use super::{Admitted, Found, labels};
use crate::gate::Running;

const CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// A frame is closed behind the chunk that takes it beyond this.
const FRAME_BYTES: usize = 1 << 20;

/// Streams the chunks of `admitted`.
pub(super) fn respond(admitted: Admitted) -> Response {
    let frames = Frames {
        found: admitted.found,
        query: 0,
        series: 0,
        chunk: 0,
        chunks: ChunkBuf::default(),
        recoded: ChunkBuf::default(),
        column: Column::default(),
        is_read: false,
        deadline: admitted.deadline,
        _running: admitted.running,
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], Body::from_stream(stream::iter(frames))).into_response()
}

/// The frames that are not sent yet.
struct Frames {
    found: Vec<Found>,
    /// Where the next frame begins.
    query: usize,
    series: usize,
    chunk: usize,
    /// Chunks of the current series.
    chunks: ChunkBuf,
    recoded: ChunkBuf,
    column: Column,
    is_read: bool,
    deadline: Instant,
    _running: Running,
}

impl Iterator for Frames {
    type Item = Result<Bytes, SourceError>;

    /// After an error the connection is cut off: the client must not take the answer for whole.
    fn next(&mut self) -> Option<Self::Item> {
        if Instant::now() > self.deadline {
            return Some(Err(SourceError::Unavailable("remote read timed out".to_owned())));
        }
        self.next_frame().transpose()
    }
}

impl Frames {
    fn next_frame(&mut self) -> Result<Option<Bytes>, SourceError> {
        while let Some(found) = self.found.get(self.query) {
            if self.series == found.selection.labels.len() {
                (self.query, self.series) = (self.query + 1, 0);
                continue;
            }
            if !self.is_read {
                self.read_series()?;
            }
            if self.chunk < self.chunks.chunks.len() {
                return Ok(self.frame());
            }
            (self.series, self.is_read) = (self.series + 1, false);
        }
        Ok(None)
    }

    /// Reads the chunks of the current series so that they do not overlap.
    fn read_series(&mut self) -> Result<(), SourceError> {
        let Some(Found { selection, mint, maxt }) = self.found.get(self.query) else { return Ok(()) };
        self.chunks.clear();
        (self.chunk, self.is_read) = (0, true);
        selection.data.read(self.series, &mut self.chunks)?;
        self.chunks.chunks.retain(|c| c.mint <= *maxt && c.maxt >= *mint);
        if !is_plain(&self.chunks) {
            self.column.read(&self.chunks, *mint, *maxt)?;
            self.recoded.clear();
            self.column.encode(&mut self.recoded)?;
            std::mem::swap(&mut self.chunks, &mut self.recoded);
        }
        Ok(())
    }

    /// The next chunks of the current series.
    fn frame(&mut self) -> Option<Bytes> {
        let series = self.found.get(self.query)?.selection.labels.get(self.series)?;
        let mut chunked = ChunkedSeries { labels: labels(series), chunks: Vec::new() };
        let mut bytes = series.size_bytes();
        while let Some(chunk) = self.chunks.chunks.get(self.chunk)
            && bytes < FRAME_BYTES
        {
            let data = self.chunks.slice(chunk).to_vec();
            bytes += data.len();
            let (min_time_ms, max_time_ms) = (chunk.mint, chunk.maxt);
            chunked.chunks.push(Chunk { min_time_ms, max_time_ms, r#type: chunk.encoding as i32, data });
            self.chunk += 1;
        }
        let response = ChunkedReadResponse { chunked_series: vec![chunked], query_index: self.query as i64 };
        Some(framed(&response.encode_to_vec()))
    }
}

/// Whether any client understands the chunks as they are: by time, and none of a newer encoding.
fn is_plain(chunks: &ChunkBuf) -> bool {
    let is_old = |encoding| {
        matches!(encoding, ChunkEncoding::Xor | ChunkEncoding::Histogram | ChunkEncoding::FloatHistogram)
    };
    chunks.chunks.iter().all(|c| is_old(c.encoding)) && chunks.chunks.is_sorted_by(|a, b| a.maxt < b.mint)
}

fn framed(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 14);
    let mut len = data.len() as u64;
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(&crc32c(data).to_be_bytes());
    out.extend_from_slice(data);
    out.into()
}
