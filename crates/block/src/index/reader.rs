//! An open index.

use norn_codec::crc::crc32c;

use super::symbols::Symbols;
use super::table::Table;
use super::toc::{self, Toc};
use super::{CRC_LEN, HEADER_LEN, MAGIC, SERIES_ALIGNMENT, SeriesCursor, SeriesRef};
use crate::Error;
use crate::file::{ReadAt, Window, read};

/// Reads an index of version 1, 2 or 3.
///
/// Both tables are in memory: the texts of the symbols, 4 bytes a symbol and 12 a label pair.
/// Lists and series are read when asked for.
pub struct Reader {
    source: Box<dyn ReadAt>,
    version: u8,
    symbols: Symbols,
    table: Table,
}

impl Reader {
    /// Opens an index and checks its tables.
    pub fn open(source: Box<dyn ReadAt>) -> Result<Self, Error> {
        Self::checked(source).map_err(|e| e.within(super::FILE_NAME))
    }

    fn checked(source: Box<dyn ReadAt>) -> Result<Self, Error> {
        let header = read(&*source, 0, HEADER_LEN)?;
        let version = header[4];
        if header[..4] != MAGIC {
            return Err(Error::corrupt("magic number is another"));
        }
        if !(1..=3).contains(&version) {
            return Err(Error::Unsupported(format!("version {version} is not known")));
        }
        let toc = Toc::read(&*source)?;
        let symbols = Symbols::read(&*source, toc.symbols, version)?;
        let table = Table::read(&*source, toc.postings_table, version, &symbols)?;
        Ok(Self { source, version, symbols, table })
    }

    /// Bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        self.source.size()
    }

    /// Bytes of memory the tables take.
    pub fn memory_bytes(&self) -> usize {
        self.symbols.size_bytes() + self.table.size_bytes()
    }

    /// Names of labels, in order.
    pub fn label_names(&self) -> impl Iterator<Item = &str> {
        self.table.names().map(|name| self.symbols.text(name))
    }

    /// Values of a label, in order.
    pub fn label_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.table.values(&self.symbols, name).map(|(value, _)| self.symbols.text(value))
    }

    /// Series that have the pair, ascending.
    pub fn postings(&self, name: &str, value: &str) -> Result<Vec<SeriesRef>, Error> {
        let mut out = Vec::new();
        if let Some(at) = self.table.find(&self.symbols, name, value) {
            self.read_list(at, &mut Window::default(), &mut out)?;
        }
        Ok(out)
    }

    /// All series, ascending.
    pub fn all_postings(&self) -> Result<Vec<SeriesRef>, Error> {
        let mut out = Vec::new();
        self.read_list(self.table.all, &mut Window::default(), &mut out)?;
        Ok(out)
    }

    /// Reads series entries one after the other.
    pub fn series(&self) -> SeriesCursor<'_> {
        SeriesCursor::new(self)
    }

    /// Appends the list at `at`.
    pub(super) fn read_list(
        &self,
        at: u64,
        window: &mut Window,
        out: &mut Vec<SeriesRef>,
    ) -> Result<(), Error> {
        self.append_list(at, window, out).map_err(|e| e.within(&format!("index: postings at {at}")))
    }

    fn append_list(&self, at: u64, window: &mut Window, out: &mut Vec<SeriesRef>) -> Result<(), Error> {
        let mut frame = window.bytes(&*self.source, at, 8)?;
        let (len, count) = (toc::take_u32(&mut frame)?, toc::take_u32(&mut frame)?);
        let bytes = u64::from(count) * 4;
        if bytes + 4 != u64::from(len) {
            return Err(Error::corrupt(format!("{count} entries in {len} bytes")));
        }
        let content = window.bytes(&*self.source, at + 4, 4 + bytes + CRC_LEN)?;
        let (content, crc) = content.split_at(4 + bytes as usize);
        if crc32c(content).to_be_bytes() != *crc {
            return Err(Error::corrupt("checksum differs"));
        }
        let from = out.len();
        out.extend(content[4..].as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b)));
        if !out[from..].is_sorted_by(|a, b| a < b) {
            return Err(Error::corrupt("series do not ascend"));
        }
        Ok(())
    }

    /// The text of a symbol's ordinal.
    pub(crate) fn symbol(&self, ordinal: u32) -> &str {
        self.symbols.text(ordinal)
    }

    pub(super) fn source(&self) -> &dyn ReadAt {
        &*self.source
    }

    pub(super) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Position of a series entry.
    pub(super) fn position(&self, series: SeriesRef) -> u64 {
        if self.version == 1 { u64::from(series) } else { u64::from(series) * SERIES_ALIGNMENT }
    }
}
