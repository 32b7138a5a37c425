//! `info`: adds labels of info series, matched by `instance` and `job` at each step.

use std::collections::{BTreeMap, HashMap, HashSet};

use norn_model::labels::{Labels, METRIC_NAME};
use norn_model::matcher::Matcher;

use crate::block::{Block, Row};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::select::selection;
use crate::operator::{Collected, Table, merge, open as open_vector};
use crate::plan::{InfoPlan, SelectPlan, Yield};
use crate::query::Query;
use crate::series::{Key, Numbering, Series};

/// Opens the function.
pub fn open<'q>(plan: &'q InfoPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let base = open_vector(&plan.input, grid, q)?;
    let rows = base.collect(q)?;
    let identity = ["instance".to_owned(), "job".to_owned()];
    let key = Key { names: &identity, without: false };
    let infos = Infos::read(plan, grid, q, &key, &base.series)?;
    let mut walk = Walk { plan, infos: &infos, key: &key, output: Output::new(grid) };
    for k in 0..grid.steps {
        q.check()?;
        q.reserve(walk.output.series.len(), grid.steps, 8)?;
        let newest = infos.newest(k)?;
        for (row, series) in base.series.iter().enumerate() {
            walk.element(series, &rows.block.row(row), k, &newest)?;
        }
    }
    let Output { series, block, .. } = walk.output;
    merge::equal_labels(Table::stored(q, series, block)?, grid, q)
}

/// All info series with the time of their newest sample at each step.
struct Infos {
    labels: Vec<Labels>,
    /// Whether the base vector has their instance and job.
    asked: Vec<bool>,
    /// Number of instance and job.
    identity: Vec<u32>,
    numbering: Numbering,
    /// Times in seconds.
    times: Collected,
}

impl Infos {
    fn read(
        plan: &InfoPlan,
        grid: Grid,
        q: &Query,
        key: &Key<'_>,
        base: &[Series],
    ) -> Result<Self, QueryError> {
        let select = |yields| SelectPlan {
            selector: plan.selector,
            map: plan.map,
            span: plan.span,
            lookback: plan.lookback,
            yields,
            smoothed: false,
            statistics: false,
            position: 0,
        };
        let labels = selection(q, plan.selector)?.labels.clone();
        let asked: HashSet<Labels> = base.iter().map(|s| key.of(&s.labels)).collect();
        let (value, time) = (select(Yield::Value), select(Yield::Timestamp));
        super::select::open(&value, grid, q)?.for_each(q, |i, row| {
            if row.histograms.is_empty() || !asked.contains(&key.of(&labels[i])) {
                return Ok(());
            }
            Err(QueryError::execution(format!(
                "this should be an info metric, with float samples: {}",
                labels[i]
            )))
        })?;
        let times = super::select::open(&time, grid, q)?.collect(q)?;
        let asked = labels.iter().map(|l| asked.contains(&key.of(l))).collect();
        let mut numbering = Numbering::default();
        let identity = labels.iter().map(|l| numbering.number(key.of(l))).collect();
        Ok(Self { labels, asked, identity, numbering, times })
    }

    /// By identity, the newest series of each info metric at step `k`.
    fn newest(&self, k: usize) -> Result<HashMap<u32, Vec<u32>>, QueryError> {
        let mut chosen: BTreeMap<(u32, &str), (f64, u32)> = BTreeMap::new();
        for (i, labels) in self.labels.iter().enumerate() {
            let Some(time) = self.times.block.row(i).float(k).filter(|_| self.asked[i]) else { continue };
            let slot = (self.identity[i], labels.metric_name());
            match chosen.get(&slot) {
                Some((other, existing)) if *other == time => {
                    let ms = (time * 1000.0).round() as i64;
                    return Err(QueryError::execution(format!(
                        "found duplicate series for info metric: existing {} @ {ms}, new {labels} @ {ms}",
                        self.labels[*existing as usize]
                    )));
                }
                Some((other, _)) if *other > time => {}
                _ => {
                    chosen.insert(slot, (time, i as u32));
                }
            }
        }
        let mut newest: HashMap<u32, Vec<u32>> = HashMap::new();
        for ((identity, _), (_, series)) in chosen {
            newest.entry(identity).or_default().push(series);
        }
        Ok(newest)
    }
}

struct Walk<'a> {
    plan: &'a InfoPlan,
    infos: &'a Infos,
    key: &'a Key<'a>,
    output: Output,
}

impl Walk<'_> {
    fn element(
        &mut self,
        series: &Series,
        row: &Row<'_>,
        k: usize,
        newest: &HashMap<u32, Vec<u32>>,
    ) -> Result<(), QueryError> {
        let Some(cell) = row.cell(k) else { return Ok(()) };
        let name = series.labels.metric_name();
        if self.plan.name_matchers.iter().all(|m| m.matches(name)) {
            return self.output.put(series.clone(), k, cell);
        }
        let identity = self.infos.numbering.find(&self.key.of(&series.labels));
        let found = identity.and_then(|i| newest.get(&i)).map_or(&[][..], Vec::as_slice);
        let added = self.added(series, found)?;
        // Without an info series only conditions that an absent label fulfils let the element pass.
        if found.is_empty() && !self.plan.label_matchers.iter().all(Matcher::matches_empty) {
            return Ok(());
        }
        let mut builder = series.labels.to_builder();
        added.iter().for_each(|(n, v)| {
            builder.set(n, v);
        });
        let labelled = Series { labels: builder.build(), drop_name: series.drop_name };
        self.output.put(labelled, k, cell)
    }

    /// Labels that info series add to those of `series`.
    fn added(&self, series: &Series, found: &[u32]) -> Result<BTreeMap<String, String>, QueryError> {
        let mut added: BTreeMap<String, String> = BTreeMap::new();
        for info in found {
            for (n, v) in self.infos.labels[*info as usize].iter() {
                let wanted = self.plan.label_matchers.is_empty()
                    || self.plan.label_matchers.iter().any(|m| m.name() == n);
                if n == METRIC_NAME || self.key.has(n) || !wanted || series.labels.has(n) {
                    continue;
                }
                match added.get(n) {
                    Some(other) if other != v => {
                        return Err(QueryError::execution(format!("conflicting label: {n}")));
                    }
                    _ => {
                        added.insert(n.to_owned(), v.to_owned());
                    }
                }
            }
        }
        Ok(added)
    }
}

/// Result rows in the order in which they appear.
struct Output {
    numbers: HashMap<(Labels, bool), usize>,
    series: Vec<Series>,
    block: Block,
    empty: Block,
}

impl Output {
    fn new(grid: Grid) -> Self {
        Self {
            numbers: HashMap::new(),
            series: Vec::new(),
            block: Block::new(0, grid.steps),
            empty: Block::new(1, grid.steps),
        }
    }

    fn put(&mut self, series: Series, k: usize, cell: crate::block::Cell<'_>) -> Result<(), QueryError> {
        let next = self.series.len();
        let row = *self.numbers.entry((series.labels.clone(), series.drop_name)).or_insert(next);
        if row == next {
            self.series.push(series);
            self.block.push(&self.empty.row(0));
        }
        let mut row = self.block.row_mut(row);
        if row.as_row().has(k) {
            return Err(crate::error::same_labelset());
        }
        row.put(k, cell);
        Ok(())
    }
}
