//! The times an expression is evaluated at, and the times its selectors look at.

use norn_model::Millis;

/// Evenly spaced evaluation times. Only a subquery's grid can be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first time.
    pub start: Millis,
    /// Distance between two times; irrelevant when there is only one.
    pub step: Millis,
    /// Number of times.
    pub steps: usize,
    /// Whether more was asked for than the only time: then it is no instant.
    pub ends_later: bool,
}

impl Grid {
    /// One time.
    pub fn instant(at: Millis) -> Self {
        Self { start: at, step: 1, steps: 1, ends_later: false }
    }

    /// `start`, `start + step`, … up to and including `end`. A step below 1 gives `start` alone.
    pub fn range(start: Millis, end: Millis, step: Millis) -> Self {
        if step < 1 || end <= start {
            return Self::instant(start);
        }
        let steps = (end.saturating_sub(start) / step) as usize + 1;
        Self { start, step, steps, ends_later: steps == 1 }
    }

    /// The time of step `k`.
    pub fn time(&self, k: usize) -> Millis {
        self.start.saturating_add(self.step.saturating_mul(k as Millis))
    }

    /// The last time.
    pub fn end(&self) -> Millis {
        self.time(self.steps.saturating_sub(1))
    }

    /// Whether only one time was asked for, so that results keep the engine's order.
    pub fn is_instant(&self) -> bool {
        self.steps == 1 && !self.ends_later
    }

    /// The times.
    pub fn times(self) -> impl Iterator<Item = Millis> {
        (0..self.steps).map(move |k| self.time(k))
    }
}

/// Where a selector or subquery looks when it is evaluated at some time: `@` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeMap {
    /// `@`: this time in place of the evaluation time.
    pub at: Option<Millis>,
    /// Taken off afterwards.
    pub offset: Millis,
}

impl TimeMap {
    /// The time looked at from `t`.
    pub fn map(&self, t: Millis) -> Millis {
        self.at.unwrap_or(t).saturating_sub(self.offset)
    }

    /// Where reading starts that reaches `t`, if each time looked at reads `before` milliseconds back.
    ///
    /// A reader goes on from where it is, unless the next window begins behind it.
    pub fn reads_from(&self, grid: &Grid, before: Millis, t: Millis) -> Millis {
        let (first, _) = self.span(grid);
        if self.at.is_some() || grid.step <= before || t <= first {
            return first.saturating_sub(before);
        }
        let steps = t.saturating_sub(first).saturating_add(grid.step - 1) / grid.step;
        first.saturating_add(steps.saturating_mul(grid.step)).saturating_sub(before)
    }

    /// The first and last time looked at over `grid`.
    pub fn span(&self, grid: &Grid) -> (Millis, Millis) {
        (self.map(grid.start), self.map(grid.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_at_or_before_its_end() {
        let grid = Grid::range(10, 35, 10);
        assert_eq!(grid.times().collect::<Vec<_>>(), [10, 20, 30]);
        assert!(Grid::range(10, 10, 5).is_instant());
        assert!(Grid::range(10, 90, 0).is_instant());
    }
}
