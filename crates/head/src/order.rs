//! Labels of many series, in label order.
//!
//! Series share most of their pairs: the distinct pairs are sorted by text once, series are sorted
//! by the ranks of their pairs, and texts are copied out of the catalog once per pair.

use std::cmp::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use norn_model::labels::Labels;

use crate::catalog::PairId;
use crate::identity::{self, SeriesRef};
use crate::select;
use crate::shared::Shared;

/// See the module doc.
#[derive(Default)]
struct Pairs {
    /// Texts of distinct pairs, name and value, one behind the other.
    text: String,
    /// Ends of name and value in `text`, by position of a pair.
    ends: Vec<(usize, usize)>,
}

impl Pairs {
    fn push(&mut self, (name, value): (&str, &str)) {
        self.text.push_str(name);
        let end = self.text.len();
        self.text.push_str(value);
        self.ends.push((end, self.text.len()));
    }

    fn get(&self, position: u32) -> (&str, &str) {
        let position = position as usize;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (name, value) = self.ends[position];
        (&self.text[start..name], &self.text[name..value])
    }

    /// For each position its rank by text.
    fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.ends.len() as u32).collect();
        sorted.sort_unstable_by(|&a, &b| self.get(a).cmp(&self.get(b)));
        let mut ranks = vec![0; sorted.len()];
        for (rank, position) in sorted.iter().enumerate() {
            ranks[*position as usize] = rank as u32;
        }
        ranks
    }
}

/// Pairs of series, as positions in [`Pairs`].
#[derive(Default)]
struct Rows {
    positions: Vec<u32>,
    ends: Vec<usize>,
}

impl Rows {
    fn get(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.positions[start..self.ends[row]]
    }
}

/// Sorts `series` by labels and gives their labels in that order. Those that have gone are left
/// out.
pub(crate) fn materialise(shared: &Shared, series: &mut Vec<SeriesRef>) -> Vec<Labels> {
    let (pairs, rows) = copy_out(shared, series);
    let ranks = pairs.ranks();
    let by_rank = |a: &usize, b: &usize| -> Ordering {
        let rank = |position: &u32| ranks[*position as usize];
        rows.get(*a).iter().map(rank).cmp(rows.get(*b).iter().map(rank))
    };
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_unstable_by(by_rank);
    *series = order.iter().map(|&row| series[row]).collect();
    let mut scratch = String::new();
    let labels = |&row: &usize| {
        let texts = rows.get(row).iter().map(|&position| pairs.get(position));
        Labels::from_sorted_with(texts, &mut scratch)
    };
    order.iter().map(labels).collect()
}

/// Copies the pairs of `series`, of which those stay that exist.
fn copy_out(shared: &Shared, series: &mut Vec<SeriesRef>) -> (Pairs, Rows) {
    let (mut pairs, mut rows) = (Pairs::default(), Rows::default());
    let mut positions: HashMap<PairId, u32, RandomState> = HashMap::default();
    let mut kept = Vec::with_capacity(series.len());
    select::in_slices(shared, series.iter().copied(), |catalog, series| {
        let before = rows.positions.len();
        for pair in identity::pairs(catalog.identities().get(series)) {
            let position = *positions.entry(pair).or_insert_with(|| {
                pairs.push(catalog.pair_texts(pair));
                pairs.ends.len() as u32 - 1
            });
            rows.positions.push(position);
        }
        if rows.positions.len() > before {
            rows.ends.push(rows.positions.len());
            kept.push(series);
        }
    });
    *series = kept;
    (pairs, rows)
}
