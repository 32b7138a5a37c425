//! Options of the ingester and of its blocks on local disk.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

crate::table::options! {
    /// What counts as an active series.
    pub struct Ingester {
        /// Count series that got samples lately.
        [Advanced] active_series_metrics_enabled: bool = true, "ingester.active_series_metrics_enabled", "ingester.active-series-metrics-enabled";
        /// Time between two counts of active series.
        [Advanced] active_series_metrics_update_period: Duration = MINUTE, "ingester.active_series_metrics_update_period", "ingester.active-series-metrics-update-period";
        /// A series is active for this long after its newest sample.
        [Advanced] active_series_metrics_idle_timeout: Duration = 20 * MINUTE, "ingester.active_series_metrics_idle_timeout", "ingester.active-series-metrics-idle-timeout";
    }
}

crate::table::options! {
    /// Series in memory, and the blocks on local disk they become.
    pub struct Tsdb {
        /// Directory of the blocks, a directory below it for each tenant; where it is relative, below -data-dir.
        [Basic] dir: String = "./tsdb/".to_owned(), "blocks_storage.tsdb.dir", "blocks-storage.tsdb.dir";
        /// Time range of a block; one value, the same for all starts while samples are in the log.
        [Advanced] block_ranges_period: Vec<Duration> = vec![2 * HOUR], "blocks_storage.tsdb.block_ranges_period", "blocks-storage.tsdb.block-ranges-period";
        /// Time between two looks at whether a range can leave memory, up to 15m; 0 for never.
        [Advanced] head_compaction_interval: Duration = MINUTE, "blocks_storage.tsdb.head_compaction_interval", "blocks-storage.tsdb.head-compaction-interval";
        /// A partition that got nothing for this long leaves memory whole; 0 for never.
        [Advanced] head_compaction_idle_timeout: Duration = HOUR, "blocks_storage.tsdb.head_compaction_idle_timeout", "blocks-storage.tsdb.head-compaction-idle-timeout";
    }
}

impl Tsdb {
    /// Checks what no option can check alone.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name =
            |flag: &str, key: &str| format!("-blocks-storage.tsdb.{flag} (YAML blocks_storage.tsdb.{key})");
        match self.block_ranges_period[..] {
            [range] if range >= MINUTE && range <= 24 * HOUR && range.subsec_nanos() == 0 => {}
            _ => {
                let name = name("block-ranges-period", "block_ranges_period");
                return Err(format!(
                    "{name} takes one range of whole seconds from 1m to 24h; the default is 2h"
                ));
            }
        }
        if self.head_compaction_interval > 15 * MINUTE {
            let name = name("head-compaction-interval", "head_compaction_interval");
            return Err(format!("{name} is longer than 15m; use 1m, or 0 for never"));
        }
        if self.dir.is_empty() {
            return Err(format!("{} is empty; the default is ./tsdb/", name("dir", "dir")));
        }
        Ok(())
    }
}
