//! From syntax tree to [`Plan`].

use std::sync::Arc;

use norn_model::Millis;
use norn_model::quote::QuotedBytes;
use norn_promql_syntax::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Duration, Expr, MatrixSelector, StringLiteral, Subquery,
    Unary, UnaryOp, ValueType, VectorSelector,
};

use crate::error::{QueryError, too_many_samples};
use crate::grid::{Grid, TimeMap};
use crate::plan::duration::{self, Times};
use crate::plan::order::Order;
use crate::plan::{
    AggregatePlan, Extension, JoinPlan, Plan, Position, RangePlan, RangeSource, Root, ScalarOpPlan,
    ScalarPlan, SelectPlan, Selector, VectorPlan, Yield,
};
use crate::stack;

/// What a plan depends on besides the expression.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How far an instant selector looks back.
    pub lookback: Millis,
    /// Step of subqueries that name none.
    pub subquery_step: Millis,
    /// Whether the query is a range query.
    pub is_range: bool,
    /// Most steps a subquery may have.
    pub max_steps: usize,
    /// Whether start timestamps are looked at.
    pub use_start_timestamps: bool,
}

/// What the functions around a selector read of its histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Everything, unless a function further in reads less.
    Histograms,
    /// Count and sum.
    Statistics,
    /// Everything, whatever is further in.
    Buckets,
}

/// A plan node, and whether it yields the same at every step.
pub(super) struct Built<T> {
    pub plan: T,
    pub invariant: bool,
}

impl<T> Built<T> {
    pub(super) fn new(plan: T, invariant: bool) -> Self {
        Self { plan, invariant }
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Built<U> {
        Built { plan: f(self.plan), invariant: self.invariant }
    }
}

impl Built<VectorPlan> {
    /// The plan, evaluated once where that is enough.
    pub(super) fn settle(self) -> VectorPlan {
        if self.invariant { VectorPlan::Invariant(Box::new(self.plan)) } else { self.plan }
    }
}

impl Built<ScalarPlan> {
    /// The plan, evaluated once where that is enough.
    pub(super) fn settle(self) -> ScalarPlan {
        match self.plan {
            ScalarPlan::Number(_) => self.plan,
            plan if self.invariant => ScalarPlan::Invariant(Box::new(plan)),
            plan => plan,
        }
    }
}

/// Plans `expr` over `grid`; `end` is the query's end, which may lie behind the last step.
pub fn build(expr: &Expr, grid: Grid, end: Millis, settings: Settings) -> Result<Plan, QueryError> {
    let step = if grid.is_instant() { 0 } else { grid.step };
    let mut builder = Builder {
        query_start: grid.start,
        query_end: end,
        times: Times { step: seconds(step), range: seconds(end.saturating_sub(grid.start)) },
        settings,
        grid,
        in_param: false,
        reads: Reads::Histograms,
        selectors: Vec::new(),
    };
    let root = match expr.value_type() {
        ValueType::Scalar => Root::Scalar(builder.scalar(expr)?.settle()),
        ValueType::Vector => Root::Vector(builder.vector(expr)?.settle()),
        ValueType::Matrix => Root::Range(builder.range(expr)?.plan),
        ValueType::String => Root::String(text(expr)?),
    };
    let order = Order::of(expr);
    Ok(Plan { root, selectors: builder.selectors, grid, is_range: settings.is_range, order })
}

/// A text argument.
pub(super) fn text(expr: &Expr) -> Result<String, QueryError> {
    literal(expr).map(|s| s.value.clone())
}

/// A text argument as written.
pub(super) fn literal(expr: &Expr) -> Result<&StringLiteral, QueryError> {
    match expr.unwrap_parens() {
        Expr::String(s) => Ok(s),
        _ => Err(QueryError::execution("expected a string literal")),
    }
}

/// The name of a label that is written: any text but the empty one, and only UTF-8.
pub(super) fn label_name(expr: &Expr, refusal: impl Fn(&[u8]) -> String) -> Result<String, QueryError> {
    let literal = literal(expr)?;
    match &literal.raw {
        Some(raw) => Err(QueryError::execution(refusal(raw))),
        None if literal.value.is_empty() => Err(QueryError::execution(refusal(b""))),
        None => Ok(literal.value.clone()),
    }
}

pub(super) fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1000.0
}

