//! A range query is the instant query at each of its steps, bit for bit.

use std::collections::BTreeMap;

use super::*;

/// A reproducible sequence of numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Series with gaps, stale markers, resets, repeated values, NaN, infinities and both zeros.
fn random_source(seed: u64) -> Arc<MemorySource> {
    let mut random = Random(seed);
    let source = MemorySource::default();
    for metric in ["a_total", "b"] {
        for i in 0..6 {
            let labels = labels(&format!("{metric}{{i=\"{i}\",g=\"{}\"}}", i % 2));
            let (mut t, mut total) = (random.below(60_000) as Millis, 0.0);
            while t < 900_000 {
                total += random.below(1000) as f64 / 7.0;
                let value = match random.below(24) {
                    0 => norn_model::sample::stale_nan(),
                    1 => f64::NAN,
                    2 => f64::NEG_INFINITY,
                    3 => -0.0,
                    4 => 0.0,
                    5 | 6 => 5.0,
                    7 => {
                        total = 0.0;
                        total
                    }
                    _ => total,
                };
                source.add(&labels, t, PointValue::Float(value)).unwrap();
                t += match random.below(12) {
                    0 => 200_000,
                    n => n as Millis * 1_500,
                };
            }
        }
    }
    Arc::new(source)
}

const QUERIES: [&str; 40] = [
    "a_total",
    "a_total offset 45s",
    "rate(a_total[1m])",
    "increase(a_total[2m])",
    "delta(b[1m])",
    "irate(a_total[1m])",
    "idelta(b[1m])",
    "deriv(b[2m])",
    "predict_linear(b[2m], 60)",
    "double_exponential_smoothing(b[2m], 0.3, 0.6)",
    "changes(b[2m])",
    "resets(a_total[2m])",
    "sum_over_time(b[1m])",
    "avg_over_time(b[1m])",
    "stddev_over_time(b[1m])",
    "min_over_time(b[1m])",
    "max_over_time(b[1m])",
    "ts_of_min_over_time(b[1m])",
    "ts_of_max_over_time(b[1m])",
    "quantile_over_time(0.7, b[2m])",
    "quantile_over_time(0.7, a_total{i=\"1\"}[2m])",
    "mad_over_time(b[1m])",
    "last_over_time(b[1m])",
    "count_over_time(b[30s])",
    "absent_over_time(b{i=\"1\"}[30s])",
    "absent(b{i=\"1\"})",
    "rate(a_total[1m] anchored)",
    "increase(a_total[1m] smoothed)",
    "changes(b[1m] anchored)",
    "b smoothed",
    "sum by (g) (b)",
    "avg by (g) (b)",
    "stddev by (g) (b)",
    "quantile by (g) (0.4, b)",
    "topk(2, b)",
    "count_values(\"v\", b)",
    "a_total - on (i) b",
    "b > on (g) group_left max by (g) (a_total)",
    "a_total and b > 0 or b < 10",
    "max_over_time(sum(b)[2m:25s])",
];

type Points = BTreeMap<(String, Millis), u64>;

fn points(value: Value) -> Points {
    let mut points = Points::new();
    match value {
        Value::Matrix(series) => {
            for s in series {
                let name = s.labels.to_string();
                points.extend(s.floats.iter().map(|(t, v)| ((name.clone(), *t), v.to_bits())));
            }
        }
        Value::Vector(elements) => {
            for e in elements {
                let PointValue::Float(v) = e.value else { panic!("a histogram") };
                points.insert((e.labels.to_string(), e.timestamp), v.to_bits());
            }
        }
        other => panic!("{other:?}"),
    }
    points
}

#[test]
fn ranges_equal_instants() {
    let (start, end, step) = (90_000, 900_000, 15_000);
    for seed in [0x9e37_79b9_7f4a_7c15, 0x1234_5678_9abc_def1] {
        let source = random_source(seed);
        for query in QUERIES {
            let range = run(options(), &source, &Request::range(query, start, end, step)).unwrap();
            let mut instants = Points::new();
            for at in (start..=end).step_by(step as usize) {
                let output = run(options(), &source, &Request::instant(query, at)).unwrap();
                instants.extend(points(output.value));
            }
            let range = points(range.value);
            assert!(!range.is_empty(), "{query} gives nothing");
            let differs = range.iter().find(|(k, v)| instants.get(*k) != Some(*v));
            assert_eq!(differs, None, "{query}, seed {seed:x}");
            assert_eq!(range.len(), instants.len(), "{query}, seed {seed:x}");
        }
    }
}
