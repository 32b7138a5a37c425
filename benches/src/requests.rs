//! What requests for series, label names and label values cost.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::http::{Client, split_url};
use crate::process::usage;

/// A path with its query a line, below the API's root; `START` and `END` are replaced.
const REQUESTS: &str = include_str!("../data/requests.txt");

/// Sends every request `--rounds` times and prints CPU and latency by request.
pub fn run(args: &[String]) -> Result<()> {
    let (mut url, mut pid, mut rounds, mut end) = (String::new(), 0u32, 3usize, 0i64);
    let mut headers = String::new();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--url" => url.clone_from(value()?),
            "--pid" => pid = value()?.parse()?,
            "--rounds" => rounds = value()?.parse()?,
            "--end" => end = value()?.parse()?,
            "--tenant" => headers = format!("X-Scope-OrgID: {}\r\n", value()?),
            _ => bail!("unknown flag {flag}; see benches/README.md"),
        }
    }
    if url.is_empty() || pid == 0 || end == 0 {
        bail!("--url (root of the API), --pid and --end (Unix seconds of the newest sample) are needed");
    }
    let (host, root) = split_url(&url)?;
    let mut client = Client::connect(host)?;
    let mut total = 0.0;
    println!("{:>9} {:>9} {:>11}  request", "CPU ms", "wall ms", "bytes");
    for request in REQUESTS.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let request = request.replace("START", &(end - 3600).to_string()).replace("END", &end.to_string());
        let path = format!("{}{request}", root.trim_end_matches('/'));
        let (before, start, mut bytes) = (usage(pid)?, Instant::now(), 0);
        for _ in 0..rounds {
            let response = client.get_with(&path, &headers)?;
            if response.status != 200 {
                bail!("{request}: status {}: {}", response.status, String::from_utf8_lossy(&response.body));
            }
            bytes = response.body.len();
        }
        let wall = start.elapsed().as_secs_f64() * 1e3 / rounds as f64;
        let cpu = (usage(pid)?.cpu_seconds - before.cpu_seconds) * 1e3 / rounds as f64;
        total += cpu;
        println!("{cpu:>9.1} {wall:>9.1} {bytes:>11}  {request}");
    }
    println!("{total:>9.1} ms CPU in all; peak RSS {} MB", usage(pid)?.peak_rss / 1_000_000);
    Ok(())
}
