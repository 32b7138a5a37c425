//! Results against expectations.

use std::fmt::Write;
use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::FloatHistogram;
use norn_model::labels::Labels;
use norn_model::sample::is_stale_nan;

use super::item::Item;
use super::parse::{Expectation, Expected, Notes};
use crate::histogram::layout::{compact, same_spans};
use crate::value::{PointValue, SeriesPoints, Value, VectorElement};

/// Relative difference below which floats are equal.
const TOLERANCE: f64 = 1e-6;

/// What should have been and what was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub got: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: got.into() }
    }
}

/// Whether two floats are equal for a script: both ordinary NaN, both stale, or close.
pub fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn same_histogram(expected: &FloatHistogram, hint_set: bool, got: &FloatHistogram) -> bool {
    let (mut a, mut b) = (expected.clone(), got.clone());
    compact(&mut a);
    compact(&mut b);
    let close =
        |x: &[f64], y: &[f64]| x.len() == y.len() && x.iter().zip(y).all(|(x, y)| almost_equal(*x, *y));
    a.schema == b.schema
        && (!hint_set || a.reset_hint == b.reset_hint)
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && a.zero_threshold == b.zero_threshold
        && almost_equal(a.zero_count, b.zero_count)
        && a.custom_values == b.custom_values
        && same_spans(&a.positive_spans, &b.positive_spans)
        && same_spans(&a.negative_spans, &b.negative_spans)
        && close(&a.positive_buckets, &b.positive_buckets)
        && close(&a.negative_buckets, &b.negative_buckets)
}

fn matches_float(item: &Item, got: f64) -> bool {
    matches!(item, Item::Float(v) if almost_equal(*v, got))
}

fn matches_histogram(item: &Item, got: &FloatHistogram) -> bool {
    matches!(item, Item::Histogram { histogram, hint_set } if same_histogram(histogram, *hint_set, got))
}

fn matches_point(item: &Item, got: &PointValue) -> bool {
    match got {
        PointValue::Float(v) => matches_float(item, *v),
        PointValue::Histogram(h) => matches_histogram(item, h),
    }
}

/// Compares what an instant query at `time` gave.
pub fn instant(expect: &Expectation, time: Millis, got: &Value) -> Result<(), Mismatch> {
    match (&expect.result, got) {
        (Expected::Scalar(want), Value::Scalar { value, .. }) if almost_equal(*want, *value) => Ok(()),
        (Expected::String(want), Value::String { value, .. }) if want == value => Ok(()),
        (Expected::Series(want), Value::Vector(got)) => vector(want, expect.ordered, time, got),
        (Expected::Matrix { start, step, series }, Value::Matrix(got)) => matrix(series, *start, *step, got),
        _ => Err(Mismatch::new(display_expected(&expect.result), display(got))),
    }
}

/// Compares what a range query gave.
pub fn range(expect: &Expectation, start: Millis, step: Millis, got: &Value) -> Result<(), Mismatch> {
    match (&expect.result, got) {
        (Expected::Series(want), Value::Matrix(got)) => matrix(want, start, step, got),
        _ => Err(Mismatch::new(display_expected(&expect.result), display(got))),
    }
}

/// Compares the step at `time` of a range query with what the instant query must give.
pub fn middle_step(expect: &Expectation, time: Millis, got: &Value) -> Result<(), Mismatch> {
    let Value::Matrix(series) = got else { return Err(Mismatch::new("a matrix", display(got))) };
    check_sorted(series)?;
    let step: Vec<VectorElement> = series.iter().filter_map(|s| element_at(s, time)).collect();
    if let Expected::Scalar(want) = expect.result {
        return match &step[..] {
            [VectorElement { value: PointValue::Float(v), .. }] if almost_equal(want, *v) => Ok(()),
            _ => Err(Mismatch::new(want.to_string(), display(&Value::Vector(step)))),
        };
    }
    instant(expect, time, &Value::Vector(step))
}

fn element_at(series: &SeriesPoints, time: Millis) -> Option<VectorElement> {
    let float = series.floats.iter().find(|(t, _)| *t == time).map(|(_, v)| PointValue::Float(*v));
    let histogram =
        || series.histograms.iter().find(|(t, _)| *t == time).map(|(_, h)| PointValue::Histogram(h.clone()));
    let value = float.or_else(histogram)?;
    Some(VectorElement { labels: series.labels.clone(), timestamp: time, value })
}

fn vector(
    want: &[(Labels, Vec<Item>)],
    ordered: bool,
    time: Millis,
    got: &[VectorElement],
) -> Result<(), Mismatch> {
    let holds = got.len() == want.len()
        && got.iter().enumerate().all(|(i, element)| {
            let same = |(labels, _): &&(Labels, Vec<Item>)| *labels == element.labels;
            let found = if ordered { want.get(i).filter(same) } else { want.iter().find(same) };
            let item = found.and_then(|(_, items)| items.first());
            element.timestamp == time && item.is_some_and(|item| matches_point(item, &element.value))
        })
        && is_unique(got.iter().map(|e| &e.labels));
    if holds {
        return Ok(());
    }
    let order = if ordered { "in this order: " } else { "" };
    let got = Value::Vector(got.to_vec());
    Err(Mismatch::new(format!("{order}{}", display_series(want)), display(&got)))
}

