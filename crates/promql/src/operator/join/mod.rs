//! Operators between two vectors.
//!
//! Elements find each other by signature: the labels of `on`, or all but those of `ignoring`. The
//! side that must be unique for each signature is the *one* side, the other the *many* side; for
//! `group_right` they are swapped, and swapped back for the arithmetic.
//!
//! Where labels alone prove that nothing can collide, each result row is a function of one many
//! row ([`direct`]). Otherwise both sides are kept and walked step by step ([`general`]).

use norn_model::labels::Labels;
use norn_promql_syntax::ast::Cardinality;

use crate::block::Cell;
use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::element::{self, Combined, PairNote};
use crate::operator::{Table, merge, open as open_vector};
use crate::plan::JoinPlan;
use crate::query::Query;
use crate::series::{Key, Numbering, Series, without_metadata};

mod direct;
mod general;

/// Opens the operator.
pub fn open<'q>(plan: &'q JoinPlan, grid: Grid, q: &'q Query) -> Result<Table<'q>, QueryError> {
    let (lhs, rhs) = (open_vector(&plan.lhs, grid, q)?, open_vector(&plan.rhs, grid, q)?);
    let (many, one) = if is_swapped(plan) { (rhs, lhs) } else { (lhs, rhs) };
    let mut names = plan.matching.labels.clone();
    names.sort_unstable();
    let key = Key { names: &names, without: !plan.matching.on };
    let mut signatures = Numbering::default();
    let mut number =
        |t: &Table<'_>| t.series.iter().map(|s| signatures.number(key.of(&s.labels))).collect::<Vec<_>>();
    let sides = Sides { many_signatures: number(&many), one_signatures: number(&one), many, one };
    let rule = LabelRule { plan, names: &names, delayed: q.features.delayed_name_removal };
    let table = match direct::pairs(plan, &rule, &sides, signatures.count()) {
        Some(pairs) => direct::open(plan, pairs, sides, grid, q)?,
        None => general::evaluate(plan, &rule, sides, &signatures, grid, q)?,
    };
    merge::equal_labels(table, grid, q)
}

/// Both operands with the signatures of their rows.
struct Sides<'q> {
    many: Table<'q>,
    one: Table<'q>,
    many_signatures: Vec<u32>,
    one_signatures: Vec<u32>,
}

fn is_swapped(plan: &JoinPlan) -> bool {
    plan.matching.card == Cardinality::OneToMany
}

fn is_one_to_one(plan: &JoinPlan) -> bool {
    plan.matching.card == Cardinality::OneToOne
}

/// How a result gets its labels.
struct LabelRule<'a> {
    plan: &'a JoinPlan,
    /// Sorted labels of `on` or `ignoring`.
    names: &'a [String],
    delayed: bool,
}

impl LabelRule<'_> {
    /// The result of an element of the many side and its partner.
    fn result(&self, many: &Series, one: &Labels) -> Series {
        let (plan, matching) = (self.plan, &self.plan.matching);
        let keeps_name = element::keeps_name(plan.op, plan.return_bool);
        // Arithmetic drops the name at once, a comparison with `bool` when names are dropped.
        let later = plan.return_bool && self.delayed;
        let mut labels =
            if keeps_name || later { many.labels.clone() } else { without_metadata(&many.labels) };
        if is_one_to_one(plan) {
            let listed = |n: &str| self.names.binary_search_by(|l| l.as_str().cmp(n)).is_ok();
            labels = labels.filter(|n| listed(n) == matching.on);
        }
        if !matching.include.is_empty() {
            let mut builder = labels.to_builder();
            for name in &matching.include {
                builder.set(name, one.get(name));
            }
            labels = builder.build();
        }
        Series { labels, drop_name: later || (keeps_name && many.drop_name) }
    }
}

/// Applies the operator to a many cell and a one cell.
fn combine(plan: &JoinPlan, many: Cell<'_>, one: Cell<'_>) -> (Combined, Option<PairNote>) {
    let (left, right) = if is_swapped(plan) { (one, many) } else { (many, one) };
    let (combined, note) = element::combine(plan.op, left, right);
    if !plan.return_bool {
        return (combined, note);
    }
    let combined = match combined {
        Combined::Incompatible => Combined::Incompatible,
        Combined::Dropped => Combined::Float(0.0),
        Combined::Float(_) | Combined::Histogram(_) => Combined::Float(1.0),
    };
    (combined, note)
}
