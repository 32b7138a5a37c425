//! What a series needs to know to take a sample, and what it says when it does not.

use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::InvalidHistogram;

use crate::arena::{Address, Arena, Header};

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
    /// A histogram that contradicts itself.
    Invalid(InvalidHistogram),
    /// A histogram that no chunk can hold.
    Histogram(&'static str),
    /// The partition's chunk storage is used up.
    Full,
}

/// Where samples go and by what rules, for one tenant while a record is folded.
pub(crate) struct Fold<'a> {
    /// Takes sealed chunks.
    pub(crate) arena: &'a Arena,
    /// Samples a float chunk is cut at.
    pub(crate) samples_per_chunk: u16,
    /// Chunks do not cross multiples of this.
    pub(crate) chunk_range: Millis,
    /// How far behind `maxt` a late sample may be; 0 = late samples are refused.
    pub(crate) window: Millis,
    /// Newest timestamp of the tenant, [`Millis::MIN`] before the first.
    pub(crate) maxt: Millis,
    /// Oldest timestamp of the tenant, [`Millis::MAX`] before the first.
    pub(crate) mint: Millis,
    /// Bytes of the chunk that is being sealed.
    pub(crate) scratch: Vec<u8>,
}

impl Fold<'_> {
    /// The end of the chunk range that `t` lies in; chunks that hold `t` end before it.
    pub(crate) fn range_end(&self, t: Millis) -> Millis {
        t.div_euclid(self.chunk_range).saturating_add(1).saturating_mul(self.chunk_range)
    }

    /// Notes that a sample was taken.
    #[inline]
    pub(crate) fn took(&mut self, t: Millis) {
        self.maxt = self.maxt.max(t);
        self.mint = self.mint.min(t);
    }

    /// Whether a late sample may be stored.
    pub(crate) fn admit_late(&self, t: Millis) -> Result<(), Refusal> {
        match self.window {
            ..=0 => Err(Refusal::OutOfOrder),
            window if t < self.maxt.saturating_sub(window) => Err(Refusal::TooOld { window }),
            _ => Ok(()),
        }
    }

    /// Moves a chunk to the arena, where it names the one at `previous`.
    pub(crate) fn seal(
        &self,
        previous: Address,
        encoding: ChunkEncoding,
        (mint, maxt): (Millis, Millis),
        bytes: &[u8],
    ) -> Result<Address, Refusal> {
        self.arena.push(&Header { previous, encoding, mint, maxt }, bytes).ok_or(Refusal::Full)
    }
}
