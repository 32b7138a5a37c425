//! Who belongs to whom: sets of numbers, and how members leave them.
//!
//! Most sets are one number or one run of them, as series of one target are created one after the
//! other: these take no heap. Members come in ascending order. They leave by a pass over the whole set that takes out all
//! that are gone at once; over a long list it goes in slices, beside which the list may grow.

use crate::runs::{Place, Run, RunList, Runs};

/// A set that grows at its end.
#[derive(Clone, Debug, Default)]
pub(crate) enum Set {
    #[default]
    Empty,
    Run(u32, u32),
    List(Box<RunList>),
}

impl Set {
    /// Adds a number, which is above all in the set. Gives the bytes of heap that took.
    pub(crate) fn push(&mut self, number: u32) -> usize {
        match self {
            Self::Empty => {
                *self = Self::Run(number, number.saturating_add(1));
                0
            }
            Self::Run(_, end) if *end == number => {
                *end = number.saturating_add(1);
                0
            }
            Self::Run(start, end) => {
                let mut list = Box::<RunList>::default();
                list.push_run((*start, *end));
                list.push(number);
                *self = Self::List(list);
                self.size_bytes()
            }
            Self::List(list) => {
                let before = list.size_bytes();
                list.push(number);
                list.size_bytes() - before
            }
        }
    }

    /// Number of members.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Empty => 0,
            Self::Run(start, end) => end - start,
            Self::List(list) => list.count(),
        }
    }

    /// Whether there is no member.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The members as runs.
    pub(crate) fn runs(&self) -> Runs<'_> {
        match self {
            Self::Empty => Runs::default(),
            Self::Run(start, end) => Runs::one((*start, *end)),
            Self::List(list) => list.runs(),
        }
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::List(list) => size_of::<RunList>() + list.size_bytes(),
            _ => 0,
        }
    }
}

/// A pass over a set that takes out what is gone. See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// The run to go on with.
    place: Place,
    /// Numbers below this one were passed.
    done: u32,
    /// Position of the first of `gone` that was not passed.
    gone: usize,
    kept: RunList,
}

impl Pass {
    /// Goes on while there is room for a run, of the set or of what is gone from it. True when
    /// nothing is left but to [`Pass::finish`].
    pub(crate) fn advance(&mut self, set: &Set, gone: &[Run], room: &mut usize) -> bool {
        let mut runs = match set {
            Set::List(list) => list.runs_from(self.place),
            set => set.runs(),
        };
        loop {
            if let Set::List(list) = set {
                // The last run may grow before the pass goes on, so its place is kept.
                self.place = list.place(&runs);
            }
            let Some((start, end)) = runs.next() else { return true };
            if !self.keep((start.max(self.done), end), gone, room) {
                return false;
            }
        }
    }

    /// Passes the rest of the set and gives what is left of it.
    pub(crate) fn finish(mut self, set: &Set, gone: &[Run]) -> Set {
        self.advance(set, gone, &mut { usize::MAX });
        let mut kept = self.kept.runs();
        match (kept.next(), kept.next()) {
            (None, _) => Set::Empty,
            (Some((start, end)), None) => Set::Run(start, end),
            _ => {
                self.kept.shrink();
                Set::List(Box::new(self.kept))
            }
        }
    }

    /// Keeps of a run what is not gone; false when there was not room enough for all of it.
    fn keep(&mut self, (mut start, end): Run, gone: &[Run], room: &mut usize) -> bool {
        if start >= end {
            return true;
        }
        self.skip_to(start, gone);
        loop {
            let Some(left) = room.checked_sub(1) else { return false };
            *room = left;
            let (from, to) = gone.get(self.gone).copied().unwrap_or((end, end));
            self.kept.push_run((start, from.min(end)));
            start = if from < end { to.min(end) } else { end };
            self.done = start;
            if start == end {
                return true;
            }
            self.gone += 1;
        }
    }

    /// Passes what is gone and ends at or before `start`.
    fn skip_to(&mut self, start: u32, gone: &[Run]) {
        let rest = gone.get(self.gone..).unwrap_or_default();
        // Near by in long sets, anywhere in short ones.
        let mut near = 1;
        while rest.get(near).is_some_and(|run| run.1 <= start) {
            near *= 2;
        }
        let rest = rest.get(..=near).unwrap_or(rest);
        self.gone += rest.partition_point(|run| run.1 <= start);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::runs::{normalise, series};

    fn members(set: &Set) -> Vec<u32> {
        series(&set.runs().collect::<Vec<_>>()).collect()
    }

    fn runs(numbers: &BTreeSet<u32>) -> Vec<Run> {
        normalise(numbers.iter().map(|&n| (n, n + 1)).collect())
    }

    fn numbers() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(prop_oneof![0u32..40, 0u32..400, 0u32..1_000_000], 0..200)
    }

    proptest! {
        #[test]
        fn a_pass_in_slices_takes_out_what_is_gone(
            before in numbers(),
            gone in numbers(),
            added in prop::collection::vec(1u32..5, 0..30),
            budget in 1usize..20,
        ) {
            let mut set = Set::default();
            let mut bytes = 0;
            before.iter().for_each(|&n| bytes += set.push(n));
            let gone_runs = runs(&gone);
            let (mut pass, mut added, mut next) = (Pass::default(), added.into_iter(), 2_000_000);
            let mut want: BTreeSet<u32> = &before - &gone;
            while !pass.advance(&set, &gone_runs, &mut { budget }) {
                if let Some(step) = added.next() {
                    next += step;
                    bytes += set.push(next);
                    want.insert(next);
                }
            }
            prop_assert_eq!(bytes, set.size_bytes());
            let left = pass.finish(&set, &gone_runs);
            prop_assert_eq!(left.count() as usize, want.len());
            prop_assert_eq!(members(&left), want.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(left.is_empty(), left.count() == 0);
        }
    }

    #[test]
    fn one_run_takes_no_heap() {
        let mut set = Set::default();
        assert_eq!((set.push(7), set.count(), members(&set)), (0, 1, vec![7]));
        assert_eq!((set.push(8), set.count(), members(&set)), (0, 2, vec![7, 8]));
        assert!(set.push(10) > 0);
        assert_eq!(members(&set), [7, 8, 10]);
        let left = Pass::default().finish(&set, &[(0, 8)]);
        assert_eq!(members(&left), [8, 10]);
        let left = Pass::default().finish(&left, &[(0, 9)]);
        assert_eq!((left.size_bytes(), members(&left)), (0, vec![10]));
        assert!(Pass::default().finish(&left, &[(9, 11)]).is_empty());
        assert_eq!(size_of::<Set>(), 16);
    }
}
