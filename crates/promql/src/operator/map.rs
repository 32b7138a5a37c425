//! Functions of each sample alone.

use std::ops::Range;

use crate::block::{Block, RowMut, ones, unset};
use crate::error::QueryError;
use crate::grid::Grid;
use crate::histogram::{arithmetic::mul, native};
use crate::numeric::arithmetic::{self, to_i64};
use crate::numeric::{hyperbolic, logarithm, power, trigonometry};
use crate::operator::calendar::{self, Date};
use crate::operator::scalar::{Scalar, evaluate_all};
use crate::operator::{Rows, Table, merge};
use crate::plan::{ScalarPlan, VectorPlan};
use crate::query::Query;

/// A function of one sample.
#[derive(Clone, Copy, Debug)]
pub enum MapFn {
    /// A function of the float; histograms go away.
    Float(fn(f64) -> f64),
    /// `round(v, to)`.
    Round,
    /// `clamp(v, min, max)`.
    Clamp,
    /// `clamp_min(v, min)`.
    ClampMin,
    /// `clamp_max(v, max)`.
    ClampMax,
    /// A function of the histogram; floats go away.
    Histogram(fn(&norn_model::histogram::FloatHistogram) -> f64),
    /// The step's time in seconds.
    StepTime,
    /// `-v`.
    Negate,
    /// The sample as it is; metadata labels go.
    Identity,
    /// No sample at all.
    Nothing,
}

impl MapFn {
    /// The function called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "abs" => Self::Float(f64::abs),
            "ceil" => Self::Float(f64::ceil),
            "floor" => Self::Float(f64::floor),
            "exp" => Self::Float(power::exp),
            "sqrt" => Self::Float(f64::sqrt),
            "ln" => Self::Float(logarithm::log),
            "log2" => Self::Float(logarithm::log2),
            "log10" => Self::Float(logarithm::log10),
            "sin" => Self::Float(trigonometry::sin),
            "cos" => Self::Float(trigonometry::cos),
            "tan" => Self::Float(trigonometry::tan),
            "asin" => Self::Float(trigonometry::asin),
            "acos" => Self::Float(trigonometry::acos),
            "atan" => Self::Float(trigonometry::atan),
            "sinh" => Self::Float(hyperbolic::sinh),
            "cosh" => Self::Float(hyperbolic::cosh),
            "tanh" => Self::Float(hyperbolic::tanh),
            "asinh" => Self::Float(hyperbolic::asinh),
            "acosh" => Self::Float(hyperbolic::acosh),
            "atanh" => Self::Float(hyperbolic::atanh),
            "rad" => Self::Float(|v| v * std::f64::consts::PI / 180.0),
            "deg" => Self::Float(|v| v * 180.0 / std::f64::consts::PI),
            "sgn" => Self::Float(sign),
            "day_of_month" => Self::Float(|v| date(v).day as f64),
            "day_of_week" => Self::Float(|v| calendar::day_of_week(to_i64(v)) as f64),
            "day_of_year" => Self::Float(|v| date(v).day_of_year() as f64),
            "days_in_month" => Self::Float(|v| date(v).days_in_month() as f64),
            "hour" => Self::Float(|v| (calendar::second_of_day(to_i64(v)) / 3600) as f64),
            "minute" => Self::Float(|v| (calendar::second_of_day(to_i64(v)) / 60 % 60) as f64),
            "month" => Self::Float(|v| date(v).month as f64),
            "year" => Self::Float(|v| date(v).year as f64),
            "round" => Self::Round,
            "clamp" => Self::Clamp,
            "clamp_min" => Self::ClampMin,
            "clamp_max" => Self::ClampMax,
            "histogram_count" => Self::Histogram(|h| h.count),
            "histogram_sum" => Self::Histogram(|h| h.sum),
            "histogram_avg" => Self::Histogram(native::average),
            "histogram_stddev" => Self::Histogram(|h| native::variance(h).sqrt()),
            "histogram_stdvar" => Self::Histogram(native::variance),
            "start_timestamp" => Self::Nothing,
            _ => return None,
        })
    }
}

/// Opens `func` over `input`.
pub fn open<'q>(
    func: MapFn,
    args: &'q [ScalarPlan],
    input: &'q VectorPlan,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let args = evaluate_all(args, grid, q)?;
    let input = super::open(input, grid, q)?;
    let mut series = input.series.clone();
    for s in &mut series {
        match func {
            MapFn::Histogram(_) => s.drop_name(&q.features),
            _ => s.drop_metadata(&q.features),
        }
    }
    let table = Table::new(q, &grid, series, Map { func, args, grid, input })?;
    merge::equal_labels(table, grid, q)
}

struct Map<'q> {
    func: MapFn,
    args: Vec<Scalar>,
    grid: Grid,
    input: Table<'q>,
}

impl Rows for Map<'_> {
    fn fill(&self, q: &Query, rows: Range<usize>, out: &mut Block) -> Result<(), QueryError> {
        let count = rows.len();
        self.input.fill(q, rows, out)?;
        for i in 0..count {
            self.apply(&mut out.row_mut(i));
        }
        Ok(())
    }
}

impl Map<'_> {
    fn apply(&self, row: &mut RowMut<'_>) {
        match self.func {
            MapFn::Float(f) => floats(row, |_, v| f(v)),
            MapFn::Round => floats(row, |k, v| arithmetic::round(v, self.arg(0, k, 1.0))),
            MapFn::Clamp => self.clamp(row),
            MapFn::ClampMin => floats(row, |k, v| arithmetic::max(self.arg(0, k, f64::NAN), v)),
            MapFn::ClampMax => floats(row, |k, v| arithmetic::min(self.arg(0, k, f64::NAN), v)),
            MapFn::Histogram(f) => {
                row.live.fill(0);
                for (k, h) in std::mem::take(row.histograms) {
                    row.set(k as usize, f(&h));
                }
            }
            MapFn::StepTime => {
                for (k, _) in std::mem::take(row.histograms) {
                    row.set(k as usize, 0.0);
                }
                floats(row, |k, _| self.grid.time(k) as f64 / 1000.0);
            }
            MapFn::Negate => {
                for k in ones(row.live) {
                    row.values[k] = -row.values[k];
                }
                for (_, h) in row.histograms.iter_mut() {
                    mul(std::sync::Arc::make_mut(h), -1.0);
                }
            }
            MapFn::Identity => {}
            MapFn::Nothing => row.clear(),
        }
    }

    fn arg(&self, i: usize, k: usize, missing: f64) -> f64 {
        self.args.get(i).map_or(missing, |s| s.at(k))
    }

    fn clamp(&self, row: &mut RowMut<'_>) {
        row.histograms.clear();
        for k in 0..self.grid.steps {
            let (min, max) = (self.arg(0, k, f64::NAN), self.arg(1, k, f64::NAN));
            if max < min {
                unset(row.live, k);
            }
            row.values[k] = arithmetic::max(min, arithmetic::min(max, row.values[k]));
        }
    }
}

/// Applies `f` to every float; histograms go away.
fn floats(row: &mut RowMut<'_>, f: impl Fn(usize, f64) -> f64) {
    row.histograms.clear();
    for k in ones(row.live) {
        row.values[k] = f(k, row.values[k]);
    }
}

fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

fn date(v: f64) -> Date {
    Date::of_seconds(to_i64(v))
}
