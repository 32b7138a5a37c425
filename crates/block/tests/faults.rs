//! A file system that fails at every step in turn, and the order of syncs.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::io::{Error, IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use norn_block::{Block, Options, UNFINISHED, remove};
use norn_contract::fs::{File, FileLock, FileSystem, OpenMode};
use norn_log::disk::Disk;
use norn_model::labels::Labels;
use support::{Floats, read, request, ulid, write};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Create(PathBuf),
    Write(PathBuf),
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// The disk, with a record of what was changed; step number `fail_at` fails once.
#[derive(Clone)]
struct Faulty {
    steps: Arc<Mutex<Vec<Step>>>,
    fail_at: usize,
}

impl Faulty {
    fn new(fail_at: usize) -> Self {
        Self { steps: Arc::default(), fail_at }
    }

    fn step(&self, step: Step) -> Result<()> {
        let mut steps = self.steps.lock().unwrap();
        steps.push(step);
        if steps.len() == self.fail_at { Err(Error::other("fault")) } else { Ok(()) }
    }
}

struct FaultyFile(Box<dyn File>, PathBuf, Faulty);

impl FileSystem for Faulty {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        if mode != OpenMode::Read {
            self.step(Step::Create(path.to_owned()))?;
        }
        Ok(Box::new(FaultyFile(Disk.open(path, mode)?, path.to_owned(), self.clone())))
    }
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        Disk.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        Disk.list(dir)
    }

    fn list_dirs(&self, dir: &Path) -> Result<Vec<String>> {
        Disk.list_dirs(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(Step::Rename(from.to_owned(), to.to_owned()))?;
        Disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.step(Step::Remove(path.to_owned()))?;
        Disk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> Result<()> {
        Disk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.step(Step::SyncDir(dir.to_owned()))?;
        Disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        Disk.lock(path)
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> Result<()> {
        self.2.step(Step::Write(self.1.clone()))?;
        self.0.write_at(bufs, offset)
    }
    fn sync_data(&self) -> Result<()> {
        self.2.step(Step::Sync(self.1.clone()))?;
        self.0.sync_data()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> Result<u64> {
        self.0.len()
    }
}

fn series() -> Vec<Floats> {
    let one = |i: i64| {
        let labels = Labels::from_pairs([("a", format!("{i:02}"))]);
        (labels, (0..100).map(|t| (t, (t * i) as f64)).collect())
    };
    (0..20).map(one).collect()
}

fn options() -> Options {
    Options { max_chunk_file_len: 3000, ..Options::new(ulid(3), 0..100) }
}

#[test]
fn a_failure_leaves_nothing_or_a_whole_block() {
    let mut fail_at = 1;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let fs = Faulty::new(fail_at);
        let written = write(Arc::new(fs.clone()), dir.path(), options(), &series());
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        if let Ok(meta) = written {
            assert_eq!(meta.unwrap().stats.num_samples, 2000);
            assert!(fail_at > 20, "only {fail_at} steps");
            break;
        }
        let renamed = fs.steps.lock().unwrap().iter().any(|s| matches!(s, Step::Rename(..)));
        if names.is_empty() {
            assert!(!dir.path().join(ulid(3).to_string()).exists());
        } else {
            // The block has its name; what failed is the promise that it keeps it.
            assert!(renamed);
            let block = Block::open(&Disk, &dir.path().join(ulid(3).to_string())).unwrap();
            assert_eq!(read(&block, request(&[])), series());
        }
        fail_at += 1;
    }
}

#[test]
fn everything_is_durable_before_it_is_visible() {
    let dir = tempfile::tempdir().unwrap();
    let fs = Faulty::new(usize::MAX);
    write(Arc::new(fs.clone()), dir.path(), options(), &series()).unwrap().unwrap();
    let steps = fs.steps.lock().unwrap().clone();
    let (mut dirty, mut unnamed) = (HashSet::new(), HashSet::new());
    let mut created = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Create(path) => {
                created.push(path.clone());
                unnamed.insert(path.clone());
            }
            Step::Write(path) => drop(dirty.insert(path.clone())),
            Step::Sync(path) => drop(dirty.remove(path)),
            Step::SyncDir(of) => unnamed.retain(|p| p.parent() != Some(of)),
            Step::Remove(path) => {
                dirty.remove(path);
                unnamed.remove(path);
            }
            Step::Rename(from, to) => {
                assert!(from.to_string_lossy().ends_with(UNFINISHED));
                assert!(dirty.is_empty() && unnamed.is_empty(), "{dirty:?} {unnamed:?}");
                assert_eq!(*to, dir.path().join(ulid(3).to_string()));
                assert_eq!(steps[i + 1..], [Step::SyncDir(dir.path().to_owned())]);
            }
        }
    }
    assert!(created.last().unwrap().ends_with("meta.json"));
    assert!(matches!(steps[steps.len() - 2], Step::Rename(..)));
}

#[test]
fn a_block_without_samples_is_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write(Arc::new(Disk), dir.path(), options(), &[]).unwrap().is_none());
    let beside = Options::new(ulid(3), 500..600);
    assert!(write(Arc::new(Disk), dir.path(), beside, &series()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn removing_takes_the_name_away_first() {
    let dir = tempfile::tempdir().unwrap();
    write(Arc::new(Disk), dir.path(), options(), &series()).unwrap().unwrap();
    let home = dir.path().join(ulid(3).to_string());
    let block = Block::open(&Disk, &home).unwrap();
    let fs = Faulty::new(usize::MAX);
    remove(&fs, &home).unwrap();
    assert!(
        matches!(&fs.steps.lock().unwrap()[..2], [Step::Rename(from, _), Step::SyncDir(_)] if *from == home)
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(read(&block, request(&[])), series());
}
