//! Function calls.

use std::sync::Arc;

use norn_model::labels::METRIC_NAME;
use norn_model::matcher::{MatchOp, Matcher};
use norn_promql_syntax::ast::{Call, Expr, VectorSelector};

use crate::error::QueryError;
use crate::grid::TimeMap;
use crate::operator::map::MapFn;
use crate::operator::relabel::Relabel;
use crate::plan::absent;
use crate::plan::build::{Builder, Built, Reads, label_name, seconds, text};
use crate::plan::{
    BucketsFn, BucketsPlan, Called, Extension, InfoPlan, MapPlan, RangeSource, ScalarPlan, SortPlan,
    VectorPlan, WindowPlan, Yield,
};
use crate::window::WindowFn;

/// Functions whose value depends on the step although their arguments do not.
pub(crate) const STEPPED: [&str; 14] = [
    "days_in_month",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "step",
];

impl Builder {
    pub(super) fn scalar_call(&mut self, call: &Call) -> Result<Built<ScalarPlan>, QueryError> {
        let number = |n| Ok(Built::new(ScalarPlan::Number(n), true));
        match call.func.name {
            "pi" => number(std::f64::consts::PI),
            "time" => Ok(Built::new(ScalarPlan::Time, false)),
            "start" => number(seconds(self.query_start)),
            "end" => number(seconds(self.query_end)),
            "range" => number(self.times.range),
            "step" => number(self.times.step),
            "scalar" => Ok(self.vector(arg(call, 0)?)?.map(|v| ScalarPlan::Of(Box::new(v)))),
            "min_of" => self.scalar_pair(call, |a, b| ScalarPlan::Min(Box::new(a), Box::new(b))),
            "max_of" => self.scalar_pair(call, |a, b| ScalarPlan::Max(Box::new(a), Box::new(b))),
            _ => Err(unknown(call)),
        }
    }

    fn scalar_pair(
        &mut self,
        call: &Call,
        make: impl FnOnce(ScalarPlan, ScalarPlan) -> ScalarPlan,
    ) -> Result<Built<ScalarPlan>, QueryError> {
        let (a, b) = (self.scalar(arg(call, 0)?)?, self.scalar(arg(call, 1)?)?);
        if a.invariant && b.invariant {
            return Ok(Built::new(make(a.plan, b.plan), true));
        }
        Ok(Built::new(make(a.settle(), b.settle()), false))
    }

    pub(super) fn call(&mut self, call: &Call) -> Result<Built<VectorPlan>, QueryError> {
        let name = call.func.name;
        if let Some(func) = WindowFn::from_name(name) {
            return self.window(call, func);
        }
        if name == "start_timestamp" && self.settings.use_start_timestamps {
            return self.timestamp(call, Yield::Start, MapFn::Nothing);
        }
        if let Some(func) = MapFn::from_name(name) {
            return self.map(call, func);
        }
        match name {
            "timestamp" => self.timestamp(call, Yield::Timestamp, MapFn::StepTime),
            "vector" => Ok(self.scalar(arg(call, 0)?)?.map(VectorPlan::FromScalar)),
            "absent" => {
                let labels = absent::labels(arg(call, 0)?.unwrap_parens());
                Ok(self.vector(arg(call, 0)?)?.map(|v| VectorPlan::Absent(Box::new(v), labels)))
            }
            "absent_over_time" => {
                let labels = absent::labels(arg(call, 0)?.unwrap_parens());
                let range = self.range(arg(call, 0)?)?;
                refuse_extension(&range.plan.source, name, false, false)?;
                Ok(range.map(|range| VectorPlan::AbsentWindow(range, labels)))
            }
            "label_replace" | "label_join" => self.relabel(call),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.sort(call),
            "histogram_quantile" | "histogram_fraction" | "histogram_quantiles" => self.buckets(call),
            "info" => self.info(call),
            _ => Err(unknown(call)),
        }
    }

    /// Plans scalar arguments and settles them together with `input`.
    fn with_scalars<T>(
        &mut self,
        call: &Call,
        scalars: &[&Expr],
        input: Built<T>,
    ) -> Result<(Vec<ScalarPlan>, Built<T>), QueryError> {
        let args: Vec<_> = scalars.iter().map(|e| self.scalar(e)).collect::<Result<_, _>>()?;
        let invariant =
            !STEPPED.contains(&call.func.name) && input.invariant && args.iter().all(|a| a.invariant);
        let args = args.into_iter().map(|a| if invariant { a.plan } else { a.settle() }).collect();
        Ok((args, Built::new(input.plan, invariant)))
    }

