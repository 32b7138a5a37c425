//! Remote-write requests by hand, right and wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use norn_benches::body::{labels_v1, series_v1};
use norn_benches::http::Response;

use crate::api::Server;

/// Headers of remote write 1.
pub const V1: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
/// Headers of remote write 2.
pub const V2: &str = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\n";

/// A series as label pairs, with the time and value of its sample.
pub type OneSample<'a> = (&'a [(&'a str, &'a str)], i64, f64);

/// A `prometheus.WriteRequest` with one sample a series.
pub fn body(series: &[OneSample<'_>]) -> Vec<u8> {
    let mut raw = Vec::new();
    for (pairs, timestamp, value) in series {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        series_v1(&mut raw, &labels_v1(&pairs), *timestamp, *value, &mut Vec::new());
    }
    raw
}

/// Appends a length-delimited protobuf field; `tag` is its key's one byte.
pub fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    let mut n = bytes.len();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(bytes);
}

/// Snappy block format.
pub fn snappy(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(raw).unwrap_or_default()
}

/// Pushes series with one sample each.
pub fn push(server: &Server, series: &[OneSample<'_>]) -> Result<Response> {
    server.post("/api/v1/push", V1, &snappy(&body(series)))
}

/// Sends raw bytes and reads until the server closes or `patience` is over.
pub fn raw(server: &Server, bytes: &[u8], patience: Duration) -> Result<String> {
    let mut stream = TcpStream::connect(&server.host)?;
    stream.set_read_timeout(Some(patience))?;
    // The server may close while we are still sending: what counts is what it answered.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Ok(n) = stream.read(&mut buffer) {
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..n]);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
