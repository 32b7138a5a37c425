//! A file system in memory that behaves badly on request.
//!
//! What is not synced is lost by a crash, sector by sector and at random: of a sector that was
//! written several times any state may be what the disk has, and a sector may be torn. A file's
//! length is its own matter: it may be there without the bytes. Changes of names that were not synced
//! are lost one by one; each is atomic. A failed sync leaves pages that read well and will never be
//! durable, as Linux does. Directories are but parts of names.
//!
//! | module | subject |
//! |---|---|
//! | `inode` | bytes of a file |
//! | `names` | changes of names |

mod inode;
mod names;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_contract::fs::{File, FileLock, FileSystem, OpenMode};
use parking_lot::Mutex;

use self::inode::{Cut, Inode};
use self::names::Change;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

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
    /// The operation that fails, and with which error of the system.
    fail_at: Option<(u64, i32)>,
    lies: Lies,
    dice: Dice,
    /// Number of restarts; handles of an earlier life are dead.
    life: u64,
}

/// Which syncs say that they did something and did nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// Those of files.
    pub data: bool,
    /// Those of directories.
    pub names: bool,
}

/// A small generator, so that runs can be repeated.
#[derive(Clone, Debug, Default)]
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

impl Inner {
    fn is_out_of_power(&self) -> bool {
        self.crash_at.is_some_and(|at| self.operations > at)
    }

