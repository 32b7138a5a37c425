//! CPU and memory of another process, from `/proc`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system CPU, in seconds; resolution 10 ms.
    pub cpu_seconds: f64,
    /// Resident set now, in bytes.
    pub rss: u64,
    /// Largest resident set so far, in bytes.
    pub peak_rss: u64,
}

/// Reads the usage of process `pid`.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let after_name = stat.rsplit_once(')').context("odd /proc stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Ok(Usage {
        cpu_seconds: ticks as f64 / 100.0,
        rss: kib("VmRSS:").unwrap_or(0) * 1024,
        peak_rss: kib("VmHWM:").unwrap_or(0) * 1024,
    })
}

/// Bytes that the files below `dir` occupy on the device.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => disk_bytes(&e.path()),
            Ok(m) => m.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
