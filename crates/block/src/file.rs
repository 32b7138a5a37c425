//! Bytes at a position, and bytes one behind the other.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use norn_contract::fs::{File, FileSystem, OpenMode};

use crate::Error;

/// Bytes written at once.
const BUFFER: usize = 256 << 10;

/// Bytes that do not change while they are read.
pub trait ReadAt: Send + Sync {
    /// Reads into `buf` from `offset` and says how many bytes; fewer than asked at the end only.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Number of bytes.
    fn size(&self) -> u64;
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let len = buf.len().min(self.len() - start);
        buf[..len].copy_from_slice(&self[start..start + len]);
        Ok(len)
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

/// A file open for reading; its length is that at opening.
pub struct Input {
    file: Box<dyn File>,
    path: PathBuf,
    size: u64,
}

impl Input {
    /// Opens the file at `path`.
    pub fn open(fs: &dyn FileSystem, path: &Path) -> Result<Self, Error> {
        let opened = fs.open(path, OpenMode::Read).and_then(|file| Ok((file.len()?, file)));
        let (size, file) = opened.map_err(|e| named(path, e))?;
        Ok(Self { file, path: path.to_owned(), size })
    }
}

impl ReadAt for Input {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset).map_err(|e| named(&self.path, e))
    }

    fn size(&self) -> u64 {
        self.size
    }
}

fn named(path: &Path, e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// Appends `len` bytes from `offset` to `out`. Asks for memory only where the source has as much.
pub fn read_into(source: &dyn ReadAt, offset: u64, len: u64, out: &mut Vec<u8>) -> Result<(), Error> {
    if offset.checked_add(len).is_none_or(|end| end > source.size()) {
        return Err(Error::corrupt(format!(
            "{len} bytes at {offset} are beyond the end at {}",
            source.size()
        )));
    }
    let len = usize::try_from(len).map_err(|_| Error::TooLarge("a section"))?;
    let start = out.len();
    out.resize(start + len, 0);
    let n = source.read_at(&mut out[start..], offset)?;
    if n < len {
        out.truncate(start);
        return Err(Error::corrupt(format!("only {n} of {len} bytes at {offset} are there")));
    }
    Ok(())
}

/// `len` bytes from `offset`.
pub fn read(source: &dyn ReadAt, offset: u64, len: u64) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    read_into(source, offset, len, &mut out)?;
    Ok(out)
}

/// The whole file at `path`, at most `limit` bytes.
pub fn read_all(fs: &dyn FileSystem, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let input = Input::open(fs, path)?;
    if input.size > limit {
        return Err(Error::corrupt(format!("{} has more than {limit} bytes", path.display())));
    }
    read(&input, 0, input.size)
}

/// Most bytes a [`Window`] reads ahead.
const MAX_AHEAD: u64 = 256 << 10;
/// Bytes it reads where nothing near was read before.
const MIN_AHEAD: u64 = 2 << 10;

/// A part of a source in memory, which grows while what is asked for is near what was asked before.
#[derive(Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
    ahead: u64,
}

impl Window {
    /// The `len` bytes from `at`.
    pub(crate) fn bytes(&mut self, source: &dyn ReadAt, at: u64, len: u64) -> Result<&[u8], Error> {
        let end = self.start + self.bytes.len() as u64;
        if at < self.start || at.checked_add(len).is_none_or(|n| n > end) {
            let near = at >= self.start && at <= end.saturating_add(self.ahead) && !self.bytes.is_empty();
            self.ahead = if near { (self.ahead * 2).min(MAX_AHEAD) } else { MIN_AHEAD };
            self.bytes.clear();
            self.start = at;
            let want = len.max(self.ahead.min(source.size().saturating_sub(at)));
            read_into(source, at, want, &mut self.bytes)?;
        }
        let from = (at - self.start) as usize;
        Ok(&self.bytes[from..from + len as usize])
    }
}

/// A new file, written from the start.
pub(crate) struct Output {
    file: Box<dyn File>,
    path: PathBuf,
    buf: Vec<u8>,
    flushed: u64,
}

impl Output {
    pub(crate) fn create(fs: &dyn FileSystem, path: &Path) -> Result<Self, Error> {
        let file = fs.open(path, OpenMode::Create).map_err(|e| named(path, e))?;
        Ok(Self { file, path: path.to_owned(), buf: Vec::new(), flushed: 0 })
    }

    /// Bytes written so far.
    pub(crate) fn position(&self) -> u64 {
        self.flushed + self.buf.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buf.extend_from_slice(bytes);
        if self.buf.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    pub(crate) fn put_u32(&mut self, x: u32) -> Result<(), Error> {
        self.put(&x.to_be_bytes())
    }

    /// Writes zeros up to a multiple of `alignment`.
    pub(crate) fn align(&mut self, alignment: u64) -> Result<(), Error> {
        let gap = self.position().next_multiple_of(alignment) - self.position();
        self.put(&[0; 16][..(gap as usize).min(16)])
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.file.write_at(&mut [IoSlice::new(&self.buf)], self.flushed);
        written.map_err(|e| named(&self.path, e))?;
        self.flushed += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }

    /// Makes the bytes durable and gives their number.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        self.file.sync_data().map_err(|e| named(&self.path, e))?;
        Ok(self.flushed)
    }

    /// Gives the bytes back for reading, durable or not.
    pub(crate) fn into_input(mut self) -> Result<Input, Error> {
        self.flush()?;
        Ok(Input { size: self.flushed, file: self.file, path: self.path })
    }
}

/// Writes a small file and makes it durable.
pub(crate) fn write_all(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut output = Output::create(fs, path)?;
    output.put(bytes)?;
    output.finish().map(drop)
}
