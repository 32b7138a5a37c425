//! What a series costs, by the head's own count.
#![allow(clippy::unwrap_used)]

mod support;

use norn_head::Options;
use support::{Head, T0};

/// Scrapes of `pods` containers with 20 metrics and labels that only they have.
fn scrape(head: &mut Head, generation: usize, pods: usize, scrapes: std::ops::Range<i64>) {
    let names: Vec<String> = (0..20).map(|i| format!("container_metric_{i:02}_total")).collect();
    for scrape in scrapes {
        for pod in 0..pods {
            let (id, pod) =
                (format!("/kubepods/burstable/{generation}/{pod:08}"), format!("app-{generation}-{pod:05}"));
            let refused = head.write("t", |b| {
                for (i, name) in names.iter().enumerate() {
                    let labels =
                        [("__name__", name.as_str()), ("id", &id), ("job", "kubelet"), ("pod", &pod)];
                    let value = if i % 3 == 0 { (scrape * i as i64) as f64 } else { 1.0 };
                    b.series(labels).sample(T0 + scrape * 15_000, value);
                }
            });
            assert!(refused.is_empty());
        }
    }
}

#[test]
fn a_series_with_one_sample_is_small_whatever_came_before() {
    let mut head = Head::new(Options::default());
    let mut last = 0;
    for generation in 0..5 {
        scrape(&mut head, generation, 500, generation as i64..generation as i64 + 1);
        let total = head.reader.memory().total();
        let per_series = (total - last) / 10_000;
        assert!(per_series < 230, "generation {generation} took {per_series} bytes a series");
        last = total;
    }
    assert_eq!(head.tenant("t").stats().series, 50_000);
}

#[test]
fn two_hours_of_samples_are_below_a_kilobyte() {
    let mut head = Head::new(Options::default());
    scrape(&mut head, 0, 50, 0..480);
    let memory = head.reader.memory();
    let per_series = memory.total() / 1000;
    assert!(per_series < 700, "{per_series} bytes a series: {memory:?}");
}
