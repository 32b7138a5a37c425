//! Start timestamps beside the samples of a chunk: encodings 4, 5 and 6.
//!
//! What is written after a sample depends on its index alone and on what was written before, so
//! floats and histograms share it. 0 means that the start is not known.

use norn_model::Millis;

use crate::DecodeError;
use crate::bits::{Reader, Writer};
use crate::varbit;
use crate::varint::{unzigzag, zigzag};
use crate::xor::take_uvarint;

/// Flag of the header: the first sample has a start. The other bits are the index of the first
/// sample whose start changed, 0 = none.
const FIRST: u8 = 0x80;
/// The last index the header can name; from here on starts are written whether or not they change.
const LAST_INDEX: u16 = 0x7f;

/// Writes starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartWriter {
    header: u8,
    start: Millis,
    distance: i64,
}

impl StartWriter {
    /// The header byte so far.
    pub(crate) fn header(&self) -> u8 {
        self.header
    }

    /// Writes the start of sample `index` at `t`, which follows one at `previous`.
    pub(crate) fn put(
        &mut self,
        writer: &mut Writer,
        index: u16,
        previous: Millis,
        t: Millis,
        start: Millis,
    ) {
        if index == 0 {
            if start != 0 {
                self.header |= FIRST;
                writer.put_uvarint(zigzag(t.wrapping_sub(start)));
            }
        } else if self.header & !FIRST != 0 {
            let distance = previous.wrapping_sub(start);
            varbit::put_int(writer, distance.wrapping_sub(self.distance));
            self.distance = distance;
        } else if start != self.start || index == LAST_INDEX {
            // At most `LAST_INDEX`, as that one is always written.
            self.header |= index as u8;
            self.distance = previous.wrapping_sub(start);
            varbit::put_int(writer, self.distance);
        }
        self.start = start;
    }
}

/// Reads starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartReader {
    first: bool,
    from: usize,
    start: Millis,
    distance: i64,
}

impl StartReader {
    /// Reads what a chunk with this header byte has.
    pub(crate) fn new(header: u8) -> Self {
        Self { first: header & FIRST != 0, from: usize::from(header & !FIRST), start: 0, distance: 0 }
    }

    /// The start of the last sample read.
    #[inline(always)]
    pub(crate) fn start(&self) -> Millis {
        self.start
    }

    /// Reads the start of sample `index` at `t`, which follows one at `previous`.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        reader: &mut Reader<'_>,
        index: usize,
        previous: Millis,
        t: Millis,
    ) -> Result<(), DecodeError> {
        if index == 0 {
            if self.first {
                self.start = t.wrapping_sub(unzigzag(take_uvarint(reader)?));
            }
        } else if self.from > 0 && index >= self.from {
            let distance = varbit::take_int(reader);
            let before = if index == self.from { 0 } else { self.distance };
            self.distance = before.wrapping_add(distance);
            self.start = previous.wrapping_sub(self.distance);
        }
        Ok(())
    }
}
