//! Sets of series: a compact list to keep, a vector of runs to compute with.
//!
//! Series of one target are created one after the other, so a label pair's series are mostly runs
//! of consecutive numbers. A [`RunList`] holds them as bytes: per run the gap to the previous one,
//! shifted left by one with a flag for "longer than one", then the length minus two where flagged,
//! both LEB128. The last run is still open and lies outside of the bytes.
//!
//! | shape | bytes a series |
//! |---|---|
//! | whole targets | ≈ 0 |
//! | every n-th series, n < 64 | 1 |
//! | every n-th series, n < 8192 | 2 (what a bitmap's array container takes) |

use norn_codec::varint;

/// Most bytes of a run in a list.
const MAX_RUN: usize = 10;

/// A run of consecutive series: first, and the one after the last.
pub(crate) type Run = (u32, u32);

/// A set that grows at its end. See the module doc.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunList {
    bytes: Vec<u8>,
    /// Where the last closed run ends.
    closed: u32,
    open: Run,
    count: u32,
}

impl RunList {
    /// Adds `series`, which is above all in the set; otherwise nothing happens.
    pub(crate) fn push(&mut self, series: u32) {
        self.push_run((series, series.saturating_add(1)));
    }

    /// Adds a run, which is above all in the set; otherwise, or if it is empty, nothing happens.
    pub(crate) fn push_run(&mut self, (from, to): Run) {
        let (start, end) = self.open;
        if from >= to || (self.count > 0 && from < end) {
            return;
        }
        if from != end || self.count == 0 {
            if end > start {
                self.close();
            }
            self.open.0 = from;
        }
        self.open.1 = to;
        self.count += to - from;
    }

    fn close(&mut self) {
        let (start, end) = self.open;
        let len = end - start;
        if self.bytes.len() + MAX_RUN > self.bytes.capacity() {
            // Less than doubling: there are many lists, and few bytes in each.
            self.bytes.reserve_exact(MAX_RUN + self.bytes.len() / 4);
        }
        varint::put_uvarint(&mut self.bytes, u64::from(start - self.closed) << 1 | u64::from(len > 1));
        if len > 1 {
            varint::put_uvarint(&mut self.bytes, u64::from(len - 2));
        }
        self.closed = end;
    }

    /// Number of series.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The runs in order.
    pub(crate) fn runs(&self) -> Runs<'_> {
        self.runs_from(Place::default())
    }

    /// The runs from a place on.
    pub(crate) fn runs_from(&self, place: Place) -> Runs<'_> {
        let open = Some(self.open).filter(|(start, end)| end > start);
        Runs { bytes: self.bytes.get(place.bytes..).unwrap_or_default(), end: place.end, open }
    }

    /// The place of the next run of `runs`, or of the last. It stays right while the set grows.
    pub(crate) fn place(&self, runs: &Runs<'_>) -> Place {
        Place { bytes: self.bytes.len() - runs.bytes.len(), end: runs.end }
    }

    /// Gives memory back that no run lies in.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Bytes of heap.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Where a run of a [`RunList`] begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    bytes: usize,
    /// Where the run before it ends.
    end: u32,
}

/// Iterator over the runs of a [`RunList`].
#[derive(Debug, Default)]
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    end: u32,
    open: Option<Run>,
}

impl Runs<'_> {
    /// Of a set that is one run.
    pub(crate) fn one(run: Run) -> Self {
        Self { bytes: &[], end: 0, open: Some(run) }
    }

    fn take(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let Some(head) = self.take() else { return self.open.take() };
        let start = self.end + (head >> 1) as u32;
        let len = if head & 1 == 1 { self.take()? as u32 + 2 } else { 1 };
        self.end = start + len;
        Some((start, self.end))
    }
}

/// Keeps of `set` what is in `other` too. Both are in order and their runs do not touch.
pub(crate) fn intersect(set: &[Run], other: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut out = Vec::with_capacity(set.len());
    let mut rest = set.iter().copied().peekable();
    for (start, end) in other {
        while let Some(&(s, e)) = rest.peek() {
            if s >= end {
                break;
            }
            if e > start {
                out.push((s.max(start), e.min(end)));
            }
            if e > end {
                break;
            }
            rest.next();
        }
        if rest.peek().is_none() {
            break;
        }
    }
    out
}

/// Removes from `set` what is in `other`.
pub(crate) fn subtract(set: &[Run], other: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut out = Vec::with_capacity(set.len());
    let mut rest = set.iter().copied();
    let mut current = rest.next();
    for (start, end) in other {
        while let Some((s, e)) = current {
            if s >= end {
                break;
            }
            if s < start {
                out.push((s, e.min(start)));
            }
            if e > end {
                current = Some((end, e));
                break;
            }
            current = rest.next();
        }
        if current.is_none() {
            break;
        }
    }
    out.extend(current);
    out.extend(rest);
    out
}

/// Sorts runs that may overlap and joins those that touch.
pub(crate) fn normalise(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    runs.dedup_by(|next, last| {
        let joined = next.0 <= last.1;
        if joined {
            last.1 = last.1.max(next.1);
        }
        joined
    });
    runs
}

/// The series of all runs.
pub(crate) fn series(runs: &[Run]) -> impl Iterator<Item = u32> + '_ {
    runs.iter().flat_map(|&(start, end)| start..end)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn list(set: &BTreeSet<u32>) -> RunList {
        let mut list = RunList::default();
        set.iter().for_each(|&s| list.push(s));
        list
    }

    fn runs(set: &BTreeSet<u32>) -> Vec<Run> {
        list(set).runs().collect()
    }

    fn members(runs: &[Run]) -> BTreeSet<u32> {
        assert!(runs.iter().all(|(s, e)| s < e) && runs.windows(2).all(|w| w[0].1 <= w[1].0));
        series(runs).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(
            a in prop::collection::btree_set(prop_oneof![0u32..200, 0..u32::MAX], 0..150),
            b in prop::collection::btree_set(prop_oneof![0u32..200, 0..u32::MAX], 0..150),
        ) {
            let (list_a, list_b) = (list(&a), list(&b));
            prop_assert_eq!(list_a.count() as usize, a.len());
            prop_assert_eq!(members(&runs(&a)), a.clone());
            prop_assert_eq!(members(&intersect(&runs(&a), list_b.runs())), &a & &b);
            prop_assert_eq!(members(&subtract(&runs(&a), list_b.runs())), &a - &b);
            let both = list_a.runs().chain(list_b.runs()).collect();
            prop_assert_eq!(members(&normalise(both)), &a | &b);
        }
    }

    #[test]
    fn takes_a_byte_for_close_neighbours_and_none_for_runs() {
        let spread: BTreeSet<u32> = (0..1000).map(|i| i * 50).collect();
        assert!(list(&spread).bytes.len() <= 1002);
        let whole: BTreeSet<u32> = (0..100_000).collect();
        assert_eq!(list(&whole).bytes.len(), 0);
        let mut list = RunList::default();
        list.push(7);
        list.push(7);
        list.push(3);
        assert_eq!(list.runs().collect::<Vec<_>>(), [(7, 8)]);
    }
}
