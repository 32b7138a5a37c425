//! What a query does, with all times known.
//!
//! [`build`](build::build) turns a syntax tree and the query's times into a plan: durations are folded, `@` and
//! `offset` become [`TimeMap`]s, step-invariant parts are marked, and every selector is listed
//! with the time range it needs, so that all series can be asked for before evaluation starts.
//! Nodes are typed: what yields one float per step is a [`ScalarPlan`], what yields series is a
//! [`VectorPlan`], what feeds a range function is a [`RangePlan`].

use std::sync::Arc;

use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_promql_syntax::ast::{AggregateOp, BinaryOp, VectorMatching};

use crate::grid::{Grid, TimeMap};
use crate::operator::map::MapFn;
use crate::window::WindowFn;

mod absent;
pub mod build;
mod call;
mod duration;
pub mod explain;
pub mod order;

#[cfg(any(test, feature = "testing"))]
pub(crate) use call::STEPPED;

/// Byte offset into the query text that an annotation points at.
pub type Position = u32;

/// A query.
#[derive(Debug)]
pub struct Plan {
    /// What it yields.
    pub root: Root,
    /// What it reads.
    pub selectors: Vec<Selector>,
    /// When it is evaluated.
    pub grid: Grid,
    /// Whether it is a range query, perhaps of one step.
    pub is_range: bool,
    /// In which order its parts annotate.
    pub order: order::Order,
}

/// The result's type.
#[derive(Debug)]
pub enum Root {
    /// A scalar.
    Scalar(ScalarPlan),
    /// A vector; a matrix in a range query.
    Vector(VectorPlan),
    /// Raw samples of an instant query.
    Range(RangePlan),
    /// A text.
    String(String),
}

/// Series to be selected.
#[derive(Clone, Debug)]
pub struct Selector {
    /// All must pass.
    pub matchers: Arc<[Matcher]>,
    /// First millisecond wanted.
    pub mint: Millis,
    /// Last millisecond wanted.
    pub maxt: Millis,
    /// Where it is written.
    pub position: Position,
}

/// The call a node was made of.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// The function's name.
    pub name: &'static str,
    /// Where it is written.
    pub position: Position,
}

/// One float per step.
#[derive(Debug)]
pub enum ScalarPlan {
    /// The same everywhere.
    Number(f64),
    /// The step's time in seconds.
    Time,
    /// `scalar(v)`.
    Of(Box<VectorPlan>),
    /// Arithmetic or a comparison.
    Binary(BinaryOp, Box<ScalarPlan>, Box<ScalarPlan>),
    /// `-s`.
    Negate(Box<ScalarPlan>),
    /// `min_of(a, b)`.
    Min(Box<ScalarPlan>, Box<ScalarPlan>),
    /// `max_of(a, b)`.
    Max(Box<ScalarPlan>, Box<ScalarPlan>),
    /// Evaluated at the first step only.
    Invariant(Box<ScalarPlan>),
}

/// Series with at most one sample per step.
#[derive(Debug)]
pub enum VectorPlan {
    /// A selector.
    Select(SelectPlan),
    /// A function over ranges.
    Window(WindowPlan),
    /// `absent_over_time(m)`.
    AbsentWindow(RangePlan, Labels),
    /// A function of each sample alone.
    Map(MapPlan),
    /// `-v`.
    Negate(Box<VectorPlan>),
    /// `label_replace`, `label_join`.
    Relabel(crate::operator::relabel::Relabel, Box<VectorPlan>),
    /// An aggregation.
    Aggregate(AggregatePlan),
    /// An operator between two vectors.
    Join(JoinPlan),
    /// `and`, `or`, `unless`.
    Set(BinaryOp, VectorMatching, Box<VectorPlan>, Box<VectorPlan>),
    /// An operator between a vector and a scalar.
    ScalarOp(ScalarOpPlan),
    /// A function over classic buckets and native histograms.
    Buckets(BucketsPlan),
    /// `absent(v)` with the labels of its result.
    Absent(Box<VectorPlan>, Labels),
    /// `sort` and relatives.
    Sort(SortPlan),
    /// `vector(s)`.
    FromScalar(ScalarPlan),
    /// `info(v, sel)`.
    Info(InfoPlan),
    /// Evaluated at the first step only.
    Invariant(Box<VectorPlan>),
}

/// A selector as an instant vector.
#[derive(Debug)]
pub struct SelectPlan {
    /// Index into [`Plan::selectors`].
    pub selector: usize,
    /// Where it looks.
    pub map: TimeMap,
    /// First and last millisecond that samples are read of.
    pub span: (Millis, Millis),
    /// How old a sample may be.
    pub lookback: Millis,
    /// What becomes the value.
    pub yields: Yield,
    /// Whether values are interpolated.
    pub smoothed: bool,
    /// Whether only count and sum of histograms are looked at.
    pub statistics: bool,
    /// Where annotations point.
    pub position: Position,
}

