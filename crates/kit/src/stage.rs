//! CPU seconds of the write road, by stage: `norn_write_cpu_seconds_total{stage="decode"}`.
//!
//! Log and heads have threads of their own, whose CPU `norn_thread_cpu_seconds_total` tells; what
//! the process used beyond all of these is HTTP, the runtime and the kernel's share of both.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::Registry;

/// A stage of the write road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Taking the compression off.
    Decompress,
    /// Reading the protobuf message.
    Decode,
    /// Checking series and building log records.
    Validate,
}

/// One counter a stage. Cloning copies pointers.
#[derive(Clone, Debug)]
pub struct StageCpu {
    counters: [Counter<f64, AtomicU64>; 3],
}

impl StageCpu {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> Self {
        let family = registry.register(
            "norn_write_cpu_seconds_total",
            "CPU time of the write road by stage",
            Family::<[(&'static str, &'static str); 1], Counter<f64, AtomicU64>>::default(),
        );
        let counters = ["decompress", "decode", "validate"]
            .map(|stage| family.get_or_create(&[("stage", stage)]).clone());
        Self { counters }
    }

    /// Adds CPU time to a stage.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.counters[stage as usize].inc_by(time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_stage() {
        let registry = Registry::new();
        let stages = StageCpu::register(&registry);
        stages.add(Stage::Decode, Duration::from_millis(1500));
        stages.add(Stage::Validate, Duration::from_millis(250));
        let mut text = String::new();
        registry.encode_text(&mut text).expect("encodes");
        assert!(text.contains("norn_write_cpu_seconds_total{stage=\"decode\"} 1.5"), "{text}");
        assert!(text.contains("norn_write_cpu_seconds_total{stage=\"validate\"} 0.25"), "{text}");
    }
}
