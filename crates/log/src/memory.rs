//! A file system in memory that behaves badly on request.
//!
//! What is not synced is lost by a crash, sector by sector and at random; names that were not
//! synced are lost from some point on. A failed sync leaves pages that read well and will never
//! be durable, as Linux does. Directories are but parts of names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_contract::fs::{File, FileLock, FileSystem, OpenMode};
use parking_lot::Mutex;

const SECTOR: usize = 512;

/// The file system. Clones share the files.
#[derive(Clone, Default)]
pub struct MemoryFs(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Name changes since the last sync of a directory.
    pending: Vec<Change>,
    locks: HashSet<PathBuf>,
    capacity: Option<usize>,
    failing_syncs: usize,
    /// How many openings fail, and with which error of the system.
    failing_opens: (usize, i32),
    operations: u64,
    crash_at: Option<u64>,
    /// Number of restarts; handles of an earlier life are dead.
    life: u64,
}

/// An atomic change of names.
enum Change {
    /// Each name gets a file, or goes.
    Files(Vec<(PathBuf, Option<usize>)>),
    /// Everything below the first moves below the second.
    Directory(PathBuf, PathBuf),
}

impl Change {
    /// Whether a sync of `dir` makes it durable.
    fn is_of(&self, dir: &Path) -> bool {
        match self {
            Self::Files(files) => files.iter().any(|(path, _)| path.parent() == Some(dir)),
            Self::Directory(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Files(files) => {
                for (path, inode) in files {
                    match inode {
                        Some(inode) => names.insert(path.clone(), *inode),
                        None => names.remove(path),
                    };
                }
            }
            Self::Directory(from, to) => {
                let moved: Vec<_> = names.extract_if(.., |path, _| path.starts_with(from)).collect();
                names.extend(moved.into_iter().map(|(path, inode)| (moved_path(path, from, to), inode)));
            }
        }
    }

    /// Follows a directory that was moved since.
    fn follow(&mut self, from: &Path, to: &Path) {
        if let Self::Files(files) = self {
            for (path, _) in files {
                *path = moved_path(std::mem::take(path), from, to);
            }
        }
    }
}

fn moved_path(path: PathBuf, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) => to.join(rest),
        Err(_) => path,
    }
}

#[derive(Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A small generator, so that runs can be repeated.
pub struct Dice(u64);

impl Dice {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn range_of(sector: usize, len: usize) -> std::ops::Range<usize> {
    (sector * SECTOR).min(len)..((sector + 1) * SECTOR).min(len)
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    fn sync(&mut self) {
        self.durable.resize(self.cache.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = range_of(sector, self.cache.len());
            self.durable[range.clone()].copy_from_slice(&self.cache[range]);
        }
    }

