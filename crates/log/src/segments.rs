//! The segments that are kept, oldest first, and the making of new ones.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use norn_contract::fs::{File, FileSystem, OpenMode};
use norn_contract::log::{LogError, Offset, Partition};
use norn_model::Millis;
use parking_lot::Mutex;

use crate::format::SegmentHeader;
use crate::options::Retention;

/// One segment.
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Its header.
    pub header: SegmentHeader,
    /// Bytes that are durable and whole.
    end: AtomicU64,
}

impl Segment {
    /// A segment whose frames end at `end`.
    pub fn new(path: PathBuf, header: SegmentHeader, end: u64) -> Self {
        Self { path, header, end: AtomicU64::new(end) }
    }

    /// Where the durable frames end.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Says that frames up to `end` are durable.
    pub fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Offset of the first record of `partition` here, or in a later segment.
    pub fn base(&self, partition: Partition) -> Offset {
        self.header.next.get(partition as usize).copied().unwrap_or(0)
    }
}

/// Path of a segment.
pub fn path_of(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:020}.log"))
}

/// The segments that are kept.
pub struct Segments {
    list: Mutex<VecDeque<Arc<Segment>>>,
}

impl Segments {
    /// Starts with `list`, oldest first.
    pub fn new(list: VecDeque<Arc<Segment>>) -> Self {
        Self { list: Mutex::new(list) }
    }

    /// Adds the newest.
    pub fn push(&self, segment: Arc<Segment>) {
        self.list.lock().push_back(segment);
    }

    /// Number of segments, and bytes in them that are in use.
    pub fn size(&self) -> (usize, u64) {
        let list = self.list.lock();
        (list.len(), list.iter().map(|s| s.end()).sum())
    }

    /// First offset of `partition` that is kept.
    pub fn first(&self, partition: Partition) -> Offset {
        self.list.lock().front().map_or(0, |s| s.base(partition))
    }

    /// The segment in which the record at `offset` lies, if it is kept.
    pub fn holding(&self, partition: Partition, offset: Offset) -> Option<Arc<Segment>> {
        let list = self.list.lock();
        let after = list.partition_point(|s| s.base(partition) <= offset);
        list.get(after.checked_sub(1)?).cloned()
    }

    /// Whether `segment` is the one that is written to.
    pub fn is_newest(&self, segment: &Segment) -> bool {
        self.list.lock().back().is_some_and(|s| s.header.sequence == segment.header.sequence)
    }

    /// The segment that follows `sequence`, if it is kept.
    pub fn following(&self, sequence: u64) -> Option<Arc<Segment>> {
        let list = self.list.lock();
        let first = list.front()?.header.sequence;
        list.get((sequence + 1).checked_sub(first)? as usize).cloned()
    }

    /// Takes out the oldest segments of which no record is at or above its partition's point in
    /// `keep`, unless `retention` keeps them. `newest` is the time of the newest record in seconds.
    pub fn trim(&self, keep: &[Offset], retention: &Retention, newest: u32) -> Vec<Arc<Segment>> {
        let mut list = self.list.lock();
        let mut out = Vec::new();
        while let (Some(old), Some(next)) = (list.front(), list.get(1)) {
            let frames = |p: Partition| -> Range<Offset> { old.base(p)..next.base(p) };
            let gone = |p: usize| {
                let frames = frames(p as Partition);
                frames.is_empty() || keep.get(p).is_some_and(|k| *k >= frames.end)
            };
            if !(0..next.header.next.len()).all(gone) || is_history(&list, retention, newest) {
                break;
            }
            out.extend(list.pop_front());
        }
        out
    }
}

/// Whether the oldest segment is kept for its own sake.
fn is_history(list: &VecDeque<Arc<Segment>>, retention: &Retention, newest: u32) -> bool {
    if *retention == Retention::default() {
        return false;
    }
    // A segment ended when the next one began.
    let begun = |s: &Arc<Segment>| (s.header.begun > 0).then_some(s.header.begun);
    let ended = list.iter().skip(1).find_map(begun);
    let newest = list.iter().filter_map(begun).max().unwrap_or(0).max(newest);
    let age = ended.map_or(0, |ended| newest.saturating_sub(ended));
    let too_old = !retention.period.is_zero() && u64::from(age) >= retention.period.as_secs();
    let too_large = retention.bytes > 0 && list.iter().map(|s| s.end()).sum::<u64>() > retention.bytes;
    !too_old && !too_large
}

/// Unix seconds of a time in milliseconds; 0 when there are none.
pub fn seconds(time: Millis) -> u32 {
    u32::try_from(time / 1000).unwrap_or(0)
}

/// Error text with the file's name.
pub fn failed(path: &Path, error: &std::io::Error) -> LogError {
    LogError::Unavailable(format!("{}: {error}", path.display()))
}

/// Whether an error says that there is no room.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether trying again later can help: no room, or no file descriptor (`ENFILE`, `EMFILE`).
pub fn is_passing(error: &std::io::Error) -> bool {
    is_full(error) || matches!(error.raw_os_error(), Some(23 | 24))
}

/// A new segment, open for writing.
pub struct Created {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Its file.
    pub file: Box<dyn File>,
}

