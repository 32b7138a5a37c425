//! The pages every process has: `/`, `/ready`, `/services`, `/config`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use norn_kit::metrics::{OPENMETRICS, Registry, TEXT, only};
use norn_kit::service::{State as ServiceState, States};

/// Which configuration `/config` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigMode {
    /// What holds.
    Effective,
    /// What differs from the defaults.
    Diff,
    /// The defaults.
    Defaults,
}

/// Renders the configuration as YAML without secrets.
pub type ConfigText = Arc<dyn Fn(ConfigMode) -> String + Send + Sync>;
/// Says why the process is not ready although its services run.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// Services of the process.
    pub services: States,
    /// Asked by `/ready` once all services run.
    pub readiness: Readiness,
    /// The configuration.
    pub config: ConfigText,
    /// The metrics.
    pub registry: Registry,
    /// Path and description of further pages, for the index.
    pub links: Vec<(&'static str, &'static str)>,
}

/// The pages as routes.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/ready", get(ready))
        .route("/services", get(services))
        .route("/config", get(config))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(pages))
}

const OWN_LINKS: [(&str, &str); 5] = [
    ("/ready", "Whether requests can be served"),
    ("/services", "Services and their states"),
    ("/config", "Configuration that holds"),
    ("/config?mode=diff", "Configuration that differs from the defaults"),
    ("/metrics", "Metrics of this process"),
];

async fn index(State(pages): State<Arc<Pages>>) -> Html<String> {
    let mut rows = String::new();
    for (path, text) in pages.links.iter().chain(&OWN_LINKS) {
        // Relative, so that links hold behind a path prefix.
        let href = path.trim_start_matches('/');
        rows.extend(["<li><a href=\"", href, "\">", &escape(path), "</a> ", &escape(text), "</li>\n"]);
    }
    Html(page("Norn", &format!("<ul>\n{rows}</ul>\n")))
}

async fn ready(State(pages): State<Arc<Pages>>) -> Response {
    let mut waiting = String::new();
    for (name, state) in pages.services.list() {
        if state != ServiceState::Running {
            waiting.extend([name, ": ", &state.to_string(), "\n"]);
        }
    }
    if !waiting.is_empty() {
        let text = format!("Some services are not Running:\n{waiting}");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    match (pages.readiness)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn services(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let list = pages.services.list();
    let now = jiff::Timestamp::now().to_string();
    if accepts(&headers, "application/json") {
        let services: Vec<_> = list
            .iter()
            .map(|(name, state)| serde_json::json!({"name": name, "status": state.to_string()}))
            .collect();
        let body = serde_json::json!({"now": now, "services": services}).to_string();
        return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    let mut rows = String::new();
    for (name, state) in list {
        rows.extend(["<tr><td>", &escape(name), "</td><td>", &state.to_string(), "</td></tr>\n"]);
    }
    Html(page("Services", &format!("<p>{now}</p>\n<table>\n{rows}</table>\n"))).into_response()
}

async fn config(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let mode = match query.split('&').find_map(|p| p.strip_prefix("mode=")) {
        None | Some("") => ConfigMode::Effective,
        Some("diff") => ConfigMode::Diff,
        Some("defaults") => ConfigMode::Defaults,
        Some(_) => {
            let text = "unknown mode, use mode=diff or mode=defaults\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    ([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], (pages.config)(mode)).into_response()
}

/// `name[]` says which families are wanted; without it all are.
async fn metrics(
    State(pages): State<Arc<Pages>>,
    Query(params): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let names: Vec<_> = params.iter().filter(|(key, _)| key == "name[]").map(|(_, v)| v.as_str()).collect();
    let mut text = String::new();
    let (kind, written) = if accepts(&headers, "application/openmetrics-text") {
        (OPENMETRICS, pages.registry.encode_openmetrics(&mut text))
    } else {
        (TEXT, pages.registry.encode_text(&mut text))
    };
    if !names.is_empty() {
        text = only(&text, &names);
    }
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a metrics collector failed\n").into_response(),
    }
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|v| v.split(';').next().is_some_and(|k| k.trim() == kind))
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>\n<h1>{title}</h1>\n{content}</body></html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
