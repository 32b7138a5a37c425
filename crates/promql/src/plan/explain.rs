//! A plan as a list of operators, each above what it reads, and as text.
//!
//! ```text
//! aggregate sum by (job) @0
//!   window rate @14
//!     select {__name__="requests_total"}[5m] from 1699999700.001 to 1700000000 @19
//! ```

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use norn_model::Millis;
use norn_model::matcher::Matcher;
use norn_promql_syntax::ast::{BinaryOp, Cardinality, VectorMatching};

use crate::grid::Grid;
use crate::numeric::duration;
use crate::numeric::format::decimal;
use crate::operator::relabel::Relabel;
use crate::plan::{
    AggregatePlan, Extension, Plan, Position, RangePlan, RangeSource, Root, ScalarPlan, SelectPlan, Selector,
    SortPlan, VectorPlan, Yield,
};
use crate::stack;

/// One operator of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// How many operators are above it.
    pub depth: usize,
    /// What it is.
    pub name: &'static str,
    /// What it does.
    pub detail: String,
    /// Where it is written, in bytes, as far as the plan knows.
    pub position: Option<Position>,
    /// What it cost; `None` where it was not measured by itself: scalars and what a range function
    /// reads count with the operator above.
    pub usage: Option<Usage>,
}

/// What an operator cost, without those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Series it gave.
    pub series: u64,
    /// Samples it gave. What was asked for twice counts twice.
    pub samples: u64,
    /// Samples it read from the source, as Prometheus counts them.
    pub samples_read: u64,
    /// Bytes of chunks it read.
    pub chunk_bytes: u64,
    /// CPU time.
    pub cpu: Duration,
}

/// A plan's operators, those above before those below, left before right.
#[derive(Debug, Default)]
pub struct Operators {
    /// The operators; the first is the root.
    pub list: Vec<Operator>,
    /// Where in the list a node is, by its address.
    numbers: HashMap<usize, usize>,
}

impl Operators {
    /// The operators of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut walk = Walk { selectors: &plan.selectors, depth: 0, operators: Self::default() };
        match &plan.root {
            Root::Scalar(scalar) => walk.scalar(scalar),
            Root::Vector(vector) => walk.vector(vector),
            Root::Range(range) => walk.range(range),
            Root::String(text) => walk.put("string", format!("{text:?}"), None),
        }
        walk.operators
    }

    /// Where `node`, which is part of the plan, is in the list.
    pub fn number(&self, node: &VectorPlan) -> Option<usize> {
        self.numbers.get(&address(node)).copied()
    }

    /// Where the root is and all nodes that are opened by themselves.
    pub fn opened(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(0).chain(self.numbers.values().copied())
    }
}

fn address(node: &VectorPlan) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Display for Plan {
    /// When the plan is evaluated, and its operators, indented.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_range {
            writeln!(f, "range {}", times(&self.grid))?;
        } else {
            writeln!(f, "instant at {}", seconds(self.grid.start))?;
        }
        Operators::of(self).list.iter().try_for_each(|operator| writeln!(f, "{operator}"))
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:1$}{2}", "", 2 * self.depth, self.name)?;
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        self.position.map_or(Ok(()), |position| write!(f, " @{position}"))
    }
}

struct Walk<'p> {
    selectors: &'p [Selector],
    depth: usize,
    operators: Operators,
}

