//! Nanoseconds per sample of the decoders and the record builder.
//!
//! `cargo bench -p norn-wire`. Each figure is the best of many rounds on one thread; read them as
//! ratios. Shapes: 2,000 series with one sample each, 10 labels of which three are unique
//! (a Kubernetes container's: 385 B a series in remote write 1), or 7 labels of one node_exporter.
//!
//! 24 November 2026, 2 shared vCPU (Xeon), ns per sample:
//!
//! | | 10 labels | 7 labels | aim |
//! |---|---|---|---|
//! | remote write 1, decode (with `is_ascii`) | 50 (59) | | 90 |
//! | remote write 2, decode | 52 | | 55 |
//! | record version 2, build | 100 | 50 | 110 |
//! | record version 2, decode | 44 | 30 | 45 |
//! | record version 0, decode | 109 | 62 | |
//! | remote write 1, prost | 1,530 | | |
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use norn_wire::content;
use norn_wire::proto::{self, Message, record, v1, v2};
use norn_wire::record::{Builder, View};
use norn_wire::remote_write::{self, Options};

const SERIES: usize = 2000;
const ROUNDS: usize = 400;
const NOW: i64 = 1_700_000_000_000;

type Pairs = Vec<(String, String)>;

fn hash(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn pod_labels(i: usize) -> Pairs {
    let pairs = [
        ("__name__", format!("container_network_receive_bytes_total_{}", i % 40)),
        ("cluster", "prod-eu-west-1".into()),
        ("container", "application".into()),
        ("id", format!("/kubepods/burstable/pod{:016x}/cri-{:032x}", hash(i), hash(i + SERIES))),
        ("instance", format!("10.{}.{}.{}:9100", i / 500, i / 50, i % 250)),
        ("job", "kubernetes-pods".into()),
        ("namespace", format!("team-{}", i / 40 % 9)),
        ("pod", format!("application-{:08x}-{:05}", hash(i / 40) >> 32, i)),
        ("service", "application-metrics".into()),
        ("zone", "eu-west-1b".into()),
    ];
    pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
}

fn node_labels(i: usize) -> Pairs {
    let pairs = [
        ("__name__", format!("node_cpu_guest_seconds_total_{}", i / 16)),
        ("cpu", (i % 16).to_string()),
        ("env", "production".into()),
        ("instance", "node-0042.eu-west-1.example.org:9100".into()),
        ("job", "node-exporter".into()),
        ("mode", ["idle", "user", "system", "iowait"][i % 4].into()),
        ("region", "eu-west-1".into()),
    ];
    pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
}

fn body_v1(labels: &[Pairs]) -> Vec<u8> {
    let series = labels.iter().enumerate().map(|(i, pairs)| v1::TimeSeries {
        labels: pairs.iter().map(|(n, v)| v1::Label { name: n.clone(), value: v.clone() }).collect(),
        samples: vec![proto::Sample { value: i as f64 * 1.1 + 1.0, timestamp: NOW }],
        ..Default::default()
    });
    v1::WriteRequest { timeseries: series.collect(), ..Default::default() }.encode_to_vec()
}

fn body_v2(labels: &[Pairs]) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut index = std::collections::HashMap::new();
    let mut intern = |text: &String| {
        *index.entry(text.clone()).or_insert_with(|| {
            symbols.push(text.clone());
            symbols.len() as u32 - 1
        })
    };
    let timeseries = labels.iter().enumerate().map(|(i, pairs)| v2::TimeSeries {
        labels_refs: pairs.iter().flat_map(|(n, v)| [intern(n), intern(v)]).collect(),
        samples: vec![v2::Sample { value: i as f64 * 1.1 + 1.0, timestamp: NOW, start_timestamp: 0 }],
        ..Default::default()
    });
    let timeseries = timeseries.collect();
    v2::Request { symbols, timeseries }.encode_to_vec()
}

fn value_v0(labels: &[Pairs]) -> Vec<u8> {
    let pair =
        |(n, v): &(String, String)| record::LabelPair { name: n.clone().into(), value: v.clone().into() };
    let series = labels.iter().map(|pairs| record::TimeSeries {
        labels: pairs.iter().map(pair).collect(),
        samples: vec![proto::Sample { value: 1.1, timestamp: NOW }],
        ..Default::default()
    });
    record::WriteRequest { timeseries: series.collect(), ..Default::default() }.encode_to_vec()
}

fn build(builder: &mut Builder, labels: &[Pairs]) -> bytes::Bytes {
    for (i, pairs) in labels.iter().enumerate() {
        let pairs = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        builder.series(pairs).sample(NOW, i as f64 * 1.1 + 1.0);
    }
    builder.finish()
}

fn measure(name: &str, bytes: usize, mut round: impl FnMut() -> usize) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert_eq!(black_box(round()), SERIES);
        best = best.min(start.elapsed().as_nanos() as f64 / SERIES as f64);
    }
    println!("{name:<44} {best:>7.1} ns/sample  {bytes:>8} bytes");
}

fn measure_remote_write() {
    let labels: Vec<_> = (0..SERIES).map(pod_labels).collect();
    let (one, two) = (body_v1(&labels), body_v2(&labels));
    let mut view = remote_write::View::new();
    for (name, body) in [("snappy, remote write 1", &one), ("snappy, remote write 2", &two)] {
        let packed = snap::raw::Encoder::new().compress_vec(body).unwrap();
        let mut out = Vec::new();
        measure(name, packed.len(), || {
            content::snappy(&packed, 1 << 30, &mut out).unwrap();
            SERIES * usize::from(out.len() == body.len())
        });
    }
    measure("remote write 1, 10 labels", one.len(), || {
        view.decode_v1(&one, Options::default()).unwrap().sample_count()
    });
    measure("remote write 1, 10 labels, with is_ascii", one.len(), || {
        view.decode_v1(&one, Options::default()).unwrap().series().filter(|s| s.is_ascii()).count()
    });
    measure("remote write 2, 10 labels", two.len(), || {
        view.decode_v2(&two, Options::default()).unwrap().sample_count()
    });
    measure("remote write 1, prost", one.len(), || {
        v1::WriteRequest::decode(&one[..]).unwrap().timeseries.len()
    });
}

fn measure_records() {
    for (shape, labels) in [
        ("7 labels", (0..SERIES).map(node_labels).collect::<Vec<_>>()),
        ("10 labels", (0..SERIES).map(pod_labels).collect()),
    ] {
        let mut builder = Builder::new();
        let value = build(&mut builder, &labels);
        measure(&format!("record version 2, build, {shape}"), value.len(), || {
            build(&mut builder, &labels).len() / value.len() * SERIES
        });
        let mut view = View::new();
        measure(&format!("record version 2, decode, {shape}"), value.len(), || {
            view.decode(2, &value).unwrap();
            view.len()
        });
        let old = value_v0(&labels);
        measure(&format!("record version 0, decode, {shape}"), old.len(), || {
            view.decode(0, &old).unwrap();
            view.len()
        });
    }
}

fn main() {
    measure_remote_write();
    measure_records();
}
