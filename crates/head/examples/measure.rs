//! Measures the head with copies of one recorded node_exporter: time a sample, bytes a series.
//!
//! `cargo run --release -p norn-head --example measure -- [copies [scrapes [generations]]]`
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use futures::FutureExt;
use norn_contract::log::{Record, RecordKind};
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource};
use norn_head::{Options, Reader, Writer};
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::{Builder, View};

const SERIES_PER_RECORD: usize = 2000;
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

/// All label sets of the fleet; `generation` changes the instance.
fn fleet(target: &[Series], copies: usize, generation: usize) -> Vec<Vec<(String, String)>> {
    let labels = |(copy, series): (usize, &Series)| {
        let mut pairs = series.labels.clone();
        pairs.push(("instance".into(), format!("host-{copy:04}-{generation}:9100")));
        pairs.push(("job".into(), "node".into()));
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
    tenant: Tenant,
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
        for (part, chunk) in labels.chunks(SERIES_PER_RECORD).enumerate() {
            for (i, pairs) in chunk.iter().enumerate() {
                let number = part * SERIES_PER_RECORD + i;
                let (copy, series) = (number / target.len(), &target[number % target.len()]);
                let mut built = self.builder.series(pairs.iter().map(|(n, v)| (n, v)));
                built.sample(START + scrape as i64 * STEP, value(series, copy, scrape));
            }
            let kind = RecordKind::Write(2);
            let record =
                Record { tenant: self.tenant.clone(), kind, timestamp: 0, value: self.builder.finish() };
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
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().unwrap());
    let (copies, scrapes, generations) =
        (args.next().unwrap_or(100), args.next().unwrap_or(480), args.next().unwrap_or(1));
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/data/node_exporter.tsv");
    let target: Vec<Series> = std::fs::read_to_string(data).unwrap().lines().map(parse).collect();
    let tenant = Tenant::admit("measure").unwrap();
    let (writer, reader) = norn_head::new(Options::default());
    let mut run = Run { writer, view: View::new(), tenant: tenant.clone(), builder: Builder::new() };
    let mut resident = 0;
    for generation in 0..generations {
        let labels = fleet(&target, copies, generation);
        let (mut first, mut later) = (Times::default(), Times::default());
        let mut warm = None;
        for scrape in 0..scrapes {
            let times = if scrape == 0 { &mut first } else { &mut later };
            run.scrape(&target, &labels, generation * scrapes + scrape, times);
            // What the generator itself takes was taken by now; the head took little.
            warm.get_or_insert_with(rss);
        }
        print("first scrape", &first);
        if scrapes > 1 {
            print("later scrapes", &later);
        }
        resident += rss() - warm.unwrap_or_default().min(rss());
    }
    let stats = reader.tenant(&tenant).unwrap().stats();
    let (memory, n) = (reader.memory(), stats.series as f64);
    println!("{stats:?}");
    println!("{memory:?}\nbytes a series: counted {:.0}", memory.total() as f64 / n);
    println!(
        "process {} MiB, of it {:.0} bytes a series after first scrapes",
        rss() >> 20,
        resident as f64 / n
    );
    let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    query(&reader, &tenant, "all", vec![all]);
    query(&reader, &tenant, "one metric", vec![Matcher::equal("__name__", "node_cpu_seconds_total")]);
    let instance = Matcher::new(MatchOp::Regex, "instance", "host-00.1-.*").unwrap();
    let mode = Matcher::new(MatchOp::NotEqual, "mode", "idle").unwrap();
    query(&reader, &tenant, "regex", vec![instance, mode]);
    let start = Instant::now();
    println!("digest {:016x} in {:?}", run.writer.digest(), start.elapsed());
}