/// A segment that could not be made.
pub struct NotCreated {
    /// Why.
    pub error: Error,
    /// The spare, when it is as it was.
    pub spare: Option<PathBuf>,
}

/// Makes a durable segment with `header`, from `spare` or as a new file. After an error the file
/// may have its name all the same, so nothing may be written to the segment before it.
pub fn create(
    fs: &dyn FileSystem,
    dir: &Path,
    header: SegmentHeader,
    spare: Option<PathBuf>,
) -> Result<Created, NotCreated> {
    let path = path_of(dir, header.sequence);
    let (opened, from) = match spare {
        Some(spare) => match fs.open(&spare, OpenMode::Write) {
            Err(error) => return Err(NotCreated { error, spare: Some(spare) }),
            opened => (opened, spare),
        },
        None => {
            // Spares in the making have a number of their own, which may be the same.
            let unfinished = dir.join(format!("{:020}.log.tmp", header.sequence));
            (create_anew(fs, &unfinished), unfinished)
        }
    };
    let named = opened.and_then(|file| {
        file.write_at(&mut [IoSlice::new(&header.encode())], 0)?;
        file.sync_data()?;
        fs.rename(&from, &path)?;
        Ok(file)
    });
    let gone = |error| NotCreated { error, spare: None };
    let file = named.map_err(|e| {
        // On a full disk it would take room that others need.
        if let Err(error) = fs.remove(&from)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %from.display(), %error, "can not remove an unfinished segment");
        }
        gone(e)
    })?;
    fs.sync_dir(dir).map_err(gone)?;
    let end = header.len() as u64;
    Ok(Created { segment: Arc::new(Segment::new(path, header, end)), file })
}

/// A new file; one that an earlier try left is removed.
fn create_anew(fs: &dyn FileSystem, path: &Path) -> std::io::Result<Box<dyn File>> {
    match fs.open(path, OpenMode::Create) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            fs.remove(path)?;
            fs.open(path, OpenMode::Create)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn segments(next: &[&[Offset]]) -> Segments {
        let segment = |(i, next): (usize, &&[Offset])| {
            let header = SegmentHeader {
                sequence: i as u64 + 5,
                previous_end: 0,
                salt: 0,
                begun: 100 * i as u32,
                next: next.to_vec(),
            };
            Arc::new(Segment::new(PathBuf::new(), header, 4096))
        };
        Segments::new(next.iter().enumerate().map(segment).collect())
    }

    fn sequence(segment: Option<Arc<Segment>>) -> Option<u64> {
        segment.map(|s| s.header.sequence)
    }

    #[test]
    fn finds_segments_by_offset() {
        let s = segments(&[&[2], &[2, 0], &[7, 3]]);
        assert_eq!(sequence(s.holding(0, 1)), None);
        assert_eq!(sequence(s.holding(0, 2)), Some(6));
        assert_eq!(sequence(s.holding(0, 7)), Some(7));
        assert_eq!(sequence(s.holding(1, 0)), Some(6));
        assert_eq!(sequence(s.holding(1, 3)), Some(7));
        assert_eq!(sequence(s.following(5)), Some(6));
        assert_eq!(sequence(s.following(7)), None);
        assert_eq!(sequence(s.following(3)), None);
    }

    #[test]
    fn trims_only_what_every_partition_lets_go() {
        let s = segments(&[&[0, 0, 0], &[4, 2, 0], &[9, 2, 0], &[9, 6, 0]]);
        let trim = |keep: &[Offset]| s.trim(keep, &Retention::default(), 0).len();
        assert_eq!(trim(&[4, 1, 0]), 0);
        assert_eq!(trim(&[9, 2, 0]), 2);
        assert_eq!((s.first(0), s.first(1), s.first(2)), (9, 2, 0));
        assert_eq!(trim(&[100, 100, 100]), 1);
        assert_eq!(s.size().0, 1);
    }

    #[test]
    fn history_stays_until_it_is_too_old_or_too_large() {
        // Begun at (unknown), 100, 200, 300 seconds; each has 4096 bytes.
        let next: [&[Offset]; 4] = [&[0], &[4], &[9], &[12]];
        let trim = |keep, seconds, bytes, newest| {
            let retention = Retention { period: Duration::from_secs(seconds), bytes };
            segments(&next).trim(&[keep], &retention, newest).len()
        };
        assert_eq!(trim(100, 0, 0, 0), 3);
        assert_eq!(trim(100, 250, 0, 0), 0);
        assert_eq!(trim(100, 250, 0, 349), 0);
        assert_eq!(trim(100, 250, 0, 350), 1);
        assert_eq!(trim(100, 250, 0, 10_000), 3);
        assert_eq!(trim(100, 0, 3 * 4096, 0), 1);
        assert_eq!(trim(100, 0, 1, 0), 3);
        assert_eq!(trim(100, 0, 5 * 4096, 10_000), 0);
        // The first limit that is reached counts.
        assert_eq!(trim(100, 250, 3 * 4096, 0), 1);
        assert_eq!(trim(100, 250, 5 * 4096, 10_000), 3);
        // What is not safe elsewhere stays, however old and large.
        assert_eq!(trim(0, 1, 1, 10_000), 0);
        assert_eq!(trim(8, 1, 1, 10_000), 1);
    }
}
