//! Successful answers, written in pieces.
//!
//! An answer that fits into one chunk is a plain body with a length. A larger one is written
//! while it is sent, so that its text is never in memory as a whole.

use std::convert::Infallible;
use std::iter;

use bytes::Bytes;
use futures::stream;
use norn_http::axum::body::Body;
use norn_http::axum::http::header;
use norn_http::axum::response::{IntoResponse, Response};

use crate::error::JSON;
use crate::json;

/// Chunks of a body are at least this long, but for the last.
const CHUNK: usize = 64 << 10;
/// Most warnings, and most infos, that are shown.
const MAX_NOTES: usize = 10;
/// What a result is accompanied by that was cut short.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// A JSON value that is written bit by bit.
pub(crate) trait Pieces: Send + 'static {
    /// Appends some of the value and says whether there is more.
    fn write_piece(&mut self, out: &mut Vec<u8>) -> bool;
}

/// A value that is written at once.
impl<F: FnMut(&mut Vec<u8>) + Send + 'static> Pieces for F {
    fn write_piece(&mut self, out: &mut Vec<u8>) -> bool {
        self(out);
        false
    }
}

/// A list whose items are written one by one.
pub(crate) struct List<I, F> {
    items: I,
    write: F,
    is_open: bool,
}

impl<I, F> List<I, F> {
    pub(crate) fn new(items: I, write: F) -> Self {
        Self { items, write, is_open: false }
    }
}

impl<I, F> Pieces for List<I, F>
where
    I: Iterator + Send + 'static,
    F: FnMut(&mut Vec<u8>, I::Item) + Send + 'static,
{
    fn write_piece(&mut self, out: &mut Vec<u8>) -> bool {
        let item = self.items.next();
        if !self.is_open {
            out.push(b'[');
        }
        let Some(item) = item else {
            out.push(b']');
            return false;
        };
        if self.is_open {
            out.push(b',');
        }
        self.is_open = true;
        (self.write)(out, item);
        true
    }
}

/// Warnings and infos of an answer.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Notes {
    /// Cuts `items` at `limit` and says so.
    pub(crate) fn truncate<T>(&mut self, items: &mut Vec<T>, limit: Option<usize>) {
        if let Some(limit) = limit.filter(|limit| items.len() > *limit) {
            items.truncate(limit);
            self.warnings.push(TRUNCATED.to_owned());
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_notes(out, "warning", &self.warnings);
        write_notes(out, "info", &self.infos);
    }
}

fn write_notes(out: &mut Vec<u8>, kind: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let omitted = notes.len().saturating_sub(MAX_NOTES);
    let last = (omitted > 0).then(|| format!("{omitted} more {kind} annotations omitted"));
    out.extend_from_slice(format!(",\"{kind}s\":").as_bytes());
    let shown = notes.iter().take(MAX_NOTES).chain(&last);
    json::list(out, shown, |out, note| json::text(out, note));
}

/// The envelope around `data`.
pub(crate) fn success(data: impl Pieces, notes: &Notes) -> Response {
    let mut close = Vec::new();
    notes.write(&mut close);
    close.push(b'}');
    written(data, b"{\"status\":\"success\",\"data\":", close)
}

/// `data` alone.
pub(crate) fn bare(data: impl Pieces) -> Response {
    written(data, b"", Vec::new())
}

/// `{"data":…}`, as Mimir answers where it streams.
pub(crate) fn only_data(data: impl Pieces) -> Response {
    written(data, b"{\"data\":", b"}".to_vec())
}

/// `data` between `open` and `close`, at once where it is small.
fn written(data: impl Pieces, open: &[u8], close: Vec<u8>) -> Response {
    let mut chunks = Chunks { data, open: open.to_vec(), close: Some(close) };
    let first = chunks.next().unwrap_or_default();
    let body = if chunks.close.is_none() {
        Body::from(first)
    } else {
        Body::from_stream(stream::iter(iter::once(first).chain(chunks).map(Ok::<_, Infallible>)))
    };
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

/// The chunks of an answer.
struct Chunks<P> {
    data: P,
    /// What comes before the data; empty once it was written.
    open: Vec<u8>,
    /// What comes after the data; `None` once it was written.
    close: Option<Vec<u8>>,
}

impl<P: Pieces> Iterator for Chunks<P> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.close.as_ref()?;
        let mut out = std::mem::take(&mut self.open);
        while out.len() < CHUNK {
            if !self.data.write_piece(&mut out) {
                out.extend(self.close.take().unwrap_or_default());
                break;
            }
        }
        Some(out.into())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use norn_http::axum::body::HttpBody;

    use super::*;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.expect("body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    fn numbers(n: usize) -> impl Pieces {
        List::new(0..n, |out: &mut Vec<u8>, i: usize| out.extend_from_slice(i.to_string().as_bytes()))
    }

    #[tokio::test]
    async fn small_answers_have_a_length_and_large_ones_come_in_chunks() {
        let small = success(numbers(3), &Notes::default());
        assert_eq!(small.body().size_hint().exact(), Some(35));
        assert_eq!(text(small).await, r#"{"status":"success","data":[0,1,2]}"#);
        assert_eq!(text(success(numbers(0), &Notes::default())).await, r#"{"status":"success","data":[]}"#);
        let mut large = success(numbers(100_000), &Notes::default()).into_body();
        assert_eq!(large.size_hint().exact(), None);
        let (mut whole, mut chunks) = (Vec::new(), 0);
        while let Some(frame) = large.frame().await {
            let data = frame.expect("frame").into_data().expect("data");
            assert!(data.len() < CHUNK + 10);
            whole.extend_from_slice(&data);
            chunks += 1;
        }
        assert!(chunks > 5);
        let value: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
        assert_eq!(value["data"].as_array().map(Vec::len), Some(100_000));
    }

    #[tokio::test]
    async fn notes_are_limited() {
        let warnings = (0..12).map(|i| format!("w{i}")).collect();
        let notes = Notes { warnings, infos: vec!["<i>".to_owned()] };
        let body = text(success(numbers(0), &notes)).await;
        assert!(body.contains(r#"],"warnings":["w0","w1""#), "{body}");
        assert!(
            body.ends_with(r#""w9","2 more warning annotations omitted"],"infos":["\u003ci\u003e"]}"#),
            "{body}"
        );
    }
}
