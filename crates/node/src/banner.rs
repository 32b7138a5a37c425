//! What a newcomer is told when everything is up.

use std::net::SocketAddr;
use std::path::Path;

/// URLs, a `remote_write` snippet and a first query, for a terminal.
pub fn text(address: SocketAddr, prefix: &str, data_dir: &Path, self_monitoring: bool) -> String {
    let base = format!("http://{address}");
    let query = if self_monitoring { "process_resident_memory_bytes" } else { "1%2B1" };
    format!(
        "
Norn is ready. Everything runs in this process; data is kept in {data}
(one disk is one copy: keep backups, or run replicas behind Kafka).

  Send metrics to it: add this to prometheus.yml

    remote_write:
      - url: {base}/api/v1/push

  Ask it: a first query{own}

    curl '{base}{prefix}/api/v1/query?query={query}'

  Grafana: add a Prometheus data source with the URL {base}{prefix}
  Status:  {base}/ready  {base}/services  {base}/config  {base}/metrics
",
        data = data_dir.display(),
        own = if self_monitoring { ", answered from Norn's own metrics" } else { "" },
    )
}
