//! Measures the head: CPU time a sample, bytes a series.
//!
//! `cargo run --release -p norn-head --example measure -- [shape [copies [scrapes [generations [slabs]]]]]`
//!
//! With a number of slabs, sealed chunks but for so many mebibytes go to files in the temporary
//! directory.
//!
//! | shape | series of a copy |
//! |---|---|
//! | `nodes` | one recorded node_exporter; each generation is a new set of instances |
//! | `pods` | 100 metrics of a container: about 20 labels, some of which only it has |
//! | `tenants` | a tenant of its own with 100 series, a record a scrape |
#![allow(clippy::unwrap_used)]

use std::io::{IoSlice, Result, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use norn_contract::fs::File;
use norn_contract::log::{Record, RecordKind};
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource};
use norn_head::{Options, Reader, Step, Storage, Writer};
use norn_log::disk::Disk;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::{Builder, View};

const STEP: i64 = 15_000;
const START: i64 = 1_700_000_000_000;

struct Series {
    labels: Vec<(String, String)>,
    values: Vec<f64>,
}

fn parse(line: &str) -> Series {
    let (series, values) = line.split_once('\t').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    let mut rest = labels.trim_end_matches('}');
    while let Some((label, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"').unwrap();
        pairs.push((label.trim_start_matches(',').to_owned(), value.to_owned()));
        rest = tail;
    }
    pairs.retain(|(_, value)| !value.is_empty());
    Series { labels: pairs, values: values.split('\t').map(|v| v.parse().unwrap()).collect() }
}

fn value(series: &Series, copy: usize, scrape: usize) -> f64 {
    let last = series.values.len() - 1;
    let k = scrape + copy % last;
    if series.labels[0].1.ends_with("_total") && series.values.is_sorted() {
        let growth = series.values[last] - series.values[0];
        ((series.values[k % last] + (k / last) as f64 * growth) * 1e6).round() / 1e6
    } else {
        let phase = k % (2 * last);
        series.values[if phase <= last { phase } else { 2 * last - phase }]
    }
}

/// Resident memory of the process in bytes.
fn rss() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// CPU time of this thread. Wall time says little on a busy machine.
fn cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// What a run writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nodes,
    Pods,
    Tenants,
}

/// Labels that series of a copy have beside those of the target.
fn extra(shape: Shape, copy: usize, generation: usize) -> Vec<(String, String)> {
    let id = format!("{copy:05}-{generation}");
    let pairs = match shape {
        Shape::Nodes | Shape::Tenants => {
            vec![("instance", format!("host-{id}:9100")), ("job", "node".into())]
        }
        Shape::Pods => vec![
            ("namespace", format!("ns-{}", copy % 50)),
            ("pod", format!("app-{}-7d9c6b-{id}", copy % 200)),
            ("container", "main".into()),
            ("id", format!("/kubepods/burstable/pod{id}/0123456789abcdef0123456789abcdef-{id}")),
            ("name", format!("0123456789abcdef0123456789abcdef-{id}")),
            ("node", format!("node-{}", copy / 100)),
            ("instance", format!("10.0.{}.{}:10250", copy / 100 / 256, copy / 100 % 256)),
            ("uid", format!("0f3b7c52-5b1d-4a7e-{id}")),
            ("job", "kubelet".into()),
            ("cluster", "production-1".into()),
            ("region", "eu-central-1".into()),
            ("zone", format!("eu-central-1{}", ["a", "b", "c"][copy / 100 % 3])),
            ("image", format!("registry.example/team-{}/app:v1.{}", copy % 50, copy % 200)),
            ("service", "kubelet".into()),
            ("endpoint", "https-metrics".into()),
            ("metrics_path", "/metrics/cadvisor".into()),
        ],
    };
    pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
}

/// Label sets of all copies; `generation` makes them others.
fn fleet(shape: Shape, target: &[Series], copies: usize, generation: usize) -> Vec<Vec<(String, String)>> {
    let labels = |(copy, series): (usize, &Series)| {
        let mut pairs = series.labels.clone();
        pairs.extend(extra(shape, copy, generation));
        pairs.sort();
        pairs
    };
    (0..copies).flat_map(|copy| target.iter().map(move |s| (copy, s))).map(labels).collect()
}

