//! Reads chunk files.
//!
//! Chunks of a series lie next to each other, so a series costs one read of a file in most cases:
//! the frames are read straight into the caller's buffer and sliced there.

use std::path::Path;

use norn_codec::crc::crc32c;
use norn_codec::varint::take_uvarint;
use norn_contract::fs::FileSystem;
use norn_contract::source::{ChunkBuf, ChunkSlice};
use norn_model::chunk::ChunkEncoding;

use super::{CRC_LEN, HEADER_LEN, MAGIC, MAX_CHUNK_LEN, MAX_LEN_LEN, VERSION, file_path, split};
use crate::Error;
use crate::file::{Input, ReadAt, read, read_into};
use crate::index::ChunkMeta;

/// What is read for a chunk before its length is known.
const GUESS: u64 = 512;
/// What a series may have beyond the bytes of all files, for reading a little too much each time.
/// More would be the same bytes over and over.
const SLACK: u64 = 16 << 20;
/// Chunks further apart are read one by one.
const MAX_RUN: u64 = 1 << 20;

/// The chunk files of a block, all open.
pub struct Reader {
    files: Vec<Box<dyn ReadAt>>,
}

impl Reader {
    /// Opens all files in `dir`, which must be numbered from 1 without gaps.
    pub fn open(fs: &dyn FileSystem, dir: &Path) -> Result<Self, Error> {
        let names = fs.list(dir).map_err(|e| Error::from(e).within(&dir.display().to_string()))?;
        let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
        for index in 0..names.iter().filter(|n| is_file_name(n)).count() as u32 {
            files.push(Box::new(Input::open(fs, &file_path(dir, index))?));
        }
        Self::of(files)
    }

    /// A reader of `files`, in the order of their numbers.
    pub fn of(files: Vec<Box<dyn ReadAt>>) -> Result<Self, Error> {
        for (i, file) in files.iter().enumerate() {
            let header = read(&**file, 0, HEADER_LEN).map_err(|e| in_file(e, i))?;
            if header[..4] != MAGIC {
                return Err(in_file(Error::corrupt("magic number is another"), i));
            }
            if header[4] != VERSION {
                return Err(in_file(Error::Unsupported(format!("version {} is not known", header[4])), i));
            }
        }
        Ok(Self { files })
    }

    /// Bytes of all files.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size()).sum()
    }

    /// Appends the chunks to `out`, in order. After an error `out` is as it was.
    pub fn read(&self, chunks: &[ChunkMeta], out: &mut ChunkBuf) -> Result<(), Error> {
        let (bytes, count) = (out.bytes.len(), out.chunks.len());
        let done = self.read_runs(chunks, out);
        if done.is_err() {
            out.bytes.truncate(bytes);
            out.chunks.truncate(count);
        }
        done
    }

    fn read_runs(&self, mut chunks: &[ChunkMeta], out: &mut ChunkBuf) -> Result<(), Error> {
        let most = out.bytes.len() as u64 + self.size_bytes() + SLACK;
        while !chunks.is_empty() {
            let (run, rest) = chunks.split_at(run_len(chunks));
            let (index, first) = split(run[0].at);
            let file = self.files.get(index as usize);
            let file = file.ok_or_else(|| Error::corrupt(format!("chunks: there is no file {index}")))?;
            read_run(&**file, first, run, out).map_err(|e| in_file(e, index as usize))?;
            if out.bytes.len() as u64 > most {
                return Err(Error::corrupt("chunks: a series has more bytes than there are"));
            }
            chunks = rest;
        }
        Ok(())
    }
}

fn in_file(e: Error, index: usize) -> Error {
    e.within(&format!("chunks/{:06}", index + 1))
}

fn is_file_name(name: &str) -> bool {
    name.len() == 6 && name.bytes().all(|b| b.is_ascii_digit())
}

/// How many of the chunks can be had by one read: of one file, rising and near each other.
fn run_len(chunks: &[ChunkMeta]) -> usize {
    let first = chunks[0].at;
    let near = |pair: &&[ChunkMeta]| {
        let (last, next) = (pair[0].at, pair[1].at);
        next >> 32 == first >> 32 && next > last && next - first < MAX_RUN
    };
    1 + chunks.windows(2).take_while(near).count()
}

fn read_run(file: &dyn ReadAt, first: u64, run: &[ChunkMeta], out: &mut ChunkBuf) -> Result<(), Error> {
    let base = out.bytes.len();
    let last = run.last().map_or(first, |c| split(c.at).1);
    let end = (last + GUESS).min(file.size());
    let len = end.checked_sub(first).ok_or_else(|| Error::corrupt(format!("no chunk at {first}")))?;
    read_into(file, first, len, &mut out.bytes)?;
    for meta in run {
        let at = (split(meta.at).1 - first) as usize;
        let frame = frame(file, first, base, at, &mut out.bytes)
            .map_err(|e| e.within(&format!("chunk at {}", first + at as u64)))?;
        let (encoding, start, len) = frame;
        out.chunks.push(ChunkSlice { encoding, mint: meta.mint, maxt: meta.maxt, start, len });
    }
    Ok(())
}

/// Checks the frame `at` bytes behind `base`, where the bytes of the file from `first` on begin;
/// reads more of them where they do not reach. Gives encoding, start and length of the data.
fn frame(
    file: &dyn ReadAt,
    first: u64,
    base: usize,
    at: usize,
    bytes: &mut Vec<u8>,
) -> Result<(ChunkEncoding, usize, usize), Error> {
    let start = base + at;
    let mut rest = bytes.get(start..).unwrap_or_default();
    rest = &rest[..rest.len().min(MAX_LEN_LEN)];
    let before = rest.len();
    let len = take_uvarint(&mut rest)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len == 0 || len > MAX_CHUNK_LEN {
        return Err(Error::corrupt(format!("{len} bytes of data")));
    }
    let body = start + before - rest.len();
    let end = body + 1 + len + CRC_LEN;
    if end > bytes.len() {
        let have = (bytes.len() - base) as u64;
        read_into(file, first + have, (end - bytes.len()) as u64, bytes)?;
    }
    let (content, crc) = bytes[body..end].split_at(1 + len);
    if crc32c(content).to_be_bytes() != *crc {
        return Err(Error::corrupt("checksum differs"));
    }
    let encoding = ChunkEncoding::from_number(content[0])
        .ok_or_else(|| Error::Unsupported(format!("encoding {} is not known", content[0])))?;
    Ok((encoding, body + 1, len))
}
