//! What is noted of every request: duration, sizes, failures, its trace.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use hyper::body::{Frame, SizeHint};
use norn_kit::metrics::{DURATION_BUCKETS, Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tracing::Instrument;

use crate::body::Received;

const MIB: f64 = 1024.0 * 1024.0;
const SIZE_BUCKETS: [f64; 8] =
    [MIB, 2.5 * MIB, 5.0 * MIB, 10.0 * MIB, 25.0 * MIB, 50.0 * MIB, 100.0 * MIB, 250.0 * MIB];

/// Why a request failed, for the log. A handler puts it into the extensions of its response when
/// the text for the client does not say enough.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    method: &'static str,
    route: String,
    status_code: u16,
    ws: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Figures of all requests.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    duration: Histograms<Outcome>,
    inflight: Family<Route, Gauge>,
    received: Histograms<Route>,
    sent: Histograms<Route>,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Arc<Self> {
        let durations: Histograms<Outcome> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let sizes = || -> Histograms<Route> { Family::new_with_constructor(|| Histogram::new(SIZE_BUCKETS)) };
        Arc::new(Self {
            duration: registry.register(
                "cortex_request_duration_seconds",
                "Time from a request's head to the end of its response, in seconds",
                durations,
            ),
            inflight: registry.register(
                "cortex_inflight_requests",
                "Requests that are being worked on",
                Family::default(),
            ),
            received: registry.register(
                "cortex_request_message_bytes",
                "Size of request bodies, in bytes",
                sizes(),
            ),
            sent: registry.register(
                "cortex_response_message_bytes",
                "Size of response bodies, in bytes",
                sizes(),
            ),
        })
    }
}

/// Middleware: measures the request, turns a panic into 500 and logs failures, one line each.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = Route { method: method(request.method()), route: route_label(request.extensions().get()) };
    let received = Received::default();
    request.extensions_mut().insert(received.clone());
    let span =
        tracing::error_span!("request", user = tracing::field::Empty, trace_id = tracing::field::Empty);
    if let Some(trace) = trace_id(request.headers()) {
        span.record("trace_id", trace);
    }
    let mut measured = Measured::start(metrics, route, received);
    let path = request.uri().path().to_owned();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match answer.instrument(span.clone()).await {
        Ok(response) => {
            measured.status = response.status().as_u16();
            span.in_scope(|| log_failure(&measured, &path, &response));
            response
        }
        // The panic itself was logged where it happened.
        Err(_) => panicked(&mut measured),
    };
    response.map(|body| Body::new(Observed { body, measured }))
}

fn panicked(measured: &mut Measured) -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    measured.status = status.as_u16();
    (status, "internal error: the request's handler panicked").into_response()
}

fn log_failure(measured: &Measured, path: &str, response: &Response) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let cause = response.extensions().get::<Cause>().map(|c| c.0.as_str());
    let (method, code) = (measured.route.method, status.as_u16());
    let seconds = measured.start.elapsed().as_secs_f64();
    // A probe that is told "not ready" got its answer: nothing failed.
    let is_probe = status == StatusCode::SERVICE_UNAVAILABLE && path.ends_with("/ready");
    if status.is_server_error() && !is_probe {
        tracing::warn!(method, path, status = code, seconds, cause, "request failed");
    } else {
        tracing::debug!(method, path, status = code, seconds, cause, "request refused");
    }
}

/// The trace a W3C `traceparent` header names: 32 lower-case hex digits, not all zero.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let version = parts.next()?;
    let trace = parts.next()?;
    let is_hex = |s: &str| s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = version.len() == 2 && is_hex(version) && trace.len() == 32 && is_hex(trace);
    (fits && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

/// A closed set, so that clients can not make up label values.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// `/prometheus/api/v1/label/{name}/values` → `prometheus_api_v1_label_name_values`.
fn route_label(matched: Option<&MatchedPath>) -> String {
    let Some(path) = matched.map(MatchedPath::as_str) else { return "other".to_owned() };
    let mut label = String::with_capacity(path.len());
    for part in path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()) {
        if !label.is_empty() {
            label.push('_');
        }
        label.extend(part.chars().map(|c| c.to_ascii_lowercase()));
    }
    if label.is_empty() { "root".to_owned() } else { label }
}

/// A request from its head to the end of its response, whichever way that comes.
struct Measured {
    metrics: Arc<Metrics>,
    route: Route,
    received: Received,
    start: Instant,
    status: u16,
    sent: u64,
}

impl Measured {
    fn start(metrics: Arc<Metrics>, route: Route, received: Received) -> Self {
        metrics.inflight.get_or_create(&route).inc();
        // 499 stays when the client goes away before there is an answer.
        Self { metrics, route, received, start: Instant::now(), status: 499, sent: 0 }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let metrics = &self.metrics;
        metrics.inflight.get_or_create(&self.route).dec();
        metrics.received.get_or_create(&self.route).observe(self.received.bytes() as f64);
        metrics.sent.get_or_create(&self.route).observe(self.sent as f64);
        let Route { method, route } = self.route.clone();
        let outcome = Outcome { method, route, status_code: self.status, ws: "false" };
        metrics.duration.get_or_create(&outcome).observe(self.start.elapsed().as_secs_f64());
    }
}

struct Observed {
    body: Body,
    measured: Measured,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.measured.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn parse(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(value));
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn reads_w3c_trace_parents() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").as_deref(), Some(id));
        assert_eq!(parse("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
        assert_eq!(parse("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"), None);
        assert_eq!(parse("garbage"), None);
        assert_eq!(parse("0-1"), None);
        assert_eq!(trace_id(&HeaderMap::new()), None);
    }
}
