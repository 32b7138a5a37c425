//! Writes chunk files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_codec::crc::Crc32c;
use norn_codec::varint::put_uvarint;
use norn_contract::fs::FileSystem;
use norn_model::chunk::ChunkEncoding;

use super::{CRC_LEN, ChunkRef, HEADER_LEN, MAGIC, MAX_CHUNK_LEN, MAX_LEN_LEN, VERSION, file_path};
use crate::Error;
use crate::file::Output;

/// Appends chunks to numbered files in a directory that exists.
pub struct Writer {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    max_file_len: u64,
    /// Bytes of the files that are complete.
    files: Vec<u64>,
    open: Option<Output>,
    length: Vec<u8>,
}

impl Writer {
    /// Writes into `dir`; files get at most `max_file_len` bytes ([`super::MAX_FILE_LEN`] unless
    /// one chunk is longer).
    pub fn new(fs: Arc<dyn FileSystem>, dir: &Path, max_file_len: u64) -> Self {
        Self { fs, dir: dir.to_owned(), max_file_len, files: Vec::new(), open: None, length: Vec::new() }
    }

    /// Appends a chunk and says where it is.
    pub fn add(&mut self, encoding: ChunkEncoding, data: &[u8]) -> Result<ChunkRef, Error> {
        if data.is_empty() || data.len() > MAX_CHUNK_LEN {
            return Err(Error::Invalid(format!("a chunk of {} bytes can not be stored", data.len())));
        }
        let need = (MAX_LEN_LEN + 1 + data.len() + CRC_LEN) as u64;
        let (index, mut output) = self.file_for(need)?;
        let at = u64::from(index) << 32 | output.position();
        self.length.clear();
        put_uvarint(&mut self.length, data.len() as u64);
        let encoding = [encoding as u8];
        let crc = Crc32c::new().update(&encoding).update(data).finish();
        output.put(&self.length)?;
        output.put(&encoding)?;
        output.put(data)?;
        output.put_u32(crc)?;
        self.open = Some(output);
        Ok(at)
    }

    /// The file that takes the next `need` bytes, and its number from 0.
    fn file_for(&mut self, need: u64) -> Result<(u32, Output), Error> {
        if let Some(open) = self.open.take() {
            if open.position() + need <= self.max_file_len || open.position() == HEADER_LEN {
                return Ok((self.files.len() as u32, open));
            }
            self.files.push(open.finish()?);
        }
        let index =
            u32::try_from(self.files.len()).map_err(|_| Error::TooLarge("the number of chunk files"))?;
        let mut output = Output::create(&*self.fs, &file_path(&self.dir, index))?;
        output.put(&MAGIC)?;
        output.put(&[VERSION, 0, 0, 0])?;
        Ok((index, output))
    }

    /// Makes the files durable and gives their lengths in bytes. Their names need a sync of the
    /// directory.
    pub fn finish(mut self) -> Result<Vec<u64>, Error> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish()?);
        }
        Ok(self.files)
    }
}
