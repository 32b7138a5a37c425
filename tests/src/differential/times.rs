//! At which times a query is asked: a function of seed and text, so that both replay it.

use crate::generator::data::{SLICE, SLICES, START};
use crate::generator::random::Random;

/// Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Of the instant query.
    pub instant: i64,
    /// First step of the range.
    pub start: i64,
    /// Last possible step.
    pub end: i64,
    /// Milliseconds between steps.
    pub step: i64,
}

impl Times {
    /// For a query.
    pub fn of(seed: u64, query: &str) -> Self {
        let hash = query
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut random = Random::new(seed, hash);
        let whole = SLICE * SLICES;
        let instant = START + random.between(whole / 4, whole - 1) / 250 * 250;
        let step = random.pick(&[15_000, 30_000, 60_000, 60_000, 17_300, 120_000]);
        let start = START + random.between(whole / 8, whole / 2) / 500 * 500;
        let end = start + step * random.between(4, 14) + random.pick(&[0, 0, 3_000]);
        Self { instant, start, end, step }
    }

    /// All steps of the range.
    pub fn steps(&self) -> impl Iterator<Item = i64> + use<> {
        let (start, end, step) = (self.start, self.end, self.step);
        (0..).map(move |n| start + n * step).take_while(move |t| *t <= end)
    }
}