fn is_unique<'a>(labels: impl Iterator<Item = &'a Labels>) -> bool {
    let mut labels: Vec<_> = labels.collect();
    labels.sort();
    labels.windows(2).all(|pair| pair[0] != pair[1])
}

fn check_sorted(series: &[SeriesPoints]) -> Result<(), Mismatch> {
    match series.windows(2).find(|pair| pair[0].labels >= pair[1].labels) {
        Some(pair) => Err(Mismatch::new(
            "series in the order of their labels",
            format!("{} before {}", pair[0].labels, pair[1].labels),
        )),
        None => Ok(()),
    }
}

fn matrix(
    want: &[(Labels, Vec<Item>)],
    start: Millis,
    step: Millis,
    got: &[SeriesPoints],
) -> Result<(), Mismatch> {
    check_sorted(got)?;
    let has_points = |(_, items): &&(Labels, Vec<Item>)| items.iter().any(|i| *i != Item::Gap);
    let holds = want.iter().filter(has_points).count() == got.len()
        && got.iter().all(|series| {
            let found = want.iter().find(|(labels, _)| *labels == series.labels);
            found.is_some_and(|(_, items)| same_points(items, start, step, series))
        });
    if holds { Ok(()) } else { Err(Mismatch::new(display_series(want), display_matrix(got, start, step))) }
}

fn same_points(items: &[Item], start: Millis, step: Millis, got: &SeriesPoints) -> bool {
    let mut floats = got.floats.iter();
    let mut histograms = got.histograms.iter();
    let all = items.iter().enumerate().all(|(i, item)| {
        let time = start + step * i as Millis;
        match item {
            Item::Gap => true,
            Item::Float(_) => floats.next().is_some_and(|(t, v)| *t == time && matches_float(item, *v)),
            Item::Histogram { .. } => {
                histograms.next().is_some_and(|(t, h)| *t == time && matches_histogram(item, h))
            }
        }
    });
    all && floats.next().is_none() && histograms.next().is_none()
}

/// Compares the annotations of one kind, each a whole text.
pub fn notes(kind: &str, want: &Notes, got: &[String]) -> Result<(), Mismatch> {
    let list = || if got.is_empty() { format!("no {kind}") } else { got.join("; ") };
    if want.none && !got.is_empty() {
        return Err(Mismatch::new(format!("no {kind}"), list()));
    }
    if want.any && got.is_empty() {
        return Err(Mismatch::new(format!("some {kind}"), list()));
    }
    if want.some.is_empty() {
        return Ok(());
    }
    if let Some(missing) = want.some.iter().find(|w| !got.iter().any(|g| w.matches(g))) {
        return Err(Mismatch::new(format!("{kind} of {missing}"), list()));
    }
    match got.iter().find(|g| !want.some.iter().any(|w| w.matches(g))) {
        Some(extra) => Err(Mismatch::new(format!("no other {kind} than those listed"), extra.clone())),
        None => Ok(()),
    }
}

fn display_expected(expected: &Expected) -> String {
    match expected {
        Expected::Scalar(v) => v.to_string(),
        Expected::String(text) => format!("{text:?}"),
        Expected::Series(series) | Expected::Matrix { series, .. } => display_series(series),
    }
}

fn display_series(series: &[(Labels, Vec<Item>)]) -> String {
    if series.is_empty() {
        return "nothing".to_owned();
    }
    let mut out = String::new();
    for (labels, items) in series {
        let _ = write!(out, "\n      {labels}");
        items.iter().for_each(|item| _ = write!(out, " {item}"));
    }
    out
}

/// A result in the script language.
pub fn display(value: &Value) -> String {
    match value {
        Value::Scalar { value, .. } => format!("the scalar {value}"),
        Value::String { value, .. } => format!("the string {value:?}"),
        Value::Vector(elements) => {
            let series = |e: &VectorElement| (e.labels.clone(), vec![item(&e.value)]);
            display_series(&elements.iter().map(series).collect::<Vec<_>>())
        }
        Value::Matrix(series) => {
            let mut out = "a matrix".to_owned();
            for s in series {
                let _ = write!(out, "\n      {}", s.labels);
                s.floats.iter().for_each(|(t, v)| _ = write!(out, " {v}@{t}"));
                s.histograms.iter().for_each(|(t, h)| {
                    let _ = write!(out, " {}@{t}", super::item::display(h, true));
                });
            }
            out
        }
    }
}

/// A matrix with gaps, as the expectation is written, where all its points lie on steps.
fn display_matrix(series: &[SeriesPoints], start: Millis, step: Millis) -> String {
    let lines: Option<Vec<_>> = series.iter().map(|s| on_steps(s, start, step)).collect();
    match lines {
        Some(lines) => display_series(&lines),
        None => display(&Value::Matrix(series.to_vec())),
    }
}

