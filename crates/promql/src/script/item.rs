//! Values of series lines, and values as text.

use std::fmt::Write;
use std::sync::Arc;

use norn_model::histogram::{FloatHistogram, ResetHint};
use norn_model::labels::Labels;
use norn_promql_syntax::series::{SequenceValue, parse_series};

use crate::histogram::arithmetic::{add, sub};

/// One value of a series line.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// No sample.
    Gap,
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram {
        /// The histogram.
        histogram: Arc<FloatHistogram>,
        /// Whether its reset hint was written, and so is to be compared.
        hint_set: bool,
    },
}

/// Reads a series line.
pub fn parse(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let (labels, values) = parse_series(line).map_err(|e| e.to_string())?;
    let mut items = Vec::with_capacity(values.len());
    for value in values {
        match value {
            SequenceValue::Omitted => items.push(Item::Gap),
            SequenceValue::Float(v) => items.push(Item::Float(v)),
            SequenceValue::Histogram { histogram, hint_set } => {
                items.push(Item::Histogram { histogram: Arc::new(histogram), hint_set });
            }
            SequenceValue::HistogramSequence { base, increment, subtract, count, hint_set } => {
                let combine = if subtract { sub } else { add };
                let mut current = base;
                for _ in 0..count {
                    items.push(Item::Histogram { histogram: Arc::new(current.clone()), hint_set });
                    if current.schema > increment.schema {
                        let (from, to) = (current.schema, increment.schema);
                        return Err(format!("can not combine histograms of schema {from} and {to}"));
                    }
                    combine(&mut current, &increment).map_err(|e| e.to_string())?;
                }
                items.push(Item::Histogram { histogram: Arc::new(current), hint_set });
            }
        }
    }
    Ok((labels, items))
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap => f.write_str("_"),
            Self::Float(v) if norn_model::sample::is_stale_nan(*v) => f.write_str("stale"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Histogram { histogram, hint_set } => f.write_str(&display(histogram, *hint_set)),
        }
    }
}

/// The histogram in the script language.
pub fn display(h: &FloatHistogram, with_hint: bool) -> String {
    let mut out = format!("{{{{schema:{} count:{} sum:{}", h.schema, h.count, h.sum);
    if h.zero_count != 0.0 || h.zero_threshold != 0.0 {
        let _ = write!(out, " z_bucket:{} z_bucket_w:{}", h.zero_count, h.zero_threshold);
    }
    if with_hint || h.reset_hint != ResetHint::Unknown {
        let _ = write!(out, " hint:{:?}", h.reset_hint);
    }
    if !h.custom_values.is_empty() {
        let _ = write!(out, " custom_values:{:?}", h.custom_values);
    }
    for (name, spans, buckets) in
        [("", &h.positive_spans, &h.positive_buckets), ("n_", &h.negative_spans, &h.negative_buckets)]
    {
        if !buckets.is_empty() {
            let spans: Vec<_> = spans.iter().map(|s| (s.offset, s.length)).collect();
            let _ = write!(out, " {name}spans:{spans:?} {name}buckets:{buckets:?}");
        }
    }
    out + "}}"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(line: &str) -> Vec<f64> {
        let (_, items) = parse(line).expect(line);
        let count = |item: &Item| match item {
            Item::Gap => -1000.0,
            Item::Float(v) => *v,
            Item::Histogram { histogram, .. } => histogram.count,
        };
        items.iter().map(count).collect()
    }

    #[test]
    fn sequences_of_histograms_are_added_up() {
        assert_eq!(counts("m {{count:1}}+{{count:2}}x3 _ 5"), [1.0, 3.0, 5.0, 7.0, -1000.0, 5.0]);
        assert_eq!(counts("m {{count:9}}-{{count:2}}x1"), [9.0, 7.0]);
        assert!(parse("m {{schema:1}}+{{schema:0}}x1").is_err());
        assert!(parse("m {{schema:-53}}+{{schema:0}}x1").is_err());
    }
}
