//! What is found when a log is opened.
//!
//! Only the last segment is read in full: every earlier one was complete before its successor got
//! its header, and that header says where it ends.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use norn_contract::fs::{FileSystem, OpenMode};
use norn_contract::log::{LogError, Offset};

use crate::cursor::Cursor;
use crate::format::{FrameHeader, FrameKind, SegmentHeader};
use crate::segments::{Segment, failed, path_of};

/// What is there.
pub struct Recovered {
    /// Segments, oldest first.
    pub segments: VecDeque<Arc<Segment>>,
    /// Per partition the offset of its next record.
    pub next: Vec<Offset>,
    /// Spare files by name.
    pub spares: Vec<String>,
}

/// An error about damage, with what can be done.
pub fn corrupt(path: &Path, position: u64, what: &str) -> LogError {
    LogError::Corrupt(format!(
        "{} at byte {position}: {what}. Records from there on can not be read. Restore the file from a copy of \
         the disk, or stop all that use the log and run `nornctl log repair {}`: it shows which records are \
         lost, and saves the others",
        path.display(),
        path.parent().unwrap_or(path).display()
    ))
}

/// Reads the directory `dir`, makes its last segment durable and cuts it to its end.
pub fn recover(fs: &dyn FileSystem, dir: &Path) -> Result<Recovered, LogError> {
    let mut sequences = Vec::new();
    let mut spares = Vec::new();
    for name in fs.list(dir).map_err(|e| failed(dir, &e))? {
        if let Some(sequence) = sequence_of(&name) {
            sequences.push(sequence);
        } else if name.ends_with(".spare") {
            spares.push(name);
        } else if name.ends_with(".tmp") {
            let path = dir.join(name);
            fs.remove(&path).map_err(|e| failed(&path, &e))?;
        }
    }
    sequences.sort_unstable();
    spares.sort_unstable();
    let mut segments = chain(fs, dir, &sequences)?;
    let mut next = Vec::new();
    if let Some(last) = segments.back_mut() {
        let tail = Tail::scan(fs, last)?;
        tail.settle(fs, last)?;
        last.set_end(tail.end);
        next = tail.next;
    }
    Ok(Recovered { segments, next, spares })
}

/// The number of the segment with this file name.
pub fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

/// Reads the headers and checks that they follow each other.
fn chain(fs: &dyn FileSystem, dir: &Path, sequences: &[u64]) -> Result<VecDeque<Arc<Segment>>, LogError> {
    let mut out: VecDeque<Arc<Segment>> = VecDeque::new();
    for sequence in sequences {
        let path = path_of(dir, *sequence);
        let header = read_header(fs, &path).map_err(|e| failed(&path, &e))?;
        let header = header.map_err(|what| corrupt(&path, 0, what))?;
        if header.sequence != *sequence {
            return Err(corrupt(&path, 16, "the file has the name of another segment"));
        }
        if let Some(previous) = out.back() {
            seal(fs, previous, &header, &path)?;
        }
        let end = header.len() as u64;
        out.push_back(Arc::new(Segment::new(path, header, end)));
    }
    Ok(out)
}

/// Checks that `header` follows `previous`, and sets where that ends.
fn seal(
    fs: &dyn FileSystem,
    previous: &Segment,
    header: &SegmentHeader,
    path: &Path,
) -> Result<(), LogError> {
    if previous.header.sequence + 1 != header.sequence {
        let missing = path.with_file_name(format!("{:020}.log", previous.header.sequence + 1));
        return Err(corrupt(&missing, 0, "the file is missing"));
    }
    let old = &previous.header.next;
    if header.next.len() < old.len() || old.iter().zip(&header.next).any(|(a, b)| a > b) {
        return Err(corrupt(path, 48, "offsets are below those of the segment before"));
    }
    let len = fs.open(&previous.path, OpenMode::Read).and_then(|f| f.len());
    let len = len.map_err(|e| failed(&previous.path, &e))?;
    let start = previous.header.len() as u64;
    if !(start..=len).contains(&header.previous_end) {
        return Err(corrupt(&previous.path, len, "the file is shorter than the next segment says"));
    }
    previous.set_end(header.previous_end);
    Ok(())
}

