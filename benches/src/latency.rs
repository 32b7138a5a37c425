//! How long an acknowledgement takes at a steady rate, alone and while queries run, beside what
//! the disk gives a bare loop of append and fdatasync.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fleet::{self, Series};
use crate::http::{Client, split_url};
use crate::ingest::{self, Options, SCRAPE_MS, Sent, quantile_ms};
use crate::process::usage;
use crate::query::{QUERIES, escape};

/// Scrapes of each phase.
const PHASE: usize = 80;
/// Rounds of all phases, so that a slow minute of the machine hits every phase.
const ROUNDS: usize = 3;
const FLOOR_SYNCS: usize = 400;

/// Runs the phases in turn. Flags are those of `ingest`, with `--rate` (default 200,000) and
/// `--data-dir`, beside which the bare loop writes; then `--query-url`, `--end` and `--queries`.
pub fn run(args: &[String]) -> Result<()> {
    let (own, rest) = split(args)?;
    let mut o = ingest::parse(&rest)?;
    let dir = o.data_dir.clone().context("--data-dir is needed: its disk is what is compared")?;
    if o.rate == 0.0 {
        o.rate = 200_000.0;
    }
    let target = fleet::target();
    let first = o.scrapes;
    o.first = (own.end * 1000 / SCRAPE_MS + 1 - first as i64) * SCRAPE_MS;
    let (mut floor, mut alone, mut beside) = (Vec::new(), Phase::default(), Phase::default());
    for round in 0..ROUNDS {
        floor.extend(bare_loop(&dir, 4096 * 16)?);
        (o.skip, o.scrapes) = (first + 2 * round * PHASE, first + (2 * round + 1) * PHASE);
        alone.run(&o, &target, None)?;
        (o.skip, o.scrapes) = (o.scrapes, o.scrapes + PHASE);
        beside.run(&o, &target, Some(&own))?;
    }
    floor.sort_unstable();
    println!("{:<28} {:>8} {:>8} {:>8}", "", "p50 ms", "p99 ms", "p99.9 ms");
    line("append 64 KiB and fdatasync", &floor);
    alone.print("acknowledgement, alone");
    beside.print("acknowledgement, with queries");
    println!("queries answered             {}", beside.queries);
    Ok(())
}

fn line(name: &str, sorted: &[Duration]) {
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|q| quantile_ms(sorted, q));
    println!("{name:<28} {half:>8.2} {most:>8.2} {nearly_all:>8.2}");
}

/// Queries that run beside.
struct Load {
    url: String,
    end: i64,
    queries: usize,
}

/// Takes the flags of [`Load`] out of `args`.
fn split(args: &[String]) -> Result<(Load, Vec<String>)> {
    let mut load = Load { url: String::new(), end: 0, queries: 4 };
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--query-url" => load.url.clone_from(value()?),
            "--end" => load.end = value()?.parse()?,
            "--queries" => load.queries = value()?.parse()?,
            _ => rest.push(flag.clone()),
        }
    }
    if load.url.is_empty() || load.end == 0 {
        bail!("--query-url and --end (Unix seconds of the newest sample) are needed");
    }
    Ok((load, rest))
}

/// Times of an append of `bytes` and fdatasync.
fn bare_loop(dir: &Path, bytes: usize) -> Result<Vec<Duration>> {
    let path = dir.with_extension("floor");
    let mut file = File::create(&path)?;
    let block = vec![7; bytes];
    let mut times = Vec::new();
    for _ in 0..FLOOR_SYNCS {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(times)
}

/// One way to run, over all rounds.
#[derive(Default)]
struct Phase {
    latencies: Vec<Duration>,
    samples: u64,
    cpu: f64,
    partition_cpu: f64,
    seconds: f64,
    queries: u64,
}

impl Phase {
    fn run(&mut self, o: &Options, target: &[Series], load: Option<&Load>) -> Result<()> {
        let (start, before) = (Instant::now(), usage(o.pid)?.cpu_seconds);
        let partition_before = partition_cpu(o)?;
        let sent = match load {
            None => ingest::send_all(o, target)?,
            Some(load) => self.beside(o, target, load)?,
        };
        self.cpu += usage(o.pid)?.cpu_seconds - before;
        self.partition_cpu += partition_cpu(o)? - partition_before;
        self.seconds += start.elapsed().as_secs_f64();
        self.samples += sent.samples;
        self.latencies.extend(sent.latencies);
        Ok(())
    }

    fn beside(&mut self, o: &Options, target: &[Series], load: &Load) -> Result<Sent> {
        let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
        let sent = std::thread::scope(|scope| {
            let (done, answered) = (&done, &answered);
            let loops: Vec<_> = (0..load.queries)
                .map(|i| scope.spawn(move || query_until(done, answered, load, &o.tenant, i)))
                .collect();
            let sent = ingest::send_all(o, target);
            done.store(true, Ordering::Relaxed);
            for query_loop in loops {
                query_loop.join().unwrap_or_else(|_| bail!("a query loop panicked"))?;
            }
            sent
        })?;
        self.queries += answered.load(Ordering::Relaxed);
        Ok(sent)
    }

    fn print(&mut self, name: &str) {
        self.latencies.sort_unstable();
        line(name, &self.latencies);
        let millions = self.samples as f64 / 1e6;
        println!(
            "  {:.0} samples/s, {:.3} CPU-s per million samples in all, {:.3} of the partition threads",
            self.samples as f64 / self.seconds,
            self.cpu / millions,
            self.partition_cpu / millions
        );
    }
}

/// CPU seconds of the threads that apply records, where the server tells them.
fn partition_cpu(o: &Options) -> Result<f64> {
    let (host, _) = split_url(&o.url)?;
    let text = String::from_utf8(Client::connect(host)?.get("/metrics")?.body)?;
    let lines = text.lines().filter(|l| l.starts_with("norn_thread_cpu_seconds_total{thread=\"partition"));
    Ok(lines.filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

/// Asks one query after the other, beginning with number `from`.
fn query_until(
    done: &AtomicBool,
    answered: &AtomicU64,
    load: &Load,
    tenant: &str,
    from: usize,
) -> Result<()> {
    let (host, path) = split_url(&load.url)?;
    let mut client = Client::connect(host)?;
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nX-Scope-OrgID: {tenant}\r\n");
    let queries: Vec<&str> = QUERIES.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    for query in queries.iter().cycle().skip(from * 5) {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let body = format!("query={}&start={}&end={}&step=15", escape(query), load.end - 3600, load.end);
        let response = client.post(path, &headers, body.as_bytes())?;
        if response.status != 200 {
            bail!("{query}: status {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
