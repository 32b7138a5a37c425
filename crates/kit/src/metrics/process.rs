//! Figures of this process, read from `/proc` when the metrics are written.
//!
//! A figure that the system does not give is left out.

use std::collections::BTreeMap;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cpu_time;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    /// Unix seconds.
    start_time: Option<f64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self { start_time: start_time() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let cpu = ConstCounter::new(cpu_time::process().as_secs_f64());
        let help = "CPU time used, user and system, in seconds.";
        let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?;
        cpu.encode(metric)?;
        let memory = Memory::read();
        let gauges = [
            ("process_resident_memory_bytes", "Memory that is resident.", memory.map(|m| m.resident)),
            ("process_virtual_memory_bytes", "Address space in use.", memory.map(|m| m.virt)),
            ("process_start_time_seconds", "When the process started, Unix time.", self.start_time),
            ("process_open_fds", "File descriptors that are open.", open_fds()),
            ("process_max_fds", "File descriptors that may be open.", max_fds()),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        encode_threads(&mut encoder)
    }
}

/// CPU time by thread name, the number at the end left out: a pool counts as one. Resolution is
/// the system's clock tick; threads that ended no longer count.
fn encode_threads(encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let help = "CPU time of the threads of one name that are running, user and system, in seconds.";
    let mut family = encoder.encode_descriptor("norn_thread_cpu_seconds", help, None, MetricType::Counter)?;
    for (thread, seconds) in thread_cpu() {
        let cpu = ConstCounter::new(seconds);
        cpu.encode(family.encode_family(&[("thread", thread)])?)?;
    }
    Ok(())
}

fn thread_cpu() -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    let hertz = rustix::param::clock_ticks_per_second() as f64;
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = || -> Option<(String, f64)> {
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            let (head, tail) = stat.rsplit_once(')')?;
            let name = head.split_once('(')?.1.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            let mut fields = tail.split_ascii_whitespace().skip(11);
            let user: f64 = fields.next()?.parse().ok()?;
            let system: f64 = fields.next()?.parse().ok()?;
            Some((name.to_owned(), (user + system) / hertz))
        };
        // A thread may end while it is being read.
        if let Some((name, seconds)) = read() {
            *by_name.entry(name).or_default() += seconds;
        }
    }
    by_name
}

#[derive(Clone, Copy)]
struct Memory {
    resident: f64,
    virt: f64,
}

impl Memory {
    fn read() -> Option<Self> {
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let page = rustix::param::page_size() as f64;
        let mut pages = statm.split_ascii_whitespace().map(|n| n.parse::<f64>().ok());
        Some(Self { virt: pages.next()?? * page, resident: pages.next()?? * page })
    }
}

fn start_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command in parentheses may hold blanks; field 22 of all is field 20 after it.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks / rustix::param::clock_ticks_per_second() as f64)
}

fn open_fds() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