/// Walks the tree with the grid of the part it is in.
pub(super) struct Builder {
    pub(super) query_start: Millis,
    pub(super) query_end: Millis,
    pub(super) times: Times,
    pub(super) settings: Settings,
    grid: Grid,
    /// Inside an aggregation's parameter the reference resolves neither `@ start()` nor `@ end()`.
    in_param: bool,
    pub(super) reads: Reads,
    selectors: Vec<Selector>,
}

impl Builder {
    pub(super) fn vector(&mut self, expr: &Expr) -> Result<Built<VectorPlan>, QueryError> {
        stack::ensure(|| match expr.unwrap_parens() {
            Expr::Vector(v) => self.select(v, Yield::Value),
            Expr::Call(call) => self.call(call),
            Expr::Aggregate(a) => self.aggregate(a),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(u) => self.unary(u),
            other => Err(unexpected(other, ValueType::Vector)),
        })
    }

    pub(super) fn scalar(&mut self, expr: &Expr) -> Result<Built<ScalarPlan>, QueryError> {
        stack::ensure(|| match expr.unwrap_parens() {
            Expr::Number(n) => Ok(Built::new(ScalarPlan::Number(n.value), true)),
            Expr::Call(call) => self.scalar_call(call),
            Expr::Binary(binary) => {
                let (lhs, rhs) = (self.scalar(&binary.lhs)?, self.scalar(&binary.rhs)?);
                if matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
                    let text =
                        format!("operator \"{}\" not allowed for Scalar operations", binary.op.as_str());
                    return Err(QueryError::execution(text));
                }
                Ok(pair(lhs, rhs, |l, r| ScalarPlan::Binary(binary.op, Box::new(l), Box::new(r))))
            }
            Expr::Unary(u) => {
                let inner = self.scalar(&u.expr)?;
                Ok(match u.op {
                    UnaryOp::Plus => inner,
                    UnaryOp::Minus => inner.map(|s| ScalarPlan::Negate(Box::new(s))),
                })
            }
            other => Err(unexpected(other, ValueType::Scalar)),
        })
    }

    pub(super) fn range(&mut self, expr: &Expr) -> Result<Built<RangePlan>, QueryError> {
        stack::ensure(|| match expr.unwrap_parens() {
            Expr::Matrix(m) => self.matrix(m),
            Expr::Subquery(s) => self.subquery(s),
            other => Err(unexpected(other, ValueType::Matrix)),
        })
    }

    pub(super) fn select(
        &mut self,
        v: &VectorSelector,
        yields: Yield,
    ) -> Result<Built<VectorPlan>, QueryError> {
        let mut map = self.time_map(v.at, &v.offset)?;
        let lookback = self.settings.lookback;
        let after = if v.smoothed { lookback } else { 0 };
        let selector = self.add_selector(v, &map, lookback, after);
        let span = self.span(selector);
        if yields != Yield::Value && map.at.is_some() {
            // As the reference does: it reads what the offset leads to, and looks there at the time of `@`.
            map.offset = 0;
        }
        let statistics = self.reads == Reads::Statistics;
        let (smoothed, position) = (v.smoothed && yields == Yield::Value, v.span.start);
        let plan = SelectPlan { selector, map, span, lookback, yields, smoothed, statistics, position };
        Ok(Built::new(VectorPlan::Select(plan), map.at.is_some()))
    }

    fn matrix(&mut self, m: &MatrixSelector) -> Result<Built<RangePlan>, QueryError> {
        let v = &m.selector;
        let map = self.time_map(v.at, &v.offset)?;
        let range = duration::positive(&m.range, &self.times)?;
        let lookback = self.settings.lookback;
        let (extension, before, after) = match (v.anchored, v.smoothed) {
            (true, _) => (Extension::Anchored(lookback), lookback, 0),
            (_, true) => (Extension::Smoothed(lookback), lookback, lookback),
            _ => (Extension::None, 0, 0),
        };
        let selector = self.add_selector(v, &map, range.saturating_add(before), after);
        let source = RangeSource::Selector(selector, extension);
        let statistics = self.reads == Reads::Statistics;
        let position = m.span.start;
        Ok(Built::new(
            RangePlan { source, map, range, statistics, starts: false, position },
            map.at.is_some(),
        ))
    }

    fn subquery(&mut self, s: &Subquery) -> Result<Built<RangePlan>, QueryError> {
        let map = self.time_map(s.at, &s.offset)?;
        let range = duration::positive(&s.range, &self.times)?;
        let step = match &s.step {
            Some(step) => duration::positive(step, &self.times)?,
            None => self.settings.subquery_step,
        };
        let (first, last) = map.span(&self.grid);
        let inner = subquery_grid(first.saturating_sub(range), last, step.max(1));
        if inner.steps > self.settings.max_steps {
            return Err(too_many_samples());
        }
        let outer = std::mem::replace(&mut self.grid, inner);
        let input = self.reading(Reads::Buckets, |b| b.vector(&s.expr));
        self.grid = outer;
        let source = RangeSource::Subquery(Box::new(input?.settle()), inner);
        // The reference loses the position of an evaluated subquery.
        let plan = RangePlan { source, map, range, statistics: false, starts: false, position: 0 };
        Ok(Built::new(plan, map.at.is_some()))
    }

    fn aggregate(&mut self, a: &Aggregate) -> Result<Built<VectorPlan>, QueryError> {
        let input = self.vector(&a.expr)?;
        let (param, label) = match &a.param {
            Some(p) if a.op == AggregateOp::CountValues => {
                (None, label_name(p, |name| format!("invalid label name {}", QuotedBytes(name)))?)
            }
            Some(p) => (Some(Box::new(self.parameter(p)?)), String::new()),
            None => (None, String::new()),
        };
        let mut grouping = a.grouping.clone();
        grouping.sort_unstable();
        grouping.dedup();
        // Annotations point past parentheses around an operand.
        let start = |e: &Expr| e.unwrap_parens().span().start;
        let positions = (start(&a.expr), a.param.as_deref().map_or(0, start));
        Ok(input.map(|input| {
            VectorPlan::Aggregate(AggregatePlan {
                op: a.op,
                input: Box::new(input),
                param,
                label,
                grouping,
                without: a.without,
                input_position: positions.0,
                param_position: positions.1,
                position: a.span.start,
            })
        }))
    }

    fn parameter(&mut self, expr: &Expr) -> Result<ScalarPlan, QueryError> {
        let outer = std::mem::replace(&mut self.in_param, true);
        let built = self.scalar(expr);
        self.in_param = outer;
        Ok(built?.plan)
    }

    fn binary(&mut self, b: &Binary) -> Result<Built<VectorPlan>, QueryError> {
        let trims = matches!(b.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        let reads = if trims { Reads::Buckets } else { self.reads };
        self.reading(reads, |builder| builder.operands(b))
    }

    fn operands(&mut self, b: &Binary) -> Result<Built<VectorPlan>, QueryError> {
        let position = b.lhs.span().start;
        let (op, return_bool) = (b.op, b.return_bool);
        match (b.lhs.value_type(), b.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) => {
                let matching =
                    b.matching.clone().ok_or_else(|| QueryError::execution("vector matching is missing"))?;
                let (lhs, rhs) = (self.vector(&b.lhs)?, self.vector(&b.rhs)?);
                Ok(vector_pair(lhs, rhs, |lhs, rhs| match op {
                    BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
                        VectorPlan::Set(op, matching, Box::new(lhs), Box::new(rhs))
                    }
                    _ => VectorPlan::Join(JoinPlan {
                        op,
                        return_bool,
                        matching,
                        lhs: Box::new(lhs),
                        rhs: Box::new(rhs),
                        position,
                    }),
                }))
            }
            (ValueType::Vector, _) => {
                let (v, s) = (self.vector(&b.lhs)?, self.scalar(&b.rhs)?);
                Ok(scalar_op(b, v, s, false, position))
            }
            _ => {
                let (s, v) = (self.scalar(&b.lhs)?, self.vector(&b.rhs)?);
                Ok(scalar_op(b, v, s, true, position))
            }
        }
    }

    fn unary(&mut self, u: &Unary) -> Result<Built<VectorPlan>, QueryError> {
        let inner = self.vector(&u.expr)?;
        Ok(match u.op {
            UnaryOp::Plus => inner,
            UnaryOp::Minus => inner.map(|v| VectorPlan::Negate(Box::new(v))),
        })
    }

    /// Plans a part of which `reads` is needed.
    pub(super) fn reading<T>(&mut self, reads: Reads, plan: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.reads;
        if outer != Reads::Buckets {
            self.reads = reads;
        }
        let result = plan(self);
        self.reads = outer;
        result
    }

    pub(super) fn time_map(&self, at: Option<At>, offset: &Duration) -> Result<TimeMap, QueryError> {
        let at = match at {
            Some(At::Time(t)) => Some(t),
            Some(At::Start) if !self.in_param => Some(self.query_start),
            Some(At::End) if !self.in_param => Some(self.query_end),
            _ => None,
        };
        Ok(TimeMap { at, offset: duration::any(offset, &self.times)? })
    }

    fn add_selector(&mut self, v: &VectorSelector, map: &TimeMap, before: Millis, after: Millis) -> usize {
        self.push_selector(Arc::from(v.matchers.clone()), v.span.start, map, before, after)
    }

    /// Lists what is read in `(t - before, t + after]` around each time looked at.
    pub(super) fn push_selector(
        &mut self,
        matchers: Arc<[norn_model::matcher::Matcher]>,
        position: Position,
        map: &TimeMap,
        before: Millis,
        after: Millis,
    ) -> usize {
        let (first, last) = map.span(&self.grid);
        let mint = first.saturating_sub(before).saturating_add(1);
        self.selectors.push(Selector { matchers, mint, maxt: last.saturating_add(after), position });
        self.selectors.len() - 1
    }

    /// First and last millisecond that a listed selector reads.
    pub(super) fn span(&self, selector: usize) -> (Millis, Millis) {
        self.selectors.get(selector).map_or((0, 0), |s| (s.mint, s.maxt))
    }
}