    fn window(&mut self, call: &Call, func: WindowFn) -> Result<Built<VectorPlan>, QueryError> {
        let (range_index, scalars): (usize, Vec<&Expr>) = match func {
            WindowFn::Quantile => (1, call.args.iter().take(1).collect()),
            _ => (0, call.args.iter().skip(1).collect()),
        };
        let mut input = self.range(arg(call, range_index)?)?;
        input.plan.starts = self.settings.use_start_timestamps && func.reads_starts();
        refuse_extension(&input.plan.source, call.func.name, func.anchored(), func.smoothed())?;
        // Only parameters of `quantile_over_time` are annotated, and they point at the first argument.
        let position = arg(call, 0)?.unwrap_parens().span().start;
        let (args, input) = self.with_scalars(call, &scalars, input)?;
        Ok(input.map(|input| {
            VectorPlan::Window(WindowPlan { func, called: called(call), args, input, position })
        }))
    }

    fn map(&mut self, call: &Call, func: MapFn) -> Result<Built<VectorPlan>, QueryError> {
        let reads = match call.func.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => Reads::Statistics,
            _ => self.reads,
        };
        let input = match call.args.first() {
            Some(first) => self.reading(reads, |b| b.vector(first))?,
            None => Built::new(VectorPlan::FromScalar(ScalarPlan::Time), false),
        };
        let scalars: Vec<&Expr> = call.args.iter().skip(1).collect();
        let inner_invariant = input.invariant;
        let (args, input) = self.with_scalars(call, &scalars, input)?;
        let invariant = input.invariant;
        let plan = Built::new(input.plan, inner_invariant && !invariant).settle();
        Ok(Built::new(map_plan(call, func, args, plan), invariant))
    }

    /// Plans a function that `yields` something of a selector's samples, and does `otherwise` to
    /// those of other expressions.
    fn timestamp(
        &mut self,
        call: &Call,
        yields: Yield,
        otherwise: MapFn,
    ) -> Result<Built<VectorPlan>, QueryError> {
        if let Expr::Vector(v) = arg(call, 0)?.unwrap_parens() {
            let input = self.select(v, yields)?;
            return Ok(input.map(|v| map_plan(call, MapFn::Identity, Vec::new(), v)));
        }
        let input = self.vector(arg(call, 0)?)?.settle();
        Ok(Built::new(map_plan(call, otherwise, Vec::new(), input), false))
    }

    fn relabel(&mut self, call: &Call) -> Result<Built<VectorPlan>, QueryError> {
        let name = call.func.name;
        let label = |i, which: &str| {
            label_name(arg(call, i)?, |label| {
                format!("invalid {which} label name in {name}(): {}", String::from_utf8_lossy(label))
            })
        };
        let relabel = if name == "label_replace" {
            let pattern = text(arg(call, 4)?)?;
            let source = text(arg(call, 3)?)?;
            Relabel::replace(label(1, "destination")?, text(arg(call, 2)?)?, source, &pattern)?
        } else {
            let sources = (3..call.args.len()).map(|i| label(i, "source")).collect::<Result<_, _>>()?;
            Relabel::Join { target: label(1, "destination")?, separator: text(arg(call, 2)?)?, sources }
        };
        Ok(self.vector(arg(call, 0)?)?.map(|v| VectorPlan::Relabel(relabel, Box::new(v))))
    }

    fn sort(&mut self, call: &Call) -> Result<Built<VectorPlan>, QueryError> {
        let labels: Vec<String> = call.args.iter().skip(1).map(text).collect::<Result<_, _>>()?;
        let name = call.func.name;
        let (by_label, descending) = (name.starts_with("sort_by_label"), name.ends_with("desc"));
        let position = call.span.start;
        Ok(self.vector(arg(call, 0)?)?.map(|input| {
            VectorPlan::Sort(SortPlan { labels, by_label, descending, input: Box::new(input), position })
        }))
    }

    fn buckets(&mut self, call: &Call) -> Result<Built<VectorPlan>, QueryError> {
        let (input_index, func, scalars): (usize, BucketsFn, Vec<&Expr>) = match call.func.name {
            "histogram_quantile" => (1, BucketsFn::Quantile, call.args.iter().take(1).collect()),
            "histogram_fraction" => (2, BucketsFn::Fraction, call.args.iter().take(2).collect()),
            _ => (0, BucketsFn::Quantiles(text(arg(call, 1)?)?), call.args.iter().skip(2).collect()),
        };
        let expr = arg(call, input_index)?.unwrap_parens();
        let position = expr.span().start;
        let arg_positions = scalars.iter().map(|s| s.unwrap_parens().span().start).collect();
        let input = self.reading(Reads::Buckets, |b| b.vector(expr))?;
        let inner_invariant = input.invariant;
        let (args, input) = self.with_scalars(call, &scalars, input)?;
        let invariant = input.invariant;
        let plan = Built::new(input.plan, inner_invariant && !invariant).settle();
        let plan =
            BucketsPlan { func, called: called(call), args, arg_positions, input: Box::new(plan), position };
        Ok(Built::new(VectorPlan::Buckets(plan), invariant))
    }

    fn info(&mut self, call: &Call) -> Result<Built<VectorPlan>, QueryError> {
        let first = arg(call, 0)?;
        let map = match first_selector(first) {
            Some(v) => self.time_map(v.at, &v.offset)?,
            None => TimeMap::default(),
        };
        let input = self.vector(first)?.settle();
        let matchers: &[Matcher] = match call.args.get(1).map(Expr::unwrap_parens) {
            Some(Expr::Vector(v)) => &v.matchers,
            Some(_) => return Err(QueryError::execution("expected label selectors only")),
            None => &[],
        };
        let (names, labels): (Vec<_>, Vec<_>) =
            matchers.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        let names = info_names(names)?;
        let selected: Vec<Matcher> = names.iter().chain(&labels).cloned().collect();
        let lookback = self.settings.lookback;
        let position = call.span.start;
        let selector = self.push_selector(Arc::from(selected), position, &map, lookback, 0);
        let span = self.span(selector);
        Ok(Built::new(
            VectorPlan::Info(InfoPlan {
                input: Box::new(input),
                selector,
                map,
                span,
                lookback,
                name_matchers: names,
                label_matchers: labels,
            }),
            false,
        ))
    }
}

