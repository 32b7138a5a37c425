//! Results of queries as JSON.

use std::time::Duration;
use std::vec;

use norn_model::Millis;
use norn_model::histogram::FloatHistogram;
use norn_promql::plan::explain::{Operator, Usage};
use norn_promql::value::{PointValue, SeriesPoints, Stats, Value, VectorElement};

use crate::json;
use crate::response::Pieces;

/// `{"resultType":…,"result":…,"stats":…,"explain":…}`, written sample by sample.
pub(crate) struct QueryData {
    rows: Rows,
    is_open: bool,
    /// What comes after the rows.
    stats: Option<(Stats, Duration)>,
    operators: Vec<Operator>,
}

enum Rows {
    Scalar(Millis, f64),
    Text(Millis, String),
    Vector(vec::IntoIter<VectorElement>),
    Matrix { series: vec::IntoIter<SeriesPoints>, current: Option<SeriesCursor> },
}

/// A series of which `next` points were written, floats first.
struct SeriesCursor {
    series: SeriesPoints,
    next: usize,
}

impl QueryData {
    /// `stats` are shown where they are given, with the time the query took.
    pub(crate) fn new(value: Value, stats: Option<(Stats, Duration)>) -> Self {
        let rows = match value {
            Value::Scalar { timestamp, value } => Rows::Scalar(timestamp, value),
            Value::String { timestamp, value } => Rows::Text(timestamp, value),
            Value::Vector(elements) => Rows::Vector(elements.into_iter()),
            Value::Matrix(series) => Rows::Matrix { series: series.into_iter(), current: None },
        };
        Self { rows, is_open: false, stats, operators: Vec::new() }
    }

    /// Shows what each operator cost, if there are any.
    pub(crate) fn explained(self, operators: Vec<Operator>) -> Self {
        Self { operators, ..self }
    }

