//! Tree to JSON, in the shape of Prometheus' `parse_query`.

use norn_model::matcher::Matcher;
use serde_json::{Value, json};

use crate::ast::*;
use crate::function::Function;
use crate::print::Plain;

/// The tree as `parse_query` shows it.
pub fn to_json(expr: &Expr) -> Value {
    // Parents come before their children in `order`, so that backwards a node finds its
    // children finished, the first on top.
    let mut order = Vec::new();
    expr.walk(&mut |e| order.push(e));
    let mut finished = Vec::new();
    while let Some(expr) = order.pop() {
        let value = node(expr, &mut finished);
        finished.push(value);
    }
    finished.pop().unwrap_or_default()
}

/// One node; takes its children from `finished`.
///
/// Children are moved, not put through `json!`, which would copy them by recursion.
fn node(expr: &Expr, finished: &mut Vec<Value>) -> Value {
    let mut child = || finished.pop().unwrap_or_default();
    let (kind, fields) = match expr {
        Expr::Number(n) => ("numberLiteral", vec![("val", Plain(n.value).to_string().into())]),
        Expr::String(s) => ("stringLiteral", vec![("val", s.value.as_str().into())]),
        Expr::Vector(v) => ("vectorSelector", selector(v)),
        Expr::Matrix(m) => {
            let (range, range_expr) = duration(&m.range);
            let mut fields = selector(&m.selector);
            fields.extend([("range", range), ("rangeExpr", range_expr)]);
            ("matrixSelector", fields)
        }
        Expr::Subquery(s) => ("subquery", subquery(s, child())),
        Expr::Call(c) => {
            let args = c.args.iter().map(|_| child()).collect();
            ("call", vec![("func", function(c.func)), ("args", args)])
        }
        Expr::Aggregate(a) => (
            "aggregation",
            vec![
                ("op", a.op.as_str().into()),
                ("param", a.param.as_ref().map_or(Value::Null, |_| child())),
                ("expr", child()),
                ("grouping", a.grouping.as_slice().into()),
                ("without", a.without.into()),
            ],
        ),
        Expr::Binary(b) => (
            "binaryExpr",
            vec![
                ("op", b.op.as_str().into()),
                ("lhs", child()),
                ("rhs", child()),
                ("matching", b.matching.as_ref().map_or(Value::Null, matching)),
                ("bool", b.return_bool.into()),
            ],
        ),
        Expr::Unary(u) => ("unaryExpr", vec![("op", u.op.as_str().into()), ("expr", child())]),
        Expr::Paren(_) => ("parenExpr", vec![("expr", child())]),
    };
    let fields = fields.into_iter().chain([("type", kind.into())]);
    Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn function(function: &Function) -> Value {
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|t| t.as_str()).collect::<Vec<_>>(),
        "variadic": function.variadic,
        "returnType": function.returns.as_str(),
    })
}

fn matching(matching: &VectorMatching) -> Value {
    json!({
        "card": match matching.card {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        },
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    })
}

fn selector(selector: &VectorSelector) -> Vec<(&'static str, Value)> {
    let (timestamp, start_or_end) = at(selector.at);
    let (offset, offset_expr) = duration(&selector.offset);
    vec![
        ("name", selector.name.as_str().into()),
        ("offset", offset),
        ("offsetExpr", offset_expr),
        ("matchers", selector.matchers.iter().map(matcher).collect()),
        ("timestamp", timestamp),
        ("startOrEnd", start_or_end),
        ("anchored", selector.anchored.into()),
        ("smoothed", selector.smoothed.into()),
    ]
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

fn subquery(subquery: &Subquery, expr: Value) -> Vec<(&'static str, Value)> {
    let (timestamp, start_or_end) = at(subquery.at);
    let (range, range_expr) = duration(&subquery.range);
    let (offset, offset_expr) = duration(&subquery.offset);
    let (step, step_expr) = subquery.step.as_ref().map_or((0.into(), Value::Null), duration);
    vec![
        ("expr", expr),
        ("range", range),
        ("rangeExpr", range_expr),
        ("offset", offset),
        ("offsetExpr", offset_expr),
        ("step", step),
        ("stepExpr", step_expr),
        ("timestamp", timestamp),
        ("startOrEnd", start_or_end),
    ]
}

fn at(at: Option<At>) -> (Value, Value) {
    match at {
        None => (Value::Null, Value::Null),
        Some(At::Time(millis)) => (millis.into(), Value::Null),
        Some(At::Start) => (Value::Null, "start".into()),
        Some(At::End) => (Value::Null, "end".into()),
    }
}

/// Milliseconds and the expression that computes them.
fn duration(duration: &Duration) -> (Value, Value) {
    match duration {
        Duration::Fixed(millis) => ((*millis).into(), Value::Null),
        Duration::Expr(expr) => (0.into(), duration_expr(expr)),
    }
}

fn duration_expr(expr: &DurationExpr) -> Value {
    let (op, lhs, rhs) = match &expr.node {
        DurationNode::Number(n) => {
            let val = Plain(n.value).to_string();
            return json!({"type": "numberLiteral", "val": val, "duration": n.duration});
        }
        DurationNode::Step => ("step", None, None),
        DurationNode::Range => ("range", None, None),
        DurationNode::Unary(op, operand) => (op.as_str(), None, Some(operand)),
        DurationNode::Binary(op, lhs, rhs) => (op.as_str(), Some(lhs), Some(rhs)),
        DurationNode::Min(lhs, rhs) => ("min_of", Some(lhs), Some(rhs)),
        DurationNode::Max(lhs, rhs) => ("max_of", Some(lhs), Some(rhs)),
    };
    json!({
        "type": "durationExpr",
        "op": op,
        "lhs": lhs.map(|e| duration_expr(e)),
        "rhs": rhs.map(|e| duration_expr(e)),
        "wrapped": expr.wrapped,
    })
}
