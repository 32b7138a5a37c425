//! Options of the read road.

use std::time::Duration;

crate::table::options! {
    /// PromQL.
    pub struct Querier {
        /// Queries that are evaluated at once.
        [Basic] max_concurrent: usize = 20, "querier.max_concurrent", "querier.max-concurrent";
        /// How long a query may take.
        [Basic] timeout: Duration = Duration::from_secs(120), "querier.timeout", "querier.timeout";
        /// Samples that one query may hold at once.
        [Advanced] max_samples: usize = 50_000_000, "querier.max_samples", "querier.max-samples";
        /// How long a sample stands for its series.
        [Advanced] lookback_delta: Duration = Duration::from_secs(300), "querier.lookback_delta", "querier.lookback-delta";
        /// Step of subqueries that name none.
        [Advanced] default_evaluation_interval: Duration = Duration::from_secs(60), "querier.default_evaluation_interval", "querier.default-evaluation-interval";
    }
}

crate::table::options! {
    /// The door of the read road.
    pub struct Frontend {
        /// Largest query request in bytes.
        [Advanced] max_body_size: usize = 10 << 20, "frontend.max_body_size", "query-frontend.max-body-size";
    }
}
