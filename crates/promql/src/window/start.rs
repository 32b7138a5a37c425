//! Start timestamps: what they tell of counters.
//!
//! A sample may know when its counter began. A beginning after the sample before is a reset that
//! values alone may hide, and one inside of a window is a point at which the counter was zero.

use norn_model::Millis;

/// When a sample was taken and when its series began; 0 = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// When it was taken.
    pub time: Millis,
    /// When its series began.
    pub start: Millis,
}

impl Moment {
    /// Whether the start of `self` tells that the counter began anew after `previous`.
    ///
    /// A start at the sample's own time says that nothing is known. One at the time of the previous
    /// sample is that of a delta, unless what the previous one says is of no use.
    pub fn is_reset(self, previous: Self) -> bool {
        if self.start == 0 || self.start >= self.time || self.start < previous.time {
            return false;
        }
        self.start > previous.time || (previous.start != 0 && previous.start < previous.time)
    }

    /// Whether a series that began at `self.start` can not have given `previous`.
    pub fn overlaps(self, previous: Self) -> bool {
        self.start != 0 && self.start < previous.time && self.start != previous.start
    }
}

/// Times and starts of consecutive samples.
#[derive(Clone, Copy, Debug)]
pub struct Moments<'s> {
    /// When they were taken.
    pub times: &'s [Millis],
    /// When their series began; empty where no sample knows.
    pub starts: &'s [Millis],
}

impl Moments<'_> {
    /// Sample `i`.
    pub fn at(&self, i: usize) -> Moment {
        Moment { time: self.times[i], start: self.starts.get(i).copied().unwrap_or(0) }
    }

    /// Whether the start of sample `i` tells of a reset after the one before.
    pub fn is_reset(&self, i: usize) -> bool {
        !self.starts.is_empty() && self.at(i).is_reset(self.at(i - 1))
    }

    /// Indices of samples that overlap the one before.
    pub fn overlaps(&self) -> impl Iterator<Item = usize> {
        (1..self.starts.len()).filter(|i| self.at(*i).overlaps(self.at(i - 1)))
    }

    /// When the counter was zero, if that lies after `from` and before the first sample.
    pub fn began_after(&self, from: Millis) -> Option<Millis> {
        let (start, first) = (*self.starts.first()?, *self.times.first()?);
        (start != 0 && from < start && start < first).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_and_overlaps() {
        let at = |start, time| Moment { time, start };
        for (previous, current, reset, overlap) in [
            // Cumulative: began once, began again.
            (at(5, 10), at(5, 20), false, false),
            (at(5, 10), at(15, 20), true, false),
            // Delta, and a delta of which the first start is of no use.
            (at(5, 10), at(10, 20), true, false),
            (at(0, 10), at(10, 20), false, false),
            (at(10, 10), at(10, 20), false, false),
            (at(11, 10), at(10, 20), false, false),
            // Not known, at the sample, after it.
            (at(5, 10), at(0, 20), false, false),
            (at(5, 10), at(20, 20), false, false),
            (at(5, 10), at(21, 20), false, false),
            // Before the previous sample.
            (at(5, 10), at(7, 20), false, true),
            (at(0, 10), at(7, 20), false, true),
        ] {
            assert_eq!(current.is_reset(previous), reset, "{previous:?} {current:?}");
            assert_eq!(current.overlaps(previous), overlap, "{previous:?} {current:?}");
        }
    }

    #[test]
    fn a_counter_begins_inside_of_the_window() {
        let moments = Moments { times: &[20, 30], starts: &[10, 10] };
        assert_eq!(moments.began_after(9), Some(10));
        assert_eq!(moments.began_after(10), None);
        assert_eq!(Moments { times: &[20], starts: &[20] }.began_after(0), None);
        assert_eq!(Moments { times: &[20], starts: &[] }.began_after(0), None);
    }
}
