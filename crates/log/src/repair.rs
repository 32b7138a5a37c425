//! Mends a damaged log: what is whole stays, what is lost gets an empty record in its place.
//!
//! A log's offsets have no holes, so a lost record needs a frame. Each damaged segment is written
//! anew, beside a copy of the old file. Drawn in `docs/formats/log.md`.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use norn_contract::fs::{File, FileSystem, OpenMode};
use norn_contract::log::{LogError, Offset, Partition, RecordKind};

use crate::format::{
    ALIGN, Encoding, FRAME_HEADER, FrameHeader, FrameKind, OTHER_VERSION, SegmentHeader, crc,
};
use crate::inspect::{Damage, Event, OTHER_NAME, Problem, Segment, walk};
use crate::segments::failed;

/// Longest filler, and what is copied at once.
const PIECE: u64 = 1 << 20;

/// What a repair will do, or has done.
#[derive(Debug, Default)]
pub struct Plan {
    /// All that is wrong, in the order of the files.
    pub damage: Vec<Damage>,
    /// Segments to be written anew, by their file.
    pub segments: BTreeMap<PathBuf, Mending>,
    /// Records that are lost, in no order.
    pub lost: Vec<(Partition, Offset)>,
    /// Damaged bytes of the last segment. Newest records of partitions may have been there of which
    /// nothing tells; their offsets will be given again.
    pub untold: Vec<Damage>,
    /// What can not be mended.
    pub hopeless: Vec<Damage>,
}

/// How one segment is mended.
#[derive(Debug)]
pub struct Mending {
    header: SegmentHeader,
    /// Whether the header is to be written.
    with_header: bool,
    file_bytes: u64,
    end: u64,
    gaps: Vec<Gap>,
}

/// Bytes that get other frames.
#[derive(Debug)]
struct Gap {
    at: u64,
    bytes: u64,
    lost: Vec<(Partition, Offset)>,
}

impl Gap {
    fn has_room(&self) -> bool {
        (self.lost.len() as u64 + 1) * FRAME_HEADER as u64 <= self.bytes
    }
}

/// Finds what is wrong with the log in `dir` and how it can be mended. Changes nothing.
pub fn plan(fs: &dyn FileSystem, dir: &Path) -> Result<Plan, LogError> {
    let mut plan = Plan::default();
    let mut gaps = Vec::new();
    let mut untold = Vec::new();
    let mut with_header = false;
    walk(fs, dir, &mut |event| match event {
        Event::Frame(_) => {}
        Event::Damage(damage) if damage.problem.is_harmless() => plan.damage.push(damage),
        Event::Damage(damage) => {
            with_header |= matches!(damage.problem, Problem::Header(_) | Problem::Missing);
            plan.take(&damage, &mut gaps);
            untold.extend((damage.problem == Problem::Gap).then(|| damage.clone()));
            plan.damage.push(damage);
        }
        Event::Segment(segment) => {
            // What an earlier segment lost, the next one tells.
            plan.untold = std::mem::take(&mut untold);
            plan.close(segment, std::mem::take(&mut with_header), &mut gaps);
        }
    })?;
    Ok(plan)
}

impl Plan {
    /// Whether there is nothing to mend.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.hopeless.is_empty()
    }

    fn take(&mut self, damage: &Damage, gaps: &mut Vec<Gap>) {
        let &Damage { position: at, bytes, ref problem, .. } = damage;
        match problem {
            // Whole, though not what it should be.
            Problem::Header(OTHER_VERSION | OTHER_NAME) => self.hopeless.push(damage.clone()),
            Problem::Torn | Problem::Header(_) | Problem::Missing => {}
            Problem::Gap if bytes < FRAME_HEADER as u64 || !bytes.is_multiple_of(ALIGN as u64) => {
                self.hopeless.push(damage.clone());
            }
            Problem::Gap => gaps.push(Gap { at, bytes, lost: Vec::new() }),
            Problem::Record { partition, offset, .. } => {
                self.lost.push((*partition, *offset));
                gaps.push(Gap { at, bytes, lost: vec![(*partition, *offset)] });
            }
            Problem::Lost { partition, offsets } => {
                for offset in offsets.clone() {
                    let gap = gaps.iter_mut().find(|g| g.at >= at && g.has_room());
                    let Some(gap) = gap else { return self.hopeless.push(damage.clone()) };
                    gap.lost.push((*partition, offset));
                    self.lost.push((*partition, offset));
                }
            }
            Problem::Nameless | Problem::Contradiction(_) | Problem::Newer(_) => {
                self.hopeless.push(damage.clone());
            }
        }
    }

    fn close(&mut self, segment: Segment, with_header: bool, gaps: &mut Vec<Gap>) {
        let gaps = std::mem::take(gaps);
        if gaps.is_empty() && !with_header {
            return;
        }
        let Segment { path, header, end, file_bytes } = segment;
        self.segments.insert(path, Mending { header, with_header, file_bytes, end, gaps });
    }
}

