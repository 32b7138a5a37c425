//! Remote-write bodies. Written by hand so that the generator costs little beside the server.

use std::collections::HashMap;

/// Appends a protobuf varint.
fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn field_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn sample(out: &mut Vec<u8>, timestamp: i64, value: f64) {
    let mut body = [0u8; 24];
    body[0] = 0x09;
    body[1..9].copy_from_slice(&value.to_le_bytes());
    body[9] = 0x10;
    let mut tail = Vec::with_capacity(10);
    varint(&mut tail, timestamp as u64);
    body[10..10 + tail.len()].copy_from_slice(&tail);
    field_bytes(out, 0x12, &body[..10 + tail.len()]);
}

/// The labels part of a `prometheus.TimeSeries`.
pub fn labels_v1(pairs: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        let mut pair = Vec::new();
        field_bytes(&mut pair, 0x0a, name.as_bytes());
        field_bytes(&mut pair, 0x12, value.as_bytes());
        field_bytes(&mut out, 0x0a, &pair);
    }
    out
}

/// Appends a series with one sample to a `prometheus.WriteRequest`.
pub fn series_v1(out: &mut Vec<u8>, labels: &[u8], timestamp: i64, value: f64, scratch: &mut Vec<u8>) {
    scratch.clear();
    scratch.extend_from_slice(labels);
    sample(scratch, timestamp, value);
    field_bytes(out, 0x0a, scratch);
}

/// Collects an `io.prometheus.write.v2.Request`.
#[derive(Default)]
pub struct RequestV2 {
    symbols: HashMap<String, u64>,
    table: Vec<u8>,
    series: Vec<u8>,
}

impl RequestV2 {
    /// An empty request; symbol 0 is the empty string.
    pub fn new() -> Self {
        let mut request = Self::default();
        request.symbol("");
        request
    }

    fn symbol(&mut self, text: &str) -> u64 {
        if let Some(&n) = self.symbols.get(text) {
            return n;
        }
        let n = self.symbols.len() as u64;
        self.symbols.insert(text.to_owned(), n);
        field_bytes(&mut self.table, 0x22, text.as_bytes());
        n
    }

    /// Appends a series with one sample.
    pub fn series(&mut self, pairs: &[(String, String)], timestamp: i64, value: f64) {
        let mut refs = Vec::with_capacity(pairs.len() * 4);
        for (name, text) in pairs {
            let (n, v) = (self.symbol(name), self.symbol(text));
            varint(&mut refs, n);
            varint(&mut refs, v);
        }
        let mut body = Vec::with_capacity(refs.len() + 32);
        field_bytes(&mut body, 0x0a, &refs);
        sample(&mut body, timestamp, value);
        field_bytes(&mut self.series, 0x2a, &body);
    }

    /// The message's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.table.append(&mut self.series);
        self.table
    }
}
