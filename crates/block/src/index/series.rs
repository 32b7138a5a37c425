//! One series entry.

use norn_codec::crc::crc32c;
use norn_codec::varint::{MAX_LEN, take_uvarint, take_varint};
use norn_model::Millis;
use norn_model::labels::{Labels, MAX_TEXT_LEN};

use super::{CRC_LEN, ChunkMeta, Reader, SeriesRef, toc};
use crate::Error;
use crate::file::Window;

/// Reads entries by way of a window that grows while they are near each other.
pub struct SeriesCursor<'a> {
    index: &'a Reader,
    window: Window,
    scratch: String,
}

impl<'a> SeriesCursor<'a> {
    pub(super) fn new(index: &'a Reader) -> Self {
        Self { index, window: Window::default(), scratch: String::new() }
    }

    /// Reads an entry and checks it.
    pub fn read(&mut self, series: SeriesRef) -> Result<Series<'_>, Error> {
        let at = self.index.position(series);
        let index = self.index;
        let (content, scratch) = self.content(at).map_err(|e| e.within(&format!("index: series at {at}")))?;
        Series::parse(index, content, scratch).map_err(|e| e.within(&format!("index: series at {at}")))
    }

    fn content(&mut self, at: u64) -> Result<(&[u8], &mut String), Error> {
        let source = self.index.source();
        let end = source.size().saturating_sub(toc::LEN);
        let some = end.saturating_sub(at).min(MAX_LEN as u64);
        let mut head = self.window.bytes(source, at, some)?;
        let len = take_uvarint(&mut head)?;
        let content_at = at + some - head.len() as u64;
        let with_crc = len.checked_add(CRC_LEN).filter(|n| *n <= end - content_at);
        let with_crc = with_crc.ok_or_else(|| Error::corrupt(format!("{len} bytes do not fit")))?;
        let (content, crc) = self.window.bytes(source, content_at, with_crc)?.split_at(len as usize);
        if crc32c(content).to_be_bytes() != *crc {
            return Err(Error::corrupt("checksum differs"));
        }
        Ok((content, &mut self.scratch))
    }
}

/// A series entry whose checksum held.
pub struct Series<'a> {
    index: &'a Reader,
    labels: &'a [u8],
    label_count: usize,
    chunks: &'a [u8],
    scratch: &'a mut String,
}

impl<'a> Series<'a> {
    fn parse(index: &'a Reader, content: &'a [u8], scratch: &'a mut String) -> Result<Self, Error> {
        let mut rest = content;
        let count = take_uvarint(&mut rest)?;
        // A label takes two bytes at least.
        let label_count = usize::try_from(count).ok().filter(|n| *n <= rest.len() / 2);
        let label_count = label_count.ok_or_else(|| Error::corrupt(format!("{count} labels")))?;
        let labels = rest;
        for _ in 0..2 * label_count {
            take_uvarint(&mut rest)?;
        }
        Ok(Self { index, labels, label_count, chunks: rest, scratch })
    }

    /// Gives the ordinals of name and value of every label to `f`.
    pub(crate) fn each_label(&self, mut f: impl FnMut(u32, u32) -> Result<(), Error>) -> Result<(), Error> {
        let (mut rest, symbols) = (self.labels, self.index.symbols());
        for _ in 0..self.label_count {
            let name = symbols.ordinal(take_uvarint(&mut rest)?)?;
            f(name, symbols.ordinal(take_uvarint(&mut rest)?)?)?;
        }
        Ok(())
    }

    /// The labels.
    pub fn labels(&mut self) -> Result<Labels, Error> {
        let symbols = self.index.symbols();
        let mut last = None;
        let mut pairs = Vec::with_capacity(self.label_count);
        self.each_label(|name, value| {
            let (name, value) = (symbols.text(name), symbols.text(value));
            if last.is_some_and(|last| last >= name) || value.is_empty() {
                return Err(Error::corrupt(format!("index: label {name:?} is out of order or empty")));
            }
            if name.len().max(value.len()) > MAX_TEXT_LEN {
                return Err(Error::Unsupported("index: a label is too long".into()));
            }
            last = Some(name);
            pairs.push((name, value));
            Ok(())
        })?;
        Ok(Labels::from_sorted_with(pairs, self.scratch))
    }

    /// The chunks, in time order.
    pub fn chunks(&self) -> Result<Chunks<'a>, Error> {
        let mut rest = self.chunks;
        let count = take_uvarint(&mut rest)?;
        Ok(Chunks { rest, left: count, last: None })
    }

    /// Whether a chunk overlaps `mint..=maxt`.
    pub fn overlaps(&self, mint: Millis, maxt: Millis) -> Result<bool, Error> {
        for chunk in self.chunks()? {
            let chunk = chunk?;
            if chunk.mint > maxt {
                return Ok(false);
            }
            if chunk.maxt >= mint {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Iterator over the chunks of a series; ends after the first error.
pub struct Chunks<'a> {
    rest: &'a [u8],
    left: u64,
    last: Option<ChunkMeta>,
}

impl Chunks<'_> {
    fn take(&mut self) -> Result<ChunkMeta, Error> {
        let overflow = || Error::corrupt("index: times or places of chunks overflow");
        let rest = &mut self.rest;
        let mint = match self.last {
            None => take_varint(rest)?,
            Some(last) => last.maxt.checked_add_unsigned(take_uvarint(rest)?).ok_or_else(overflow)?,
        };
        let maxt = mint.checked_add_unsigned(take_uvarint(rest)?).ok_or_else(overflow)?;
        let at = match self.last {
            None => take_uvarint(rest)?,
            Some(last) => last.at.checked_add_signed(take_varint(rest)?).ok_or_else(overflow)?,
        };
        Ok(ChunkMeta { mint, maxt, at })
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<ChunkMeta, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let chunk = self.take();
        match &chunk {
            Ok(chunk) => self.last = Some(*chunk),
            Err(_) => self.left = 0,
        }
        Some(chunk)
    }
}