#[derive(Default)]
struct Times {
    samples: usize,
    decode: Duration,
    fold: Duration,
    slowest: Duration,
}

struct Run {
    writer: Writer,
    view: View,
    /// One, or one a copy.
    tenants: Vec<Tenant>,
    series_per_record: usize,
    builder: Builder,
}

impl Run {
    fn scrape(
        &mut self,
        target: &[Series],
        labels: &[Vec<(String, String)>],
        scrape: usize,
        times: &mut Times,
    ) {
        for (part, chunk) in labels.chunks(self.series_per_record).enumerate() {
            for (i, pairs) in chunk.iter().enumerate() {
                let number = part * self.series_per_record + i;
                let (copy, series) = (number / target.len(), &target[number % target.len()]);
                let mut built = self.builder.series(pairs.iter().map(|(n, v)| (n, v)));
                built.sample(START + scrape as i64 * STEP, value(series, copy, scrape));
            }
            let kind = RecordKind::Write(2);
            let tenant = self.tenants[part % self.tenants.len()].clone();
            let record = Record { tenant, kind, timestamp: 0, value: self.builder.finish() };
            let start = cpu();
            self.view.decode(2, &record.value).unwrap();
            let decoded = cpu() - start;
            let mut refused = Refused::default();
            self.writer
                .apply_view(self.writer.next_offset(), &record.tenant, &self.view, &mut refused)
                .unwrap();
            let whole = cpu() - start;
            assert!(refused.is_empty(), "{refused:?}");
            times.samples += chunk.len();
            times.decode += decoded;
            times.fold += whole - decoded;
            times.slowest = times.slowest.max(whole - decoded);
        }
    }
}

fn print(what: &str, times: &Times) {
    let per = |d: Duration| d.as_nanos() as f64 / times.samples as f64;
    println!(
        "{what}: {} samples, CPU: decode {:.1} ns, fold {:.1} ns a sample, slowest record {:?}",
        times.samples,
        per(times.decode),
        per(times.fold),
        times.slowest
    );
}

