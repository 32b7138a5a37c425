//! XOR-coded floats: the value step shared by float and histogram chunks.

use crate::DecodeError;
use crate::bits::{Reader, Tail, WordSink, Writer};

/// The run of bits in which consecutive values of a stream differ; `size` 0 = not set yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) size: u8,
    pub(crate) trail: u8,
}

impl Window {
    /// Writes the step to a value that differs from the previous one by `xor`.
    #[inline(always)]
    pub(crate) fn put(&mut self, tail: &mut Tail, sink: &mut impl WordSink, xor: u64) {
        if xor == 0 {
            return tail.put(sink, 0, 1);
        }
        let lead = (xor.leading_zeros() as u8).min(31);
        let trail = xor.trailing_zeros() as u8;
        if self.covers(lead, trail) {
            tail.put(sink, 0b10, 2);
            return tail.put(sink, xor >> self.trail, u32::from(self.size));
        }
        let size = 64 - lead - trail;
        *self = Self { size, trail };
        let control = 0b11 << 11 | u64::from(lead) << 6 | u64::from(size & 63);
        tail.put(sink, control, 13);
        tail.put(sink, xor >> trail, u32::from(size));
    }

    fn covers(self, lead: u8, trail: u8) -> bool {
        self.size != 0 && lead >= 64 - self.size - self.trail && trail >= self.trail
    }

    /// Writes a change that is not 0 in XOR2's manner: after a 0 the bits in the window as it is, or
    /// after the `len` bits of `new` a new window.
    pub(crate) fn put_changed(&mut self, writer: &mut Writer, (new, len): (u64, u32), xor: u64) {
        let lead = (xor.leading_zeros() as u8).min(31);
        let trail = xor.trailing_zeros() as u8;
        if self.covers(lead, trail) {
            writer.put(0, 1);
        } else {
            let size = 64 - lead - trail;
            *self = Self { size, trail };
            writer.put(new << 11 | u64::from(lead) << 6 | u64::from(size & 63), len + 11);
        }
        writer.put(xor >> self.trail, u32::from(self.size));
    }

    /// Takes a whole step; its bits need not be available. Gives the change of the value's bits.
    #[inline(always)]
    pub(crate) fn take(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        reader.refill();
        self.take_available(reader)
    }

    /// As [`Window::take`] where at least 13 bits are available.
    #[inline(always)]
    pub(crate) fn take_available(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        if reader.bits(1) == 0 { Ok(0) } else { self.take_changed(reader) }
    }

    /// Takes what follows a set control bit, of which 12 bits are available.
    ///
    /// Whether the window is new is as good as random, so both cases share one path.
    #[inline(always)]
    pub(crate) fn take_changed(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        let control = reader.peek() >> 52;
        let is_new = control >> 11 == 1;
        let lead = (control >> 6) as u8 & 31;
        // 64 is written as 0.
        let size = (control as u8 & 63).wrapping_sub(1) % 64 + 1;
        let new = Self { size, trail: 64u8.wrapping_sub(lead + size) };
        *self = if is_new { new } else { *self };
        reader.skip(if is_new { 12 } else { 1 });
        if self.trail > 63 || self.size == 0 {
            return Err(DecodeError::Invalid("value window is wider than 64 bits or not set"));
        }
        Ok(reader.take(u32::from(self.size)) << self.trail)
    }

    /// Takes a window, 11 bits of which are available, and the bits in it.
    #[inline(always)]
    pub(crate) fn take_new(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        let lead = reader.bits(5) as u8;
        let size = match reader.bits(6) as u8 {
            0 => 64,
            n => n,
        };
        if lead + size > 64 {
            return Err(DecodeError::Invalid("value window is wider than 64 bits"));
        }
        *self = Self { size, trail: 64 - lead - size };
        Ok(reader.take(u32::from(size)) << self.trail)
    }

    /// Takes the bits in the window as it is.
    #[inline(always)]
    pub(crate) fn take_reused(&mut self, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        if self.size == 0 {
            return Err(DecodeError::Invalid("value window is used before it is set"));
        }
        Ok(reader.take(u32::from(self.size)) << self.trail)
    }
}