fn called(call: &Call) -> Called {
    Called { name: call.func.name, position: call.span.start }
}

fn map_plan(call: &Call, func: MapFn, args: Vec<ScalarPlan>, input: VectorPlan) -> VectorPlan {
    VectorPlan::Map(MapPlan { func, called: called(call), args, input: Box::new(input) })
}

/// Conditions on names of info metrics: `target_info` unless the query says otherwise.
fn info_names(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    if names.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, "target_info")]);
    }
    if names.iter().all(|m| matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex)) {
        let pattern = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
        names.push(pattern.map_err(|e| QueryError::Internal(e.to_string()))?);
    }
    Ok(names)
}

fn first_selector(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::Vector(v) => Some(v),
        Expr::Matrix(m) => Some(&m.selector),
        Expr::Subquery(s) => first_selector(&s.expr),
        Expr::Call(c) => c.args.iter().find_map(first_selector),
        Expr::Aggregate(a) => first_selector(&a.expr),
        Expr::Binary(b) => first_selector(&b.lhs).or_else(|| first_selector(&b.rhs)),
        Expr::Unary(u) => first_selector(&u.expr),
        Expr::Paren(p) => first_selector(&p.expr),
        Expr::Number(_) | Expr::String(_) => None,
    }
}

fn arg(call: &Call, i: usize) -> Result<&Expr, QueryError> {
    call.args.get(i).ok_or_else(|| {
        QueryError::execution(format!("argument {} of function {:?} is missing", i + 1, call.func.name))
    })
}

fn unknown(call: &Call) -> QueryError {
    QueryError::execution(format!("function {:?} is not implemented", call.func.name))
}

/// Fails where an extended selector feeds a function that has no meaning for it.
fn refuse_extension(
    source: &RangeSource,
    name: &str,
    anchored: bool,
    smoothed: bool,
) -> Result<(), QueryError> {
    let (modifier, supported, list) = match source {
        RangeSource::Selector(_, Extension::Anchored(_)) => {
            ("anchored", anchored, "changes, delta, increase, rate, resets")
        }
        RangeSource::Selector(_, Extension::Smoothed(_)) => ("smoothed", smoothed, "delta, increase, rate"),
        _ => return Ok(()),
    };
    if supported {
        return Ok(());
    }
    Err(QueryError::execution(format!("{modifier} modifier can only be used with: {list} - not with {name}")))
}
