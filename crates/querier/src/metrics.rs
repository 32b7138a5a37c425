//! Figures of the read road, under Mimir's names.

use std::time::Duration;

use norn_kit::metrics::Registry;
use norn_kit::metrics::prometheus_client::metrics::counter::Counter;
use norn_kit::metrics::prometheus_client::metrics::family::Family;
use norn_model::tenant::Tenant;
use norn_promql::value::Stats;

/// Ids of limits, and what they are called in figures.
const REASONS: [(&str, &str); 2] = [
    ("max-series-per-query", "max-fetched-series-per-query"),
    ("max-estimated-memory-consumption-per-query", "max-estimated-memory-consumption-per-query"),
];

type ByUser<N> = Family<[(&'static str, String); 1], N>;

/// Counters by tenant. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    queries: Family<[(&'static str, String); 2], Counter>,
    seconds: ByUser<Counter<f64>>,
    samples: ByUser<Counter>,
    series: ByUser<Counter>,
    chunk_bytes: ByUser<Counter>,
    rejected: Family<[(&'static str, String); 2], Counter>,
}

impl Metrics {
    /// Registers the counters; call it once a registry.
    pub fn register(registry: &Registry) -> Self {
        Self {
            queries: registry.register(
                "cortex_query_frontend_queries_total",
                "Queries and look-ups that were answered, by operation",
                Family::default(),
            ),
            seconds: registry.register(
                "cortex_query_seconds_total",
                "Wall clock time of queries, in seconds",
                Family::default(),
            ),
            samples: registry.register(
                "cortex_query_samples_processed_total",
                "Samples that queries looked at",
                Family::default(),
            ),
            series: registry.register(
                "cortex_query_fetched_series_total",
                "Series that queries selected",
                Family::default(),
            ),
            chunk_bytes: registry.register(
                "cortex_query_fetched_chunk_bytes_total",
                "Bytes of chunks that queries read",
                Family::default(),
            ),
            rejected: registry.register(
                "cortex_querier_queries_rejected_total",
                "Queries that met a limit, by its name",
                Family::default(),
            ),
        }
    }

    /// An answer was given.
    pub(crate) fn answered(&self, tenant: &Tenant, operation: &str) {
        self.queries.get_or_create(&[("op", operation.to_owned()), ("user", tenant.to_string())]).inc();
    }

    /// A query failed with this text; counted where it met a limit.
    pub(crate) fn failed(&self, tenant: &Tenant, text: &str) {
        let met = |(id, _): &&(&str, &str)| text.contains(&format!("(err-mimir-{id})"));
        if let Some((_, reason)) = REASONS.iter().find(met) {
            let labels = [("reason", (*reason).to_owned()), ("user", tenant.to_string())];
            self.rejected.get_or_create(&labels).inc();
        }
    }

    /// A query was evaluated.
    pub(crate) fn evaluated(&self, tenant: &Tenant, took: Duration, stats: &Stats) {
        let user = [("user", tenant.to_string())];
        self.seconds.get_or_create(&user).inc_by(took.as_secs_f64());
        self.samples.get_or_create(&user).inc_by(stats.total_samples);
        self.series.get_or_create(&user).inc_by(stats.series);
        self.chunk_bytes.get_or_create(&user).inc_by(stats.chunk_bytes);
    }
}