    fn crash(&mut self, dice: &mut Dice) {
        if dice.below(2) == 0 {
            self.durable.resize(self.cache.len(), 0);
        }
        let len = self.durable.len().min(self.cache.len());
        for sector in std::mem::take(&mut self.dirty) {
            if dice.below(2) == 0 {
                let range = range_of(sector, len);
                self.durable[range.clone()].copy_from_slice(&self.cache[range]);
            }
        }
        self.cache.clone_from(&self.durable);
    }
}

impl Inner {
    /// Counts an operation that changes something, and fails it when the power is out.
    fn operate(&mut self) -> Result<()> {
        self.operations += 1;
        if self.crash_at.is_some_and(|at| self.operations > at) {
            return Err(Error::other("power is out"));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn has_below(&self, dir: &Path) -> bool {
        self.names.keys().any(|path| path != dir && path.starts_with(dir))
    }

    fn inode(&self, path: &Path) -> Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn used(&self) -> usize {
        self.names.values().map(|i| self.inodes[*i].cache.len()).sum()
    }
}

impl MemoryFs {
    /// Lets writes fail that would make all files longer than `bytes` together.
    pub fn limit_bytes(&self, bytes: Option<usize>) {
        self.0.lock().capacity = bytes;
    }

    /// Lets the next `count` syncs of files fail.
    pub fn fail_syncs(&self, count: usize) {
        self.0.lock().failing_syncs = count;
    }

    /// Lets the next `count` openings fail with the system's error `code`.
    pub fn fail_opens(&self, count: usize, code: i32) {
        self.0.lock().failing_opens = (count, code);
    }

    /// Takes the power away after `operations` more changes; none of the later ones succeeds.
    pub fn crash_after(&self, operations: u64) {
        let mut inner = self.0.lock();
        inner.crash_at = Some(inner.operations + operations);
    }

    /// Starts again after a power cut: what was not synced survives by the dice.
    pub fn restart(&self, dice: &mut Dice) {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        let kept = dice.below(inner.pending.len() as u64 + 1) as usize;
        for change in inner.pending.drain(..).take(kept) {
            change.apply(&mut inner.durable_names);
        }
        inner.names.clone_from(&inner.durable_names);
        for inode in &mut inner.inodes {
            inode.crash(dice);
        }
        inner.locks.clear();
        inner.crash_at = None;
        inner.failing_syncs = 0;
        inner.life += 1;
    }

    /// Bytes of the file at `path`, as they are in the cache.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.0.lock();
        inner.names.get(path).map(|i| inner.inodes[*i].cache.clone())
    }

    /// Puts a durable file at `path`.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut inner = self.0.lock();
        let inode = inner.inodes.len();
        inner.inodes.push(Inode { durable: bytes.clone(), cache: bytes, dirty: BTreeSet::new() });
        inner.names.insert(path.to_owned(), inode);
        inner.durable_names.insert(path.to_owned(), inode);
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }
}

impl FileSystem for MemoryFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        let mut inner = self.0.lock();
        if inner.failing_opens.0 > 0 {
            inner.failing_opens.0 -= 1;
            return Err(Error::from_raw_os_error(inner.failing_opens.1));
        }
        let inode = if mode == OpenMode::Create {
            if inner.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            inner.operate()?;
            inner.inodes.push(Inode::default());
            let inode = inner.inodes.len() - 1;
            inner.change(Change::Files(vec![(path.to_owned(), Some(inode))]));
            inode
        } else {
            inner.inode(path)?
        };
        let life = inner.life;
        Ok(Box::new(MemoryFile { inner: Arc::clone(&self.0), inode, life }))
    }

    fn create_dir_all(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let inner = self.0.lock();
        let in_dir = inner.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(in_dir.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect())
    }

    fn list_dirs(&self, dir: &Path) -> Result<Vec<String>> {
        let inner = self.0.lock();
        let in_dir = |path: &PathBuf| {
            let mut rest = path.strip_prefix(dir).ok()?.components();
            let first = rest.next()?;
            rest.next().and(first.as_os_str().to_str().map(str::to_owned))
        };
        let names: BTreeSet<String> = inner.names.keys().filter_map(in_dir).collect();
        Ok(names.into_iter().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.operate()?;
        let change = match inner.inode(from) {
            Ok(inode) => Change::Files(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]),
            Err(_) if inner.has_below(to) => return Err(ErrorKind::DirectoryNotEmpty.into()),
            Err(_) if inner.has_below(from) => Change::Directory(from.to_owned(), to.to_owned()),
            Err(e) => return Err(e),
        };
        inner.change(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.operate()?;
        inner.inode(path)?;
        inner.change(Change::Files(vec![(path.to_owned(), None)]));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.operate()?;
        let inner = &mut *inner;
        let mut waiting: Vec<Change> = Vec::new();
        for change in std::mem::take(&mut inner.pending) {
            if !change.is_of(dir) {
                waiting.push(change);
                continue;
            }
            change.apply(&mut inner.durable_names);
            if let Change::Directory(from, to) = &change {
                waiting.iter_mut().for_each(|earlier| earlier.follow(from, to));
            }
        }
        inner.pending = waiting;
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        let mut inner = self.0.lock();
        if !inner.locks.insert(path.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let life = inner.life;
        Ok(Box::new(MemoryLock { inner: Arc::clone(&self.0), path: path.to_owned(), life }))
    }
}

struct MemoryLock {
    inner: Arc<Mutex<Inner>>,
    path: PathBuf,
    life: u64,
}

impl FileLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut inner = self.inner.lock();
        if inner.life == self.life {
            inner.locks.remove(&self.path);
        }
    }
}

struct MemoryFile {
    inner: Arc<Mutex<Inner>>,
    inode: usize,
    life: u64,
}