/// What an instant selector makes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yield {
    /// Its value.
    Value,
    /// Its timestamp in seconds.
    Timestamp,
    /// When its series began, in seconds; 0 = not known.
    Start,
}

/// What a range function reads.
#[derive(Debug)]
pub struct RangePlan {
    /// Where samples come from.
    pub source: RangeSource,
    /// Where it looks.
    pub map: TimeMap,
    /// Length of the window.
    pub range: Millis,
    /// Whether only count and sum of histograms are looked at.
    pub statistics: bool,
    /// Whether start timestamps are looked at.
    pub starts: bool,
    /// Where annotations point.
    pub position: Position,
}

/// Where samples of a window come from.
#[derive(Debug)]
pub enum RangeSource {
    /// A selector, by index into [`Plan::selectors`].
    Selector(usize, Extension),
    /// An expression on a grid of its own.
    Subquery(Box<VectorPlan>, Grid),
}

/// What is done at the edges of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nothing.
    None,
    /// `anchored`, with the lookback to the left.
    Anchored(Millis),
    /// `smoothed`, with the lookback to both sides.
    Smoothed(Millis),
}

/// A range function.
#[derive(Debug)]
pub struct WindowPlan {
    /// The function.
    pub func: WindowFn,
    /// What it is called in the query.
    pub called: Called,
    /// Its scalar arguments.
    pub args: Vec<ScalarPlan>,
    /// What it reads.
    pub input: RangePlan,
    /// Where annotations about arguments point.
    pub position: Position,
}

/// A function of each sample alone.
#[derive(Debug)]
pub struct MapPlan {
    /// The function.
    pub func: MapFn,
    /// What it is called in the query.
    pub called: Called,
    /// Its scalar arguments.
    pub args: Vec<ScalarPlan>,
    /// Where its samples come from.
    pub input: Box<VectorPlan>,
}

/// An aggregation.
#[derive(Debug)]
pub struct AggregatePlan {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub input: Box<VectorPlan>,
    /// The numeric parameter.
    pub param: Option<Box<ScalarPlan>>,
    /// The label of `count_values`.
    pub label: String,
    /// Sorted labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `without` was used.
    pub without: bool,
    /// The aggregated expression.
    pub input_position: Position,
    /// The parameter.
    pub param_position: Position,
    /// The whole aggregation.
    pub position: Position,
}

/// An operator between two vectors.
#[derive(Debug)]
pub struct JoinPlan {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`.
    pub return_bool: bool,
    /// How elements find each other.
    pub matching: VectorMatching,
    /// Left operand.
    pub lhs: Box<VectorPlan>,
    /// Right operand.
    pub rhs: Box<VectorPlan>,
    /// The binary expression.
    pub position: Position,
}

/// An operator between a vector and a scalar.
#[derive(Debug)]
pub struct ScalarOpPlan {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`.
    pub return_bool: bool,
    /// The vector.
    pub vector: Box<VectorPlan>,
    /// The scalar.
    pub scalar: Box<ScalarPlan>,
    /// Whether the scalar is the left operand.
    pub scalar_left: bool,
    /// The binary expression.
    pub position: Position,
}

/// A function over classic buckets and native histograms.
#[derive(Debug)]
pub struct BucketsPlan {
    /// The function.
    pub func: BucketsFn,
    /// What it is called in the query.
    pub called: Called,
    /// Its scalar arguments.
    pub args: Vec<ScalarPlan>,
    /// Where annotations about each scalar argument point.
    pub arg_positions: Vec<Position>,
    /// Buckets or histograms.
    pub input: Box<VectorPlan>,
    /// Where annotations about the input point.
    pub position: Position,
}

/// The functions of [`BucketsPlan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketsFn {
    /// `histogram_quantile(q, v)`.
    Quantile,
    /// `histogram_quantiles(v, label, q…)`, with the label.
    Quantiles(String),
    /// `histogram_fraction(lower, upper, v)`.
    Fraction,
}

/// `sort` and relatives.
#[derive(Debug)]
pub struct SortPlan {
    /// Labels to sort by; empty and `by_label` unset: by value.
    pub labels: Vec<String>,
    /// Whether labels decide.
    pub by_label: bool,
    /// Whether the order is inverted.
    pub descending: bool,
    /// What is sorted.
    pub input: Box<VectorPlan>,
    /// The call.
    pub position: Position,
}

/// `info(v, sel)`.
#[derive(Debug)]
pub struct InfoPlan {
    /// The vector that gets labels.
    pub input: Box<VectorPlan>,
    /// Selector of info series, by index into [`Plan::selectors`].
    pub selector: usize,
    /// Where info series are looked up.
    pub map: TimeMap,
    /// First and last millisecond that samples are read of.
    pub span: (Millis, Millis),
    /// How old an info sample may be.
    pub lookback: Millis,
    /// Conditions on the names of info metrics.
    pub name_matchers: Vec<Matcher>,
    /// Conditions on the labels that are copied.
    pub label_matchers: Vec<Matcher>,
}