/// The header at the start of a file, or what is wrong with it.
pub fn read_header(fs: &dyn FileSystem, path: &Path) -> std::io::Result<Result<SegmentHeader, &'static str>> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; SegmentHeader::PREFIX];
    let got = file.read_at(&mut bytes, 0)?;
    let len = match SegmentHeader::read_len(&bytes[..got]) {
        Ok(len) => len,
        Err(what) => return Ok(Err(what)),
    };
    bytes.resize(len, 0);
    let got = file.read_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes[..got]))
}

/// The frames of the last segment.
struct Tail {
    next: Vec<Offset>,
    /// Where the last whole frame ends.
    end: u64,
    /// Where the last write began.
    synced: u64,
    closed: bool,
}

impl Tail {
    fn scan(fs: &dyn FileSystem, segment: &Segment) -> Result<Self, LogError> {
        let path = &segment.path;
        let file = fs.open(path, OpenMode::Read).map_err(|e| failed(path, &e))?;
        let len = file.len().map_err(|e| failed(path, &e))?;
        let start = segment.header.len() as u64;
        let mut cursor = Cursor::new(file, segment.header.salt, start);
        let mut tail = Self { next: segment.header.next.clone(), end: start, synced: start, closed: false };
        while let Some(header) = whole_frame(&mut cursor, len).map_err(|e| failed(path, &e))? {
            tail.take(&header).map_err(|what| corrupt(path, cursor.position, &what))?;
            cursor.step(&header);
            tail.end = cursor.position;
        }
        if cursor.damaged_since_synced(len).map_err(|e| failed(path, &e))? {
            return Err(corrupt(path, tail.end, "a frame is damaged and later ones are whole"));
        }
        Ok(tail)
    }

    fn take(&mut self, header: &FrameHeader) -> Result<(), String> {
        let position = self.end;
        if u64::from(header.synced) > position {
            return Err("a frame contradicts its place".into());
        }
        self.synced = u64::from(header.synced);
        self.closed = header.kind == FrameKind::Closed;
        match header.kind {
            FrameKind::Record(..) => {}
            FrameKind::Closed | FrameKind::Skip => return Ok(()),
            FrameKind::Unknown(kind) => {
                return Err(format!("frame type {kind} was written by a newer version"));
            }
        }
        let Some(next) = self.next.get_mut(header.partition as usize) else {
            return Err(format!("partition {} is not in the segment's header", header.partition));
        };
        if header.offset != *next {
            return Err(format!(
                "record {} of partition {} is where {next} should be",
                header.offset, header.partition
            ));
        }
        *next += 1;
        Ok(())
    }

    /// Writes what the last write wrote once more, because a sync that failed may have left it in
    /// memory alone, and cuts the file.
    fn settle(&self, fs: &dyn FileSystem, segment: &Segment) -> Result<(), LogError> {
        let path = &segment.path;
        if !self.closed {
            tracing::warn!(file = %path.display(), end = self.end,
                "ingest log was not closed; it goes on after the last whole record");
        }
        let settle = || {
            let file = fs.open(path, OpenMode::Write)?;
            let start = self.synced.max(segment.header.len() as u64);
            let mut bytes = vec![0; (self.end.saturating_sub(start)) as usize];
            let got = file.read_at(&mut bytes, start)?;
            file.write_at(&mut [IoSlice::new(&bytes[..got])], start)?;
            file.set_len(self.end)?;
            file.sync_data()
        };
        settle().map_err(|e| failed(path, &e))
    }
}

/// Header of the frame at the cursor if all of the frame is right.
fn whole_frame(cursor: &mut Cursor, len: u64) -> std::io::Result<Option<FrameHeader>> {
    let Some(header) = cursor.header(len)? else { return Ok(None) };
    Ok(cursor.body(&header, len)?.map(|_| header))
}
