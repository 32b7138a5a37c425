//! The query benchmark: dashboard-like queries over the fleet, in fixed order.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::http::{Client, split_url};
use crate::process::usage;

/// One query a line.
pub(crate) const QUERIES: &str = include_str!("../data/queries.txt");

/// Runs every query `--rounds` times as a one-hour range query ending at `--end` and prints CPU
/// and latency by query.
pub fn run(args: &[String]) -> Result<()> {
    let (mut url, mut pid, mut rounds, mut end, mut step) = (String::new(), 0u32, 3usize, 0i64, 15i64);
    let mut headers = String::new();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--url" => url.clone_from(value()?),
            "--pid" => pid = value()?.parse()?,
            "--rounds" => rounds = value()?.parse()?,
            "--end" => end = value()?.parse()?,
            "--step" => step = value()?.parse()?,
            "--tenant" => headers = format!("X-Scope-OrgID: {}\r\n", value()?),
            _ => bail!("unknown flag {flag}; see benches/README.md"),
        }
    }
    if url.is_empty() || pid == 0 || end == 0 {
        bail!("--url, --pid and --end (Unix seconds of the newest sample) are needed");
    }
    let (host, path) = split_url(&url)?;
    let mut client = Client::connect(host)?;
    headers.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
    let mut total = 0.0;
    println!("{:>9} {:>9} {:>9}  query", "CPU ms", "wall ms", "bytes");
    for query in QUERIES.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let body = format!("query={}&start={}&end={end}&step={step}", escape(query), end - 3600);
        let before = usage(pid)?;
        let start = Instant::now();
        let mut bytes = 0;
        for _ in 0..rounds {
            let response = client.post(path, &headers, body.as_bytes())?;
            if response.status != 200 {
                bail!("{query}: status {}: {}", response.status, String::from_utf8_lossy(&response.body));
            }
            bytes = response.body.len();
        }
        let wall = start.elapsed().as_secs_f64() * 1e3 / rounds as f64;
        let cpu = (usage(pid)?.cpu_seconds - before.cpu_seconds) * 1e3 / rounds as f64;
        total += cpu;
        println!("{cpu:>9.1} {wall:>9.1} {bytes:>9}  {query}");
    }
    let after = usage(pid)?;
    println!("{total:>9.1} ms CPU in all; peak RSS {} MB", after.peak_rss / 1_000_000);
    Ok(())
}

/// `text` as a value in a form.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