fn on_steps(series: &SeriesPoints, start: Millis, step: Millis) -> Option<(Labels, Vec<Item>)> {
    let mut items = Vec::new();
    let floats = series.floats.iter().map(|(t, v)| (*t, Item::Float(*v)));
    let histograms = series.histograms.iter().map(|(t, h)| (*t, item(&PointValue::Histogram(h.clone()))));
    for (t, item) in floats.chain(histograms) {
        let index = usize::try_from((t - start) / step).ok().filter(|_| (t - start) % step == 0)?;
        if items.len() <= index {
            items.resize(index + 1, Item::Gap);
        }
        items[index] = item;
    }
    Some((series.labels.clone(), items))
}

fn item(value: &PointValue) -> Item {
    match value {
        PointValue::Float(v) => Item::Float(*v),
        PointValue::Histogram(h) => Item::Histogram { histogram: Arc::clone(h), hint_set: true },
    }
}

#[cfg(test)]
mod tests {
    use norn_model::sample::stale_nan;

    use super::*;
    use crate::script::parse::TextMatch;

    #[test]
    fn floats() {
        assert!(almost_equal(1.0, 1.0 + 1e-7) && !almost_equal(1.0, 1.0 + 1e-5));
        assert!(almost_equal(f64::NAN, f64::NAN) && !almost_equal(f64::NAN, stale_nan()));
        assert!(!almost_equal(0.0, 1e-12) && almost_equal(0.0, -0.0));
        assert!(almost_equal(f64::INFINITY, f64::INFINITY) && !almost_equal(f64::INFINITY, f64::MAX));
    }

    fn expectation(lines: &[&str]) -> Expectation {
        let series = lines.iter().map(|l| super::super::item::parse(l).expect("series")).collect();
        Expectation { result: Expected::Series(series), ..Expectation::default() }
    }

    fn elements(lines: &[(&str, f64)]) -> Value {
        let element = |(name, value): &(&str, f64)| VectorElement {
            labels: Labels::from_pairs([("__name__", *name)]),
            timestamp: 7,
            value: PointValue::Float(*value),
        };
        Value::Vector(lines.iter().map(element).collect())
    }

    #[test]
    fn vectors() {
        let mut want = expectation(&["a 1", "b 2"]);
        assert_eq!(instant(&want, 7, &elements(&[("b", 2.0), ("a", 1.0)])), Ok(()));
        for wrong in [
            &[("a", 1.0)][..],
            &[("a", 1.0), ("b", 3.0)],
            &[("a", 1.0), ("c", 2.0)],
            &[("a", 1.0), ("a", 1.0)],
            &[("a", 1.0), ("b", 2.0), ("c", 2.0)],
        ] {
            assert!(instant(&want, 7, &elements(wrong)).is_err(), "{wrong:?}");
        }
        assert!(instant(&want, 8, &elements(&[("b", 2.0), ("a", 1.0)])).is_err());
        want.ordered = true;
        assert!(instant(&want, 7, &elements(&[("b", 2.0), ("a", 1.0)])).is_err());
        assert_eq!(instant(&want, 7, &elements(&[("a", 1.0), ("b", 2.0)])), Ok(()));
    }

    #[test]
    fn matrices() {
        let want = expectation(&["a 1 _ {{count:3}}"]);
        let histogram = |count| Arc::new(FloatHistogram { count, ..FloatHistogram::default() });
        let points = |floats: &[(i64, f64)], count| {
            Value::Matrix(vec![SeriesPoints {
                labels: Labels::from_pairs([("__name__", "a")]),
                floats: floats.to_vec(),
                histograms: vec![(120, histogram(count))],
            }])
        };
        assert_eq!(range(&want, 100, 10, &points(&[(100, 1.0)], 3.0)), Ok(()));
        assert!(range(&want, 100, 10, &points(&[(100, 1.0)], 4.0)).is_err());
        assert!(range(&want, 100, 10, &points(&[(100, 1.0), (110, 1.0)], 3.0)).is_err());
        assert!(range(&want, 100, 10, &points(&[(110, 1.0)], 3.0)).is_err());
        assert!(range(&want, 100, 10, &Value::Matrix(Vec::new())).is_err());
    }

    #[test]
    fn annotations() {
        let exact = |text: &str| TextMatch::Exact(text.to_owned());
        let want = |some: Vec<TextMatch>| Notes { some, ..Notes::default() };
        let got = ["a".to_owned(), "b".to_owned()];
        assert_eq!(notes("info", &Notes::default(), &got), Ok(()));
        assert_eq!(notes("info", &want(vec![exact("a"), exact("b")]), &got), Ok(()));
        assert_eq!(notes("info", &want(vec![TextMatch::Any]), &got), Ok(()));
        assert!(notes("info", &want(vec![TextMatch::Any]), &[]).is_err());
        assert!(notes("info", &want(vec![exact("a")]), &got).is_err(), "b is not expected");
        assert!(notes("info", &want(vec![TextMatch::Any, exact("c")]), &got).is_err(), "c is missing");
        assert!(notes("info", &Notes { none: true, ..Notes::default() }, &got).is_err());
    }
}
