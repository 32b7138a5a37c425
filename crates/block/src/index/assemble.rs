//! From the spool to the index file.

use norn_codec::crc::Crc32c;
use norn_codec::varint::put_uvarint;

use super::intern::Interner;
use super::spool::Spool;
use super::toc::Toc;
use super::{CRC_LEN, HEADER_LEN, LIST_ALIGNMENT, MAGIC, SERIES_ALIGNMENT, SeriesRef};
use crate::Error;
use crate::file::Output;

const VERSION: u8 = 2;
/// Bytes of a list beside its entries: length, count, checksum.
const LIST_FRAME: u64 = 4 + 4 + CRC_LEN;

pub(super) struct Assembly<'a> {
    interner: Interner,
    spool: &'a Spool,
    output: Output,
    max_postings: usize,
    /// Ordinal of each text in the symbol table.
    symbol_of: Vec<u32>,
    /// Pairs in the order of their lists.
    pairs: Vec<u32>,
    series: Vec<SeriesRef>,
    scratch: Vec<u8>,
}

/// The inverse of a permutation.
fn invert(order: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; order.len()];
    for (rank, &id) in order.iter().enumerate() {
        inverse[id as usize] = rank as u32;
    }
    inverse
}

impl<'a> Assembly<'a> {
    pub(super) fn new(mut interner: Interner, spool: &'a Spool, output: Output, max_postings: usize) -> Self {
        interner.freeze();
        Self {
            interner,
            spool,
            output,
            max_postings,
            symbol_of: Vec::new(),
            pairs: Vec::new(),
            series: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Writes everything and gives the file's length.
    pub(super) fn write(mut self) -> Result<u64, Error> {
        self.output.put(&MAGIC)?;
        self.output.put(&[VERSION])?;
        self.write_symbols()?;
        self.order_pairs();
        let series = self.output.position();
        self.write_series()?;
        let postings = self.output.position();
        self.output.align(LIST_ALIGNMENT)?;
        let first_list = self.output.position();
        self.write_lists()?;
        let table = self.output.position();
        self.write_table(first_list)?;
        let toc = Toc {
            symbols: HEADER_LEN,
            series,
            label_indices: postings,
            label_index_table: table,
            postings,
            postings_table: table,
        };
        self.output.put(&toc.encode())?;
        self.output.finish()
    }

    /// Puts `scratch` and takes its checksum.
    fn put_summed(&mut self, crc: &mut Crc32c) -> Result<(), Error> {
        crc.update(&self.scratch);
        self.output.put(&self.scratch)?;
        self.scratch.clear();
        Ok(())
    }

    fn write_symbols(&mut self) -> Result<(), Error> {
        let mut order: Vec<u32> = (0..self.interner.texts()).collect();
        order.sort_unstable_by(|&a, &b| self.interner.text(a).cmp(self.interner.text(b)));
        let lengths = order.iter().map(|&id| uvarint_len(self.interner.text(id).len() as u64)).sum::<u64>();
        let len = u32::try_from(4 + lengths + self.interner.text_bytes());
        self.output.put_u32(len.map_err(|_| Error::TooLarge("symbol table"))?)?;
        let mut crc = Crc32c::new();
        self.scratch.extend_from_slice(&(order.len() as u32).to_be_bytes());
        for &id in &order {
            let text = self.interner.text(id);
            put_uvarint(&mut self.scratch, text.len() as u64);
            self.scratch.extend_from_slice(text.as_bytes());
            self.put_summed(&mut crc)?;
        }
        self.put_summed(&mut crc)?;
        self.output.put_u32(crc.finish())?;
        self.symbol_of = invert(&order);
        Ok(())
    }

    fn order_pairs(&mut self) {
        let pairs = &self.interner.pairs;
        let key = |id: &u32| {
            let pair = &pairs[*id as usize];
            (self.symbol_of[pair.name as usize], self.symbol_of[pair.value as usize])
        };
        self.pairs = (0..pairs.len() as u32).collect();
        self.pairs.sort_unstable_by_key(key);
    }

    fn write_series(&mut self) -> Result<(), Error> {
        let mut length = Vec::new();
        let (spool, scratch) = (self.spool, &mut self.scratch);
        spool.each(|pairs, chunks| {
            scratch.clear();
            put_uvarint(scratch, pairs.len() as u64);
            for &pair in pairs {
                let pair = &self.interner.pairs[pair as usize];
                put_uvarint(scratch, u64::from(self.symbol_of[pair.name as usize]));
                put_uvarint(scratch, u64::from(self.symbol_of[pair.value as usize]));
            }
            scratch.extend_from_slice(chunks);
            self.output.align(SERIES_ALIGNMENT)?;
            let at = self.output.position() / SERIES_ALIGNMENT;
            self.series.push(SeriesRef::try_from(at).map_err(|_| Error::TooLarge("index"))?);
            length.clear();
            put_uvarint(&mut length, scratch.len() as u64);
            self.output.put(&length)?;
            self.output.put(scratch)?;
            self.output.put_u32(Crc32c::new().update(scratch).finish())
        })?;
        self.scratch.clear();
        Ok(())
    }

    /// The list of all series, then those of pairs, as many at a time as fit into memory.
    fn write_lists(&mut self) -> Result<(), Error> {
        let all = std::mem::take(&mut self.series);
        self.write_list(&all)?;
        self.series = all;
        let ranks = invert(&self.pairs);
        let mut from = 0;
        while from < self.pairs.len() {
            let starts = self.pass(from);
            let lists = self.gather(&ranks, from, &starts)?;
            for range in starts.windows(2) {
                self.write_list(&lists[range[0]..range[1]])?;
            }
            from += starts.len() - 1;
        }
        Ok(())
    }

    /// Where the lists of pairs from rank `from` on begin in one pass's memory, and where the last
    /// of them ends.
    fn pass(&self, from: usize) -> Vec<usize> {
        let mut starts = vec![0];
        let mut total = 0;
        for &id in &self.pairs[from..] {
            total += self.interner.pairs[id as usize].count as usize;
            if total > self.max_postings && starts.len() > 1 {
                break;
            }
            starts.push(total);
        }
        starts
    }

    fn gather(&self, ranks: &[u32], from: usize, starts: &[usize]) -> Result<Vec<SeriesRef>, Error> {
        let mut ends = starts[..starts.len() - 1].to_vec();
        let mut lists = vec![0; starts.last().copied().unwrap_or(0)];
        let mut series = self.series.iter();
        self.spool.each(|pairs, _| {
            let at = *series.next().ok_or_else(|| Error::corrupt("the spool has grown"))?;
            for &pair in pairs {
                let list = (ranks[pair as usize] as usize).wrapping_sub(from);
                if let Some(end) = ends.get_mut(list) {
                    lists[*end] = at;
                    *end += 1;
                }
            }
            Ok(())
        })?;
        Ok(lists)
    }

    fn write_list(&mut self, list: &[SeriesRef]) -> Result<(), Error> {
        let len = u32::try_from(4 + 4 * list.len() as u64).map_err(|_| Error::TooLarge("a postings list"))?;
        self.output.put_u32(len)?;
        let mut crc = Crc32c::new();
        self.scratch.extend_from_slice(&(list.len() as u32).to_be_bytes());
        for part in list.chunks(16 << 10) {
            self.scratch.extend(part.iter().flat_map(|at| at.to_be_bytes()));
            self.put_summed(&mut crc)?;
        }
        self.put_summed(&mut crc)?;
        self.output.put_u32(crc.finish())
    }

    /// Positions of lists follow from their lengths.
    fn write_table(&mut self, first_list: u64) -> Result<(), Error> {
        let len = u32::try_from(4 + self.table_len(first_list));
        self.output.put_u32(len.map_err(|_| Error::TooLarge("postings offset table"))?)?;
        let mut crc = Crc32c::new();
        let count =
            u32::try_from(self.pairs.len() + 1).map_err(|_| Error::TooLarge("postings offset table"))?;
        self.scratch.extend_from_slice(&count.to_be_bytes());
        put_entry(&mut self.scratch, "", "", first_list);
        let mut at = first_list + LIST_FRAME + 4 * self.series.len() as u64;
        for i in 0..self.pairs.len() {
            let pair = &self.interner.pairs[self.pairs[i] as usize];
            put_entry(&mut self.scratch, self.interner.text(pair.name), self.interner.text(pair.value), at);
            at += LIST_FRAME + 4 * u64::from(pair.count);
            self.put_summed(&mut crc)?;
        }
        self.put_summed(&mut crc)?;
        self.output.put_u32(crc.finish())
    }

    fn table_len(&self, first_list: u64) -> u64 {
        let text_len = |id| {
            let len = self.interner.text(id).len() as u64;
            uvarint_len(len) + len
        };
        let mut at = first_list + LIST_FRAME + 4 * self.series.len() as u64;
        let mut len = 3 + uvarint_len(first_list);
        for &id in &self.pairs {
            let pair = &self.interner.pairs[id as usize];
            len += 1 + text_len(pair.name) + text_len(pair.value) + uvarint_len(at);
            at += LIST_FRAME + 4 * u64::from(pair.count);
        }
        len
    }
}

fn put_entry(out: &mut Vec<u8>, name: &str, value: &str, at: u64) {
    out.push(2);
    for text in [name, value] {
        put_uvarint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    put_uvarint(out, at);
}

fn uvarint_len(x: u64) -> u64 {
    u64::from((64 - (x | 1).leading_zeros()).div_ceil(7))
}
