//! Small things several tests use.

use std::time::{SystemTime, UNIX_EPOCH};

use norn_benches::http::Response;

/// Unix milliseconds now.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// A body as text.
pub fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}
