//! Reads the frames of one segment in order, with large reads.

use std::io::Result;

use norn_contract::fs::File;

use crate::format::{ALIGN, FRAME_HEADER, FRAME_MAGIC, FrameHeader, crc};

const READ_AHEAD: u64 = 1 << 20;

/// A window over the bytes of a segment.
pub struct Cursor {
    file: Box<dyn File>,
    salt: u32,
    /// Where the next frame starts.
    pub position: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Cursor {
    /// Starts at `position`.
    pub fn new(file: Box<dyn File>, salt: u32, position: u64) -> Self {
        Self { file, salt, position, window: Vec::new(), window_start: position }
    }

    /// Bytes `at..at + len`, cut at `limit` and at the end of the file.
    fn bytes(&mut self, at: u64, len: u64, limit: u64) -> Result<&[u8]> {
        let len = len.min(limit.saturating_sub(at));
        let window_end = self.window_start + self.window.len() as u64;
        if at < self.window_start || at + len > window_end {
            let want = len.max(READ_AHEAD).min(limit.saturating_sub(at));
            self.window.resize(want as usize, 0);
            let got = self.file.read_at(&mut self.window, at)?;
            self.window.truncate(got);
            self.window_start = at;
        }
        let start = ((at - self.window_start) as usize).min(self.window.len());
        let end = (start + len as usize).min(self.window.len());
        Ok(&self.window[start..end])
    }

    /// The header of the frame at the position, if a whole one that lies below `limit` is there.
    pub fn header(&mut self, limit: u64) -> Result<Option<FrameHeader>> {
        let (at, salt) = (self.position, self.salt);
        let longest = (FRAME_HEADER + usize::from(u8::MAX)) as u64;
        let header = FrameHeader::decode(self.bytes(at, longest, limit)?, salt);
        Ok(header.filter(|h| at.checked_add(h.frame_len()).is_some_and(|end| end <= limit)))
    }

    /// Tenant and payload of the frame at the position; `None` when the payload is damaged.
    pub fn body(&mut self, header: &FrameHeader, limit: u64) -> Result<Option<(&[u8], &[u8])>> {
        let (at, len) = (self.position, header.unpadded_len());
        let frame = self.bytes(at, len, limit)?;
        if (frame.len() as u64) < len {
            return Ok(None);
        }
        let (head, payload) = frame.split_at(header.header_len());
        Ok((crc(payload) == header.payload_crc).then_some((&head[FRAME_HEADER..], payload)))
    }

    /// Goes to the next frame.
    pub fn step(&mut self, header: &FrameHeader) {
        self.position += header.frame_len();
    }

    /// Bytes from the position to the last one below `limit` that is not zero.
    pub fn used(&mut self, limit: u64) -> Result<Option<u64>> {
        let start = self.position;
        let (mut at, mut used) = (start, None);
        while at < limit {
            let window = self.bytes(at, READ_AHEAD, limit)?;
            if window.is_empty() {
                break;
            }
            let last = window.iter().rposition(|b| *b != 0);
            used = last.map(|i| at + i as u64 + 1 - start).or(used);
            at += window.len() as u64;
        }
        Ok(used)
    }

    /// Whether somewhere behind the position a whole header says that bytes beyond `position` were
    /// durable.
    pub fn damaged_since_synced(&mut self, file_len: u64) -> Result<bool> {
        let start = self.position;
        Ok(self.find(file_len, |_, header| u64::from(header.synced) > start)?.is_some())
    }

    /// The first place from the position on where a whole header is that `accept`s.
    pub fn find(&mut self, limit: u64, accept: impl Fn(u64, &FrameHeader) -> bool) -> Result<Option<u64>> {
        let (mut at, salt) = (self.position, self.salt);
        let longest = (FRAME_HEADER + usize::from(u8::MAX)) as u64;
        while at < limit {
            let window = self.bytes(at, longest.max(READ_AHEAD), limit)?;
            if window.is_empty() {
                break;
            }
            let last = at + (window.len() as u64) >= limit || window.len() <= longest as usize;
            // A header cut off by the window is looked at again in the next one.
            let usable = if last { window.len() } else { window.len() - longest as usize };
            let is_accepted = |i: &usize| {
                window[*i..].starts_with(&FRAME_MAGIC)
                    && FrameHeader::decode(&window[*i..], salt).is_some_and(|h| accept(at + *i as u64, &h))
            };
            if let Some(i) = (0..usable).step_by(ALIGN).find(is_accepted) {
                return Ok(Some(at + i as u64));
            }
            at += (usable.next_multiple_of(ALIGN)) as u64;
        }
        Ok(None)
    }
}
