//! What clients ask to learn whom they talk to. For everyone, not only for tenants.

use norn_http::axum::Router;
use norn_http::axum::routing::get;
use norn_kit::metrics::Build;

use crate::refuse_others;
use crate::response::{Notes, success};

/// What Grafana knows Mimir by.
const APPLICATION: &str = "Grafana Mimir";

/// `/api/v1/status/*`.
pub fn status_routes(build: Build) -> Router {
    let buildinfo = serde_json::json!({
        "application": APPLICATION,
        "version": build.version,
        "revision": build.revision,
        "branch": build.branch,
        // Norn is not written in Go; clients only show this.
        "goVersion": "",
        "features": {
            "ruler_config_api": "false",
            "alertmanager_config_api": "false",
            "query_sharding": "false",
            "federated_rules": "false",
        },
    });
    let answer = |value: serde_json::Value| {
        refuse_others(get(move || {
            let value = value.clone();
            async move { success(move |out: &mut Vec<u8>| crate::json::value(out, &value), &Notes::default()) }
        }))
    };
    Router::new()
        .route("/api/v1/status/buildinfo", answer(buildinfo))
        .route("/api/v1/status/config", answer(serde_json::json!({})))
        .route("/api/v1/status/flags", answer(serde_json::json!({})))
}
