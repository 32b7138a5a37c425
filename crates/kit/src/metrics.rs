//! The metrics registry and its text formats.
//!
//! Metrics are registered under the full name they are queried by, `_total` included. Two
//! formats are written: OpenMetrics 1.0 for scrapers that ask for it, and the Prometheus text
//! format 0.0.4 for the rest. Both give the same series.

mod filter;
mod process;

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Metric;

pub use filter::only;
/// The typed metrics that can be registered.
pub use prometheus_client;

/// Content type of [`Registry::encode_openmetrics`].
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of [`Registry::encode_text`].
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the histograms of request durations, in seconds.
pub const DURATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0];

/// The metrics of a process. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<RwLock<prometheus_client::registry::Registry>>,
}

/// Which build this is; the labels of `cortex_build_info`.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Version of the binary.
    pub version: &'static str,
    /// Commit it was built from.
    pub revision: &'static str,
    /// Branch it was built from.
    pub branch: &'static str,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry with the figures of the process (`process_*`) and `cortex_build_info`.
    pub fn for_process(build: Build) -> Self {
        let registry = Self::new();
        registry.register_collector(process::ProcessCollector::new());
        let info = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        let labels = [("version", build.version), ("revision", build.revision), ("branch", build.branch)];
        info.get_or_create(&labels.to_vec()).set(1);
        registry.register("cortex_build_info", "Which build this is", info);
        registry
    }

    /// Registers `metric` under the exact `name` it is queried by and gives it back. The name of
    /// a counter ends in `_total`. A full stop is added to `help`.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        // The encoder adds the suffix itself.
        let name = match metric.metric_type() {
            MetricType::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.inner.write().register(name, help, metric.clone());
        metric
    }

    /// Registers a source of figures that are read when the metrics are written. Names of its
    /// counters go without `_total`.
    pub fn register_collector(&self, collector: impl Collector) {
        self.inner.write().register_collector(Box::new(collector));
    }

    /// Appends all metrics to `out` in the OpenMetrics text format, version 1.0.
    ///
    /// # Errors
    ///
    /// Only when a collector fails.
    pub fn encode_openmetrics(&self, out: &mut String) -> fmt::Result {
        text::encode(out, &self.inner.read())
    }

    /// Appends all metrics to `out` in the Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    ///
    /// Only when a collector fails.
    pub fn encode_text(&self, out: &mut String) -> fmt::Result {
        let mut openmetrics = String::new();
        text::encode_registry(&mut openmetrics, &self.inner.read())?;
        out.reserve(openmetrics.len() + openmetrics.len() / 16);
        to_text(&openmetrics, out);
        Ok(())
    }
}

/// Rewrites OpenMetrics into the older format: families of counters are called like their
/// series, there are no units, exemplars and no end marker, and `unknown` is called `untyped`.
fn to_text(openmetrics: &str, out: &mut String) {
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, text)) = help.take() {
                out.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            out.extend([without_exemplar(line), "\n"]);
        }
    }
}

/// Cuts ` # {…} …` off a sample, but not a `#` inside of a label value.
fn without_exemplar(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (i, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..i].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::histogram::Histogram;

    fn text(registry: &Registry) -> String {
        let mut out = String::new();
        registry.encode_text(&mut out).unwrap();
        out
    }

    #[test]
    fn names_are_exactly_as_registered_in_both_formats() {
        let registry = Registry::new();
        let counter: Counter =
            registry.register("cortex_received_samples_total", "Samples received", Counter::default());
        let gauge: Gauge = registry.register("cortex_inflight", "In flight", Gauge::default());
        let histogram = registry.register("cortex_seconds", "Durations", Histogram::new([0.5, 1.0]));
        counter.inc_by(3);
        gauge.set(-2);
        histogram.observe(0.7);
        assert_eq!(
            text(&registry),
            "# HELP cortex_received_samples_total Samples received.\n\
             # TYPE cortex_received_samples_total counter\n\
             cortex_received_samples_total 3\n\
             # HELP cortex_inflight In flight.\n\
             # TYPE cortex_inflight gauge\n\
             cortex_inflight -2\n\
             # HELP cortex_seconds Durations.\n\
             # TYPE cortex_seconds histogram\n\
             cortex_seconds_sum 0.7\n\
             cortex_seconds_count 1\n\
             cortex_seconds_bucket{le=\"0.5\"} 0\n\
             cortex_seconds_bucket{le=\"1.0\"} 1\n\
             cortex_seconds_bucket{le=\"+Inf\"} 1\n"
        );
        let mut openmetrics = String::new();
        registry.encode_openmetrics(&mut openmetrics).unwrap();
        assert!(
            openmetrics.contains("# TYPE cortex_received_samples counter\ncortex_received_samples_total 3\n")
        );
        assert!(openmetrics.ends_with("# EOF\n"));
    }

    #[test]
    fn exemplars_go_and_hashes_in_label_values_stay() {
        assert_eq!(without_exemplar(r##"a_total{x="# \" #"} 1 # {t="1"} 2"##), r##"a_total{x="# \" #"} 1"##);
        assert_eq!(without_exemplar(r##"a{x="#"} 1"##), r##"a{x="#"} 1"##);
    }

    #[test]
    fn the_process_shows_its_own_figures() {
        let build = Build { version: "1.2.3", revision: "abc", branch: "main" };
        let registry = Registry::for_process(build);
        let out = text(&registry);
        assert!(out.contains("cortex_build_info{version=\"1.2.3\",revision=\"abc\",branch=\"main\"} 1\n"));
        let value = |name: &str| -> f64 {
            let line = out.lines().find(|l| l.split(' ').next() == Some(name)).expect(name);
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
    }
}
