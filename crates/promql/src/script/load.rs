//! Loading series into a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};
use norn_model::labels::{Labels, METRIC_NAME};

use super::item::Item;
use super::parse::{Load, LoadSeries};
use crate::histogram::layout::compact;
use crate::testing::MemorySource;
use crate::value::PointValue;

/// Adds the series of `load` to `source`. A series that is listed twice is what its last line says.
pub fn load(load: &Load, source: &MemorySource) -> Result<(), String> {
    let last: BTreeMap<&Labels, &LoadSeries> = load.series.iter().map(|s| (&s.labels, s)).collect();
    for series in last.values() {
        for (i, (time, item)) in timed(series, load.step).enumerate() {
            let value = match item {
                Item::Gap => continue,
                Item::Float(v) => PointValue::Float(*v),
                Item::Histogram { histogram, .. } => PointValue::Histogram(Arc::clone(histogram)),
            };
            let offset = series.start_offsets.get(i).copied().flatten();
            let start = offset.map_or(0, |offset| time.saturating_add(offset));
            source.add_started(&series.labels, time, start, value).map_err(|e| e.to_string())?;
        }
    }
    if load.with_nhcb { load_nhcb(last.values().copied(), load.step, source) } else { Ok(()) }
}

fn timed(series: &LoadSeries, step: Millis) -> impl Iterator<Item = (Millis, &Item)> {
    series.items.iter().enumerate().map(move |(i, item)| (step * i as Millis, item))
}

/// What a classic histogram says at one time.
#[derive(Default)]
struct Classic {
    /// Bounds and counts, by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Stores classic histograms as native ones with custom buckets, under the name without suffix.
fn load_nhcb<'a>(
    all: impl Iterator<Item = &'a LoadSeries>,
    step: Millis,
    source: &MemorySource,
) -> Result<(), String> {
    let mut histograms: BTreeMap<(Labels, Millis), Classic> = BTreeMap::new();
    for series in all {
        let name = series.labels.metric_name();
        let Some((base, part)) = name.rsplit_once('_') else { continue };
        if !matches!(part, "bucket" | "sum" | "count") {
            continue;
        }
        let mut labels = series.labels.to_builder();
        labels.set(METRIC_NAME, base).remove("le");
        let labels = labels.build();
        for (time, item) in timed(series, step) {
            let Item::Float(value) = item else { continue };
            let classic = histograms.entry((labels.clone(), time)).or_default();
            match part {
                "sum" => classic.sum = *value,
                "count" => classic.count = Some(*value),
                _ => classic.put(series.labels.get("le"), *value)?,
            }
        }
    }
    for ((labels, time), classic) in histograms {
        let histogram = classic.convert().map_err(|e| format!("{labels} at {time}: {e}"))?;
        let value = PointValue::Histogram(Arc::new(histogram));
        source.add(&labels, time, value).map_err(|e| e.to_string())?;
    }
    Ok(())
}

impl Classic {
    /// Adds a bucket; of equal bounds the first counts.
    fn put(&mut self, le: &str, count: f64) -> Result<(), String> {
        let bound: f64 = le.parse().map_err(|_| format!("bucket bound {le:?} is no number"))?;
        let position = self.buckets.partition_point(|(b, _)| *b < bound);
        if self.buckets.get(position).is_none_or(|(b, _)| *b != bound) {
            self.buckets.insert(position, (bound, count));
        }
        Ok(())
    }

    fn convert(mut self) -> Result<FloatHistogram, String> {
        let highest = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let total = self.count.unwrap_or(highest);
        match self.buckets.last() {
            Some((bound, count)) if *bound == f64::INFINITY => {
                if *count != total {
                    return Err(format!("count {total} is not that of the last bucket, {count}"));
                }
            }
            _ => self.buckets.push((f64::INFINITY, total)),
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, count) in &self.buckets {
            if *count < below {
                return Err(format!("bucket {bound} has less than the one before"));
            }
            counts.push(count - below);
            below = *count;
        }
        self.buckets.pop();
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: total,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts,
            custom_values: self.buckets.iter().map(|(bound, _)| *bound).collect(),
            ..FloatHistogram::default()
        };
        compact(&mut histogram);
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(buckets: &[(&str, f64)], count: Option<f64>) -> Result<FloatHistogram, String> {
        let mut classic = Classic { count, sum: 7.0, ..Classic::default() };
        buckets.iter().try_for_each(|(le, count)| classic.put(le, *count))?;
        classic.convert()
    }

    #[test]
    fn classic_to_native() {
        let h = classic(&[("2", 3.0), ("1e0", 1.0), ("1.0", 9.0), ("+Inf", 4.0)], Some(4.0)).expect("fits");
        assert_eq!((h.count, h.sum), (4.0, 7.0));
        assert_eq!(h.custom_values, [1.0, 2.0]);
        assert_eq!(h.positive_buckets, [1.0, 2.0, 1.0]);
        let h = classic(&[("1", 3.0)], Some(5.0)).expect("fits");
        assert_eq!(h.positive_buckets, [3.0, 2.0]);
        assert!(classic(&[("1", 3.0), ("2", 1.0)], None).is_err());
        assert!(classic(&[("1", 3.0), ("Inf", 4.0)], Some(5.0)).is_err());
        assert!(classic(&[("x", 3.0)], None).is_err());
    }
}
