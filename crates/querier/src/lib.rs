//! Prometheus' HTTP query API over series sources.
//!
//! ```text
//! request → params → [query → promql engine | labels → source] → result → json → response (streamed)
//! ```
//!
//! | module | subject |
//! |---|---|
//! | `query` | `/query` and `/query_range` |
//! | `labels` | `/series`, `/labels`, `/label/{name}/values`, `/metadata` |
//! | `exemplars` | `/query_exemplars` |
//! | `remote_read` | `/read` |
//! | `cardinality` | `/cardinality/*` |
//! | `text` | `/format_query`, `/parse_query` |
//! | `status` | `/status/*`, for everyone |
//! | `gate`, `active` | how many queries run at once, and the file that names them |
//! | `limited` | what a tenant's limits leave of a source |
//! | `params`, `calendar`, `escape` | forms, times, durations, escaped names |
//! | `result`, `json` | results and their encoding |
//! | `response`, `error` | the envelope of answers and of errors |
//! | `metrics` | figures |
//!
//! Texts, formats and statuses are those of Prometheus 3.14; `testdata/recorded.txt` holds its
//! answers, and a test compares them byte for byte. Routes have no prefix: the node puts
//! `-http.prometheus-http-prefix` before them.

mod active;
mod calendar;
mod cardinality;
mod error;
mod escape;
mod exemplars;
mod gate;
mod json;
mod labels;
mod limited;
mod metrics;
mod params;
mod query;
mod remote_read;
mod response;
mod result;
mod status;
mod text;

use std::sync::Arc;

use norn_contract::cardinality::CountSeries;
use norn_contract::clock::Clock;
use norn_contract::source::{SeriesSource, TenantSources};
use norn_http::axum::Router;
use norn_http::axum::http::StatusCode;
use norn_http::axum::routing::{MethodRouter, get, post};
use norn_kit::pool::Pool;
use norn_limits::{Limits, TenantLimits};
use norn_model::tenant::Tenant;
use norn_promql::Engine;
use norn_promql_syntax::Experimental;

pub use active::LeftOver;
pub use gate::Gate;
pub use metrics::Metrics;
pub use status::status_routes;

/// What the API answers from.
pub struct Options {
    /// Series by tenant.
    pub sources: Arc<dyn TenantSources>,
    /// Numbers of series by tenant.
    pub counts: Arc<dyn CountSeries>,
    /// Reads and evaluates queries.
    pub engine: Engine,
    /// What time it is where a request does not say.
    pub clock: Arc<dyn Clock>,
    /// Where answers are counted.
    pub metrics: Metrics,
    /// What each tenant may ask.
    pub limits: TenantLimits,
    /// How many queries run at once.
    pub gate: Gate,
    /// Where samples are decoded.
    pub pool: Pool,
}

type Api = Arc<Options>;

impl Options {
    /// What `tenant` may see of its series, for one request.
    fn source(&self, tenant: &Tenant, limits: &Arc<Limits>) -> Arc<dyn SeriesSource> {
        let source = self.sources.tenant(tenant);
        Arc::new(limited::Limited::new(source, limits.clone(), self.clock.now()))
    }

    /// The engine as `limits` allow it.
    fn engine(&self, limits: &Limits) -> Engine {
        let mut options = self.engine.options().clone();
        let names = limits.enabled_promql_experimental_functions.iter().map(String::as_str);
        options.syntax.experimental_functions = Experimental::named(names);
        options.syntax.extended_range_selectors = !limits.enabled_promql_extended_range_selectors.is_empty();
        options.syntax.fill_modifiers = limits.enabled_promql_binop_fill_modifiers;
        options.max_memory_bytes = limits.max_estimated_memory_consumption_per_query;
        self.engine.with(options)
    }
}

/// The routes of tenants. Handlers expect a [`Tenant`](norn_model::tenant::Tenant) in the
/// request's extensions.
pub fn routes(options: Options) -> Router {
    Router::new()
        .route("/api/v1/query", refuse_others(get(query::instant).post(query::instant)))
        .route("/api/v1/query_range", refuse_others(get(query::range).post(query::range)))
        .route("/api/v1/query_exemplars", refuse_others(get(exemplars::query).post(exemplars::query)))
        .route("/api/v1/read", refuse_others(post(remote_read::read)))
        .route("/api/v1/series", refuse_others(get(labels::series).post(labels::series)))
        .route("/api/v1/labels", refuse_others(get(labels::names).post(labels::names)))
        .route("/api/v1/label/{name}/values", refuse_others(get(labels::values)))
        .route("/api/v1/metadata", refuse_others(get(labels::metadata)))
        .route("/api/v1/format_query", refuse_others(get(text::format).post(text::format)))
        .route("/api/v1/parse_query", refuse_others(get(text::tree).post(text::tree)))
        .route(
            "/api/v1/cardinality/label_names",
            refuse_others(get(cardinality::names).post(cardinality::names)),
        )
        .route(
            "/api/v1/cardinality/label_values",
            refuse_others(get(cardinality::values).post(cardinality::values)),
        )
        .route(
            "/api/v1/cardinality/active_series",
            refuse_others(get(cardinality::active_series).post(cardinality::active_series)),
        )
        .with_state(Arc::new(options))
}

/// Other methods are refused, HEAD among them: it would cost a whole query.
fn refuse_others<S: Clone + Send + Sync + 'static>(router: MethodRouter<S>) -> MethodRouter<S> {
    router.head(method_not_allowed).fallback(method_not_allowed)
}

async fn method_not_allowed() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}