    fn open(&self, out: &mut Vec<u8>) {
        let (kind, bracket) = match self.rows {
            Rows::Scalar(..) => ("scalar", ""),
            Rows::Text(..) => ("string", ""),
            Rows::Vector(_) => ("vector", "["),
            Rows::Matrix { .. } => ("matrix", "["),
        };
        out.extend_from_slice(format!(r#"{{"resultType":"{kind}","result":{bracket}"#).as_bytes());
    }

    fn close(&self, out: &mut Vec<u8>) {
        if let Some((stats, took)) = &self.stats {
            write_stats(out, stats, *took);
        }
        if !self.operators.is_empty() {
            write_operators(out, &self.operators);
        }
        out.push(b'}');
    }
}

impl Pieces for QueryData {
    fn write_piece(&mut self, out: &mut Vec<u8>) -> bool {
        let is_first = !self.is_open;
        if is_first {
            self.open(out);
            self.is_open = true;
        }
        let more = match &mut self.rows {
            Rows::Scalar(t, v) => {
                write_pair(out, |out| json::plain_timestamp(out, *t), |out| json::decimal(out, *v));
                false
            }
            Rows::Text(t, text) => {
                write_pair(out, |out| json::plain_timestamp(out, *t), |out| json::text(out, text));
                false
            }
            Rows::Vector(elements) => write_element(out, elements, is_first),
            Rows::Matrix { series, current } => write_point(out, series, current, is_first),
        };
        if !more {
            self.close(out);
        }
        more
    }
}

/// The next element of a vector, or its end.
fn write_element(out: &mut Vec<u8>, elements: &mut vec::IntoIter<VectorElement>, is_first: bool) -> bool {
    let Some(element) = elements.next() else {
        out.push(b']');
        return false;
    };
    if !is_first {
        out.push(b',');
    }
    out.extend_from_slice(br#"{"metric":"#);
    json::labels(out, &element.labels);
    match &element.value {
        PointValue::Float(v) => {
            out.extend_from_slice(br#","value":"#);
            write_float(out, element.timestamp, *v);
        }
        PointValue::Histogram(h) => {
            out.extend_from_slice(br#","histogram":"#);
            write_histogram(out, element.timestamp, h);
        }
    }
    out.push(b'}');
    true
}

/// The next point of a matrix, the next series' labels, or the end.
fn write_point(
    out: &mut Vec<u8>,
    series: &mut vec::IntoIter<SeriesPoints>,
    current: &mut Option<SeriesCursor>,
    is_first: bool,
) -> bool {
    if let Some(cursor) = current {
        if !cursor.write_next(out) {
            *current = None;
        }
        return true;
    }
    let Some(next) = series.next() else {
        out.push(b']');
        return false;
    };
    if !is_first {
        out.push(b',');
    }
    out.extend_from_slice(br#"{"metric":"#);
    json::labels(out, &next.labels);
    *current = Some(SeriesCursor { series: next, next: 0 });
    true
}

impl SeriesCursor {
    /// Writes the next point and what belongs between points; `false` at the end of the series.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let SeriesPoints { floats, histograms, .. } = &self.series;
        let i = self.next;
        self.next += 1;
        if let Some(&(t, v)) = floats.get(i) {
            out.extend_from_slice(if i == 0 { br#","values":["# } else { b"," });
            write_float(out, t, v);
            if i + 1 == floats.len() {
                out.push(b']');
            }
            return true;
        }
        let i = i - floats.len();
        if let Some((t, h)) = histograms.get(i) {
            out.extend_from_slice(if i == 0 { br#","histograms":["# } else { b"," });
            write_histogram(out, *t, h);
            if i + 1 == histograms.len() {
                out.push(b']');
            }
            return true;
        }
        out.push(b'}');
        false
    }
}

fn write_float(out: &mut Vec<u8>, t: Millis, v: f64) {
    write_pair(out, |out| json::timestamp(out, t), |out| json::float(out, v));
}

fn write_histogram(out: &mut Vec<u8>, t: Millis, h: &FloatHistogram) {
    write_pair(out, |out| json::timestamp(out, t), |out| json::histogram(out, h));
}

fn write_pair(out: &mut Vec<u8>, first: impl FnOnce(&mut Vec<u8>), second: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    first(out);
    out.push(b',');
    second(out);
    out.push(b']');
}

/// Prometheus' `stats`. Of its timings only the whole is measured; the parts are 0.
fn write_stats(out: &mut Vec<u8>, stats: &Stats, took: Duration) {
    let took = took.as_secs_f64();
    let timings = format!(
        r#","stats":{{"timings":{{"evalTotalTime":{took},"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":0,"execQueueTime":0,"execTotalTime":{took}}}"#
    );
    let samples = format!(
        r#","samples":{{"totalQueryableSamples":{},"peakSamples":{}}}}}"#,
        stats.total_samples, stats.peak_samples
    );
    out.extend_from_slice(timings.as_bytes());
    out.extend_from_slice(samples.as_bytes());
}

/// What each operator cost, those above before those below. Prometheus has nothing like it.
fn write_operators(out: &mut Vec<u8>, operators: &[Operator]) {
    out.extend_from_slice(br#","explain":{"operators":["#);
    for (i, Operator { depth, name, detail, position, usage }) in operators.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b"," } else { b"" });
        out.extend_from_slice(format!(r#"{{"depth":{depth},"operator":"{name}","detail":"#).as_bytes());
        json::text(out, detail);
        if let Some(position) = position {
            out.extend_from_slice(format!(r#","position":{position}"#).as_bytes());
        }
        if let Some(Usage { series, samples, samples_read, chunk_bytes, cpu }) = usage {
            let cpu = cpu.as_secs_f64();
            let usage = format!(
                r#","series":{series},"samples":{samples},"samplesRead":{samples_read},"chunkBytes":{chunk_bytes},"cpuSeconds":{cpu}"#
            );
            out.extend_from_slice(usage.as_bytes());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use norn_model::histogram::Span;
    use norn_model::labels::Labels;

    use super::*;

    fn written(value: Value) -> String {
        let mut out = Vec::new();
        let mut data = QueryData::new(value, None);
        while data.write_piece(&mut out) {}
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_matrix_has_floats_and_histograms() {
        let h = Arc::new(FloatHistogram {
            count: 2.0,
            sum: 3.0,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![2.0],
            ..FloatHistogram::default()
        });
        let labels = |v: &str| Labels::from_pairs([("a", v)]);
        let series = vec![
            SeriesPoints {
                labels: labels("1"),
                floats: vec![(0, 1.0), (1500, f64::NAN)],
                histograms: vec![],
            },
            SeriesPoints { labels: labels("2"), floats: vec![(0, -0.0)], histograms: vec![(7, h)] },
            SeriesPoints::default(),
        ];
        assert_eq!(
            written(Value::Matrix(series)),
            concat!(
                r#"{"resultType":"matrix","result":["#,
                r#"{"metric":{"a":"1"},"values":[[0,"1"],[1.500,"NaN"]]},"#,
                r#"{"metric":{"a":"2"},"values":[[0,"-0"]],"#,
                r#""histograms":[[0.007,{"count":"2","sum":"3","buckets":[[0,"0.5","1","2"]]}]]},"#,
                r#"{"metric":{}}]}"#,
            )
        );
        assert_eq!(written(Value::Matrix(vec![])), r#"{"resultType":"matrix","result":[]}"#);
        assert_eq!(written(Value::Vector(vec![])), r#"{"resultType":"vector","result":[]}"#);
    }

    #[test]
    fn stats_are_json() {
        let mut out = Vec::new();
        let stats = Stats { total_samples: 5, peak_samples: 3, ..Stats::default() };
        let value = Value::Scalar { timestamp: 10_050, value: 1e21 };
        QueryData::new(value, Some((stats, Duration::from_millis(1500)))).write_piece(&mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value["result"], serde_json::json!([10.05, "1000000000000000000000"]));
        assert_eq!(value["stats"]["timings"]["execTotalTime"], 1.5);
        assert_eq!(value["stats"]["samples"]["totalQueryableSamples"], 5);
    }
}
