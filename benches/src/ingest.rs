//! The ingest benchmark: a fleet of targets, scraped every 15 s of sample time, as fast as the
//! server takes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::body::{RequestV2, labels_v1, series_v1};
use crate::fleet::{self, Series};
use crate::http::{Client, split_url};
use crate::process::{disk_bytes, usage};

pub(crate) const SCRAPE_MS: i64 = 15_000;

/// What is sent, and where.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) pid: u32,
    pub(crate) copies: usize,
    pub(crate) scrapes: usize,
    /// Scrapes that were sent before, by an earlier run.
    pub(crate) skip: usize,
    /// When scrape 0 was, in milliseconds.
    pub(crate) first: i64,
    pub(crate) batch: usize,
    pub(crate) connections: usize,
    /// Samples a second over all connections; 0 = as fast as the server takes them.
    pub(crate) rate: f64,
    protocol: u8,
    shuffled: bool,
    churn_percent: usize,
    pub(crate) tenant: String,
    pub(crate) data_dir: Option<PathBuf>,
    settle: u64,
}

/// Reads the flags of `benches/README.md`.
pub(crate) fn parse(args: &[String]) -> Result<Options> {
    let mut o = Options {
        url: String::new(),
        pid: 0,
        copies: 100,
        scrapes: 480,
        skip: 0,
        first: 0,
        batch: 2000,
        connections: 4,
        rate: 0.0,
        protocol: 1,
        shuffled: false,
        churn_percent: 0,
        tenant: "bench".into(),
        data_dir: None,
        settle: 5,
    };
    let mut end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--url" => o.url = value()?.clone(),
            "--pid" => o.pid = value()?.parse()?,
            "--copies" => o.copies = value()?.parse()?,
            "--scrapes" => o.scrapes = value()?.parse()?,
            "--end" => end = value()?.parse::<i64>()? * 1000,
            "--rate" => o.rate = value()?.parse()?,
            "--batch" => o.batch = value()?.parse()?,
            "--connections" => o.connections = value()?.parse()?,
            "--protocol" => o.protocol = value()?.parse()?,
            "--shuffled" => o.shuffled = true,
            "--churn-percent" => o.churn_percent = value()?.parse()?,
            "--tenant" => o.tenant = value()?.clone(),
            "--data-dir" => o.data_dir = Some(value()?.into()),
            "--settle-seconds" => o.settle = value()?.parse()?,
            _ => bail!("unknown flag {flag}; see benches/README.md"),
        }
    }
    if o.url.is_empty() || o.pid == 0 || o.copies == 0 || o.batch == 0 || o.connections == 0 {
        bail!("--url and --pid are needed; copies, batch and connections must not be 0");
    }
    o.first = (end / SCRAPE_MS - o.scrapes as i64) * SCRAPE_MS;
    Ok(o)
}

/// Runs the benchmark and prints one line a figure.
pub fn run(args: &[String]) -> Result<()> {
    let o = parse(args)?;
    let target = fleet::target();
    let stages_before = stages(&o);
    let before = usage(o.pid)?;
    let disk_before = o.data_dir.as_deref().map_or(0, disk_bytes);
    let start = Instant::now();
    let sent = send_all(&o, &target)?;
    report(&o, &sent, start.elapsed(), before, disk_before, &stages_before)
}

/// What was sent and how long the answers took.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) samples: u64,
    bytes: u64,
    pub(crate) latencies: Vec<Duration>,
}

/// Sends every scrape over all connections.
pub(crate) fn send_all(o: &Options, target: &[Series]) -> Result<Sent> {
    let results: Vec<Result<Sent>> = std::thread::scope(|scope| {
        let spawn = |connection| scope.spawn(move || send(o, target, connection));
        let threads: Vec<_> = (0..o.connections).map(spawn).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| bail!("a sender panicked"))).collect()
    });
    let mut sent = Sent::default();
    for result in results {
        let part = result?;
        sent.samples += part.samples;
        sent.bytes += part.bytes;
        sent.latencies.extend(part.latencies);
    }
    Ok(sent)
}

/// The value below which the share `q` of `sorted` lies, in milliseconds.
pub(crate) fn quantile_ms(sorted: &[Duration], q: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * q) as usize;
    sorted.get(at).map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
}

