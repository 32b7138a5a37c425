//! Series waiting for the symbol table, one record behind the other in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use norn_codec::varint::{put_uvarint, take_uvarint};
use norn_contract::fs::FileSystem;

use crate::Error;
use crate::file::{Input, Output, ReadAt, Window};

/// Takes records.
pub(super) struct Writer {
    output: Output,
    record: Vec<u8>,
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl Writer {
    pub(super) fn create(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self, Error> {
        let output = Output::create(&*fs, path)?;
        Ok(Self { output, record: Vec::new(), fs, path: path.to_owned() })
    }

    /// Adds a series: numbers of its label pairs, and chunks as they will stand in the index.
    pub(super) fn add(&mut self, pairs: &[u32], chunks: &[u8]) -> Result<(), Error> {
        self.record.clear();
        self.record.extend_from_slice(&[0; 4]);
        put_uvarint(&mut self.record, pairs.len() as u64);
        pairs.iter().for_each(|&pair| put_uvarint(&mut self.record, u64::from(pair)));
        self.record.extend_from_slice(chunks);
        let len = u32::try_from(self.record.len() - 4).map_err(|_| Error::TooLarge("a series"))?;
        self.record[..4].copy_from_slice(&len.to_be_bytes());
        self.output.put(&self.record)
    }

    pub(super) fn finish(self) -> Result<Spool, Error> {
        Ok(Spool { input: self.output.into_input()?, fs: self.fs, path: self.path })
    }
}

/// A finished spool.
pub(super) struct Spool {
    input: Input,
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl Spool {
    /// Gives every record to `f`: pairs and chunks.
    pub(super) fn each(&self, mut f: impl FnMut(&[u32], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let (mut window, mut pairs) = (Window::default(), Vec::new());
        let mut at = 0;
        while at < self.input.size() {
            let len = window.bytes(&self.input, at, 4)?;
            let len = u64::from(u32::from_be_bytes(len.try_into().unwrap_or_default()));
            let mut record = window.bytes(&self.input, at + 4, len)?;
            pairs.clear();
            for _ in 0..take_uvarint(&mut record)? {
                pairs.push(take_uvarint(&mut record)? as u32);
            }
            f(&pairs, record)?;
            at += 4 + len;
        }
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(self) -> Result<(), Error> {
        Ok(self.fs.remove(&self.path)?)
    }
}
