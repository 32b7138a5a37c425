//! Measures a block of 2 h of recorded node_exporters: bytes a sample, time a series, memory.
//!
//! `cargo run --release -p norn-block --example measure -- [copies [samples a chunk [directory]]]`;
//! a directory keeps the block.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use norn_benches::fleet;
use norn_block::ulid::Ulid;
use norn_block::{Block, Builder, Options};
use norn_codec::xor::XorState;
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource};
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};

const START: i64 = 1_699_999_200_000;
const STEP: i64 = 15_000;
const SCRAPES: usize = 480;

/// CPU time of this thread. Wall time says little on a busy machine.
fn cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// Resident memory in MiB, now and at most so far.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    (field("VmRSS"), field("VmHWM"))
}

fn encode(series: &fleet::Series, copy: usize, per_chunk: usize) -> ChunkBuf {
    let (mut out, mut bytes) = (ChunkBuf::default(), Vec::new());
    for first in (0..SCRAPES).step_by(per_chunk) {
        let mut state = XorState::new();
        bytes.clear();
        for scrape in first..SCRAPES.min(first + per_chunk) {
            state.append(&mut bytes, START + scrape as i64 * STEP, series.value(copy, scrape)).unwrap();
        }
        state.finish(&mut bytes, 0);
        out.push(ChunkEncoding::Xor, START + first as i64 * STEP, state.last_timestamp(), &bytes);
    }
    out
}

fn write(dir: &Path, copies: usize, per_chunk: usize) -> Ulid {
    let target = fleet::target();
    let mut all: Vec<(Labels, usize, usize)> = Vec::new();
    for copy in 0..copies {
        let labels = |s| Labels::from_pairs(fleet::labels(s, copy, 0));
        all.extend(target.iter().enumerate().map(|(i, s)| (labels(s), copy, i)));
    }
    all.sort();
    let before = resident();
    let ulid = Ulid::new(START, [1; 10]);
    let options = Options::new(ulid, START..START + SCRAPES as i64 * STEP);
    let mut builder = Builder::create(Arc::new(Disk), dir, options).unwrap();
    let mut added = Duration::ZERO;
    for part in all.chunks(2000) {
        let chunks: Vec<ChunkBuf> =
            part.iter().map(|(_, copy, i)| encode(&target[*i], *copy, per_chunk)).collect();
        let start = cpu();
        for ((labels, _, _), chunks) in part.iter().zip(&chunks) {
            builder.add(labels, chunks).unwrap();
        }
        added += cpu() - start;
    }
    let (start, wall) = (cpu(), Instant::now());
    let meta = builder.finish().unwrap().unwrap();
    let per = |d: Duration| d.as_nanos() / u128::from(meta.stats.num_series);
    let finished = cpu() - start;
    println!("{:?}", meta.stats);
    println!(
        "CPU a series: add {} ns, finish {} ns; finish took {:?}",
        per(added),
        per(finished),
        wall.elapsed()
    );
    println!("resident MiB before {}, most {}", before.0, resident().1);
    let bytes = |name: &str| std::fs::metadata(dir.join(ulid.to_string()).join(name)).unwrap().len();
    let (chunks, index) = (bytes("chunks/000001"), bytes("index"));
    let per = |n: u64| n as f64 / meta.stats.num_samples as f64;
    println!(
        "bytes a sample: chunks {:.3}, index {:.3}, all {:.3}",
        per(chunks),
        per(index),
        per(chunks + index)
    );
    ulid
}

fn query(block: &Block, what: &str, matchers: Vec<Matcher>) {
    let request = SelectRequest {
        matchers: matchers.into(),
        mint: i64::MIN,
        maxt: i64::MAX,
        need: Need::Samples,
        max_series: 0,
    };
    let start = Instant::now();
    let selection = block.select(request).now_or_never().unwrap().unwrap();
    let selected = start.elapsed();
    let (mut buf, mut bytes) = (ChunkBuf::default(), 0);
    for i in 0..selection.labels.len() {
        buf.clear();
        selection.data.read(i, &mut buf).unwrap();
        bytes += black_box(&buf).bytes.len();
    }
    let per = |d: Duration| d.as_nanos() / selection.labels.len().max(1) as u128;
    let read = start.elapsed() - selected;
    let (n, select, read) = (selection.labels.len(), per(selected), per(read));
    println!("{what}: {n} series, {bytes} bytes, a series: select {select} ns, read {read} ns");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let copies = args.next().map_or(100, |a| a.parse().unwrap());
    let per_chunk = args.next().map_or(120, |a| a.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let kept = args.next();
    let dir = kept.as_deref().map_or(scratch.path(), Path::new);
    let ulid = write(dir, copies, per_chunk);
    let start = cpu();
    let block = Block::open(&Disk, &dir.join(ulid.to_string())).unwrap();
    println!("opened in {:?} CPU, tables take {} KiB", cpu() - start, block.index().memory_bytes() >> 10);
    let matcher = |op, name, value| Matcher::new(op, name, value).unwrap();
    query(&block, "all", vec![matcher(MatchOp::Regex, "__name__", ".+")]);
    query(&block, "one metric", vec![Matcher::equal("__name__", "node_cpu_seconds_total")]);
    query(&block, "one host", vec![Matcher::equal("instance", "host-0007:9100")]);
    let instance = matcher(MatchOp::Regex, "instance", "host-00.1.*");
    query(&block, "regex", vec![instance, matcher(MatchOp::NotEqual, "mode", "idle")]);
}
