//! The machine's file system.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{ErrorKind, IoSlice, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use norn_contract::fs::{File, FileLock, FileSystem, OpenMode};

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

struct DiskFile(fs::File);

/// Holds the handle: the lock goes with it.
struct DiskLock(#[allow(dead_code)] fs::File);

impl FileLock for DiskLock {}

fn names(dir: &Path, keep: impl Fn(&fs::FileType) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if keep(&entry.file_type()?) {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::Create);
        Ok(Box::new(DiskFile(options.open(path)?)))
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        names(dir, fs::FileType::is_file)
    }

    fn list_dirs(&self, dir: &Path) -> Result<Vec<String>> {
        names(dir, fs::FileType::is_dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(DiskLock(file))),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, mut bufs: &mut [IoSlice<'_>], offset: u64) -> Result<()> {
        // The position belongs to the one writer; reads do not use it.
        let mut file = &self.0;
        file.seek(SeekFrom::Start(offset))?;
        IoSlice::advance_slices(&mut bufs, 0);
        while !bufs.is_empty() {
            match file.write_vectored(bufs) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut bufs, n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn writes_more_slices_than_one_call_takes() {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk.open(&dir.path().join("a"), OpenMode::Create).unwrap();
        let parts: Vec<Vec<u8>> = (0..3000u32).map(|i| i.to_le_bytes().repeat((i % 7) as usize)).collect();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_at(&mut slices, 10).unwrap();
        let want = parts.concat();
        let mut got = vec![0; want.len() + 5];
        assert_eq!(file.read_at(&mut got, 10).unwrap(), want.len());
        assert_eq!(got[..want.len()], want);
    }

    #[test]
    fn refuses_a_second_lock_and_an_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let lock = Disk.lock(&path).unwrap();
        assert_eq!(Disk.lock(&path).err().unwrap().kind(), ErrorKind::WouldBlock);
        drop(lock);
        assert!(Disk.lock(&path).is_ok());
        assert_eq!(Disk.open(&path, OpenMode::Create).err().unwrap().kind(), ErrorKind::AlreadyExists);
        Disk.create_dir_all(&dir.path().join("d")).unwrap();
        assert_eq!(Disk.list(dir.path()).unwrap(), ["LOCK"]);
        assert_eq!(Disk.list_dirs(dir.path()).unwrap(), ["d"]);
    }
}
