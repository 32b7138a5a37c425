//! Two servers' results, value by value.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

/// Largest relative difference: the oracle adds in the order its series were created, Norn in
/// label order, so the last bits of sums may differ.
const TOLERANCE: f64 = 1e-12;

/// Fails with the first difference between two `data.result` values.
pub fn results(oracle: &Value, norn: &Value) -> Result<()> {
    if oracle.as_array().is_some_and(|a| a.iter().all(|s| s.get("metric").is_some())) {
        let (a, b) = (by_metric(oracle)?, by_metric(norn)?);
        if a.keys().ne(b.keys()) {
            let only = |x: &BTreeMap<String, &Value>, y: &BTreeMap<String, &Value>| {
                x.keys().filter(|k| !y.contains_key(*k)).take(3).cloned().collect::<Vec<_>>()
            };
            bail!("series differ: only oracle {:?}, only norn {:?}", only(&a, &b), only(&b, &a));
        }
        for (metric, series) in a {
            value(series, b[&metric]).map_err(|e| e.context(metric))?;
        }
        return Ok(());
    }
    value(oracle, norn)
}

/// Whether a result has at least one sample.
pub fn is_empty(result: &Value) -> bool {
    result.as_array().is_none_or(Vec::is_empty)
}

fn by_metric(result: &Value) -> Result<BTreeMap<String, &Value>> {
    let mut map = BTreeMap::new();
    for series in result.as_array().into_iter().flatten() {
        if map.insert(series["metric"].to_string(), series).is_some() {
            bail!("series {} twice", series["metric"]);
        }
    }
    Ok(map)
}

fn value(a: &Value, b: &Value) -> Result<()> {
    match (a, b) {
        (Value::Array(x), Value::Array(y)) => {
            if x.len() != y.len() {
                bail!("{} against {} elements", x.len(), y.len());
            }
            x.iter()
                .zip(y)
                .enumerate()
                .try_for_each(|(i, (x, y))| value(x, y).map_err(|e| e.context(format!("element {i}"))))
        }
        (Value::Object(x), Value::Object(y)) => {
            if x.keys().ne(y.keys()) {
                bail!("fields {:?} against {:?}", x.keys(), y.keys());
            }
            x.iter().try_for_each(|(k, x)| value(x, &y[k]).map_err(|e| e.context(k.clone())))
        }
        (Value::String(x), Value::String(y)) if x != y => match (x.parse::<f64>(), y.parse::<f64>()) {
            (Ok(x), Ok(y)) if close(x, y) => Ok(()),
            _ => bail!("oracle {x:?}, norn {y:?}"),
        },
        _ if a == b => Ok(()),
        _ => bail!("oracle {a}, norn {b}"),
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::results;

    #[test]
    fn sees_differences() {
        let series = |v: &str| json!([{"metric": {"a": "1"}, "value": [1.0, v]}]);
        assert!(results(&series("0.1"), &series("0.1")).is_ok());
        assert!(results(&series("0.30000000000000004"), &series("0.3")).is_ok());
        assert!(results(&series("0.1"), &series("0.1001")).is_err());
        assert!(results(&series("NaN"), &series("0")).is_err());
        assert!(results(&series("1"), &json!([])).is_err());
        let other = json!([{"metric": {"a": "2"}, "value": [1.0, "1"]}]);
        assert!(results(&series("1"), &other).is_err());
    }
}
