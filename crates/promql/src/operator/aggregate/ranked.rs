//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.
//!
//! Which of several equal values wins, and the order of an instant result, follow from the heap of
//! the reference's language: the same sifting steps are done here.

use norn_model::labels::Labels;
use norn_promql_syntax::ast::AggregateOp;

use crate::annotation::NoteKind;
use crate::block::{Block, Cell, Histogram, Row};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::numeric::format::general;
use crate::operator::Table;
use crate::operator::aggregate::Groups;
use crate::operator::scalar::Scalar;
use crate::plan::AggregatePlan;
use crate::query::Query;
use crate::series::Series;

/// Evaluates the aggregation.
pub(super) fn evaluate<'q>(
    plan: &AggregatePlan,
    input: Table<'q>,
    param: &Scalar,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let limits = match limits(plan, param, input.series.len(), grid, q) {
        Ok(Some(limits)) => limits,
        nothing => {
            // What is not picked is evaluated all the same: it may annotate, or fail first.
            input.for_each(q, |_, _| Ok(()))?;
            nothing?;
            return Table::empty(q, &grid);
        }
    };
    let groups = Groups::new(plan, &input);
    let mut order: Vec<u32> = Vec::new();
    let mut known = vec![false; groups.labels.len()];
    let mut charge = q.reserve(groups.labels.len(), grid.steps, size_of::<Heap>())?;
    let mut heaps: Vec<Heap> = (0..groups.labels.len() * grid.steps).map(|_| Heap::default()).collect();
    input.for_each(q, |i, row| {
        if row.is_empty() {
            return Ok(());
        }
        let group = groups.of_row[i] as usize;
        if !std::mem::replace(&mut known[group], true) {
            order.push(group as u32);
        }
        let heaps = &mut heaps[group * grid.steps..(group + 1) * grid.steps];
        let grown = take(plan, &limits, (i as u32, &input.series[i].labels), row, heaps, q);
        charge.grow(grown * size_of::<Item>())
    })?;
    if grid.is_instant() {
        return instant(plan, &input, &order, heaps, q);
    }
    range(&input, heaps, grid, q)
}

/// What each step may pick.
enum Limits {
    /// At most this many a group.
    Count(Vec<usize>),
    /// Series whose hash lies in this share.
    Ratio(Vec<f64>),
}

fn limits(
    plan: &AggregatePlan,
    param: &Scalar,
    series: usize,
    grid: Grid,
    q: &Query,
) -> Result<Option<Limits>, QueryError> {
    let least = param.iter(grid.steps).fold(f64::INFINITY, f64::min);
    let most = param.iter(grid.steps).fold(f64::NEG_INFINITY, f64::max);
    let has_nan = param.iter(grid.steps).any(f64::is_nan);
    let all_nan = param.iter(grid.steps).all(f64::is_nan);
    if plan.op == AggregateOp::LimitRatio {
        if has_nan {
            return Err(QueryError::execution("Ratio value is NaN"));
        }
        if least == 0.0 && most == 0.0 {
            return Ok(None);
        }
        let warn = |got: f64, cap: f64| {
            let subject = format!("{}, capping to {}", general(got), general(cap));
            q.notes.add(NoteKind::Ratio, plan.param_position, &subject);
        };
        if most > 1.0 {
            warn(most, 1.0);
        }
        if least < -1.0 {
            warn(least, -1.0);
        }
        return Ok(Some(Limits::Ratio(param.iter(grid.steps).map(|r| r.clamp(-1.0, 1.0)).collect())));
    }
    if most < 1.0 && !all_nan {
        return Ok(None);
    }
    if has_nan {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    if least <= i64::MIN as f64 {
        return Err(QueryError::execution(format!("Scalar value {} underflows int64", general(least))));
    }
    if most >= i64::MAX as f64 {
        return Err(QueryError::execution(format!("Scalar value {} overflows int64", general(most))));
    }
    let count = |v: f64| (v as i64).clamp(0, series as i64) as usize;
    Ok(Some(Limits::Count(param.iter(grid.steps).map(count).collect())))
}

/// Offers the cells of a row to the heaps of its group; says how many items there are more.
fn take(
    plan: &AggregatePlan,
    limits: &Limits,
    (index, labels): (u32, &Labels),
    row: &Row<'_>,
    heaps: &mut [Heap],
    q: &Query,
) -> usize {
    let share = match limits {
        Limits::Ratio(_) => share_of(labels),
        Limits::Count(_) => 0.0,
    };
    let mut grown = 0;
    for (k, cell) in row.cells() {
        let (value, histogram) = match cell {
            Cell::Float(v) => (v, None),
            Cell::Histogram(h) => (0.0, Some(h.clone())),
        };
        let ranked = matches!(plan.op, AggregateOp::TopK | AggregateOp::BottomK);
        if histogram.is_some() && ranked {
            let name = if plan.op == AggregateOp::TopK { "topk" } else { "bottomk" };
            q.notes.add(NoteKind::IgnoredInGroup, plan.position, name);
            continue;
        }
        let heap = &mut heaps[k];
        let before = heap.items.len();
        let item = Item { value, row: index, histogram };
        match limits {
            Limits::Ratio(ratios) => {
                let r = ratios[k];
                if (r >= 0.0 && share < r) || (r < 0.0 && share >= 1.0 + r) {
                    heap.push(item, less(plan.op));
                }
            }
            Limits::Count(counts) if before < counts[k] => heap.push(item, less(plan.op)),
            Limits::Count(counts) if ranked && counts[k] > 0 => heap.replace(item, less(plan.op)),
            Limits::Count(_) => {}
        }
        grown += heap.items.len() - before;
    }
    grown
}

type Less = fn(f64, f64) -> bool;

/// The order of the heap: the first to go is on top.
fn less(op: AggregateOp) -> Less {
    match op {
        AggregateOp::BottomK => |a, b| a.is_nan() || a > b,
        _ => |a, b| a.is_nan() || a < b,
    }
}

/// A chosen sample.
struct Item {
    value: f64,
    row: u32,
    histogram: Option<Histogram>,
}

/// A binary heap in an array, sifted as the reference's.
#[derive(Default)]
struct Heap {
    items: Vec<Item>,
}

impl Heap {
    fn push(&mut self, item: Item, less: Less) {
        self.items.push(item);
        let mut child = self.items.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !less(self.items[child].value, self.items[parent].value) {
                break;
            }
            self.items.swap(child, parent);
            child = parent;
        }
    }

    /// Replaces the top if `item` is strictly better, or is a number where the top is none.
    fn replace(&mut self, item: Item, less: Less) {
        let top = self.items[0].value;
        let better =
            if top.is_nan() { !item.value.is_nan() } else { !item.value.is_nan() && less(top, item.value) };
        if better {
            self.items[0] = item;
            self.sift_down(less);
        }
    }

    fn sift_down(&mut self, less: Less) {
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= self.items.len() {
                return;
            }
            let right = left + 1;
            let better_right =
                right < self.items.len() && less(self.items[right].value, self.items[left].value);
            let child = if better_right { right } else { left };
            if !less(self.items[child].value, self.items[parent].value) {
                return;
            }
            self.items.swap(parent, child);
            parent = child;
        }
    }

    /// Best first.
    fn sort(&mut self, less: Less) {
        for i in 1..self.items.len().min(12) {
            let mut j = i;
            while j > 0 && less(self.items[j - 1].value, self.items[j].value) {
                self.items.swap(j, j - 1);
                j -= 1;
            }
        }
        if self.items.len() > 12 {
            self.items.sort_by(|a, b| match (less(b.value, a.value), less(a.value, b.value)) {
                (true, false) => std::cmp::Ordering::Less,
                (false, true) => std::cmp::Ordering::Greater,
                _ => std::cmp::Ordering::Equal,
            });
        }
    }
}

