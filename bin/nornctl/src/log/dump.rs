//! `nornctl log dump`: records as JSON lines.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use norn_contract::log::RecordKind;
use norn_log::disk::Disk;
use norn_log::inspect::{Entry, Event, walk};
use norn_model::sample::STALE_NAN_BITS;
use norn_wire::histogram::{HistogramRef, HistogramSample};
use norn_wire::record::{Series, View};
use norn_wire::settings::FoldSettings;
use serde_json::{Map, Value, json};

/// Prints every record that can be read, and on the error output what can not; whether all can.
pub fn run(dir: &Path, samples: bool, out: &mut dyn Write) -> Result<bool> {
    let mut view = View::new();
    let mut printed = Ok(());
    let mut whole = true;
    walk(&Disk, dir, &mut |event| match event {
        Event::Frame(frame) => {
            if let (Some(record), Ok(())) = (&frame.record, &printed) {
                printed = writeln!(out, "{}", line(frame.form, record, samples, &mut view));
            }
        }
        Event::Damage(damage) => {
            whole &= damage.problem.is_harmless();
            eprintln!("nornctl: {damage}");
        }
        Event::Segment(_) => {}
    })?;
    printed?;
    Ok(whole)
}

/// One record.
fn line(form: &str, record: &Entry<'_>, samples: bool, view: &mut View) -> Value {
    let mut line = json!({
        "partition": record.partition,
        "offset": record.offset,
        "tenant": record.tenant,
        "timestamp": record.timestamp,
        "form": form,
        "bytes": record.value.len(),
    });
    let content = match record.kind {
        RecordKind::Settings => settings(&record.value),
        RecordKind::Write(version) => {
            line["version"] = json!(version);
            match view.decode(version, &record.value) {
                Ok(()) => write(view, samples),
                Err(e) => json!({ "error": e.to_string() }),
            }
        }
    };
    if let (Value::Object(line), Value::Object(content)) = (&mut line, content) {
        line.extend(content);
    }
    line
}

fn settings(value: &[u8]) -> Value {
    match FoldSettings::decode(value) {
        Ok(s) => json!({ "settings": {
            "out_of_order_window_ms": s.out_of_order_window,
            "max_series": s.max_series,
            "max_series_per_metric": s.max_series_per_metric,
            "max_exemplars": s.max_exemplars,
            "native_histograms": s.native_histograms,
            "max_metadata": s.max_metadata,
            "max_metadata_per_metric": s.max_metadata_per_metric,
            "ignore_late_exemplars": s.ignore_late_exemplars,
            "zero_samples": s.zero_samples,
        }}),
        Err(e) => json!({ "settings": null, "error": e.to_string() }),
    }
}

fn write(view: &View, samples: bool) -> Value {
    let mut out = json!({
        "series": view.len(),
        "samples": view.series().map(|s| s.samples().len()).sum::<usize>(),
        "histograms": view.series().map(|s| s.histograms().len()).sum::<usize>(),
        "exemplars": view.series().map(|s| s.exemplars().len()).sum::<usize>(),
        "metadata": view.metadata().count(),
    });
    if samples {
        let metadata = view.metadata().map(|m| {
            json!({ "family": m.family, "type": format!("{:?}", m.kind).to_lowercase(), "help": m.help, "unit": m.unit })
        });
        out["content"] = json!({
            "series": view.series().map(|s| series(view, &s)).collect::<Vec<_>>(),
            "metadata": metadata.collect::<Vec<_>>(),
        });
    }
    out
}

fn series(view: &View, series: &Series<'_>) -> Value {
    let labels = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Map<String, Value> {
        pairs.map(|(n, v)| (n.to_owned(), v.into())).collect()
    };
    let mut out = json!({ "labels": labels(&mut series.labels()) });
    let mut put = |name: &str, values: Vec<Value>| {
        if !values.is_empty() {
            out[name] = values.into();
        }
    };
    put("samples", series.samples().iter().map(|s| json!([s.timestamp, float(s.value)])).collect());
    put("histograms", series.histograms().map(|h| histogram(&h)).collect());
    let exemplars = series.exemplars().map(|e| {
        let mut pairs = e.label_refs.chunks_exact(2).map(|p| (view.symbol(p[0]), view.symbol(p[1])));
        json!({ "labels": labels(&mut pairs), "timestamp": e.timestamp, "value": float(e.value) })
    });
    put("exemplars", exemplars.collect());
    if series.created() != 0 {
        out["created"] = series.created().into();
    }
    out
}

/// A float as text, because JSON has neither NaN nor infinities.
fn float(value: f64) -> String {
    if value.to_bits() == STALE_NAN_BITS { "stale".to_owned() } else { value.to_string() }
}

/// Fields of either kind of histogram; they have the same names.
macro_rules! fields {
    ($h:expr, $count:expr, $bucket:expr) => {{
        let spans = |spans: &[norn_model::histogram::Span]| -> Vec<Value> {
            spans.iter().map(|s| json!([s.offset, s.length])).collect()
        };
        json!({
            "schema": $h.schema,
            "reset_hint": format!("{:?}", $h.reset_hint),
            "count": $count($h.count),
            "sum": float($h.sum),
            "zero_threshold": float($h.zero_threshold),
            "zero_count": $count($h.zero_count),
            "positive_spans": spans(&$h.positive_spans),
            "positive_buckets": $h.positive_buckets.iter().map($bucket).collect::<Vec<_>>(),
            "negative_spans": spans(&$h.negative_spans),
            "negative_buckets": $h.negative_buckets.iter().map($bucket).collect::<Vec<_>>(),
            "custom_values": $h.custom_values.iter().map(|v| float(*v)).collect::<Vec<_>>(),
        })
    }};
}

/// A histogram; the buckets of one with integer counts are differences.
fn histogram(sample: &HistogramSample<'_>) -> Value {
    let mut out = match sample.histogram {
        HistogramRef::Int(h) => fields!(h, |n: u64| json!(n), |n: &i64| json!(n)),
        HistogramRef::Float(h) => fields!(h, |n: f64| json!(float(n)), |n: &f64| json!(float(*n))),
    };
    out["timestamp"] = sample.timestamp.into();
    out
}