    /// Counts an operation that changes something, and fails it when the power is out or its turn
    /// has come.
    fn operate(&mut self) -> Result<()> {
        self.operations += 1;
        if self.is_out_of_power() {
            return Err(Error::other("power is out"));
        }
        if let Some((at, code)) = self.fail_at
            && at == self.operations
        {
            return Err(Error::from_raw_os_error(code));
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

    fn begin_life(&mut self) {
        self.locks.clear();
        self.fail_at = None;
        self.failing_syncs = 0;
        self.failing_opens.0 = 0;
        self.life += 1;
    }

    fn used(&self) -> usize {
        self.names.values().map(|i| self.inodes[*i].cache.len()).sum()
    }
}

impl MemoryFs {
    /// Seeds what failed syncs leave.
    pub fn seed(&self, seed: u64) {
        self.0.lock().dice = Dice::new(seed);
    }

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

    /// Lets the change after `operations` more fail once, whatever it is; a write is half done then.
    pub fn fail_after(&self, operations: u64) {
        let mut inner = self.0.lock();
        inner.fail_at = Some((inner.operations + operations + 1, EIO));
    }

    /// As [`MemoryFs::fail_after`], because the disk is full.
    pub fn fill_after(&self, operations: u64) {
        let mut inner = self.0.lock();
        inner.fail_at = Some((inner.operations + operations + 1, ENOSPC));
    }

    /// Lets syncs lie from now on.
    pub fn lie(&self, lies: Lies) {
        self.0.lock().lies = lies;
    }

    /// Takes the power away after `operations` more changes; none of the later ones succeeds.
    pub fn crash_after(&self, operations: u64) {
        let mut inner = self.0.lock();
        inner.crash_at = Some(inner.operations + operations);
    }

    /// Whether a change failed because the power was out.
    pub fn is_out_of_power(&self) -> bool {
        self.0.lock().is_out_of_power()
    }

    /// Starts again after a power cut: what was not synced survives by the dice.
    pub fn restart(&self, dice: &mut Dice) {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        let cut = match dice.below(6) {
            0 => Cut::Nothing,
            1 => Cut::Everything,
            _ => Cut::ByDice,
        };
        // A journal keeps the order of changes; nothing else promises to.
        let ordered = dice.below(2) == 0;
        let kept = cut.of(inner.pending.len(), dice);
        for (i, change) in std::mem::take(&mut inner.pending).into_iter().enumerate() {
            if if ordered { i < kept } else { cut.of(1, dice) == 1 } {
                change.apply(&mut inner.durable_names);
            }
        }
        inner.names.clone_from(&inner.durable_names);
        for inode in &mut inner.inodes {
            inode.crash(cut, dice);
        }
        let named: HashSet<usize> = inner.names.values().copied().collect();
        let nameless = inner.inodes.iter_mut().enumerate().filter(|(i, _)| !named.contains(i));
        nameless.for_each(|(_, inode)| *inode = Inode::default());
        inner.crash_at = None;
        inner.begin_life();
    }

    /// Ends the process that uses the files: its locks and handles. What it wrote stays in memory.
    pub fn kill(&self) {
        self.0.lock().begin_life();
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> usize {
        self.0.lock().used()
    }

    /// Changes so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
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
        inner.inodes.push(Inode::durable(bytes));
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
        if inner.lies.names {
            return Ok(());
        }
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
    fn change<T>(&self, f: impl FnOnce(&mut Inner, Result<()>) -> Result<T>) -> Result<T> {
        let mut inner = self.inner.lock();
        if inner.life != self.life {
            return Err(Error::other("handle is of before the crash"));
        }
        let operated = inner.operate();
        f(&mut inner, operated)
    }

    /// Writes one buffer, as far as there is room.
    fn write(&self, inner: &mut Inner, at: usize, buf: &[u8]) -> Result<()> {
        let used = inner.used();
        let inode = &mut inner.inodes[self.inode];
        let grows = (at + buf.len()).saturating_sub(inode.cache.len());
        let room = inner.capacity.map_or(usize::MAX, |c| c.saturating_sub(used));
        let fits = buf.len() - grows.saturating_sub(room).min(buf.len());
        inode.write(at, &buf[..fits]);
        if fits < buf.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
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
        self.change(|inner, operated| {
            let done = if operated.is_ok() { bufs.len() } else { bufs.len() / 2 };
            let done = if inner.is_out_of_power() { 0 } else { done };
            let mut at = offset as usize;
            for buf in bufs.iter().take(done) {
                self.write(inner, at, buf)?;
                at += buf.len();
            }
            operated
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.change(|inner, operated| {
            if inner.is_out_of_power() {
                return operated;
            }
            let inode = &mut inner.inodes[self.inode];
            if operated.is_err() || inner.failing_syncs > 0 {
                inner.failing_syncs = inner.failing_syncs.saturating_sub(1);
                inode.fail_sync(&mut inner.dice);
                return Err(Error::from_raw_os_error(EIO));
            }
            if !inner.lies.data {
                inode.sync();
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(|inner, operated| {
            operated?;
            inner.inodes[self.inode].set_len(len as usize);
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

    use super::inode::SECTOR;
    use super::*;

    fn write(file: &dyn File, at: u64, bytes: &[u8]) -> Result<()> {
        file.write_at(&mut [IoSlice::new(bytes)], at)
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_tears_the_rest() {
        let (path, dir) = (Path::new("/d/a"), Path::new("/d"));
        let (mut mixed, mut torn, mut older, mut lengths) = (0, 0, 0, std::collections::BTreeSet::new());
        for seed in 0..200 {
            let fs = MemoryFs::default();
            let file = fs.open(path, OpenMode::Create).unwrap();
            write(&*file, 0, &[1; 2048]).unwrap();
            file.sync_data().unwrap();
            fs.sync_dir(dir).unwrap();
            write(&*file, 1024, &[2; 2048]).unwrap();
            write(&*file, 1536, &[3; 2048]).unwrap();
            fs.restart(&mut Dice::new(seed));
            let bytes = fs.bytes(path).unwrap();
            assert_eq!(bytes[..1024], [1; 1024]);
            lengths.insert(bytes.len());
            let sectors = |s: &[u8]| s.iter().all(|b| *b == s[0]);
            torn += u32::from(!bytes.chunks(SECTOR).all(sectors));
            mixed += u32::from(bytes[1024..2048].contains(&1) && bytes[1024..].contains(&3));
            older += u32::from(bytes[1536..].contains(&2));
            assert!(write(&*file, 0, &[3]).is_err());
        }
        assert!(mixed > 20 && torn > 20 && older > 20, "{mixed} {torn} {older}");
        assert!(lengths.iter().eq(&[2048, 3072, 3584]));
    }

    #[test]
    fn a_failed_sync_leaves_pages_that_are_lost_later() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..20 {
            let fs = MemoryFs::default();
            fs.seed(seed);
            let file = fs.open(Path::new("/a"), OpenMode::Create).unwrap();
            fs.sync_dir(Path::new("/")).unwrap();
            write(&*file, 0, &[1; 512 * 40]).unwrap();
            if seed % 2 == 0 {
                fs.fail_syncs(1)
            } else {
                fs.fail_after(0)
            }
            assert!(file.sync_data().is_err());
            assert!(file.sync_data().is_ok());
            fs.kill();
            assert_eq!(fs.bytes(Path::new("/a")), Some(vec![1; 512 * 40]));
            fs.restart(&mut Dice::new(1));
            let bytes = fs.bytes(Path::new("/a")).unwrap();
            assert_eq!(bytes.len(), 512 * 40);
            lost += bytes.iter().filter(|b| **b == 0).count();
            kept += bytes.iter().filter(|b| **b == 1).count();
        }
        assert!(lost > 5000 && kept > 5000, "{lost} {kept}");
    }

    #[test]
    fn a_lie_is_found_out_by_a_crash() {
        let lost = (0..20).any(|seed| {
            let fs = MemoryFs::default();
            fs.lie(Lies { data: true, names: false });
            let file = fs.open(Path::new("/a"), OpenMode::Create).unwrap();
            fs.sync_dir(Path::new("/")).unwrap();
            write(&*file, 0, &[1; 512]).unwrap();
            file.sync_data().unwrap();
            fs.restart(&mut Dice::new(seed));
            fs.bytes(Path::new("/a")).unwrap() != [1; 512]
        });
        assert!(lost);
    }

    #[test]
    fn names_survive_only_when_the_directory_was_synced() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..40 {
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
        assert_eq!(fs.used_bytes(), 10);
        write(&*file, 0, &[1; 10]).unwrap();
        fs.fail_after(1);
        assert!(write(&*file, 0, &[1; 10]).is_ok());
        assert!(write(&*file, 0, &[1; 10]).is_err());
        assert!(write(&*file, 0, &[1; 10]).is_ok() && !fs.is_out_of_power());
        fs.crash_after(1);
        assert!(write(&*file, 0, &[1; 10]).is_ok());
        assert!(write(&*file, 0, &[1; 10]).is_err());
    }
}
