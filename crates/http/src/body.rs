//! Request bodies, capped in bytes and in time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body's announced length is believed up to here; beyond it memory follows the bytes.
const MAX_PREALLOCATION: usize = 1 << 20;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Without a byte.
    pub idle: Duration,
    /// From first to last byte.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { idle: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed: 413.
    #[error("request body is larger than {limit} bytes")]
    TooLarge {
        /// The cap.
        limit: usize,
    },
    /// Others take up the memory there is for bodies: 503.
    #[error("there is no room for the request body now")]
    NoRoom,
    /// No bytes for too long, or too few in all: 408.
    #[error("request body did not arrive in time")]
    TooSlow,
    /// The connection broke or the framing is wrong: 400.
    #[error("can not read request body: {0}")]
    Broken(String),
}

impl BodyError {
    /// The status that tells the client.
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for BodyError {
    /// The text, and the end of the connection: the rest of the body is not waited for.
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_string()).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Reads a whole body of at most `limit` bytes. A body that came in one piece is not copied.
///
/// # Errors
///
/// [`BodyError`] is a complete response of its own.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    read_within(body, limit, |_| true).await
}

/// As [`read`]; `grow` is asked for each piece of so many bytes whether there is room for it.
///
/// # Errors
///
/// [`BodyError`] is a complete response of its own.
pub async fn read_within(
    mut body: Body,
    limit: usize,
    mut grow: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(first) = next_data(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    if !grow(first.len()) {
        return Err(BodyError::NoRoom);
    }
    let Some(second) = next_data(&mut body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(announced.min(MAX_PREALLOCATION).max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(data) = next {
        if data.len() > limit - whole.len() {
            return Err(BodyError::TooLarge { limit });
        }
        if !grow(data.len()) {
            return Err(BodyError::NoRoom);
        }
        whole.extend_from_slice(&data);
        next = next_data(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The next piece that holds bytes; trailers are passed over.
async fn next_data(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                _ => {}
            },
            Err(e) => return Err(classify(&e)),
        }
    }
    Ok(None)
}

fn classify(error: &axum::Error) -> BodyError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if e.is::<TooSlow>() {
            return BodyError::TooSlow;
        }
        cause = e.source();
    }
    BodyError::Broken(error.to_string())
}

#[derive(Debug, thiserror::Error)]
#[error("request body did not arrive in time")]
struct TooSlow;

/// Bytes of a request's body so far. An extension of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received(Arc<AtomicU64>);

impl Received {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Middleware: gives every body deadlines, whoever reads it.
pub(crate) async fn guard(State(timeouts): State<Timeouts>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let received = parts.extensions.get::<Received>().cloned().unwrap_or_default();
    let guarded = Guarded {
        body,
        received,
        idle: timeouts.idle,
        deadline: Instant::now() + timeouts.total,
        timer: None,
    };
    next.run(Request::from_parts(parts, Body::new(guarded))).await
}

struct Guarded {
    body: Body,
    received: Received,
    idle: Duration,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let now = Instant::now();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if now > this.deadline {
                    return Poll::Ready(Some(Err(TooSlow.into())));
                }
                this.timer = None;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.received.0.fetch_add(bytes as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|e| e.map_err(Into::into))),
            Poll::Pending => {
                let until = this.deadline.min(now + this.idle);
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                timer.as_mut().poll(cx).map(|()| Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