/// Times of a subquery: multiples of `step` after `after` and up to `end`.
fn subquery_grid(after: Millis, end: Millis, step: Millis) -> Grid {
    let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
    if start > end {
        return Grid { start, step, steps: 0, ends_later: true };
    }
    if start == end { Grid::instant(start) } else { Grid::range(start, end, step) }
}

fn pair<T>(
    lhs: Built<ScalarPlan>,
    rhs: Built<ScalarPlan>,
    make: impl FnOnce(ScalarPlan, ScalarPlan) -> T,
) -> Built<T> {
    if lhs.invariant && rhs.invariant {
        return Built::new(make(lhs.plan, rhs.plan), true);
    }
    Built::new(make(lhs.settle(), rhs.settle()), false)
}

fn vector_pair(
    lhs: Built<VectorPlan>,
    rhs: Built<VectorPlan>,
    make: impl FnOnce(VectorPlan, VectorPlan) -> VectorPlan,
) -> Built<VectorPlan> {
    if lhs.invariant && rhs.invariant {
        return Built::new(make(lhs.plan, rhs.plan), true);
    }
    Built::new(make(lhs.settle(), rhs.settle()), false)
}

fn scalar_op(
    b: &Binary,
    vector: Built<VectorPlan>,
    scalar: Built<ScalarPlan>,
    scalar_left: bool,
    position: u32,
) -> Built<VectorPlan> {
    let invariant = vector.invariant && scalar.invariant;
    let (vector, scalar) =
        if invariant { (vector.plan, scalar.plan) } else { (vector.settle(), scalar.settle()) };
    let plan = ScalarOpPlan {
        op: b.op,
        return_bool: b.return_bool,
        vector: Box::new(vector),
        scalar: Box::new(scalar),
        scalar_left,
        position,
    };
    Built::new(VectorPlan::ScalarOp(plan), invariant)
}

fn unexpected(expr: &Expr, wanted: ValueType) -> QueryError {
    let got = expr.value_type().describe();
    QueryError::execution(format!("expected {}, got {got}", wanted.describe()))
}