/// Mends the log in `dir` as [`plan`] says, and gives the plan with the paths of the copies.
///
/// [`LogError::Unavailable`] when a process has the log open or the disk fails, and
/// [`LogError::Corrupt`] when something can not be mended; then nothing was changed.
pub fn repair(fs: &dyn FileSystem, dir: &Path) -> Result<(Plan, Vec<PathBuf>), LogError> {
    let lock_path = dir.join("LOCK");
    let _lock = fs.lock(&lock_path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => {
            LogError::Unavailable(format!("another process has {} open", dir.display()))
        }
        _ => failed(&lock_path, &e),
    })?;
    let plan = plan(fs, dir)?;
    if let Some(damage) = plan.hopeless.first() {
        return Err(LogError::Corrupt(format!("{damage}. This can not be repaired")));
    }
    let mut copies = Vec::new();
    for (path, mending) in &plan.segments {
        copies.extend(mending.apply(fs, dir, path).map_err(|e| failed(path, &e))?);
    }
    Ok((plan, copies))
}

impl Mending {
    /// Writes the segment anew and says where the old one is kept.
    fn apply(&self, fs: &dyn FileSystem, dir: &Path, path: &Path) -> std::io::Result<Option<PathBuf>> {
        let unfinished = path.with_extension("repair.tmp");
        if fs.open(&unfinished, OpenMode::Read).is_ok() {
            fs.remove(&unfinished)?;
        }
        let mut copy = None;
        let mended = fs.open(&unfinished, OpenMode::Create)?;
        if self.file_bytes > 0 {
            let old = fs.open(path, OpenMode::Read)?;
            let (kept, name) = unused(fs, path)?;
            duplicate(&*old, &*kept, self.file_bytes)?;
            kept.sync_data()?;
            copy = Some(name);
            duplicate(&*old, &*mended, self.file_bytes)?;
        }
        if self.with_header {
            mended.write_at(&mut [IoSlice::new(&self.header.encode())], 0)?;
        }
        if self.file_bytes < self.end {
            mended.set_len(self.end)?;
        }
        for gap in &self.gaps {
            gap.fill(&*mended, self.header.salt)?;
        }
        mended.sync_data()?;
        fs.sync_dir(dir)?;
        fs.rename(&unfinished, path)?;
        fs.sync_dir(dir)?;
        Ok(copy)
    }
}

/// A new file beside `path`, for its copy.
fn unused(fs: &dyn FileSystem, path: &Path) -> std::io::Result<(Box<dyn File>, PathBuf)> {
    let mut name = path.with_extension("log.damaged");
    for n in 2.. {
        match fs.open(&name, OpenMode::Create) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                name = path.with_extension(format!("log.damaged-{n}"));
            }
            other => return Ok((other?, name)),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

fn duplicate(from: &dyn File, to: &dyn File, len: u64) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE.min(len) as usize];
    let mut at = 0;
    while at < len {
        let want = (len - at).min(PIECE) as usize;
        let got = from.read_at(&mut piece[..want], at)?;
        if got == 0 {
            break;
        }
        to.write_at(&mut [IoSlice::new(&piece[..got])], at)?;
        at += got as u64;
    }
    Ok(())
}

impl Gap {
    /// Writes frames over all of the gap.
    fn fill(&self, file: &dyn File, salt: u32) -> std::io::Result<()> {
        let (mut at, end) = (self.at, self.at + self.bytes);
        for (i, (partition, offset)) in self.lost.iter().enumerate() {
            let left = end - at - FRAME_HEADER as u64;
            // A rest that is too short for a frame of its own.
            let with_rest = i + 1 == self.lost.len() && left < FRAME_HEADER as u64;
            let payload = if with_rest { left } else { 0 };
            let kind = FrameKind::Record(RecordKind::Write(0), Encoding::Lost);
            put(file, at, payload, kind, (*partition, *offset), salt)?;
            at += FRAME_HEADER as u64 + payload;
        }
        while at < end {
            let left = end - at;
            let header = FRAME_HEADER as u64;
            let bytes = if left <= PIECE { left } else { PIECE.min(left - header) };
            put(file, at, bytes - header, FrameKind::Skip, (0, 0), salt)?;
            at += bytes;
        }
        Ok(())
    }
}

/// Writes a frame header at `at`, for the bytes behind it as its payload.
fn put(
    file: &dyn File,
    at: u64,
    payload: u64,
    kind: FrameKind,
    (partition, offset): (Partition, Offset),
    salt: u32,
) -> std::io::Result<()> {
    let mut bytes = vec![0; payload as usize];
    let got = file.read_at(&mut bytes, at + FRAME_HEADER as u64)?;
    let header = FrameHeader {
        kind,
        tenant_len: 0,
        payload_len: payload as u32,
        payload_crc: crc(&bytes),
        partition,
        offset,
        timestamp: 0,
        synced: at as u32,
        value_len: 0,
    };
    let mut out = Vec::with_capacity(FRAME_HEADER + bytes.len());
    header.encode(None, salt, &mut out);
    // Bytes that the file did not have become zeros.
    out.extend_from_slice(&bytes[got..]);
    let tail = FRAME_HEADER as u64 + got as u64;
    file.write_at(&mut [IoSlice::new(&out[..FRAME_HEADER])], at)?;
    file.write_at(&mut [IoSlice::new(&out[FRAME_HEADER..])], at + tail)
}
