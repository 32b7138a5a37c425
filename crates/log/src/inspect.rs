//! Looks at all of a log's files without changing one, and goes on behind damage.
//!
//! [`walk`] tells what it finds in the order of the files; `repair` and tools listen. A frame's
//! header has a checksum with the segment's salt, so frames behind damage are found again safely.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use norn_contract::fs::{FileSystem, OpenMode};
use norn_contract::log::{LogError, Offset, Partition, RecordKind};
use norn_model::Millis;

use crate::cursor::Cursor;
use crate::format::{ALIGN, FrameHeader, FrameKind, MAX_NUMBER, SegmentHeader};
use crate::pack::Unpacker;
use crate::recover::{read_header, sequence_of};
use crate::segments::{failed, path_of};

/// The file holds another segment than its name says.
pub(crate) const OTHER_NAME: &str = "the file has the name of another segment";

/// Most segments that may be missing one after the other.
const MAX_MISSING: u64 = 1000;

/// What is found.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// Something is wrong.
    Damage(Damage),
    /// A segment was read; frames and damage before this are its.
    Segment(Segment),
}

/// A whole frame.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Where it starts in its segment.
    pub position: u64,
    /// Its length.
    pub bytes: u64,
    /// `verbatim`, `zstd`, `columns`, `settings`, `lost`, `closed` or `filler`.
    pub form: &'static str,
    /// Its record, if it has one.
    pub record: Option<Entry<'a>>,
}

/// A record in a frame.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Its time.
    pub timestamp: Millis,
    /// Whose it is; nobody's when it was lost.
    pub tenant: Cow<'a, str>,
    /// What the value holds.
    pub kind: RecordKind,
    /// The content.
    pub value: Bytes,
}

/// A segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Its header, or what it must have been.
    pub header: SegmentHeader,
    /// Where its frames end.
    pub end: u64,
    /// Length of its file; 0 when that is missing.
    pub file_bytes: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where it starts.
    pub position: u64,
    /// How long it is.
    pub bytes: u64,
    /// What it is.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is missing.
    Missing,
    /// The segment's header can not be read.
    Header(&'static str),
    /// The segment's header can not be read, and nothing says what was in it.
    Nameless,
    /// No frame is here.
    Gap,
    /// The record of a frame can not be read.
    Record {
        /// Its partition.
        partition: Partition,
        /// Its offset.
        offset: Offset,
        /// Why.
        what: &'static str,
    },
    /// Records that no frame holds, somewhere behind the position.
    Lost {
        /// Their partition.
        partition: Partition,
        /// Their offsets.
        offsets: Range<Offset>,
    },
    /// Behind the last frame: the end of a write that was not finished, of which nothing was
    /// acknowledged, or old bytes of a file that is used again.
    Torn,
    /// Whole parts that do not fit together.
    Contradiction(String),
    /// A frame type of a newer version.
    Newer(u8),
}

impl Problem {
    /// Whether the log opens and reads all the same.
    pub fn is_harmless(&self) -> bool {
        *self == Self::Torn
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position, bytes, problem } = self;
        write!(f, "{} at byte {position}: ", path.display())?;
        match problem {
            Problem::Missing => write!(f, "the file is missing"),
            Problem::Header(what) => write!(f, "the segment's header can not be read: {what}"),
            Problem::Nameless => {
                write!(f, "the only segment's header is damaged; its frames can not be told from old bytes")
            }
            Problem::Gap => write!(f, "{bytes} bytes are damaged"),
            Problem::Record { partition, offset, what } => {
                write!(f, "record {offset} of partition {partition} is damaged: {what}")
            }
            Problem::Lost { partition, offsets } => {
                write!(
                    f,
                    "records {}..{} of partition {partition} are lost behind it",
                    offsets.start, offsets.end
                )
            }
            Problem::Torn => {
                write!(f, "{bytes} bytes of an unfinished write, or of what a used file held before")
            }
            Problem::Contradiction(what) => f.write_str(what),
            Problem::Newer(kind) => write!(f, "frame type {kind} was written by a newer version"),
        }
    }
}