/// One connection's share: every copy whose number is congruent to it.
fn send(o: &Options, target: &[Series], connection: usize) -> Result<Sent> {
    let (host, path) = split_url(&o.url)?;
    let mut client = Client::connect(host)?;
    let copies: Vec<usize> = (connection..o.copies).step_by(o.connections).collect();
    let mut order: Vec<(usize, usize)> =
        copies.iter().flat_map(|&c| (0..target.len()).map(move |s| (c, s))).collect();
    if o.shuffled {
        shuffle(&mut order, connection as u64 + 1);
    }
    let mut encoder = Encoder::new(o, target);
    let headers = headers(o);
    let mut sent = Sent::default();
    let begun = Instant::now();
    for scrape in o.skip..o.scrapes {
        let timestamp = o.first + scrape as i64 * SCRAPE_MS;
        for batch in order.chunks(o.batch) {
            let body = encoder.encode(batch, scrape, timestamp)?;
            if o.rate > 0.0 {
                let due = Duration::from_secs_f64(sent.samples as f64 * o.connections as f64 / o.rate);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            let start = Instant::now();
            let response = client.post(path, &headers, &body)?;
            sent.latencies.push(start.elapsed());
            if !(200..300).contains(&response.status) {
                bail!("status {}: {}", response.status, String::from_utf8_lossy(&response.body));
            }
            sent.samples += batch.len() as u64;
            sent.bytes += body.len() as u64;
        }
    }
    Ok(sent)
}

fn headers(o: &Options) -> String {
    let content_type = match o.protocol {
        2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        _ => "application/x-protobuf",
    };
    let version = if o.protocol == 2 { "2.0.0" } else { "0.1.0" };
    format!(
        "Content-Type: {content_type}\r\nContent-Encoding: snappy\r\n\
         X-Prometheus-Remote-Write-Version: {version}\r\nX-Scope-OrgID: {}\r\n",
        o.tenant
    )
}

struct Encoder<'a> {
    o: &'a Options,
    target: &'a [Series],
    /// Encoded labels of the plain fleet, by copy and series.
    labels: BTreeMap<(usize, usize, usize), Vec<u8>>,
    snappy: snap::raw::Encoder,
    raw: Vec<u8>,
    scratch: Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn new(o: &'a Options, target: &'a [Series]) -> Self {
        Self {
            o,
            target,
            labels: BTreeMap::new(),
            snappy: snap::raw::Encoder::new(),
            raw: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn encode(&mut self, batch: &[(usize, usize)], scrape: usize, timestamp: i64) -> Result<Vec<u8>> {
        self.raw.clear();
        if self.o.protocol == 2 {
            let mut request = RequestV2::new();
            for &(copy, series) in batch {
                let s = &self.target[series];
                let pairs = fleet::labels(s, copy, self.generation(copy, scrape));
                request.series(&pairs, timestamp, s.value(copy, scrape));
            }
            self.raw = request.finish();
        } else {
            for &(copy, series) in batch {
                let s = &self.target[series];
                let generation = self.generation(copy, scrape);
                let labels = self
                    .labels
                    .entry((copy, series, generation))
                    .or_insert_with(|| labels_v1(&fleet::labels(s, copy, generation)));
                series_v1(&mut self.raw, labels, timestamp, s.value(copy, scrape), &mut self.scratch);
            }
        }
        Ok(self.snappy.compress_vec(&self.raw)?)
    }

    /// With churn, this share of the copies changes its identity every 60 scrapes.
    fn generation(&self, copy: usize, scrape: usize) -> usize {
        if copy % 100 < self.o.churn_percent { scrape / 60 } else { 0 }
    }
}

/// Fisher–Yates with a fixed xorshift: every run has the same order.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        items.swap(i, (seed % (i as u64 + 1)) as usize);
    }
}

/// CPU seconds by stage of the write road and by thread, where the server tells them. Stages run on
/// the threads, so the two lists overlap.
fn stages(o: &Options) -> BTreeMap<String, f64> {
    let scrape = || -> Result<String> {
        let (host, _) = split_url(&o.url)?;
        Ok(String::from_utf8(Client::connect(host)?.get("/metrics")?.body)?)
    };
    let text = scrape().unwrap_or_default();
    ["norn_write_cpu_seconds_total{stage=\"", "norn_thread_cpu_seconds_total{thread=\""]
        .into_iter()
        .flat_map(|prefix| text.lines().filter_map(move |l| l.strip_prefix(prefix)))
        .filter_map(|l| l.split_once("\"} "))
        .filter_map(|(stage, value)| Some((stage.to_owned(), value.parse().ok()?)))
        .collect()
}

fn report(
    o: &Options,
    sent: &Sent,
    wall: Duration,
    before: crate::process::Usage,
    disk_before: u64,
    stages_before: &BTreeMap<String, f64>,
) -> Result<()> {
    std::thread::sleep(Duration::from_secs(o.settle));
    let after = usage(o.pid)?;
    let millions = sent.samples as f64 / 1e6;
    let series = (o.copies * fleet::target().len()) as f64;
    let cpu = after.cpu_seconds - before.cpu_seconds;
    let mut latencies = sent.latencies.clone();
    latencies.sort_unstable();
    let quantile = |q: f64| quantile_ms(&latencies, q);
    println!("samples                      {}", sent.samples);
    println!(
        "newest sample at             {}",
        (o.first / SCRAPE_MS + o.scrapes as i64 - 1) * SCRAPE_MS / 1000
    );
    println!("body bytes per sample        {:.1}", sent.bytes as f64 / sent.samples as f64);
    println!("samples/s (wall)             {:.0}", sent.samples as f64 / wall.as_secs_f64());
    println!("CPU-s per million samples    {:.3}", cpu / millions);
    println!("request latency p50/p99 ms   {:.2} / {:.2}", quantile(0.5), quantile(0.99));
    println!("RSS settled bytes per series {:.0}", after.rss as f64 / series);
    println!("RSS peak bytes per series    {:.0}", after.peak_rss as f64 / series);
    if let Some(dir) = &o.data_dir {
        let disk = disk_bytes(dir).saturating_sub(disk_before);
        println!("disk bytes per sample        {:.2}", disk as f64 / sent.samples as f64);
    }
    for (stage, now) in stages(o) {
        let spent = now - stages_before.get(&stage).copied().unwrap_or(0.0);
        println!("  {stage:<16} CPU-s per million {:.3}", spent / millions);
    }
    Ok(())
}
