//! Times queries over series in memory: `engine_bench [SERIES]`, best of five runs each.
//!
//! The shape is that of `docs`' reference figures: 480 samples at 15 s for each series, in chunks of 120,
//! and ranges of one hour in steps of 15 s. `random` has values with random mantissas, `counter`
//! grows by small integers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use norn_codec::xor::XorState;
use norn_contract::source::{
    ChunkBuf, Coverage, ExemplarsRequest, LabelsRequest, MetadataRequest, SelectRequest, Selection,
    SeriesData, SeriesExemplars, SeriesSource, SourceError,
};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::metadata::Metadata;
use norn_promql::{Cancel, Engine, Options, Request};

const STEP: Millis = 15_000;
const SAMPLES: usize = 480;
const CHUNK: usize = 120;

/// Series in label order with the chunks of each.
struct Memory {
    series: Vec<(Labels, ChunkBuf)>,
}

/// Indices of the series that were selected.
struct Picked(Arc<Memory>, Vec<usize>);

impl SeriesData for Picked {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let buffer = &self.0.series[self.1[index]].1;
        for chunk in &buffer.chunks {
            out.push(chunk.encoding, chunk.mint, chunk.maxt, buffer.slice(chunk));
        }
        Ok(())
    }
}

struct Source(Arc<Memory>);

impl SeriesSource for Source {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        let passes = |labels: &Labels| request.matchers.iter().all(|m| m.matches(labels.get(m.name())));
        let picked: Vec<usize> = (0..self.0.series.len()).filter(|i| passes(&self.0.series[*i].0)).collect();
        let labels = picked.iter().map(|i| self.0.series[*i].0.clone()).collect();
        let data = Arc::new(Picked(self.0.clone(), picked));
        async move { Ok(Selection { labels, data, coverage: Coverage::ALL }) }.boxed()
    }

    fn label_names(&self, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn label_values(&self, _: String, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn metadata(
        &self,
        _: MetadataRequest,
    ) -> BoxFuture<'_, Result<Vec<(String, Vec<Metadata>)>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

/// A reproducible sequence of numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn chunks(mut value: impl FnMut() -> f64) -> ChunkBuf {
    let mut buffer = ChunkBuf::default();
    for first in (0..SAMPLES).step_by(CHUNK) {
        let mut state = XorState::new();
        let mut bytes = Vec::new();
        for i in first..first + CHUNK {
            state.append(&mut bytes, i as Millis * STEP, value()).expect("room");
        }
        state.finish(&mut bytes, 0);
        let (mint, maxt) = (first as Millis * STEP, (first + CHUNK - 1) as Millis * STEP);
        buffer.push(ChunkEncoding::Xor, mint, maxt, &bytes);
    }
    buffer
}

fn memory(series: usize) -> Memory {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut all = Vec::new();
    for metric in ["counter", "random", "info"] {
        for i in 0..series {
            let instance = format!("host-{:04}", i / 8);
            let mode = format!("mode{}", i % 8);
            let labels = Labels::from_pairs([
                ("__name__", metric),
                ("instance", &instance),
                ("mode", &mode),
                ("job", "node"),
            ]);
            let mut total = 0.0;
            let buffer = chunks(|| match metric {
                "counter" => {
                    total += (random.next() % 100) as f64;
                    total
                }
                "info" => 1.0,
                _ => random.next() as f64 / 1e6,
            });
            all.push((labels, buffer));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Memory { series: all }
}

fn main() {
    let series = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4_600);
    let source: Arc<dyn SeriesSource> = Arc::new(Source(Arc::new(memory(series))));
    let end = (SAMPLES as Millis - 1) * STEP;
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let options = Options { syntax: norn_promql_syntax::Options::all(), ..Options::default() };
        let engine = Engine::new(options, Arc::new(pool));
        for (text, is_range) in [
            ("sum by (mode) (rate(counter[5m]))", true),
            ("max(quantile_over_time(0.9, random[5m]))", true),
            ("count(random)", true),
            ("sum(rate(random[5m]))", false),
            ("sum by (mode) (rate(counter[5m]) * on (instance, mode) group_left info)", true),
            ("avg by (instance) (random)", true),
            ("random", true),
        ] {
            let request = match is_range {
                true => Request::range(text, end - 3_600_000, end, STEP),
                false => Request::instant(text, end),
            };
            let mut best = Duration::MAX;
            let mut stats = None;
            for _ in 0..5 {
                let started = Instant::now();
                let output = block_on(engine.run(&request, source.clone(), Cancel::new())).expect("result");
                best = best.min(started.elapsed());
                stats = Some(output.stats);
            }
            let peak = stats.map_or(0, |s| s.peak_memory_bytes) >> 10;
            println!("{threads} thread(s) {:8.2} ms {peak:8} KiB  {text}", best.as_secs_f64() * 1e3);
        }
    }
}