/// Reads all of the log in `dir`. An error only when the disk fails, or when so many files are
/// missing that this is no log.
pub fn walk(fs: &dyn FileSystem, dir: &Path, visit: &mut dyn FnMut(Event<'_>)) -> Result<(), LogError> {
    let files = files(fs, dir)?;
    let mut walker = Walker { fs, visit, next: Vec::new(), seen: Vec::new(), unpacker: Unpacker::default() };
    let mut previous = None;
    for (i, file) in files.iter().enumerate() {
        let following = files.get(i + 1).and_then(|f| f.header.as_ref().ok());
        previous = walker.segment(file, previous.as_ref(), following)?;
    }
    Ok(())
}

/// A segment's file.
struct File {
    path: PathBuf,
    sequence: u64,
    /// Length; `None` when it is missing.
    len: Option<u64>,
    header: Result<SegmentHeader, &'static str>,
}

/// The segments' files, those that are missing among them included.
fn files(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<File>, LogError> {
    let names = fs.list(dir).map_err(|e| failed(dir, &e))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|n| sequence_of(n)).collect();
    sequences.sort_unstable();
    let mut out: Vec<File> = Vec::new();
    for sequence in sequences {
        let expected = out.last().map_or(sequence, |f| f.sequence + 1);
        if sequence - expected > MAX_MISSING {
            let text = format!("{}: segments {expected} to {} are missing", dir.display(), sequence - 1);
            return Err(LogError::Corrupt(text));
        }
        for missing in expected..sequence {
            let path = path_of(dir, missing);
            out.push(File { path, sequence: missing, len: None, header: Err("the file is missing") });
        }
        out.push(file(fs, path_of(dir, sequence), sequence)?);
    }
    Ok(out)
}

fn file(fs: &dyn FileSystem, path: PathBuf, sequence: u64) -> Result<File, LogError> {
    let len = fs.open(&path, OpenMode::Read).and_then(|f| f.len()).map_err(|e| failed(&path, &e))?;
    let header = match read_header(fs, &path).map_err(|e| failed(&path, &e))? {
        Ok(header) if header.sequence != sequence => Err(OTHER_NAME),
        other => other,
    };
    Ok(File { path, sequence, len: Some(len), header })
}

struct Walker<'a> {
    fs: &'a dyn FileSystem,
    visit: &'a mut dyn FnMut(Event<'_>),
    /// Per partition the offset that comes next; `None` while nothing says.
    next: Vec<Option<Offset>>,
    /// Per partition where its last frame of this segment starts.
    seen: Vec<u64>,
    unpacker: Unpacker,
}

