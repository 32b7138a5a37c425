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

    /// Whether somewhere behind the position a whole header says that bytes beyond `position` were
    /// durable.
    pub fn damaged_since_synced(&mut self, file_len: u64) -> Result<bool> {
        let (start, salt) = (self.position, self.salt);
        let longest = (FRAME_HEADER + usize::from(u8::MAX)) as u64;
        let mut at = start;
        while at < file_len {
            let window = self.bytes(at, longest.max(READ_AHEAD), file_len)?;
            if window.is_empty() {
                break;
            }
            let last = (at + window.len() as u64) >= file_len;
            // A header cut off by the window is looked at again in the next one.
            let usable = if last { window.len() } else { window.len() - longest as usize };
            let proves = |i: &usize| {
                window[*i..].starts_with(&FRAME_MAGIC)
                    && FrameHeader::decode(&window[*i..], salt).is_some_and(|h| u64::from(h.synced) > start)
            };
            if (0..usable).step_by(ALIGN).any(|i| proves(&i)) {
                return Ok(true);
            }
            at += (usable.next_multiple_of(ALIGN)) as u64;
        }
        Ok(false)
    }
}