/// The result of an instant query, in its order: group by group.
fn instant<'q>(
    plan: &AggregatePlan,
    input: &Table<'_>,
    order: &[u32],
    mut heaps: Vec<Heap>,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let mut items = Vec::new();
    for group in order {
        let mut heap = std::mem::take(&mut heaps[*group as usize]);
        if matches!(plan.op, AggregateOp::TopK | AggregateOp::BottomK) {
            heap.sort(less(plan.op));
        }
        items.extend(heap.items);
    }
    let mut block = Block::new(items.len(), 1);
    let mut series: Vec<Series> = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        put(&mut block, i, 0, &item);
        series.push(input.series[item.row as usize].clone());
    }
    Table::stored(q, series, block)
}

/// The result of a range query: a row for each series that was ever picked.
fn range<'q>(input: &Table<'_>, heaps: Vec<Heap>, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let mut picked: Vec<u32> = heaps.iter().flat_map(|h| h.items.iter().map(|i| i.row)).collect();
    picked.sort_unstable();
    picked.dedup();
    let _charge = q.reserve(picked.len(), grid.steps, 8)?;
    let mut block = Block::new(picked.len(), grid.steps);
    // By step, so that each row gets its histograms in order.
    for k in 0..grid.steps {
        for item in heaps.iter().skip(k).step_by(grid.steps).flat_map(|h| &h.items) {
            if let Ok(row) = picked.binary_search(&item.row) {
                put(&mut block, row, k, item);
            }
        }
    }
    let series = picked.iter().map(|row| input.series[*row as usize].clone()).collect();
    Table::stored(q, series, block)
}

fn put(block: &mut Block, row: usize, k: usize, item: &Item) {
    match &item.histogram {
        Some(h) => block.row_mut(row).push(k, h.clone()),
        None => block.row_mut(row).set(k, item.value),
    }
}

/// Where a series lies in 0…1: its hash over 2^64.
fn share_of(labels: &Labels) -> f64 {
    let mut bytes = Vec::with_capacity(labels.size_bytes() + 8);
    for text in labels.iter().flat_map(|(n, v)| [n, v]) {
        match text.len() {
            len @ 0..255 => bytes.push(len as u8),
            len => bytes.extend([255, len as u8, (len >> 8) as u8, (len >> 16) as u8]),
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    twox_hash::XxHash64::oneshot(0, &bytes) as f64 / 18_446_744_073_709_551_616.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(op: AggregateOp, k: usize, values: &[f64]) -> Vec<u32> {
        let mut heap = Heap::default();
        for (row, value) in values.iter().enumerate() {
            let item = Item { value: *value, row: row as u32 + 1, histogram: None };
            if heap.items.len() < k { heap.push(item, less(op)) } else { heap.replace(item, less(op)) }
        }
        if matches!(op, AggregateOp::TopK | AggregateOp::BottomK) {
            heap.sort(less(op));
        }
        heap.items.iter().map(|i| i.row).collect()
    }

    #[test]
    fn ties_follow_the_heap() {
        let values = [1e308, -1e308, -1e308, 1e308];
        assert_eq!(ranked(AggregateOp::TopK, 3, &values), [1, 4, 3]);
        assert_eq!(ranked(AggregateOp::BottomK, 2, &values), [3, 2]);
    }

    #[test]
    fn numbers_replace_nan() {
        assert_eq!(ranked(AggregateOp::TopK, 1, &[f64::NAN, 1.0]), [2]);
        assert_eq!(ranked(AggregateOp::BottomK, 2, &[f64::NAN, 5.0, f64::NAN, 1.0]), [4, 2]);
    }
}
