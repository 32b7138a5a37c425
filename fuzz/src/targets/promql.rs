//! PromQL: what was read is printed and read again alike, on one line and on many.

use norn_promql_syntax::ast::{At, Expr};
use norn_promql_syntax::{Options, parse, parse_selector, pretty, to_json};
use serde_json::Value;

/// Text: a query.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_selector(text);
    let _ = parse(text, &Options::default());
    let expr = match parse(text, &Options::all()) {
        Ok(expr) => expr,
        Err(e) => {
            // The message names a position in the text.
            assert!(!e.to_string().is_empty());
            return;
        }
    };
    let span = expr.span();
    assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?} is not in the text");
    expr.walk(&mut |e| {
        let span = e.span();
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?} is not in the text");
    });
    let printed = expr.to_string();
    same(&expr, &printed);
    same(&expr, &pretty(&expr));
}

fn same(expr: &Expr, printed: &str) {
    // Prometheus' lexer does not read the replacement character that its printer writes.
    if !is_printable(expr) || printed.contains(char::REPLACEMENT_CHARACTER) {
        return;
    }
    match parse(printed, &Options::all()) {
        Ok(again) => {
            assert_eq!(normal(to_json(&again)), normal(to_json(expr)), "{printed}");
        }
        Err(e) => panic!("{printed}: {e}"),
    }
}

/// What printing as Prometheus does may change: matchers come in the order of their texts, the
/// sign of `+Inf` is read as an operator in front of a power, a plus in front of a duration is left
/// out, and so is the minus of `-0s`. Milliseconds inside a duration expression may lose one.
fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            let is = |name: &str, value: &str| object.get(name).and_then(Value::as_str) == Some(value);
            if is("op", "+") && is("type", "unaryExpr") {
                return normal(object["expr"].take());
            }
            if is("op", "+") && is("type", "durationExpr") && object["lhs"].is_null() {
                return normal(object["rhs"].take());
            }
            let seconds = object.get("val").and_then(Value::as_str).and_then(|v| v.parse::<f64>().ok());
            if let Some(seconds) =
                seconds.filter(|s| *s == 0.0 || object.get("duration") == Some(&true.into()))
            {
                object.insert("val".into(), (seconds.floor() as i64).into());
            }
            for (name, value) in object.iter_mut() {
                *value = normal(value.take());
                if let ("matchers", Value::Array(matchers)) = (name.as_str(), value) {
                    matchers.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|v| *v = normal(v.take())),
        _ => {}
    }
    value
}

/// Times with `@` are printed as seconds, in floats, and numbers written as durations are cut to
/// milliseconds in floats, which may lose one.
fn is_printable(expr: &Expr) -> bool {
    let mut exact = true;
    expr.walk(&mut |e| {
        let at = match e {
            Expr::Vector(v) => v.at,
            Expr::Matrix(m) => m.selector.at,
            Expr::Subquery(s) => s.at,
            Expr::Number(n) if n.duration => {
                exact &= n.value.fract() == 0.0;
                None
            }
            _ => None,
        };
        exact &= !matches!(at, Some(At::Time(t)) if t.unsigned_abs() > 1 << 52);
    });
    exact
}
