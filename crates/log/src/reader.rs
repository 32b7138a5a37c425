//! Reads one partition: from the files while it is behind, from memory once it has caught up.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use norn_contract::fs::{FileSystem, OpenMode};
use norn_contract::log::{LogError, LogReader, Offset, Partition, Record};
use norn_model::tenant::Tenant;

use crate::cursor::Cursor;
use crate::format::{Encoding, FrameHeader, FrameKind};
use crate::pack::Unpacker;
use crate::recover::corrupt;
use crate::segments::{Segment, is_passing};
use crate::shared::Shared;
use crate::tail::{READ_BYTES, Taken};

/// Longest wait before a file that could not be opened is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// [`LogError::Unavailable`] would say that the log was closed.
fn unreadable(path: &Path, error: &std::io::Error) -> LogError {
    LogError::Unreadable(format!("{}: {error}", path.display()))
}

/// A reader.
pub struct Reader {
    pub shared: Arc<Shared>,
    pub fs: Arc<dyn FileSystem>,
    pub partition: Partition,
    pub next: Offset,
    /// Where it reads while it is behind.
    pub place: Option<Place>,
    /// The tenant of the last record read from a file; most often also that of the next.
    pub tenant: Option<Tenant>,
    pub unpacker: Unpacker,
}

/// A place in a file.
pub struct Place {
    segment: Arc<Segment>,
    cursor: Cursor,
}

impl LogReader for Reader {
    fn next(&mut self, out: &mut Vec<(Offset, Record)>, wait: Duration) -> Result<(), LogError> {
        let before = out.len();
        let shared = Arc::clone(&self.shared);
        let Some(tail) = shared.tails.get(self.partition as usize) else { return Err(self.out_of_range()) };
        match tail.take(self.next, Instant::now() + wait, out) {
            Taken::Some => {
                // A place in the segment being written saves a search if it falls behind again;
                // any other would only keep a trimmed file from going.
                self.place.take_if(|p| !shared.segments.is_newest(&p.segment));
                self.next += (out.len() - before) as u64;
                Ok(())
            }
            Taken::Nothing => Ok(()),
            Taken::Behind(memory_first) => self.read_files(memory_first, out, wait),
            Taken::Closed => Err(LogError::Unavailable("the log is closed".into())),
        }
    }
}

impl Reader {
    fn out_of_range(&self) -> LogError {
        let std::ops::Range { start: first, end: next } = self.shared.range(self.partition);
        LogError::OutOfRange { partition: self.partition, offset: self.next, first, next }
    }

    /// Reads records below `until`, which are durable, and about as many bytes as a call gives.
    /// A shortage that passes, of file descriptors for example, is waited for.
    fn read_files(
        &mut self,
        until: Offset,
        out: &mut Vec<(Offset, Record)>,
        wait: Duration,
    ) -> Result<(), LogError> {
        let mut bytes = 0;
        while self.next < until && bytes < READ_BYTES {
            let mut place = match self.place.take() {
                Some(place) => place,
                None => match self.find()? {
                    Some(place) => place,
                    None => {
                        std::thread::sleep(wait.min(PAUSE));
                        return Ok(());
                    }
                },
            };
            if place.cursor.position >= place.segment.end() {
                let following = self.following(&place.segment);
                self.place = self.open(following.ok_or_else(|| self.out_of_range())?)?;
                continue;
            }
            if let Some(record) = self.read_frame(&mut place)? {
                bytes += record.value.len();
                out.push((self.next, record));
                self.next += 1;
            }
            self.place = Some(place);
        }
        Ok(())
    }

    fn find(&self) -> Result<Option<Place>, LogError> {
        let segment = self.shared.segments.holding(self.partition, self.next);
        self.open(segment.ok_or_else(|| self.out_of_range())?)
    }

    /// The segment to go on with after all of `segment` was read.
    fn following(&self, segment: &Segment) -> Option<Arc<Segment>> {
        let (segments, sequence) = (&self.shared.segments, segment.header.sequence);
        // Segments in between, which hold nothing that is wanted, may have been trimmed.
        let holding = || segments.holding(self.partition, self.next);
        let following = segments.following(sequence).or_else(holding);
        following.filter(|s| s.header.sequence > sequence)
    }

    /// The start of a segment; `None` when there is a shortage that passes.
    fn open(&self, segment: Arc<Segment>) -> Result<Option<Place>, LogError> {
        let file = match self.fs.open(&segment.path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if is_passing(&error) => {
                tracing::warn!(file = %segment.path.display(), %error, "ingest log waits for a file to read");
                return Ok(None);
            }
            // Trimmed between being found and being opened.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(self.out_of_range()),
            Err(e) => return Err(unreadable(&segment.path, &e)),
        };
        let cursor = Cursor::new(file, segment.header.salt, segment.header.len() as u64);
        Ok(Some(Place { segment, cursor }))
    }

    /// The record of the frame at `place` if it is the next one of this partition; steps over it.
    fn read_frame(&mut self, place: &mut Place) -> Result<Option<Record>, LogError> {
        let (path, end, at) = (&place.segment.path, place.segment.end(), place.cursor.position);
        let damaged = |what: &str| corrupt(path, at, what);
        let header = place.cursor.header(end).map_err(|e| unreadable(path, &e))?;
        let header = header.ok_or_else(|| damaged("a frame header is damaged"))?;
        let mut record = None;
        if header.partition == self.partition && header.offset >= self.next {
            match header.kind {
                FrameKind::Record(..) if header.offset == self.next => {
                    let body = place.cursor.body(&header, end).map_err(|e| unreadable(path, &e))?;
                    let (tenant, payload) = body.ok_or_else(|| damaged("a record is damaged"))?;
                    record = Some(self.record(&header, tenant, payload).map_err(damaged)?);
                }
                FrameKind::Record(..) => return Err(damaged("a record is missing")),
                FrameKind::Unknown(_) => return Err(damaged("the frame was written by a newer version")),
                FrameKind::Closed | FrameKind::Skip => {}
            }
        }
        place.cursor.step(&header);
        Ok(record)
    }

    fn record(
        &mut self,
        header: &FrameHeader,
        tenant: &[u8],
        payload: &[u8],
    ) -> Result<Record, &'static str> {
        let FrameKind::Record(kind, encoding) = header.kind else { return Err("not a record") };
        let tenant = if encoding == Encoding::Lost {
            tracing::warn!(
                partition = self.partition,
                offset = self.next,
                "a record was lost and is taken as empty"
            );
            &b"anonymous"[..]
        } else {
            tenant
        };
        let tenant = match &self.tenant {
            Some(known) if known.as_str().as_bytes() == tenant => known.clone(),
            _ => {
                let id = std::str::from_utf8(tenant).map_err(|_| "the tenant is not text")?;
                Tenant::admit(id).map_err(|_| "the tenant id is not allowed")?
            }
        };
        self.tenant = Some(tenant.clone());
        let value = self.unpacker.unpack(encoding, payload, header.value_len as usize)?;
        Ok(Record { tenant, kind, timestamp: header.timestamp, value })
    }
}
