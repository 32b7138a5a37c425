//! Limits of one tenant (`limits:` in YAML).

use std::time::Duration;

/// Limits of one tenant. 0 means no limit where the text says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Write requests a second; 0 = no limit.
    pub request_rate: f64,
    /// Write requests at once; 0 = no limit.
    pub request_burst_size: u64,
    /// Samples, histograms, exemplars and metadata a second.
    pub ingestion_rate: f64,
    /// Samples, histograms, exemplars and metadata at once.
    pub ingestion_burst_size: u64,
    /// Bytes of a label name.
    pub max_label_name_length: usize,
    /// Bytes of a label value, the metric name included.
    pub max_label_value_length: usize,
    /// Labels of a series, the metric name included.
    pub max_label_names_per_series: usize,
    /// Labels of a series whose name ends in `_info`.
    pub max_label_names_per_info_series: usize,
    /// Bytes of a metric's name and unit in metadata; a longer help text is cut.
    pub max_metadata_length: usize,
    /// Buckets of a native histogram; 0 = no limit.
    pub max_native_histogram_buckets: usize,
    /// Exemplars of one series in one request; 0 = no limit.
    pub max_exemplars_per_series_per_request: usize,
    /// Lower the resolution of a histogram with too many buckets instead of refusing it.
    pub reduce_native_histogram_over_max_buckets: bool,
    /// How far ahead of the clock a timestamp may be.
    pub creation_grace_period: Duration,
    /// How old a timestamp may be, on top of the out-of-order window; 0 = no limit.
    pub past_grace_period: Duration,
    /// Refuse metadata without a metric name.
    pub enforce_metadata_metric_name: bool,
    /// Series in memory; 0 = no limit.
    pub max_global_series_per_user: usize,
    /// Series in memory of one metric; 0 = no limit.
    pub max_global_series_per_metric: usize,
    /// Metrics with metadata; 0 = no limit.
    pub max_global_metadata_per_user: usize,
    /// Metadata of one metric; 0 = no limit.
    pub max_global_metadata_per_metric: usize,
    /// Exemplars kept in memory; 0 = none are kept or decoded.
    pub max_global_exemplars_per_user: usize,
    /// Drop native histograms without an error when off.
    pub native_histograms_ingestion_enabled: bool,
    /// How far behind its series' newest sample a sample may be; 0 = not at all.
    pub out_of_order_time_window: Duration,
    /// Time a query looks back from now at most; 0 = no limit.
    pub max_query_lookback: Duration,
    /// Length of one query's time range; 0 = no limit.
    pub max_partial_query_length: Duration,
    /// Bytes a query may keep in memory; 0 = no limit.
    pub max_estimated_memory_consumption_per_query: u64,
    /// Series one query may read; 0 = no limit.
    pub max_fetched_series_per_query: usize,
    /// Experimental PromQL functions that may be used, by name, or `all`.
    pub enabled_promql_experimental_functions: Vec<String>,
    /// Extended range selectors that may be used: `smoothed`, `anchored`.
    pub enabled_promql_extended_range_selectors: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_rate: 0.0,
            request_burst_size: 0,
            ingestion_rate: 10_000.0,
            ingestion_burst_size: 200_000,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_label_names_per_series: 30,
            max_label_names_per_info_series: 80,
            max_metadata_length: 1024,
            max_native_histogram_buckets: 0,
            max_exemplars_per_series_per_request: 0,
            reduce_native_histogram_over_max_buckets: true,
            creation_grace_period: Duration::from_secs(600),
            past_grace_period: Duration::ZERO,
            enforce_metadata_metric_name: true,
            max_global_series_per_user: 150_000,
            max_global_series_per_metric: 0,
            max_global_metadata_per_user: 0,
            max_global_metadata_per_metric: 0,
            max_global_exemplars_per_user: 0,
            native_histograms_ingestion_enabled: true,
            out_of_order_time_window: Duration::ZERO,
            max_query_lookback: Duration::ZERO,
            max_partial_query_length: Duration::ZERO,
            max_estimated_memory_consumption_per_query: 0,
            max_fetched_series_per_query: 0,
            enabled_promql_experimental_functions: Vec::new(),
            enabled_promql_extended_range_selectors: Vec::new(),
        }
    }
}
