//! Label sets of results: metadata labels, grouping keys, signatures.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use norn_model::labels::{Labels, METRIC_NAME};

use crate::query::Features;

/// The label that holds a metric's type.
pub const METRIC_TYPE: &str = "__type__";
/// The label that holds a metric's unit.
pub const METRIC_UNIT: &str = "__unit__";

/// A row's identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Whether metadata labels go away at the end of the query.
    pub drop_name: bool,
}

impl Series {
    /// A series that keeps its name.
    pub fn new(labels: Labels) -> Self {
        Self { labels, drop_name: false }
    }

    /// As [`Series::drop_metadata`], but what goes now is the name alone.
    pub fn drop_name(&mut self, features: &Features) {
        if features.delayed_name_removal {
            self.drop_name = true;
        } else {
            self.labels = self.labels.filter(|n| n != METRIC_NAME);
        }
    }

    /// The series at the end of the query.
    pub fn finished(&self) -> Self {
        let labels = if self.drop_name { without_metadata(&self.labels) } else { self.labels.clone() };
        Self::new(labels)
    }

    /// Drops metadata labels now, or marks them to be dropped at the end.
    pub fn drop_metadata(&mut self, features: &Features) {
        if features.delayed_name_removal {
            self.drop_name = true;
        } else {
            self.labels = without_metadata(&self.labels);
        }
    }
}

/// Whether `name` describes the metric rather than the series.
pub fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | METRIC_TYPE | METRIC_UNIT)
}

/// The labels that do not describe the metric.
pub fn without_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|(n, _)| is_metadata(n)) {
        labels.filter(|n| !is_metadata(n))
    } else {
        labels.clone()
    }
}

/// Which labels make series belong together; names are sorted.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Names listed.
    pub names: &'a [String],
    /// Whether all but `names` and the metric name count, rather than `names` alone.
    pub without: bool,
}

impl Key<'_> {
    /// Whether `name` is part of the key.
    pub fn has(&self, name: &str) -> bool {
        let listed = self.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok();
        if self.without { !listed && name != METRIC_NAME } else { listed }
    }

    /// The key's part of `labels`.
    pub fn of(&self, labels: &Labels) -> Labels {
        if !self.without && self.names.is_empty() {
            return Labels::empty();
        }
        labels.filter(|n| self.has(n))
    }
}

/// Dense numbers for label sets, in order of first appearance.
#[derive(Debug, Default)]
pub struct Numbering {
    table: HashTable<u32>,
    labels: Vec<Labels>,
    hasher: FixedState,
}

impl Numbering {
    /// The number of `labels`, a new one where they were not seen.
    pub fn number(&mut self, labels: Labels) -> u32 {
        let Self { table, labels: known, hasher } = self;
        let hash = |l: &Labels| hasher.hash_one(l.as_bytes());
        let entry =
            table.entry(hash(&labels), |i| known[*i as usize] == labels, |i| hash(&known[*i as usize]));
        match entry {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let number = known.len() as u32;
                e.insert(number);
                known.push(labels);
                number
            }
        }
    }

    /// The number of `labels`, if they were seen.
    pub fn find(&self, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one(labels.as_bytes());
        self.table.find(hash, |i| self.labels[*i as usize] == *labels).copied()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The label sets by number.
    pub fn into_labels(self) -> Vec<Labels> {
        self.labels
    }

    /// The label sets by number.
    pub fn labels(&self) -> &[Labels] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_stable() {
        let mut numbering = Numbering::default();
        let (a, b) = (Labels::from_pairs([("a", "1")]), Labels::from_pairs([("a", "2")]));
        assert_eq!(
            [numbering.number(a.clone()), numbering.number(b.clone()), numbering.number(a)],
            [0, 1, 0]
        );
        assert_eq!(numbering.find(&b), Some(1));
        assert_eq!(numbering.find(&Labels::empty()), None);
    }

    #[test]
    fn keys_leave_the_name_out_unless_it_is_listed() {
        let labels = Labels::from_pairs([("__name__", "m"), ("a", "1"), ("b", "2")]);
        let names = ["a".to_owned()];
        assert_eq!(Key { names: &names, without: true }.of(&labels), Labels::from_pairs([("b", "2")]));
        assert_eq!(Key { names: &names, without: false }.of(&labels), Labels::from_pairs([("a", "1")]));
    }
}
