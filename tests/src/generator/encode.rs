//! Series as remote write 1 and 2: the same bytes for every receiver.

use std::collections::{BTreeMap, HashMap};

use super::data::{Sample, Series};
use super::histogram::Histogram;

const VARINT: u64 = 0;
const FIXED: u64 = 1;
const BYTES: u64 = 2;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number(out: &mut Vec<u8>, field: u64, n: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, n);
}

fn double(out: &mut Vec<u8>, field: u64, n: f64) {
    varint(out, field << 3 | FIXED);
    out.extend_from_slice(&n.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// `prometheus.WriteRequest`.
pub fn version_1(series: &[Series]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in series {
        let mut body = Vec::new();
        for (name, value) in &one.labels {
            let mut pair = Vec::new();
            bytes(&mut pair, 1, name.as_bytes());
            bytes(&mut pair, 2, value.as_bytes());
            bytes(&mut body, 1, &pair);
        }
        samples(&mut body, one, 2, 4);
        bytes(&mut out, 1, &body);
    }
    out
}

/// `io.prometheus.write.v2.Request`.
pub fn version_2(series: &[Series]) -> Vec<u8> {
    let mut symbols = Symbols::default();
    symbols.index("");
    let mut list = Vec::new();
    for one in series {
        let mut refs = Vec::new();
        for (name, value) in &one.labels {
            varint(&mut refs, symbols.index(name));
            varint(&mut refs, symbols.index(value));
        }
        let mut body = Vec::new();
        bytes(&mut body, 1, &refs);
        samples(&mut body, one, 2, 3);
        bytes(&mut list, 5, &body);
    }
    let mut out = symbols.table;
    out.extend(list);
    out
}

#[derive(Default)]
struct Symbols {
    known: HashMap<String, u64>,
    table: Vec<u8>,
}

impl Symbols {
    fn index(&mut self, text: &str) -> u64 {
        if let Some(&n) = self.known.get(text) {
            return n;
        }
        let n = self.known.len() as u64;
        self.known.insert(text.to_owned(), n);
        bytes(&mut self.table, 4, text.as_bytes());
        n
    }
}

fn samples(out: &mut Vec<u8>, series: &Series, floats: u64, histograms: u64) {
    for (time, sample) in &series.samples {
        let mut body = Vec::new();
        match sample {
            Sample::Float(value) => {
                double(&mut body, 1, *value);
                number(&mut body, 2, *time as u64);
                bytes(out, floats, &body);
            }
            Sample::Histogram(h) => {
                histogram(&mut body, h, *time);
                bytes(out, histograms, &body);
            }
        }
    }
}

fn histogram(out: &mut Vec<u8>, h: &Histogram, time: i64) {
    if h.float {
        double(out, 2, h.count());
        double(out, 7, h.zero_count);
    } else {
        number(out, 1, h.count() as u64);
        number(out, 6, h.zero_count as u64);
    }
    double(out, 3, h.sum);
    number(out, 4, zigzag(i64::from(h.schema)));
    double(out, 5, h.zero_threshold);
    buckets(out, &h.negative, h.float, [8, 9, 10]);
    buckets(out, &h.positive, h.float, [11, 12, 13]);
    if h.gauge {
        number(out, 14, 3);
    }
    number(out, 15, time as u64);
    if !h.bounds.is_empty() {
        let packed: Vec<u8> = h.bounds.iter().flat_map(|b| b.to_le_bytes()).collect();
        bytes(out, 16, &packed);
    }
}

/// Spans, deltas and absolute counts under their field numbers.
fn buckets(out: &mut Vec<u8>, buckets: &BTreeMap<i32, f64>, float: bool, fields: [u64; 3]) {
    let mut spans: Vec<(i32, u64)> = Vec::new();
    let mut next = 0;
    for &index in buckets.keys() {
        match spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => spans.push((index - next, 1)),
        }
        next = index + 1;
    }
    for (offset, length) in spans {
        let mut span = Vec::new();
        number(&mut span, 1, zigzag(i64::from(offset)));
        number(&mut span, 2, length);
        bytes(out, fields[0], &span);
    }
    let mut packed = Vec::new();
    let mut last = 0;
    for &count in buckets.values() {
        if float {
            packed.extend_from_slice(&count.to_le_bytes());
        } else {
            varint(&mut packed, zigzag(count as i64 - last));
            last = count as i64;
        }
    }
    if !packed.is_empty() {
        bytes(out, if float { fields[2] } else { fields[1] }, &packed);
    }
}
