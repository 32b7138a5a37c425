//! Options of the write road.

use std::time::Duration;

crate::table::options! {
    /// The door of the write road.
    pub struct Distributor {
        /// Largest write request in bytes, compressed or not.
        [Advanced] max_recv_msg_size: usize = 100 << 20, "distributor.max_recv_msg_size", "distributor.max-recv-msg-size";
        /// Samples, histograms, exemplars and metadata of all tenants a second, about; 0 for no limit.
        [Advanced] max_ingestion_rate: f64 = 0.0, "distributor.instance_limits.max_ingestion_rate", "distributor.instance-limits.max-ingestion-rate";
        /// Write requests that are worked on at once; 0 for no limit.
        [Advanced] max_inflight_push_requests: usize = 2000, "distributor.instance_limits.max_inflight_push_requests", "distributor.instance-limits.max-inflight-push-requests";
        /// Bytes of write requests in memory at once, as they came in; 0 for no limit.
        [Advanced] max_inflight_push_requests_bytes: usize = 1 << 30, "distributor.instance_limits.max_inflight_push_requests_bytes", "distributor.instance-limits.max-inflight-push-requests-bytes";
    }
}

crate::table::options! {
    /// What goes to the log and into memory, of all tenants.
    pub struct IngesterInstance {
        /// Samples, histograms, exemplars and metadata a second, about; 0 for no limit.
        [Advanced] max_ingestion_rate: f64 = 0.0, "ingester.instance_limits.max_ingestion_rate", "ingester.instance-limits.max-ingestion-rate";
        /// Tenants in memory; 0 for no limit.
        [Advanced] max_tenants: usize = 0, "ingester.instance_limits.max_tenants", "ingester.instance-limits.max-tenants";
        /// Series in memory; 0 for no limit.
        [Advanced] max_series: u64 = 0, "ingester.instance_limits.max_series", "ingester.instance-limits.max-series";
        /// Write requests on their way to the log and into memory; 0 for no limit.
        [Advanced] max_inflight_push_requests: usize = 30_000, "ingester.instance_limits.max_inflight_push_requests", "ingester.instance-limits.max-inflight-push-requests";
        /// Bytes of records on their way to the log and into memory; 0 for no limit.
        [Advanced] max_inflight_push_requests_bytes: usize = 0, "ingester.instance_limits.max_inflight_push_requests_bytes", "ingester.instance-limits.max-inflight-push-requests-bytes";
    }
}

crate::table::options! {
    /// The log on local disk.
    pub struct EmbeddedLog {
        /// Partitions of the log, up to 4096; 0 for one a core. May change between two starts.
        [Advanced] partitions: u32 = 0, "embedded_log.partitions", "embedded-log.partitions";
        /// Size of a segment file in bytes, 64 KiB to 2 GiB.
        [Advanced] segment_size_bytes: u64 = 128 << 20, "embedded_log.segment_size_bytes", "embedded-log.segment-size-bytes";
        /// Largest record in bytes; less where segments are too small for it.
        [Advanced] max_record_size_bytes: usize = 16_000_000, "embedded_log.max_record_size_bytes", "embedded-log.max-record-size-bytes";
        /// Bytes that may wait to become durable.
        [Advanced] max_queued_bytes: usize = 64 << 20, "embedded_log.max_queued_bytes", "embedded-log.max-queued-bytes";
        /// Bytes of recent records that are kept in memory for the ingester.
        [Advanced] memory_bytes: usize = 16 << 20, "embedded_log.memory_bytes", "embedded-log.memory-bytes";
        /// Files filled with zeros ahead of need: a shorter sync for twice the bytes written. Segments that were trimmed are used again in any case.
        [Advanced] spare_segments: usize = 0, "embedded_log.spare_segments", "embedded-log.spare-segments";
        /// How long records are kept in the log after they are safe in blocks; 0 for no longer than that, or as long as there is room where a size is given.
        [Advanced] retention_period: Duration = Duration::ZERO, "embedded_log.retention_period", "embedded-log.retention-period";
        /// Size of the log in bytes up to which records are kept after they are safe in blocks; 0 for no limit where a period is given. Records that are not safe stay in any case.
        [Advanced] retention_size_bytes: u64 = 0, "embedded_log.retention_size_bytes", "embedded-log.retention-size-bytes";
    }
}
