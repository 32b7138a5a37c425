//! Requests, bodies, records and settings.

use norn_model::sample::STALE_NAN_BITS;
use norn_wire::proto::{self, Message, record as records, v1, v2};
use norn_wire::settings::FoldSettings;

const TIME: i64 = 1_760_000_000_000;

fn histogram(float: bool) -> proto::Histogram {
    let span = |offset, length| proto::BucketSpan { offset, length };
    let (int, whole) = (!float, float);
    proto::Histogram {
        count: Some(if float { proto::Count::Float(7.0) } else { proto::Count::Int(7) }),
        sum: 18.4,
        schema: if float { -53 } else { 1 },
        zero_threshold: if float { 0.0 } else { 0.001 },
        zero_count: int.then_some(proto::ZeroCount::Int(1)),
        negative_spans: if int { vec![span(0, 1)] } else { vec![] },
        negative_deltas: if int { vec![1] } else { vec![] },
        positive_spans: vec![span(0, 2), span(1, 1)],
        positive_deltas: if int { vec![1, 1, 0] } else { vec![] },
        positive_counts: if whole { vec![1.0, 2.0, 4.0] } else { vec![] },
        reset_hint: 2,
        timestamp: TIME,
        custom_values: if whole { vec![0.1, 1.0, 2.0, 4.0] } else { vec![] },
        ..proto::Histogram::default()
    }
}

fn samples(count: i64) -> Vec<proto::Sample> {
    let value = |i| if i == 2 { f64::from_bits(STALE_NAN_BITS) } else { i as f64 * 1.5 };
    (0..count).map(|i| proto::Sample { value: value(i), timestamp: TIME + i * 15_000 }).collect()
}

fn metadata() -> proto::MetricMetadata {
    proto::MetricMetadata {
        r#type: 1,
        metric_family_name: "up_total".into(),
        help: "Whether it is up.".into(),
        unit: "seconds".into(),
    }
}

fn label(name: &str, value: &str) -> v1::Label {
    v1::Label { name: name.into(), value: value.into() }
}

/// Remote write 1.
pub fn remote_write_1() -> Vec<Vec<u8>> {
    let exemplar = v1::Exemplar { labels: vec![label("trace_id", "abc")], value: 1.0, timestamp: TIME };
    let series = |name: &str, count| v1::TimeSeries {
        labels: vec![label("__name__", name), label("job", "näher"), label("le", "+Inf")],
        samples: samples(count),
        ..v1::TimeSeries::default()
    };
    let full = v1::TimeSeries {
        exemplars: vec![exemplar],
        histograms: vec![histogram(false), histogram(true)],
        created_timestamp: TIME - 1,
        ..series("request_seconds", 0)
    };
    let small = v1::WriteRequest { timeseries: vec![series("up", 1)], ..v1::WriteRequest::default() };
    let large = v1::WriteRequest {
        timeseries: vec![series("a", 3), full, series("b", 0)],
        metadata: vec![metadata()],
        skip_label_validation: true,
        ..v1::WriteRequest::default()
    };
    vec![small.encode_to_vec(), large.encode_to_vec()]
}

/// Remote write 2.
pub fn remote_write_2() -> Vec<Vec<u8>> {
    let symbols = ["", "__name__", "up", "job", "a", "Whether it is up.", "seconds", "trace_id", "näher"];
    let sample = |i: i64| v2::Sample { value: i as f64, timestamp: TIME + i, start_timestamp: TIME };
    let full = v2::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: (0..3).map(sample).collect(),
        histograms: vec![histogram(true), histogram(false)],
        exemplars: vec![proto::RefExemplar { labels_refs: vec![7, 8], value: 1.0, timestamp: TIME }],
        metadata: Some(proto::RefMetadata { r#type: 2, help_ref: 5, unit_ref: 6 }),
        created_timestamp: 1,
    };
    let bad = v2::TimeSeries { labels_refs: vec![1, 99], ..v2::TimeSeries::default() };
    let request = |timeseries| v2::Request { symbols: symbols.map(String::from).to_vec(), timeseries };
    vec![request(vec![full.clone()]).encode_to_vec(), request(vec![full, bad]).encode_to_vec()]
}

/// Compressed bodies.
pub fn content() -> Vec<Vec<u8>> {
    let body = remote_write_1().concat().repeat(4);
    let snappy = snap::raw::Encoder::new().compress_vec(&body).unwrap_or_default();
    let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap_or_default();
    let stream = zstd::stream::encode_all(&body[..], 1).unwrap_or_default();
    let bomb = zstd(&vec![0; 1 << 20]);
    vec![snappy, zstd(&body), stream, bomb, [zstd(b"one"), zstd(b"two")].concat()]
}

/// Records of all versions, with the version in front.
pub fn record() -> Vec<Vec<u8>> {
    let texts = &remote_write_1()[1];
    let series = |labels_refs: &[u32]| records::TimeSeriesRw2 {
        labels_refs: labels_refs.to_vec(),
        samples: samples(2),
        histograms: vec![histogram(false), histogram(true)],
        exemplars: vec![proto::RefExemplar { labels_refs: vec![66, 67], value: 1.0, timestamp: TIME }],
        metadata: Some(proto::RefMetadata { r#type: 1, help_ref: 65, unit_ref: 0 }),
        created_timestamp: TIME,
    };
    let refs = records::WriteRequest {
        symbols_rw2: ["up", "help", "trace_id", "näher"].map(String::from).to_vec(),
        timeseries_rw2: vec![series(&[1, 64, 19, 67]), series(&[1, 64])],
        ..records::WriteRequest::default()
    };
    vec![[&[0][..], texts].concat(), [&[1][..], texts].concat(), [&[2][..], &refs.encode_to_vec()].concat()]
}

/// Columns of records, with the record's length in front.
pub fn record_columns() -> Vec<Vec<u8>> {
    let columns = |seed: Vec<u8>| {
        let value = &seed[1..];
        let mut out = (value.len() as u16).to_le_bytes().to_vec();
        norn_wire::record::columns::Splitter::new().split(value, &mut out);
        out
    };
    record().into_iter().map(columns).collect()
}

/// Settings records.
pub fn settings() -> Vec<Vec<u8>> {
    let settings = FoldSettings {
        out_of_order_window: 300_000,
        max_series: 150_000,
        max_series_per_metric: u64::MAX,
        max_exemplars: 1,
        native_histograms: true,
        max_metadata: 2,
        max_metadata_per_metric: 3,
        ignore_late_exemplars: true,
        zero_samples: true,
    };
    vec![settings.encode(), FoldSettings::default().encode()]
}