impl Walk<'_> {
    fn put(&mut self, name: &'static str, detail: impl Into<String>, position: Option<Position>) {
        let (depth, detail) = (self.depth, detail.into());
        self.operators.list.push(Operator { depth, name, detail, position, usage: None });
    }

    /// Walks what is below the last operator.
    fn below(&mut self, walk: impl FnOnce(&mut Self)) {
        self.depth += 1;
        stack::ensure(|| walk(self));
        self.depth -= 1;
    }

    fn vector(&mut self, plan: &VectorPlan) {
        self.operators.numbers.insert(address(plan), self.operators.list.len());
        match plan {
            VectorPlan::Select(select) => self.select(select),
            VectorPlan::Window(window) => {
                self.put("window", window.called.name, Some(window.called.position));
                self.with_args(&window.args, |walk| walk.range(&window.input));
            }
            VectorPlan::AbsentWindow(range, labels) => {
                self.put("absent", format!("absent_over_time {labels}"), None);
                self.below(|walk| walk.range(range));
            }
            VectorPlan::Map(map) => {
                self.put("map", map.called.name, Some(map.called.position));
                self.with_args(&map.args, |walk| walk.vector(&map.input));
            }
            VectorPlan::Negate(input) => self.over("negate", "", None, input),
            VectorPlan::Relabel(relabel, input) => self.over("relabel", relabelling(relabel), None, input),
            VectorPlan::Aggregate(aggregate) => {
                self.put("aggregate", aggregation(aggregate), Some(aggregate.position));
                let param = aggregate.param.as_deref();
                self.with_args(param, |walk| walk.vector(&aggregate.input));
            }
            VectorPlan::Join(join) => {
                let detail = operation(join.op, join.return_bool) + &matching(&join.matching);
                self.pair("join", detail, Some(join.position), &join.lhs, &join.rhs);
            }
            VectorPlan::Set(op, on, lhs, rhs) => {
                self.pair("set", op.as_str().to_owned() + &matching(on), None, lhs, rhs);
            }
            VectorPlan::ScalarOp(plan) => {
                self.put("scalar_op", operation(plan.op, plan.return_bool), Some(plan.position));
                self.below(|walk| {
                    if plan.scalar_left {
                        walk.scalar(&plan.scalar);
                        walk.vector(&plan.vector);
                    } else {
                        walk.vector(&plan.vector);
                        walk.scalar(&plan.scalar);
                    }
                });
            }
            VectorPlan::Buckets(buckets) => {
                self.put("buckets", buckets.called.name, Some(buckets.called.position));
                self.with_args(&buckets.args, |walk| walk.vector(&buckets.input));
            }
            VectorPlan::Absent(input, labels) => self.over("absent", labels.to_string(), None, input),
            VectorPlan::Sort(sort) => self.over("sort", order(sort), Some(sort.position), &sort.input),
            VectorPlan::FromScalar(scalar) => {
                self.put("vector", "", None);
                self.below(|walk| walk.scalar(scalar));
            }
            VectorPlan::Info(info) => {
                let (selected, position) = self.selector(info.selector, "");
                self.over("info", selected, position, &info.input);
            }
            VectorPlan::Invariant(input) => self.over("invariant", "", None, input),
        }
    }

    fn over(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        position: Option<Position>,
        input: &VectorPlan,
    ) {
        self.put(name, detail, position);
        self.below(|walk| walk.vector(input));
    }

    fn pair(
        &mut self,
        name: &'static str,
        detail: String,
        position: Option<Position>,
        lhs: &VectorPlan,
        rhs: &VectorPlan,
    ) {
        self.put(name, detail, position);
        self.below(|walk| {
            walk.vector(lhs);
            walk.vector(rhs);
        });
    }

    /// Walks scalar arguments and the input.
    fn with_args<'a>(
        &mut self,
        args: impl IntoIterator<Item = &'a ScalarPlan>,
        input: impl FnOnce(&mut Self),
    ) {
        self.below(|walk| {
            args.into_iter().for_each(|arg| walk.scalar(arg));
            input(walk);
        });
    }

    fn select(&mut self, plan: &SelectPlan) {
        let (mut detail, position) = self.selector(plan.selector, "");
        for (holds, text) in [
            (plan.yields == Yield::Timestamp, ", timestamps"),
            (plan.smoothed, ", smoothed"),
            (plan.statistics, ", count and sum"),
        ] {
            detail += if holds { text } else { "" };
        }
        self.put("select", detail, position);
    }

    fn range(&mut self, plan: &RangePlan) {
        let range = duration::display(plan.range);
        match &plan.source {
            RangeSource::Selector(selector, extension) => {
                let (mut detail, position) = self.selector(*selector, &format!("[{range}]"));
                detail += match extension {
                    Extension::None => "",
                    Extension::Anchored(_) => ", anchored",
                    Extension::Smoothed(_) => ", smoothed",
                };
                detail += if plan.statistics { ", count and sum" } else { "" };
                self.put("select", detail, position);
            }
            RangeSource::Subquery(input, grid) => {
                self.over("subquery", format!("[{range}] {}", times(grid)), None, input);
            }
        }
    }

    /// Matchers and times of a selector, and where it is written.
    fn selector(&self, number: usize, range: &str) -> (String, Option<Position>) {
        let Some(selector) = self.selectors.get(number) else { return Default::default() };
        let matchers: Vec<String> = selector.matchers.iter().map(Matcher::to_string).collect();
        let (mint, maxt) = (seconds(selector.mint), seconds(selector.maxt));
        (format!("{{{}}}{range} from {mint} to {maxt}", matchers.join(",")), Some(selector.position))
    }

    fn scalar(&mut self, plan: &ScalarPlan) {
        match plan {
            ScalarPlan::Number(v) => self.put("number", decimal(*v), None),
            ScalarPlan::Time => self.put("time", "", None),
            ScalarPlan::Of(vector) => self.over("scalar", "", None, vector),
            ScalarPlan::Binary(op, a, b) => self.scalars("scalar", op.as_str(), &[a, b]),
            ScalarPlan::Negate(inner) => self.scalars("negate", "", &[inner]),
            ScalarPlan::Min(a, b) => self.scalars("min_of", "", &[a, b]),
            ScalarPlan::Max(a, b) => self.scalars("max_of", "", &[a, b]),
            ScalarPlan::Invariant(inner) => self.scalars("invariant", "", &[inner]),
        }
    }

    fn scalars(&mut self, name: &'static str, detail: &str, operands: &[&ScalarPlan]) {
        self.put(name, detail, None);
        self.below(|walk| operands.iter().for_each(|operand| walk.scalar(operand)));
    }
}

