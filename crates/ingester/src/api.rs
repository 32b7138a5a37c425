//! Endpoints for operators.

use std::sync::Arc;

use norn_http::axum::Router;
use norn_http::axum::extract::{RawQuery, State};
use norn_http::axum::http::StatusCode;
use norn_http::axum::routing::get;

use crate::Ingester;

/// `GET` or `POST /ingester/flush`: everything in memory becomes blocks.
///
/// With `wait=true` it answers when that was tried, otherwise at once; the status does not tell
/// whether it succeeded. The heads of all tenants are cut, whichever are named by `tenant=`.
pub fn routes(ingester: Arc<Ingester>) -> Router {
    Router::new().route("/ingester/flush", get(flush).post(flush)).with_state(ingester)
}

async fn flush(State(ingester): State<Arc<Ingester>>, RawQuery(query): RawQuery) -> StatusCode {
    let flushed = ingester.flush();
    if query.unwrap_or_default().split('&').any(|pair| pair == "wait=true") {
        flushed.await;
    }
    StatusCode::NO_CONTENT
}