impl MemoryFile {
    fn change<T>(&self, f: impl FnOnce(&mut Inner) -> Result<T>) -> Result<T> {
        let mut inner = self.inner.lock();
        if inner.life != self.life {
            return Err(Error::other("handle is of before the crash"));
        }
        inner.operate()?;
        f(&mut inner)
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let inner = self.inner.lock();
        let cache = &inner.inodes[self.inode].cache;
        let start = (offset as usize).min(cache.len());
        let len = buf.len().min(cache.len() - start);
        buf[..len].copy_from_slice(&cache[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> Result<()> {
        self.change(|inner| {
            let mut at = offset as usize;
            for buf in bufs {
                let len = inner.inodes[self.inode].cache.len();
                let grows = (at + buf.len()).saturating_sub(len);
                if inner.capacity.is_some_and(|c| grows > 0 && inner.used() + grows > c) {
                    return Err(ErrorKind::StorageFull.into());
                }
                inner.inodes[self.inode].write(at, buf);
                at += buf.len();
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.change(|inner| {
            if inner.failing_syncs > 0 {
                inner.failing_syncs -= 1;
                inner.inodes[self.inode].dirty.clear();
                return Err(Error::other("sync failed"));
            }
            inner.inodes[self.inode].sync();
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(|inner| {
            let inode = &mut inner.inodes[self.inode];
            let (old, new) = (inode.cache.len(), len as usize);
            inode.cache.resize(new, 0);
            inode.dirty.extend(old.min(new) / SECTOR..old.max(new).div_ceil(SECTOR));
            Ok(())
        })
    }

    fn len(&self) -> Result<u64> {
        Ok(self.inner.lock().inodes[self.inode].cache.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn write(file: &dyn File, at: u64, bytes: &[u8]) -> Result<()> {
        file.write_at(&mut [IoSlice::new(bytes)], at)
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_tears_the_rest() {
        let (path, dir) = (Path::new("/d/a"), Path::new("/d"));
        let mut torn = 0;
        for seed in 0..20 {
            let fs = MemoryFs::default();
            let file = fs.open(path, OpenMode::Create).unwrap();
            write(&*file, 0, &[1; 2048]).unwrap();
            file.sync_data().unwrap();
            fs.sync_dir(dir).unwrap();
            write(&*file, 1024, &[2; 2048]).unwrap();
            fs.restart(&mut Dice::new(seed));
            let bytes = fs.bytes(path).unwrap();
            assert_eq!(bytes[..1024], [1; 1024]);
            assert!(bytes.chunks(SECTOR).all(|s| s.iter().all(|b| *b == s[0])));
            torn += u32::from(bytes[1024..2048].contains(&1) && bytes[1024..].contains(&2));
            assert!(write(&*file, 0, &[3]).is_err());
        }
        assert!(torn > 5);
    }

    #[test]
    fn a_failed_sync_leaves_pages_that_are_lost_later() {
        let fs = MemoryFs::default();
        let file = fs.open(Path::new("/a"), OpenMode::Create).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        write(&*file, 0, &[1; 512]).unwrap();
        fs.fail_syncs(1);
        assert!(file.sync_data().is_err());
        assert!(file.sync_data().is_ok());
        assert_eq!(fs.bytes(Path::new("/a")), Some(vec![1; 512]));
        fs.restart(&mut Dice::new(1));
        assert_eq!(fs.bytes(Path::new("/a")), Some(vec![0; 512]));
    }

    #[test]
    fn names_survive_only_when_the_directory_was_synced() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..20 {
            let fs = MemoryFs::default();
            fs.put(Path::new("/old"), vec![1]);
            fs.rename(Path::new("/old"), Path::new("/new")).unwrap();
            fs.restart(&mut Dice::new(seed));
            match fs.paths().as_slice() {
                [p] if p == Path::new("/new") => kept += 1,
                [p] if p == Path::new("/old") => lost += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(kept > 0 && lost > 0);
    }

    #[test]
    fn a_directory_moves_whole_or_not_at_all_and_its_unsynced_names_are_lost() {
        let (tmp, made, dir) = (Path::new("/d/a.tmp"), Path::new("/d/a"), Path::new("/d"));
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..40 {
            let fs = MemoryFs::default();
            for name in ["x", "c/y"] {
                fs.put(&tmp.join(name), vec![1]);
            }
            fs.open(&tmp.join("late"), OpenMode::Create).unwrap();
            assert_eq!(fs.list_dirs(dir).unwrap(), ["a.tmp"]);
            fs.rename(tmp, made).unwrap();
            assert_eq!(fs.list_dirs(dir).unwrap(), ["a"]);
            assert_eq!(fs.list_dirs(made).unwrap(), ["c"]);
            assert_eq!(fs.rename(tmp, made).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
            fs.sync_dir(dir).unwrap();
            fs.restart(&mut Dice::new(seed));
            assert!(fs.paths().iter().all(|p| p.starts_with(made)), "{:?}", fs.paths());
            match fs.paths().len() {
                3 => kept += 1,
                2 => lost += 1,
                other => panic!("{other} names"),
            }
        }
        assert!(kept > 0 && lost > 0);
    }

    #[test]
    fn runs_full_and_out_of_power() {
        let fs = MemoryFs::default();
        let file = fs.open(Path::new("/a"), OpenMode::Create).unwrap();
        fs.limit_bytes(Some(10));
        assert_eq!(write(&*file, 0, &[1; 11]).unwrap_err().kind(), ErrorKind::StorageFull);
        write(&*file, 0, &[1; 10]).unwrap();
        fs.crash_after(1);
        assert!(write(&*file, 0, &[1; 10]).is_ok());
        assert!(write(&*file, 0, &[1; 10]).is_err());
    }
}
