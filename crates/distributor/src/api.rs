//! `POST /api/v1/push`: negotiation, statuses, headers.
//!
//! Statuses are Mimir's: 200 for what was stored, 400 for what the sender did wrong (after the
//! rest was stored), 429 for a tenant's rate limits, 503 with `Retry-After` when this server can
//! not take it now, 500 for its faults.

use std::sync::Arc;

use norn_contract::append::{AppendError, Appender, Compression, Protocol, Push, Written};
use norn_http::axum::extract::{Request, State};
use norn_http::axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use norn_http::axum::middleware::{Next, from_fn};
use norn_http::axum::response::{IntoResponse, Response};
use norn_http::axum::routing::post;
use norn_http::axum::{Extension, Router};
use norn_http::body::{self, BodyError};
use norn_http::observe::Cause;
use norn_model::tenant::Tenant;

use crate::Distributor;
use crate::request::too_large;

const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");
const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// Shortest and longest `Retry-After`, in seconds.
const RETRY_AFTER: (u64, u64) = (6, 96);

/// The push endpoint, and the path that Prometheus users type.
pub fn routes(distributor: Distributor) -> Router {
    Router::new()
        .route("/api/v1/push", post(push))
        .route("/api/v1/write", post(push))
        .with_state(Arc::new(distributor))
}

/// Puts onto every answer of `routes`, also those that come from layers around the handler, what
/// senders of writes expect: `-Written` headers for remote write 2 and `Retry-After`.
pub fn complete(routes: Router) -> Router {
    routes.layer(from_fn(complete_answer))
}

async fn complete_answer(request: Request, next: Next) -> Response {
    let attempt = attempt(request.headers());
    let counted = is_remote_write_2(request.headers());
    let mut response = next.run(request).await;
    if counted {
        let Counts(counts) = response.extensions().get().copied().unwrap_or_default();
        for (name, n) in [SAMPLES, HISTOGRAMS, EXEMPLARS].into_iter().zip(counts) {
            response.headers_mut().insert(name, HeaderValue::from(n));
        }
    }
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after(attempt, jitter())));
    }
    response
}

/// Samples, histograms and exemplars that a request stored. An extension of its response.
#[derive(Clone, Copy, Default)]
struct Counts([u32; 3]);

async fn push(
    State(distributor): State<Arc<Distributor>>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Response {
    let (parts, stream) = request.into_parts();
    let (protocol, compression) = match negotiate(&parts.headers) {
        Ok(negotiated) => negotiated,
        Err((status, why)) => return (status, why).into_response(),
    };
    let (limit, mut room) = (distributor.max_recv_msg_size(), distributor.body_bytes());
    let result = match body::read_within(stream, limit, |bytes| room.grow(bytes)).await {
        Ok(body) => distributor.push(tenant, Push { protocol, compression, body }).await,
        Err(BodyError::TooLarge { .. }) => {
            let declared =
                parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
            Err(AppendError::TooLarge(too_large(declared.unwrap_or(limit as u64 + 1), limit)))
        }
        Err(BodyError::NoRoom) => Err(distributor.no_room()),
        Err(e) => return e.into_response(),
    };
    respond(result)
}

fn is_remote_write_2(headers: &HeaderMap) -> bool {
    matches!(message(headers), Ok(Protocol::RemoteWrite2))
}

/// Message and compression by the headers, or the status that refuses them.
fn negotiate(headers: &HeaderMap) -> Result<(Protocol, Compression), (StatusCode, String)> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|v| String::from_utf8_lossy(v.as_bytes()));
    let compression = match encoding.as_deref() {
        None | Some("" | "snappy") => Compression::Snappy,
        Some("zstd") => Compression::Zstd,
        Some(other) => {
            let why =
                format!("content encoding {other:?} is not supported; use snappy (or zstd, an extension)");
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
    };
    let protocol = message(headers).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    Ok((protocol, compression))
}

/// The message that `Content-Type` names.
fn message(headers: &HeaderMap) -> Result<Protocol, String> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()));
    let mut parts = content_type.as_deref().unwrap_or_default().split(';').map(str::trim);
    if parts.next() != Some("application/x-protobuf") {
        return Ok(Protocol::RemoteWrite1);
    }
    match parts.find_map(|p| p.strip_prefix("proto=")) {
        None | Some("prometheus.WriteRequest") => Ok(Protocol::RemoteWrite1),
        Some("io.prometheus.write.v2.Request") => Ok(Protocol::RemoteWrite2),
        Some(other) => Err(format!("unknown remote write message {other:?}")),
    }
}

fn respond(result: Result<Written, AppendError>) -> Response {
    let error = match result {
        Ok(written) => {
            let counts = Counts([written.samples, written.histograms, written.exemplars]);
            return match written.refused.first {
                None => (StatusCode::OK, Extension(counts)).into_response(),
                Some(first) => (StatusCode::BAD_REQUEST, Extension(counts), first.text).into_response(),
            };
        }
        Err(error) => error,
    };
    let status = match error {
        AppendError::Malformed(_) | AppendError::TooLarge(_) => StatusCode::BAD_REQUEST,
        AppendError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        AppendError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        AppendError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = error.to_string();
    (status, Extension(Cause(text.clone())), text).into_response()
}

fn attempt(headers: &HeaderMap) -> u32 {
    headers.get(RETRY_ATTEMPT).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(1)
}

/// Seconds to wait before attempt `attempt + 1`: doubled each time, ± 50 % by `jitter` (0…1).
fn retry_after(attempt: u32, jitter: f64) -> u64 {
    let (min, max) = RETRY_AFTER;
    let backoff = min.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(max) as f64;
    ((backoff * (0.5 + jitter)).round() as u64).clamp(min, max)
}

/// Spread over 0…1 without a random generator: senders that were refused together come back apart.
fn jitter() -> f64 {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    f64::from(nanos % 1000) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_each_time_within_bounds() {
        assert_eq!(retry_after(1, 0.5), 6);
        assert_eq!(retry_after(2, 0.5), 12);
        assert_eq!(retry_after(3, 1.0), 36);
        assert_eq!(retry_after(u32::MAX, 1.0), 96);
        assert_eq!(retry_after(0, 0.0), 6);
    }
}
