//! What the log, the heads and the cutter of blocks count, as metrics. Read when the metrics are written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use norn_contract::log::Offset;
use norn_ingester::Ingester;
use norn_kit::metrics::Registry;
use norn_kit::metrics::prometheus_client::collector::Collector;
use norn_kit::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use norn_kit::metrics::prometheus_client::metrics::MetricType;
use norn_kit::metrics::prometheus_client::metrics::counter::ConstCounter;
use norn_kit::metrics::prometheus_client::metrics::gauge::ConstGauge;
use norn_log::EmbeddedLog;
use norn_log::stats::{SYNC_BOUNDS, Stats};
use norn_model::tenant::Tenant;

/// Registers both.
pub fn register(registry: &Registry, log: &Arc<EmbeddedLog>, ingester: &Arc<Ingester>) {
    registry.register_collector(LogFigures { log: log.clone(), ingester: ingester.clone() });
    registry.register_collector(HeadFigures(ingester.clone()));
    registry.register_collector(BlockFigures(ingester.clone()));
}

struct LogFigures {
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
}

impl fmt::Debug for LogFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFigures")
    }
}

impl Collector for LogFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.log.stats();
        for (name, help, value) in [
            ("norn_log_records", "Records that became durable.", stats.records as f64),
            ("norn_log_value_bytes", "Bytes of the records' values.", stats.value_bytes as f64),
            (
                "norn_log_written_bytes",
                "Bytes written for records, headers included.",
                stats.written_bytes as f64,
            ),
        ] {
            counter(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in [
            ("norn_log_queued_records", "Records that wait to become durable.", stats.queued_records as f64),
            (
                "cortex_ingest_storage_writer_buffered_produce_bytes",
                "Bytes that wait to become durable.",
                stats.queued_bytes as f64,
            ),
            (
                "cortex_ingest_storage_writer_buffered_produce_bytes_limit",
                "Bytes that may wait to become durable.",
                stats.max_queued_bytes as f64,
            ),
            ("norn_log_segments", "Segments that are kept.", stats.segments as f64),
            ("norn_log_segment_bytes", "Bytes in use in segments.", stats.segment_bytes as f64),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        encode_syncs(&mut encoder, &stats)?;
        self.encode_offsets(&mut encoder, &stats)
    }
}

/// Durations of rounds of write and sync.
fn encode_syncs(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    let name = "norn_log_sync_duration_seconds";
    let help = "Time of a round of write and sync.";
    let bounds = SYNC_BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(stats.sync_buckets).collect();
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(stats.sync_seconds, stats.syncs, &buckets, None)
}

impl LogFigures {
    /// Offsets of each partition: kept, durable, applied.
    fn encode_offsets(&self, encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
        let partitions: Vec<_> =
            (0..).zip(stats.partitions.iter().zip(self.ingester.applied_offsets())).collect();
        // The figure of a partition from its offsets and the one after the last applied record.
        type Figure = fn(&Range<Offset>, Offset) -> f64;
        let figures: [(&str, &str, Figure); 4] = [
            ("norn_log_first_offset", "Oldest offset that is kept.", |kept, _| kept.start as f64),
            ("norn_log_next_offset", "Offset of the next record.", |kept, _| kept.end as f64),
            (
                "cortex_ingest_storage_reader_last_consumed_offset",
                "Last offset that is applied to the head; -1 for none.",
                |_, applied| applied as f64 - 1.0,
            ),
            (
                "norn_log_lag_records",
                "Durable records that are not applied to the head yet.",
                |kept, applied| kept.end.saturating_sub(applied) as f64,
            ),
        ];
        for (name, help, figure) in figures {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (partition, (kept, applied)) in &partitions {
                let labels = [("partition", *partition as u32)];
                ConstGauge::new(figure(kept, *applied)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

struct HeadFigures(Arc<Ingester>);

impl fmt::Debug for HeadFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeadFigures")
    }
}

impl Collector for HeadFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tenants: Vec<_> = self.0.heads().flat_map(|head| head.tenants()).collect();
        let series: u64 = tenants.iter().map(|(_, stats)| stats.series).sum();
        gauge(&mut encoder, "cortex_ingester_memory_series", "Series in memory.", series as f64)?;
        let users = {
            let mut names: Vec<&Tenant> = tenants.iter().map(|(tenant, _)| tenant).collect();
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        gauge(&mut encoder, "cortex_ingester_memory_users", "Tenants in memory.", users as f64)?;
        let help = "Samples taken, histograms included.";
        let mut family =
            encoder.encode_descriptor("cortex_ingester_ingested_samples", help, None, MetricType::Counter)?;
        for (tenant, total) in by_tenant(&tenants, |stats| stats.samples + stats.histograms) {
            ConstCounter::new(total).encode(family.encode_family(&[("user", tenant)])?)?;
        }
        let help = "Series in memory of a tenant.";
        let mut family = encoder.encode_descriptor("norn_head_series", help, None, MetricType::Gauge)?;
        for (tenant, total) in by_tenant(&tenants, |stats| stats.series) {
            ConstGauge::new(total as f64).encode(family.encode_family(&[("user", tenant)])?)?;
        }
        encode_ranges(&mut encoder, &tenants)?;
        self.encode_memory(&mut encoder)?;
        counter(
            &mut encoder,
            "norn_ingester_undecodable_records",
            "Records of the log that were skipped because they can not be decoded.",
            self.0.undecodable_records() as f64,
        )
    }
}

impl HeadFigures {
    fn encode_memory(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.heads().map(|head| head.memory()).collect();
        let sum =
            |part: fn(&norn_ingester::MemoryStats) -> usize| parts.iter().map(part).sum::<usize>() as f64;
        let help = "Heap of the heads by what it holds.";
        let mut family =
            encoder.encode_descriptor("norn_head_memory_bytes", help, None, MetricType::Gauge)?;
        for (part, bytes) in [
            ("labels", sum(|m| m.labels)),
            ("identities", sum(|m| m.identities)),
            ("tables", sum(|m| m.tables)),
            ("postings", sum(|m| m.postings)),
            ("rows", sum(|m| m.rows)),
            ("open_chunks", sum(|m| m.open_chunks)),
            ("sealed_chunks", sum(|m| m.sealed_chunks)),
        ] {
            ConstGauge::new(bytes).encode(family.encode_family(&[("part", part)])?)?;
        }
        Ok(())
    }
}

type TenantStats = norn_ingester::TenantStats;

/// First and last timestamp of all heads.
fn encode_ranges(encoder: &mut DescriptorEncoder<'_>, tenants: &[(Tenant, TenantStats)]) -> fmt::Result {
    let ranges = || tenants.iter().filter_map(|(_, stats)| stats.range);
    let seconds = |millis: Option<i64>| millis.unwrap_or(0) as f64 / 1000.0;
    let name = "cortex_ingester_tsdb_head_min_timestamp_seconds";
    gauge(encoder, name, "First timestamp in memory.", seconds(ranges().map(|r| r.0).min()))?;
    let name = "cortex_ingester_tsdb_head_max_timestamp_seconds";
    gauge(encoder, name, "Last timestamp in memory.", seconds(ranges().map(|r| r.1).max()))
}

struct BlockFigures(Arc<Ingester>);

impl fmt::Debug for BlockFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockFigures")
    }
}

impl Collector for BlockFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.cut_stats();
        let ((cuts, cuts_failed), (saves, saves_failed)) = (stats.cuts.get(), stats.checkpoints.get());
        for (name, help, value) in [
            ("cortex_ingester_tsdb_compactions", "Times blocks were cut from memory.", cuts),
            ("cortex_ingester_tsdb_compactions_failed", "Times blocks could not be cut.", cuts_failed),
            ("cortex_ingester_tsdb_checkpoint_creations", "Checkpoints of partitions.", saves),
            ("cortex_ingester_tsdb_checkpoint_creations_failed", "Checkpoints that failed.", saves_failed),
            (
                "cortex_ingester_tsdb_time_retentions",
                "Blocks that were deleted by retention.",
                stats.retentions.load(std::sync::atomic::Ordering::Relaxed),
            ),
        ] {
            counter(&mut encoder, name, help, value as f64)?;
        }
        let name = "cortex_ingester_tsdb_compaction_duration_seconds";
        let family = encoder.encode_descriptor(name, "Time a cut took.", None, MetricType::Histogram)?;
        stats.cut_seconds.encode(family)?;
        let help = "Series of a tenant that got samples lately.";
        let mut family =
            encoder.encode_descriptor("cortex_ingester_active_series", help, None, MetricType::Gauge)?;
        for (tenant, series) in stats.active().iter() {
            let tenant = tenant.to_string();
            ConstGauge::new(*series as f64).encode(family.encode_family(&[("user", tenant)])?)?;
        }
        self.encode_blocks(&mut encoder)
    }
}

impl BlockFigures {
    fn encode_blocks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let blocks = self.0.blocks();
        let lists: Vec<_> = blocks.tenants().into_iter().map(|t| (t.to_string(), blocks.of(&t))).collect();
        let count = lists.iter().map(|(_, list)| list.len()).sum::<usize>() as f64;
        gauge(encoder, "cortex_ingester_tsdb_blocks_loaded", "Blocks on local disk.", count)?;
        let help = "Bytes of a tenant's blocks on local disk.";
        let name = "cortex_ingester_tsdb_storage_blocks_bytes";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (tenant, list) in lists {
            let bytes: u64 = list.iter().map(|block| block.size_bytes()).sum();
            ConstGauge::new(bytes as f64).encode(family.encode_family(&[("user", tenant)])?)?;
        }
        Ok(())
    }
}

/// A figure summed over partitions, by tenant in order.
fn by_tenant(
    tenants: &[(Tenant, TenantStats)],
    figure: fn(&TenantStats) -> u64,
) -> std::collections::BTreeMap<String, u64> {
    let mut sums = std::collections::BTreeMap::new();
    for (tenant, stats) in tenants {
        *sums.entry(tenant.to_string()).or_default() += figure(stats);
    }
    sums
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
