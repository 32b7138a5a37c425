//! Puts the routes of all roles together with the layers they need.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use norn_kit::metrics::Registry;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::tenant::Authentication;
use crate::{body, observe, tenant};

/// Smaller responses are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// Routes by the treatment they get. Handlers of tenant routes find a
/// [`Tenant`](norn_model::tenant::Tenant) in the request's extensions.
#[derive(Default)]
pub struct Routes {
    /// For tenants; responses are never compressed.
    pub write: Router,
    /// For tenants; responses are compressed for clients that accept it.
    pub read: Router,
    /// For everyone: pages, health, metrics.
    pub open: Router,
}

/// What holds for all routes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Led by `/`, put before every route; may be empty.
    pub path_prefix: String,
    /// Who requests belong to.
    pub authentication: Authentication,
    /// How long request bodies may take.
    pub body: body::Timeouts,
}

/// One router with tenants, body deadlines, metrics, failure log and compression. The figures of
/// requests are registered in `registry`, so call this once a registry.
pub fn assemble(routes: Routes, options: Options, registry: &Registry) -> Router {
    let compress = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(COMPRESS_ABOVE));
    let write = for_tenants(routes.write, &options.authentication);
    let read = for_tenants(routes.read, &options.authentication).layer(compress.clone());
    let all = Router::new().merge(write).merge(read).merge(routes.open.layer(compress));
    let prefix = options.path_prefix.trim_end_matches('/');
    let all = if prefix.is_empty() { all } else { Router::new().nest(prefix, all) };
    all.fallback(not_found)
        .layer(from_fn_with_state(options.body, body::guard))
        .layer(from_fn_with_state(observe::Metrics::register(registry), observe::observe))
}

fn for_tenants(router: Router, authentication: &Authentication) -> Router {
    if !router.has_routes() {
        return router;
    }
    router.route_layer(from_fn_with_state(authentication.clone(), tenant::require))
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}
