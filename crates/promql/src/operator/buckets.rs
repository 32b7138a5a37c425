//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`: over native histograms, and
//! over classic ones, whose buckets are series told apart by `le`.

use norn_model::labels::Labels;
use norn_model::quote::Quoted;

use crate::annotation::{NoteKind, Repair, for_metric};
use crate::block::{Block, Cell, Histogram};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::histogram::classic::{self, ClassicBucket};
use crate::histogram::native::{self, NanEffect};
use crate::numeric::format::{general, open_metrics};
use crate::operator::scalar::{Scalar, evaluate_all};
use crate::operator::{Collected, Table, merge, open as open_vector};
use crate::plan::{BucketsFn, BucketsPlan};
use crate::query::Query;
use crate::series::{Numbering, Series};

const BUCKET_LABEL: &str = "le";

/// Opens the function.
pub fn open<'q>(plan: &'q BucketsPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let args = evaluate_all(&plan.args, grid, q)?;
    let input = open_vector(&plan.input, grid, q)?;
    let rows = input.collect(q)?;
    let sets = Sets::new(&input.series, &rows);
    let mut walk =
        Walk { plan, args, q, grid, series: &input.series, rows: &rows, sets: &sets, buckets: Vec::new() };
    let (series, keys) = walk.outputs();
    let _charge = q.reserve(series.len(), grid.steps, 8)?;
    let mut block = Block::new(series.len(), grid.steps);
    for k in 0..grid.steps {
        q.check()?;
        walk.step(k, &keys, &mut block);
        q.notes.step_ended(plan.position);
    }
    merge::equal_labels(Table::stored(q, series, block)?, grid, q)
}

/// Which rows belong together: a number for all labels but `le`.
struct Sets {
    /// By row, its set as a bucket and its bound; without a bound the row is no bucket.
    bucket: Vec<(u32, Option<f64>)>,
    /// By row, its set as a native histogram.
    native: Vec<u32>,
    /// By set, the rows that are its buckets.
    members: Vec<Vec<u32>>,
    labels: Vec<Labels>,
}

impl Sets {
    fn new(series: &[Series], rows: &Collected) -> Self {
        let mut numbering = Numbering::default();
        let mut sets =
            Self { bucket: Vec::new(), native: Vec::new(), members: Vec::new(), labels: Vec::new() };
        for s in series {
            let bound = s.labels.get(BUCKET_LABEL).parse().ok();
            sets.bucket.push((numbering.number(s.labels.filter(|n| n != BUCKET_LABEL)), bound));
            sets.native.push(numbering.number(s.labels.clone()));
        }
        sets.members = vec![Vec::new(); numbering.count()];
        for (row, (set, bound)) in sets.bucket.iter().enumerate() {
            let has_floats = rows.block.row(row).live.iter().any(|w| *w != 0);
            if bound.is_some() && has_floats {
                sets.members[*set as usize].push(row as u32);
            }
        }
        sets.labels = numbering.into_labels();
        sets
    }
}

/// What an output row is computed from.
#[derive(Clone, Copy)]
enum Input {
    /// A row's histograms.
    Native(u32),
    /// A set's buckets.
    Classic(u32),
}

struct Walk<'a> {
    plan: &'a BucketsPlan,
    args: Vec<Scalar>,
    q: &'a Query,
    grid: Grid,
    series: &'a [Series],
    rows: &'a Collected,
    sets: &'a Sets,
    buckets: Vec<ClassicBucket>,
}

