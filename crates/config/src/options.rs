//! The options of every part, and the root that holds them.

mod general;
mod ingester;
pub mod limits;
mod read;
mod server;
mod write;

pub use general::{Api, General, SelfMonitoring};
pub use ingester::{Ingester, Tsdb};
pub use limits::Limits;
pub use read::{Frontend, Querier};
pub use server::{LogFormat, LogLevel, Server};
pub use write::{Distributor, EmbeddedLog, IngesterInstance};

crate::table::sections! {
    /// The whole configuration.
    pub struct Config {
        /// What concerns the process as a whole.
        general: General,
        /// Prefixes of the APIs.
        api: Api,
        /// The HTTP port and the log.
        server: Server,
        /// The door of the write road.
        distributor: Distributor,
        /// Limits of this process for what goes to the log and into memory.
        ingester_instance: IngesterInstance,
        /// The log on local disk.
        embedded_log: EmbeddedLog,
        /// Active series.
        ingester: Ingester,
        /// Series in memory and blocks on local disk.
        tsdb: Tsdb,
        /// PromQL.
        querier: Querier,
        /// The door of the read road.
        frontend: Frontend,
        /// Limits of each tenant.
        limits: Limits,
        /// Norn watching itself.
        self_monitoring: SelfMonitoring,
    }
}

/// What `-target` may name.
pub const TARGETS: [&str; 15] = [
    "all",
    "distributor",
    "ingester",
    "querier",
    "query-frontend",
    "query-scheduler",
    "store-gateway",
    "compactor",
    "ruler",
    "alertmanager",
    "overrides-exporter",
    "block-builder",
    "block-builder-scheduler",
    "usage-tracker",
    "memberlist-kv",
];

impl Config {
    /// The defaults when neither a file nor a target is named: a single process on loopback,
    /// ready to be tried.
    pub fn for_newcomer() -> Self {
        let mut config = Self::default();
        config.general.multitenancy_enabled = false;
        config.server.http_listen_address = "127.0.0.1".to_owned();
        config.self_monitoring.enabled = true;
        config
    }

    /// Checks what no option can check alone.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.general.target.is_empty() {
            return Err("-target (YAML target) names nothing to run; the default is all".to_owned());
        }
        for target in &self.general.target {
            if !TARGETS.contains(&target.as_str()) {
                let list = TARGETS.join(", ");
                return Err(format!("unknown target {target:?} in -target (YAML target); use {list}"));
            }
        }
        for (flag, prefix) in [
            ("http.prometheus-http-prefix", &self.api.prometheus_http_prefix),
            ("server.path-prefix", &self.server.http_path_prefix),
        ] {
            if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.contains(['{', '}', '*'])) {
                return Err(format!("-{flag} is {prefix:?}; it must start with / and hold no {{, }} or *"));
            }
        }
        let log = &self.embedded_log;
        if log.partitions > 4096 {
            return Err(format!(
                "-embedded-log.partitions (YAML embedded_log.partitions) is {}; 1 to 4096 are possible, 0 means one a core",
                log.partitions
            ));
        }
        if !(64 << 10..=2 << 30).contains(&log.segment_size_bytes) {
            return Err(format!(
                "-embedded-log.segment-size-bytes (YAML embedded_log.segment_size_bytes) is {}; use 65536 (64 KiB) to 2147483648 (2 GiB)",
                log.segment_size_bytes
            ));
        }
        self.tsdb.check()?;
        let (query, write) = (self.querier.timeout, self.server.http_server_write_timeout);
        if query > write {
            return Err(format!(
                "-querier.timeout ({}) is longer than -server.http-write-timeout ({}): answers would be cut \
                 off; raise the latter or lower the former",
                crate::value::Setting::write(&query),
                crate::value::Setting::write(&write),
            ));
        }
        Ok(())
    }
}
