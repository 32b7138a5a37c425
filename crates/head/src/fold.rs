//! What a series needs to know to take a sample, and what it says when it does not.

use norn_model::Millis;
use norn_model::histogram::InvalidHistogram;

use crate::window::{WindowNo, Windows};

/// Why a sample was not taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// Older than the newest sample of its series, and late samples are not allowed.
    OutOfOrder,
    /// Another value is stored for its timestamp.
    Duplicate,
    /// Older than this window behind the tenant's newest sample.
    TooOld {
        /// The window in milliseconds.
        window: Millis,
    },
    /// Older than what is taken in order, and late samples are not allowed.
    OutOfBounds,
    /// A histogram that contradicts itself.
    Invalid(InvalidHistogram),
    /// A histogram that no chunk can hold.
    Histogram(&'static str),
    /// The partition's chunk storage is used up.
    Full,
}

/// Which times are taken, by what was there before a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Oldest timestamp that is taken in order: half a chunk range behind the tenant's newest, and
    /// beyond the newest one of every series that has left.
    pub(crate) min_valid: Millis,
    /// The same, whoever has left.
    min_known: Millis,
    /// Oldest timestamp that is taken out of order.
    min_late: Millis,
    /// How far that is behind the tenant's newest; 0 = late samples are refused.
    window: Millis,
}

impl Bounds {
    /// Bounds of a tenant whose newest timestamp is `maxt` and that takes nothing below `closed` in
    /// order.
    pub(crate) fn new(maxt: Millis, window: Millis, chunk_range: Millis, closed: Millis) -> Self {
        let min_known = maxt.saturating_sub(chunk_range / 2);
        Self {
            min_valid: min_known.max(closed),
            min_known,
            min_late: maxt.saturating_sub(window.max(0)),
            window,
        }
    }

    /// Whether a late sample may be stored.
    pub(crate) fn admit_late(&self, t: Millis) -> Result<(), Refusal> {
        match self.window {
            ..=0 if t < self.min_valid => Err(Refusal::OutOfBounds),
            ..=0 => Err(Refusal::OutOfOrder),
            window if t < self.min_late => Err(Refusal::TooOld { window }),
            _ => Ok(()),
        }
    }

    /// As if nobody had left.
    pub(crate) fn of_all(self) -> Self {
        Self { min_valid: self.min_known, ..self }
    }

    /// Whether a series without samples may begin with this one.
    pub(crate) fn admit_first(&self, t: Millis) -> Result<(), Refusal> {
        if t >= self.min_valid { Ok(()) } else { self.admit_late(t) }
    }
}

/// Where samples go and by what rules, for one tenant while a record is folded.
pub(crate) struct Fold<'a> {
    /// Take samples.
    pub(crate) windows: &'a mut Windows,
    /// Samples a float chunk is cut at.
    pub(crate) samples_per_chunk: u16,
    /// Chunks do not cross multiples of this.
    pub(crate) chunk_range: Millis,
    /// Which times are taken.
    pub(crate) bounds: Bounds,
    /// Windows whose samples in this record are in blocks.
    pub(crate) flushed: &'a [WindowNo],
    /// Newest timestamp of the tenant, [`Millis::MIN`] before the first.
    pub(crate) maxt: Millis,
    /// Oldest timestamp of the tenant, [`Millis::MAX`] before the first.
    pub(crate) mint: Millis,
    /// Bytes of the chunk that is being sealed.
    pub(crate) scratch: Vec<u8>,
}

impl Fold<'_> {
    /// The window that `t` lies in.
    pub(crate) fn number(&self, t: Millis) -> WindowNo {
        t.div_euclid(self.chunk_range)
    }

    /// The end of the window that `t` lies in; chunks that hold `t` end before it.
    pub(crate) fn range_end(&self, t: Millis) -> Millis {
        self.number(t).saturating_add(1).saturating_mul(self.chunk_range)
    }

    /// Whether the sample at `t` in this record is in a block.
    pub(crate) fn is_flushed(&self, t: Millis) -> bool {
        !self.flushed.is_empty() && self.flushed.contains(&self.number(t))
    }

    /// Notes that a sample was taken.
    #[inline]
    pub(crate) fn took(&mut self, t: Millis) {
        self.maxt = self.maxt.max(t);
        self.mint = self.mint.min(t);
    }
}