impl Walker<'_> {
    fn damage(&mut self, path: &Path, position: u64, bytes: u64, problem: Problem) {
        (self.visit)(Event::Damage(Damage { path: path.to_owned(), position, bytes, problem }));
    }

    /// Reads a segment and gives what the next one needs to know of it.
    fn segment(
        &mut self,
        file: &File,
        previous: Option<&Segment>,
        following: Option<&SegmentHeader>,
    ) -> Result<Option<Segment>, LogError> {
        let Some(header) = self.header(file, previous, following) else { return Ok(None) };
        let (start, file_bytes) = (header.len() as u64, file.len.unwrap_or(0));
        let end = following.map_or(file_bytes, |f| f.previous_end).max(start);
        self.seen = vec![start; header.next.len()];
        self.next.resize(header.next.len(), Some(0));
        let base_is_known = self.next.iter().all(Option::is_some);
        let mut segment = Segment { path: file.path.clone(), header, end, file_bytes };
        let mut first = vec![None; self.next.len()];
        if file.len.is_some() {
            segment.end = self.frames(&segment, following.is_some(), &mut first)?;
        } else {
            self.damage(&file.path, start, end - start, Problem::Gap);
        }
        if let Some(following) = following {
            self.compare(&segment.path, following);
        }
        if !base_is_known {
            for ((slot, first), next) in segment.header.next.iter_mut().zip(first).zip(&self.next) {
                *slot = first.or(*next).unwrap_or(0);
            }
        }
        (self.visit)(Event::Segment(segment.clone()));
        Ok(Some(segment))
    }

    /// The header that the file has, or must have had.
    fn header(
        &mut self,
        file: &File,
        previous: Option<&Segment>,
        following: Option<&SegmentHeader>,
    ) -> Option<SegmentHeader> {
        if let Ok(header) = &file.header {
            match previous {
                Some(previous) => {
                    if header.next.len() < previous.header.next.len() {
                        let what = "there are fewer partitions than in the segment before".into();
                        self.damage(&file.path, 36, 0, Problem::Contradiction(what));
                    }
                    self.compare(&file.path, header);
                }
                None => self.next = header.next.iter().map(|n| Some(*n)).collect(),
            }
            return Some(header.clone());
        }
        let salt = match (previous, following) {
            (Some(previous), _) => previous.header.salt.wrapping_add(1),
            (None, Some(following)) => following.salt.wrapping_sub(1),
            (None, None) => {
                self.damage(&file.path, 0, file.len.unwrap_or(0), Problem::Nameless);
                return None;
            }
        };
        if previous.is_none() {
            self.next = vec![None; following.map_or(0, |f| f.next.len())];
        }
        let header = SegmentHeader {
            sequence: file.sequence,
            previous_end: previous.map_or(0, |p| p.end),
            salt,
            begun: 0,
            next: self.next.iter().map(|n| n.unwrap_or(0)).collect(),
        };
        let problem = match (file.len, &file.header) {
            (Some(_), Err(what)) => Problem::Header(what),
            _ => Problem::Missing,
        };
        self.damage(&file.path, 0, header.len() as u64, problem);
        Some(header)
    }

    /// Holds the offsets that were read against those that `header` says come next.
    fn compare(&mut self, path: &Path, header: &SegmentHeader) {
        self.next.resize(self.next.len().max(header.next.len()), Some(0));
        for (p, said) in header.next.iter().enumerate() {
            self.expect(path, p, *said);
        }
    }

    /// Takes `offset` as the next one of a partition.
    fn expect(&mut self, path: &Path, p: usize, offset: Offset) {
        let position = self.seen.get(p).copied().unwrap_or(0);
        let partition = p as Partition;
        match self.next[p].replace(offset) {
            Some(next) if next < offset => {
                self.damage(path, position, 0, Problem::Lost { partition, offsets: next..offset });
            }
            Some(next) if next > offset => {
                let what = format!("offset {offset} of partition {partition} follows {next}");
                self.damage(path, position, 0, Problem::Contradiction(what));
            }
            _ => {}
        }
    }

    /// Reads the frames of a segment and says where they end.
    fn frames(
        &mut self,
        segment: &Segment,
        sealed: bool,
        first: &mut [Option<Offset>],
    ) -> Result<u64, LogError> {
        let (path, end) = (&segment.path, segment.end);
        let failed = |e: std::io::Error| failed(path, &e);
        let file = self.fs.open(path, OpenMode::Read).map_err(failed)?;
        let start = segment.header.len() as u64;
        let mut cursor = Cursor::new(file, segment.header.salt, start);
        while cursor.position < end {
            let at = cursor.position;
            let header = cursor.header(end).map_err(failed)?;
            let whole = match &header {
                Some(header) => cursor.body(header, end).map_err(failed)?.is_some(),
                None => false,
            };
            if !whole && !sealed && !cursor.damaged_since_synced(end).map_err(failed)? {
                return self.torn(&mut cursor, segment).map_err(failed);
            }
            let Some(header) = header else {
                let fits =
                    |pos: u64, h: &FrameHeader| pos + h.frame_len() <= end && u64::from(h.synced) <= pos;
                // A file that was cut ends anywhere.
                let last = end.next_multiple_of(ALIGN as u64);
                let next = cursor.find(end, fits).map_err(failed)?.unwrap_or(last);
                self.damage(path, at, next - at, Problem::Gap);
                cursor.position = next;
                continue;
            };
            let body = cursor.body(&header, end).map_err(failed)?;
            self.frame(path, at, &header, body, first);
            cursor.step(&header);
        }
        Ok(cursor.position)
    }

    /// What lies behind the last frame of the last segment: zeros, or part of a write.
    fn torn(&mut self, cursor: &mut Cursor, segment: &Segment) -> std::io::Result<u64> {
        let at = cursor.position;
        if let Some(bytes) = cursor.used(segment.end)? {
            self.damage(&segment.path, at, bytes, Problem::Torn);
        }
        Ok(at)
    }

    fn frame(
        &mut self,
        path: &Path,
        position: u64,
        header: &FrameHeader,
        body: Option<(&[u8], &[u8])>,
        first: &mut [Option<Offset>],
    ) {
        let bytes = header.frame_len();
        let &FrameHeader { partition, offset, timestamp, .. } = header;
        if u64::from(header.synced) > position || offset > MAX_NUMBER {
            let what = "a frame contradicts its place".to_owned();
            return self.damage(path, position, bytes, Problem::Contradiction(what));
        }
        let (kind, encoding) = match header.kind {
            FrameKind::Record(kind, encoding) => (kind, encoding),
            FrameKind::Unknown(kind) => return self.damage(path, position, bytes, Problem::Newer(kind)),
            FrameKind::Closed | FrameKind::Skip => {
                let form = header.kind.name();
                return (self.visit)(Event::Frame(Frame { position, bytes, form, record: None }));
            }
        };
        let p = partition as usize;
        let Some(first) = first.get_mut(p) else {
            let what = format!("partition {partition} is not in the segment's header");
            return self.damage(path, position, bytes, Problem::Contradiction(what));
        };
        first.get_or_insert(offset);
        self.expect(path, p, offset);
        self.next[p] = Some(offset + 1);
        self.seen[p] = position;
        let unpacked = body.ok_or("its checksum is wrong").and_then(|(tenant, payload)| {
            let value = self.unpacker.unpack(encoding, payload, header.value_len as usize)?;
            Ok((String::from_utf8_lossy(tenant), value))
        });
        match unpacked {
            Ok((tenant, value)) => {
                let record = Some(Entry { partition, offset, timestamp, tenant, kind, value });
                (self.visit)(Event::Frame(Frame { position, bytes, form: header.kind.name(), record }));
            }
            Err(what) => self.damage(path, position, bytes, Problem::Record { partition, offset, what }),
        }
    }
}
