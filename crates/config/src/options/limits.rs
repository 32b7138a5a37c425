//! Limits of one tenant (`limits:` in YAML).

use std::time::Duration;

crate::value::choices! {
    /// Which names of metrics and labels are valid.
    pub enum NameValidationScheme {
        /// Those that Prometheus 2 takes: letters, digits and underscores, colons in metric names.
        Legacy = "legacy",
        /// Any text.
        Utf8 = "utf8",
    }
}

crate::table::options! {
    /// Limits of one tenant. 0 means no limit where the text says so.
    pub struct Limits {
        /// Write requests a second of a tenant; 0 for no limit.
        [Advanced] request_rate: f64 = 0.0, "limits.request_rate", "distributor.request-rate-limit";
        /// Write requests of a tenant at once; 0 for no limit.
        [Advanced] request_burst_size: u64 = 0, "limits.request_burst_size", "distributor.request-burst-size";
        /// Samples, histograms, exemplars and metadata of a tenant a second.
        [Basic] ingestion_rate: f64 = 10_000.0, "limits.ingestion_rate", "distributor.ingestion-rate-limit";
        /// Samples, histograms, exemplars and metadata of a tenant at once.
        [Basic] ingestion_burst_size: u64 = 200_000, "limits.ingestion_burst_size", "distributor.ingestion-burst-size";
        /// Bytes of a label's name.
        [Basic] max_label_name_length: usize = 1024, "limits.max_label_name_length", "validation.max-length-label-name";
        /// Bytes of a label's value, the metric name included.
        [Basic] max_label_value_length: usize = 2048, "limits.max_label_value_length", "validation.max-length-label-value";
        /// Labels of a series, the metric name included.
        [Basic] max_label_names_per_series: usize = 30, "limits.max_label_names_per_series", "validation.max-label-names-per-series";
        /// Labels of a series whose name ends in _info.
        [Advanced] max_label_names_per_info_series: usize = 80, "limits.max_label_names_per_info_series", "validation.max-label-names-per-info-series";
        /// Bytes of a metric's name and unit in metadata; a longer help text is cut.
        [Advanced] max_metadata_length: usize = 1024, "limits.max_metadata_length", "validation.max-metadata-length";
        /// Buckets of a native histogram; 0 for no limit.
        [Advanced] max_native_histogram_buckets: usize = 0, "limits.max_native_histogram_buckets", "validation.max-native-histogram-buckets";
        /// Lower the resolution of a native histogram with too many buckets; when off it is refused.
        [Advanced] reduce_native_histogram_over_max_buckets: bool = true, "limits.reduce_native_histogram_over_max_buckets", "validation.reduce-native-histogram-over-max-buckets";
        /// Exemplars of a series in one request, further ones are dropped; 0 for no limit.
        [Experimental] max_exemplars_per_series_per_request: usize = 0, "limits.max_exemplars_per_series_per_request", "distributor.max-exemplars-per-series-per-request";
        /// Which names of metrics and labels are valid: legacy or utf8.
        [Experimental] name_validation_scheme: NameValidationScheme = NameValidationScheme::Legacy, "limits.name_validation_scheme", "validation.name-validation-scheme";
        /// How far ahead of the clock a timestamp may be.
        [Advanced] creation_grace_period: Duration = Duration::from_secs(600), "limits.creation_grace_period", "validation.create-grace-period";
        /// How old a timestamp may be, on top of the out-of-order window; 0 for no limit.
        [Advanced] past_grace_period: Duration = Duration::ZERO, "limits.past_grace_period", "validation.past-grace-period";
        /// Refuse metadata without a metric name.
        [Advanced] enforce_metadata_metric_name: bool = true, "limits.enforce_metadata_metric_name", "validation.enforce-metadata-metric-name";
        /// Series of a tenant in memory; 0 for no limit.
        [Basic] max_global_series_per_user: usize = 150_000, "limits.max_global_series_per_user", "ingester.max-global-series-per-user";
        /// Series of one metric of a tenant in memory; 0 for no limit.
        [Basic] max_global_series_per_metric: usize = 0, "limits.max_global_series_per_metric", "ingester.max-global-series-per-metric";
        /// Exemplars of a tenant in memory; 0 to neither keep nor decode any.
        [Experimental] max_global_exemplars_per_user: usize = 0, "limits.max_global_exemplars_per_user", "ingester.max-global-exemplars-per-user";
        /// Drop exemplars older than the newest of their series without an error.
        [Experimental] ignore_ooo_exemplars: bool = false, "limits.ignore_ooo_exemplars", "ingester.ignore-ooo-exemplars";
        /// Metrics of a tenant that metadata is kept of; 0 for no limit.
        [Basic] max_global_metadata_per_user: usize = 0, "limits.max_global_metadata_per_user", "ingester.max-global-metadata-per-user";
        /// Different metadata kept of one metric of a tenant; 0 for no limit.
        [Basic] max_global_metadata_per_metric: usize = 0, "limits.max_global_metadata_per_metric", "ingester.max-global-metadata-per-metric";
        /// Store a zero sample at the time when a series began to count, where a sender says it.
        [Experimental] otel_created_timestamp_zero_ingestion_enabled: bool = false, "limits.otel_created_timestamp_zero_ingestion_enabled", "distributor.otel-created-timestamp-zero-ingestion-enabled";
        /// Store native histograms; when off they are dropped without an error.
        [Experimental] native_histograms_ingestion_enabled: bool = true, "limits.native_histograms_ingestion_enabled", "ingester.native-histograms-ingestion-enabled";
        /// How far behind the newest sample a sample may be; 0 for not at all.
        [Basic] out_of_order_time_window: Duration = Duration::ZERO, "limits.out_of_order_time_window", "ingester.out-of-order-time-window";
        /// Bytes of memory one query may hold; 0 for no limit.
        [Experimental] max_estimated_memory_consumption_per_query: u64 = 0, "limits.max_estimated_memory_consumption_per_query", "querier.max-estimated-memory-consumption-per-query";
        /// Series one query may read; 0 for no limit.
        [Advanced] max_fetched_series_per_query: usize = 0, "limits.max_fetched_series_per_query", "querier.max-fetched-series-per-query";
        /// Bytes of a query's text; 0 for no limit.
        [Experimental] max_query_expression_size_bytes: usize = 0, "limits.max_query_expression_size_bytes", "query-frontend.max-query-expression-size-bytes";
        /// Time between start and end of a range query; 0 for no limit.
        [Advanced] max_total_query_length: Duration = Duration::ZERO, "limits.max_total_query_length", "query-frontend.max-total-query-length";
        /// Time that one selector of a query may cover; 0 for no limit.
        [Advanced] max_partial_query_length: Duration = Duration::ZERO, "limits.max_partial_query_length", "querier.max-partial-query-length";
        /// How far back queries see; 0 for no limit.
        [Advanced] max_query_lookback: Duration = Duration::ZERO, "limits.max_query_lookback", "querier.max-query-lookback";
        /// Blocks older than this are deleted and not seen by queries any more; 0 to keep them for ever.
        [Basic] compactor_blocks_retention_period: Duration = Duration::ZERO, "limits.compactor_blocks_retention_period", "compactor.blocks-retention-period";
        /// Answer questions about label names, label values and active series.
        [Basic] cardinality_analysis_enabled: bool = false, "limits.cardinality_analysis_enabled", "querier.cardinality-analysis-enabled";
        /// Experimental PromQL functions that may be used: names separated by commas, or all.
        [Experimental] enabled_promql_experimental_functions: Vec<String> = Vec::new(), "limits.enabled_promql_experimental_functions", "query-frontend.enabled-promql-experimental-functions";
        /// Extended range selectors that may be used: smoothed, anchored.
        [Experimental] enabled_promql_extended_range_selectors: Vec<String> = Vec::new(), "limits.enabled_promql_extended_range_selectors", "query-frontend.enabled-promql-extended-range-selectors";
        /// Whether binary operators may fill in missing series: fill, fill_left, fill_right.
        [Experimental] enabled_promql_binop_fill_modifiers: bool = false, "limits.enabled_promql_binop_fill_modifiers", "query-frontend.enabled-promql-binop-fill-modifiers";
    }
}
