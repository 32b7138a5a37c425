//! Tree to JSON, in the shape of Prometheus' `parse_query`.

use norn_model::matcher::Matcher;
use serde_json::{Value, json};

use crate::ast::*;
use crate::print::Plain;

/// The tree as `parse_query` shows it. Recurses: the parser bounds a tree's height.
pub fn to_json(expr: &Expr) -> Value {
    match expr {
        Expr::Number(n) => json!({"type": "numberLiteral", "val": Plain(n.value).to_string()}),
        Expr::String(s) => json!({"type": "stringLiteral", "val": s.value}),
        Expr::Vector(v) => Value::Object(selector("vectorSelector", v)),
        Expr::Matrix(m) => {
            let mut object = selector("matrixSelector", &m.selector);
            let (range, range_expr) = duration(&m.range);
            object.insert("range".into(), range);
            object.insert("rangeExpr".into(), range_expr);
            Value::Object(object)
        }
        Expr::Subquery(s) => subquery(s),
        Expr::Call(c) => json!({
            "type": "call",
            "func": {
                "name": c.func.name,
                "argTypes": c.func.args.iter().map(|t| t.as_str()).collect::<Vec<_>>(),
                "variadic": c.func.variadic,
                "returnType": c.func.returns.as_str(),
            },
            "args": c.args.iter().map(to_json).collect::<Vec<_>>(),
        }),
        Expr::Aggregate(a) => json!({
            "type": "aggregation",
            "op": a.op.as_str(),
            "expr": to_json(&a.expr),
            "param": a.param.as_deref().map(to_json),
            "grouping": a.grouping,
            "without": a.without,
        }),
        Expr::Binary(b) => json!({
            "type": "binaryExpr",
            "op": b.op.as_str(),
            "lhs": to_json(&b.lhs),
            "rhs": to_json(&b.rhs),
            "matching": b.matching.as_ref().map(matching),
            "bool": b.return_bool,
        }),
        Expr::Unary(u) => json!({"type": "unaryExpr", "op": u.op.as_str(), "expr": to_json(&u.expr)}),
        Expr::Paren(p) => json!({"type": "parenExpr", "expr": to_json(&p.expr)}),
    }
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

fn selector(kind: &str, selector: &VectorSelector) -> serde_json::Map<String, Value> {
    let (timestamp, start_or_end) = at(selector.at);
    let (offset, offset_expr) = duration(&selector.offset);
    [
        ("type", kind.into()),
        ("name", selector.name.as_str().into()),
        ("offset", offset),
        ("offsetExpr", offset_expr),
        ("matchers", selector.matchers.iter().map(matcher).collect()),
        ("timestamp", timestamp),
        ("startOrEnd", start_or_end),
        ("anchored", selector.anchored.into()),
        ("smoothed", selector.smoothed.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

fn subquery(subquery: &Subquery) -> Value {
    let (timestamp, start_or_end) = at(subquery.at);
    let (range, range_expr) = duration(&subquery.range);
    let (offset, offset_expr) = duration(&subquery.offset);
    let (step, step_expr) = subquery.step.as_ref().map_or((0.into(), Value::Null), duration);
    json!({
        "type": "subquery",
        "expr": to_json(&subquery.expr),
        "range": range,
        "rangeExpr": range_expr,
        "offset": offset,
        "offsetExpr": offset_expr,
        "step": step,
        "stepExpr": step_expr,
        "timestamp": timestamp,
        "startOrEnd": start_or_end,
    })
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
