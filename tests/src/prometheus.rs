//! The oracle and sender, and its node_exporter.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::api::Server;
use crate::process::{Process, free_port};

/// A real node_exporter.
pub struct NodeExporter {
    /// Where it listens.
    pub host: String,
    _process: Process,
    _dir: TempDir,
}

fn component(name: &str) -> Result<PathBuf> {
    let variable = format!("NORN_{}", name.to_uppercase());
    let path = std::env::var_os(&variable)
        .with_context(|| format!("{variable} is not set: run through `cargo xtask test`"))?;
    Ok(path.into())
}

impl NodeExporter {
    /// Starts it on a free port.
    pub fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let host = format!("127.0.0.1:{}", free_port()?);
        let args = [format!("--web.listen-address={host}")];
        let process = Process::start(&component("node_exporter")?, &args, &dir.path().join("log"))?;
        let server = Server { host: host.clone(), prefix: "" };
        server.wait_ready("/metrics", Duration::from_secs(20))?;
        Ok(Self { host, _process: process, _dir: dir })
    }
}

/// A real Prometheus: it scrapes targets and writes all of it to `norn`, or only takes what is sent.
pub struct Prometheus {
    /// Its query API.
    pub server: Server,
    _process: Process,
    _dir: TempDir,
}

/// What a Prometheus is asked to do.
pub struct Job<'a> {
    /// node_exporter.
    pub node: &'a str,
    /// The server that is scraped and written to.
    pub norn: &'a str,
    /// Remote write 1 or 2.
    pub protocol: u8,
    /// Scrape interval in seconds.
    pub interval: u32,
}

impl Prometheus {
    /// Starts it and waits until it is ready.
    pub fn start(job: &Job<'_>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let host = format!("127.0.0.1:{}", free_port()?);
        let features = "--enable-feature=promql-experimental-functions,exemplar-storage";
        Self::run(dir, host.clone(), &configuration(job, &host), &[features])
    }

    /// Starts one that scrapes nothing and takes remote write, with extra flags.
    pub fn receiver(extra: &[&str]) -> Result<Self> {
        let host = format!("127.0.0.1:{}", free_port()?);
        let flags: Vec<&str> =
            std::iter::once("--web.enable-remote-write-receiver").chain(extra.iter().copied()).collect();
        Self::run(tempfile::tempdir()?, host, "", &flags)
    }

    /// Starts one that has nothing of its own and reads from `norn` by remote read.
    pub fn reader(norn: &str) -> Result<Self> {
        let configuration =
            format!("remote_read:\n  - url: http://{norn}/prometheus/api/v1/read\n    read_recent: true\n");
        let host = format!("127.0.0.1:{}", free_port()?);
        Self::run(tempfile::tempdir()?, host, &configuration, &[])
    }

    fn run(dir: TempDir, host: String, configuration: &str, extra: &[&str]) -> Result<Self> {
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, configuration)?;
        let mut args = vec![
            format!("--config.file={}", config.display()),
            format!("--web.listen-address={host}"),
            format!("--storage.tsdb.path={}", dir.path().join("data").display()),
        ];
        args.extend(extra.iter().map(|flag| (*flag).to_owned()));
        let process = Process::start(&component("prometheus")?, &args, &dir.path().join("log"))?;
        let server = Server { host, prefix: "" };
        server
            .wait_ready("/-/ready", Duration::from_secs(60))
            .with_context(|| std::fs::read_to_string(dir.path().join("log")).unwrap_or_default())?;
        Ok(Self { server, _process: process, _dir: dir })
    }
}

fn configuration(job: &Job<'_>, own: &str) -> String {
    let message = match job.protocol {
        2 => "io.prometheus.write.v2.Request",
        _ => "prometheus.WriteRequest",
    };
    format!(
        "global:
  scrape_interval: {interval}s
  scrape_native_histograms: true
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ['{node}']}}]
  - job_name: norn
    static_configs: [{{targets: ['{norn}']}}]
  - job_name: prometheus
    static_configs: [{{targets: ['{own}']}}]
remote_write:
  - url: http://{norn}/api/v1/push
    protobuf_message: {message}
    send_exemplars: true
    send_native_histograms: true
    queue_config: {{batch_send_deadline: 1s, min_backoff: 100ms, max_backoff: 1s}}
    metadata_config: {{send_interval: 5s}}
",
        interval = job.interval,
        node = job.node,
        norn = job.norn,
    )
}
