//! Errors in the API's envelope.

use std::fmt;

use norn_contract::source::SourceError;
use norn_http::axum::body::Body;
use norn_http::axum::http::{HeaderValue, StatusCode, header};
use norn_http::axum::response::{IntoResponse, Response};
use norn_http::body::BodyError;
use norn_model::quote::Quoted;

use crate::json;

/// What a client is told when there is no result.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// An `errorType` with its text.
    Told(&'static str, String),
    /// The form could not be read.
    Body(BodyError),
}

impl ApiError {
    pub(crate) fn bad_data(text: impl fmt::Display) -> Self {
        Self::Told("bad_data", text.to_string())
    }

    /// A parameter that makes no sense.
    pub(crate) fn parameter(name: &str, why: impl fmt::Display) -> Self {
        Self::bad_data(format_args!("invalid parameter {}: {why}", Quoted(name)))
    }

    pub(crate) fn status(&self) -> StatusCode {
        let Self::Told(kind, _) = self else {
            return StatusCode::BAD_REQUEST;
        };
        match *kind {
            "bad_data" => StatusCode::BAD_REQUEST,
            "execution" => StatusCode::UNPROCESSABLE_ENTITY,
            // Not in any RFC: the client closed the request.
            "canceled" => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            "timeout" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        let kind = match error {
            SourceError::TooManySeries { .. } | SourceError::Limit(_) => "execution",
            SourceError::Corrupt(_) | SourceError::Unavailable(_) => "internal",
        };
        Self::Told(kind, error.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::Body(error) => error.into_response(),
            Self::Told(kind, text) => {
                let mut body = br#"{"status":"error","errorType":""#.to_vec();
                body.extend_from_slice(kind.as_bytes());
                body.extend_from_slice(br#"","error":"#);
                json::text(&mut body, &text);
                body.push(b'}');
                (status, [(header::CONTENT_TYPE, JSON)], Body::from(body)).into_response()
            }
        }
    }
}

/// An error as a plain text, for what Prometheus and Mimir answer so.
pub(crate) struct Plain(ApiError);

impl<E: Into<ApiError>> From<E> for Plain {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Told(_, ref text) => (self.0.status(), format!("{text}\n")).into_response(),
            body => body.into_response(),
        }
    }
}

/// Content type of every answer.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