fn query(reader: &Reader, tenant: &Tenant, what: &str, matchers: Vec<Matcher>) {
    let source = reader.tenant(tenant).unwrap();
    let start = Instant::now();
    let (mint, maxt) = (i64::MIN, i64::MAX);
    let request = SelectRequest { matchers: matchers.into(), mint, maxt, need: Need::Samples, max_series: 0 };
    let selection = source.select(request).now_or_never().unwrap().unwrap();
    let selected = start.elapsed();
    let (mut buf, mut bytes) = (ChunkBuf::default(), 0);
    for i in 0..selection.labels.len() {
        buf.clear();
        selection.data.read(i, &mut buf).unwrap();
        bytes += buf.bytes.len();
    }
    let whole = start.elapsed();
    println!(
        "{what}: {} series in {selected:?}, {bytes} chunk bytes in {:?}",
        selection.labels.len(),
        whole - selected
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let shape = match args.next().as_deref() {
        None | Some("nodes") => Shape::Nodes,
        Some("pods") => Shape::Pods,
        Some("tenants") => Shape::Tenants,
        Some(other) => panic!("no such shape: {other}"),
    };
    let mut args = args.map(|a| a.parse::<usize>().unwrap());
    let (copies, scrapes, generations) =
        (args.next().unwrap_or(100), args.next().unwrap_or(480), args.next().unwrap_or(1));
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/data/node_exporter.tsv");
    let mut target: Vec<Series> = std::fs::read_to_string(data).unwrap().lines().map(parse).collect();
    if shape != Shape::Nodes {
        target.truncate(100);
    }
    let tenants = if shape == Shape::Tenants { copies } else { 1 };
    let tenants: Vec<_> = (0..tenants).map(|i| Tenant::admit(&format!("tenant-{i}")).unwrap()).collect();
    let dir = std::env::temp_dir().join(format!("norn-measure-{}", std::process::id()));
    let storage = args.next().map(|keep_slabs| Storage { fs: Arc::new(Disk), dir: dir.clone(), keep_slabs });
    let (writer, reader) = norn_head::new(Options { storage, ..Options::default() });
    let series_per_record = if shape == Shape::Tenants { target.len() } else { 2000 };
    let mut run = Run { writer, view: View::new(), tenants, series_per_record, builder: Builder::new() };
    for generation in 0..generations {
        let labels = fleet(shape, &target, copies, generation);
        let (mut first, mut later) = (Times::default(), Times::default());
        let (mut slices, mut steps) = (0, Duration::ZERO);
        for scrape in 0..scrapes {
            let times = if scrape == 0 { &mut first } else { &mut later };
            run.scrape(&target, &labels, generation * scrapes + scrape, times);
            let start = cpu();
            while !matches!(run.writer.step(), Step::Idle) {
                slices += 1;
            }
            steps += cpu() - start;
        }
        print("first scrape", &first);
        if scrapes > 1 {
            print("later scrapes", &later);
        }
        println!("{slices} slices of other work in {steps:?}");
    }
    report(&reader, &run.tenants);
    let start = Instant::now();
    let digest = run.writer.digest();
    println!("digest {digest:016x} in {:?}", start.elapsed());
    snapshot(run.writer, digest);
}

/// A file on disk.
struct Snapshot(std::fs::File);

impl File for Snapshot {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_exact_at(buf, offset).map(|()| buf.len())
    }

    fn write_at(&self, _: &mut [IoSlice<'_>], _: u64) -> Result<()> {
        unreachable!("only read")
    }

    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Writes the head into a file and starts another one from it.
fn snapshot(mut writer: Writer, digest: u64) {
    let path = std::env::temp_dir().join(format!("norn-measure-{}.snapshot", std::process::id()));
    let mut file = std::fs::File::create_new(&path).unwrap();
    let mut encoder = writer.begin_snapshot().unwrap();
    let (mut capture, mut slowest, mut encode) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (before, mut bytes) = (rss(), 0);
    loop {
        let start = cpu();
        let piece = writer.next_piece();
        let captured = cpu() - start;
        let Some(piece) = piece else { break };
        (capture, slowest) = (capture + captured, slowest.max(captured));
        let start = cpu();
        let part = encoder.encode(&piece).unwrap();
        encode += cpu() - start;
        bytes += part.len();
        file.write_all(part).unwrap();
    }
    println!(
        "snapshot: {bytes} bytes, CPU: capture {capture:?}, slowest slice {slowest:?}, encode {encode:?}, {} MiB more resident",
        (rss() - before) >> 20
    );
    drop((writer, encoder));
    let start = (Instant::now(), cpu());
    let (again, reader) =
        norn_head::load(Options::default(), &Snapshot(std::fs::File::open(&path).unwrap())).unwrap();
    println!("load: {:?}, CPU {:?}", start.0.elapsed(), cpu() - start.1);
    assert_eq!(again.digest(), digest);
    println!("{:?}", reader.memory());
    std::fs::remove_file(path).unwrap();
}

fn report(reader: &Reader, tenants: &[Tenant]) {
    let series: u64 = reader.tenants().iter().map(|(_, stats)| stats.series).sum();
    let memory = reader.memory();
    println!("{series} series, {} tenants, {memory:?}", tenants.len());
    println!("bytes a series: {:.0}, resident {} MiB", memory.total() as f64 / series as f64, rss() >> 20);
    let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    query(reader, &tenants[0], "all", vec![all]);
    query(reader, &tenants[0], "one metric", vec![Matcher::equal("__name__", "node_cpu_seconds_total")]);
    let instance = Matcher::new(MatchOp::Regex, "instance", "host-000.1-.*").unwrap();
    let mode = Matcher::new(MatchOp::NotEqual, "mode", "idle").unwrap();
    query(reader, &tenants[0], "regex", vec![instance, mode]);
}