fn seconds(t: Millis) -> String {
    decimal(t as f64 / 1000.0)
}

fn times(grid: &Grid) -> String {
    let (start, step) = (seconds(grid.start), duration::display(grid.step));
    match grid.steps {
        0 => "at no time".to_owned(),
        steps => format!("from {start} to {} every {step}: {steps} steps", seconds(grid.end())),
    }
}

fn operation(op: BinaryOp, return_bool: bool) -> String {
    op.as_str().to_owned() + if return_bool { " bool" } else { "" }
}

fn matching(matching: &VectorMatching) -> String {
    let labels = |labels: &[String]| labels.join(", ");
    let mut text = match (matching.on, matching.labels.is_empty()) {
        (true, _) => format!(" on ({})", labels(&matching.labels)),
        (false, true) => String::new(),
        (false, false) => format!(" ignoring ({})", labels(&matching.labels)),
    };
    match matching.card {
        Cardinality::ManyToOne => text += &format!(" group_left ({})", labels(&matching.include)),
        Cardinality::OneToMany => text += &format!(" group_right ({})", labels(&matching.include)),
        Cardinality::OneToOne | Cardinality::ManyToMany => {}
    }
    for (side, fill) in [("fill_left", matching.fill_left), ("fill_right", matching.fill_right)] {
        text += &fill.map_or(String::new(), |v| format!(" {side} ({})", decimal(v)));
    }
    text
}

fn aggregation(plan: &AggregatePlan) -> String {
    let mut text = plan.op.as_str().to_owned();
    if !plan.label.is_empty() {
        text += &format!(" {:?}", plan.label);
    }
    if plan.without || !plan.grouping.is_empty() {
        let word = if plan.without { "without" } else { "by" };
        text += &format!(" {word} ({})", plan.grouping.join(", "));
    }
    text
}

fn relabelling(relabel: &Relabel) -> String {
    match relabel {
        Relabel::Replace { target, source, .. } => format!("label_replace {target:?} from {source:?}"),
        Relabel::Join { target, sources, .. } => format!("label_join {target:?} from {sources:?}"),
    }
}

fn order(sort: &SortPlan) -> String {
    let mut text = match (sort.by_label, sort.descending) {
        (false, false) => "by value",
        (false, true) => "by value, descending",
        (true, false) => "by label",
        (true, true) => "by label, descending",
    }
    .to_owned();
    if !sort.labels.is_empty() {
        text += &format!(": {}", sort.labels.join(", "));
    }
    text
}