impl Walk<'_> {
    /// Output series, and what each is computed from: one for each quantile.
    fn outputs(&self) -> (Vec<Series>, Vec<(Input, usize)>) {
        let (mut series, mut keys) = (Vec::new(), Vec::new());
        let mut push = |labels: &Labels, input| {
            let mut out = Series::new(labels.clone());
            out.drop_metadata(&self.q.features);
            match &self.plan.func {
                BucketsFn::Quantiles(label) => {
                    for (i, q) in self.args.iter().enumerate() {
                        let mut builder = out.labels.to_builder();
                        builder.set(label, &open_metrics(q.at(0)));
                        series.push(Series { labels: builder.build(), drop_name: out.drop_name });
                        keys.push((input, i));
                    }
                }
                _ => {
                    series.push(out);
                    keys.push((input, 0));
                }
            }
        };
        for row in 0..self.rows.block.rows() {
            if !self.rows.block.row(row).histograms.is_empty() {
                push(&self.series[row].labels, Input::Native(row as u32));
            }
        }
        for (set, members) in self.sets.members.iter().enumerate() {
            if !members.is_empty() {
                push(&self.sets.labels[set], Input::Classic(set as u32));
            }
        }
        (series, keys)
    }

    fn step(&mut self, k: usize, keys: &[(Input, usize)], out: &mut Block) {
        self.check_arguments(k);
        self.check_bounds(k);
        let mixed = self.mixed(k);
        for (i, (input, arg)) in keys.iter().enumerate() {
            let value = match input {
                Input::Native(row) => {
                    let Some(Cell::Histogram(h)) = self.rows.block.row(*row as usize).cell(k) else {
                        continue;
                    };
                    if mixed.contains(&self.sets.native[*row as usize]) {
                        continue;
                    }
                    let h = h.clone();
                    self.native(&h, self.series[*row as usize].labels.metric_name(), k, *arg)
                }
                Input::Classic(set) => {
                    if mixed.contains(set) {
                        continue;
                    }
                    let Some(value) = self.classic(*set, k, *arg) else { continue };
                    value
                }
            };
            out.row_mut(i).set(k, value);
        }
    }

    fn check_arguments(&self, k: usize) {
        if self.plan.func == BucketsFn::Fraction {
            return;
        }
        for (arg, position) in self.args.iter().zip(&self.plan.arg_positions) {
            let q = arg.at(k);
            if !(0.0..=1.0).contains(&q) {
                self.q.notes.add(NoteKind::Quantile, *position, &general(q));
            }
        }
    }

    fn check_bounds(&self, k: usize) {
        for (row, (_, bound)) in self.sets.bucket.iter().enumerate() {
            if bound.is_none() && self.rows.block.row(row).float(k).is_some() {
                let labels = &self.series[row].labels;
                let subject =
                    format!("{}{}", Quoted(labels.get(BUCKET_LABEL)), for_metric(self.known_name(labels)));
                self.q.notes.add(NoteKind::BadBucketLabel, self.plan.position, &subject);
            }
        }
    }

    /// Sets that have both buckets and a native histogram at this step: neither is used.
    fn mixed(&self, k: usize) -> Vec<u32> {
        let mut mixed = Vec::new();
        for row in 0..self.rows.block.rows() {
            let set = self.sets.native[row];
            let members = &self.sets.members[set as usize];
            if members.is_empty() || !matches!(self.rows.block.row(row).cell(k), Some(Cell::Histogram(_))) {
                continue;
            }
            if members.iter().any(|m| self.rows.block.row(*m as usize).float(k).is_some()) {
                let name = self.known_name(&self.series[row].labels);
                self.q.notes.add(NoteKind::MixedClassicNative, self.plan.position, name);
                mixed.push(set);
            }
        }
        mixed
    }

    /// The metric name, where names are kept until the end.
    fn known_name<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.q.features.delayed_name_removal { labels.metric_name() } else { "" }
    }

    fn native(&self, h: &Histogram, name: &str, k: usize, arg: usize) -> f64 {
        let name = if self.q.features.delayed_name_removal { name } else { "" };
        let (value, effect) = match self.plan.func {
            BucketsFn::Fraction => native::fraction(self.args[0].at(k), self.args[1].at(k), h),
            _ => native::quantile(self.args[arg].at(k), h),
        };
        let tail = match effect {
            NanEffect::None => return value,
            NanEffect::Result => "histogram_quantile has NaN observations, result is NaN",
            NanEffect::Skewed => "histogram_quantile has NaN observations, result is skewed higher",
            NanEffect::Excluded => {
                "histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        };
        let subject = format!("{tail}{}", for_metric(name));
        self.q.notes.add(NoteKind::NanObservations, self.plan.position, &subject);
        value
    }

    fn gather(&mut self, set: u32, k: usize) {
        self.buckets.clear();
        for row in &self.sets.members[set as usize] {
            let (_, bound) = self.sets.bucket[*row as usize];
            if let (Some(upper), Some(count)) = (bound, self.rows.block.row(*row as usize).float(k)) {
                self.buckets.push(ClassicBucket { upper, count });
            }
        }
    }

    fn classic(&mut self, set: u32, k: usize, arg: usize) -> Option<f64> {
        // Further quantiles read what the first has repaired.
        if arg == 0 || self.plan.func == BucketsFn::Fraction {
            self.gather(set, k);
        }
        if self.buckets.is_empty() {
            return None;
        }
        if self.plan.func == BucketsFn::Fraction {
            return Some(classic::fraction(self.args[0].at(k), self.args[1].at(k), &mut self.buckets));
        }
        let (value, repair) = classic::quantile(self.args[arg].at(k), &mut self.buckets);
        if let Some(r) = repair {
            let repair = Repair { lowest: r.min_bucket, highest: r.max_bucket, difference: r.max_diff };
            let name = self.known_name(&self.sets.labels[set as usize]);
            self.q.notes.repaired(self.plan.position, name, repair, self.grid.time(k));
        }
        Some(value)
    }
}
