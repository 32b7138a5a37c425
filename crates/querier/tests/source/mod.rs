//! Series in memory, and a router over them.
#![allow(dead_code)] // Each test binary uses a part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use norn_codec::histogram::{Integers, OpenChunk};
use norn_codec::xor::XorState;
use norn_contract::cardinality::{Cardinality, CardinalityRequest, CountSeries};
use norn_contract::source::*;
use norn_http::axum::{Extension, Router};
use norn_kit::metrics::Registry;
use norn_kit::pool::Pool;
use norn_limits::{Limits, TenantLimits};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{Histogram, Span};
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::metadata::{Metadata, MetricType};
use norn_model::sample::Exemplar;
use norn_model::tenant::Tenant;
use norn_promql::Engine;
use norn_querier::Gate;
use serde_json::Value;

#[derive(Clone, Default)]
pub struct Memory(Arc<Vec<(Labels, ChunkBuf)>>);

impl Memory {
    /// The series of `testdata/series.jsonl`.
    pub fn load() -> Self {
        let text = include_str!("../../testdata/series.jsonl");
        let mut series: Vec<_> = text.lines().map(|l| parse(&serde_json::from_str(l).unwrap())).collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Self(Arc::new(series))
    }

    fn matching<'a>(
        &'a self,
        matchers: &'a [Matcher],
        mint: Millis,
        maxt: Millis,
    ) -> impl Iterator<Item = &'a (Labels, ChunkBuf)> {
        self.0.iter().filter(move |(labels, chunks)| {
            matchers.iter().all(|m| m.matches(labels.get(m.name())))
                && chunks.chunks.iter().any(|c| c.mint <= maxt && c.maxt >= mint)
        })
    }

    fn label_sets<'a>(&'a self, request: &'a LabelsRequest) -> impl Iterator<Item = &'a Labels> {
        let sets = &request.matchers;
        self.0.iter().map(|s| &s.0).filter(move |labels| {
            sets.is_empty() || sets.iter().any(|set| set.iter().all(|m| m.matches(labels.get(m.name()))))
        })
    }
}

fn limited(texts: BTreeSet<&str>, limit: usize) -> Result<Vec<String>, SourceError> {
    let most = if limit == 0 { usize::MAX } else { limit };
    Ok(texts.into_iter().take(most).map(str::to_owned).collect())
}

impl SeriesSource for Memory {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        let found: Vec<_> = self.matching(&request.matchers, request.mint, request.maxt).cloned().collect();
        let labels = found.iter().map(|s| s.0.clone()).collect();
        ready(Ok(Selection { labels, data: Arc::new(Found(found)), coverage: Coverage::ALL })).boxed()
    }

    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        let names = self.label_sets(&request).flat_map(|l| l.iter().map(|(n, _)| n)).collect();
        ready(limited(names, request.limit)).boxed()
    }

    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        let values = self.label_sets(&request).map(|l| l.get(&name)).filter(|v| !v.is_empty()).collect();
        ready(limited(values, request.limit)).boxed()
    }

    fn metadata(
        &self,
        request: MetadataRequest,
    ) -> BoxFuture<'_, Result<Vec<(String, Vec<Metadata>)>, SourceError>> {
        let entry = |kind, help: &str| Metadata { kind, help: help.to_owned(), unit: "s".to_owned() };
        let mut all = vec![
            (
                "a".to_owned(),
                vec![entry(MetricType::Counter, "first <help>"), entry(MetricType::Gauge, "other")],
            ),
            ("b".to_owned(), vec![entry(MetricType::GaugeHistogram, "")]),
        ];
        all.retain(|(name, _)| request.metric.as_ref().is_none_or(|m| m == name));
        all.truncate(request.limit.unwrap_or(usize::MAX));
        for (_, entries) in &mut all {
            entries.truncate(request.limit_per_metric.unwrap_or(usize::MAX));
        }
        ready(Ok(all)).boxed()
    }

    /// One for each series, at its first sample.
    fn exemplars(
        &self,
        request: ExemplarsRequest,
    ) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        let any =
            |l: &Labels| request.matchers.iter().any(|set| set.iter().all(|m| m.matches(l.get(m.name()))));
        let exemplar =
            |timestamp| Exemplar { labels: Labels::from_pairs([("id", "<1>")]), value: 0.5, timestamp };
        let found = self.0.iter().filter(|(labels, _)| any(labels)).filter_map(|(labels, chunks)| {
            let at = chunks.chunks.first()?.mint;
            (request.mint..=request.maxt).contains(&at).then(|| (labels.clone(), vec![exemplar(at)]))
        });
        ready(Ok(found.collect())).boxed()
    }
}

struct Found(Vec<(Labels, ChunkBuf)>);

impl SeriesData for Found {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let chunks = &self.0[index].1;
        for chunk in &chunks.chunks {
            out.push(chunk.encoding, chunk.mint, chunk.maxt, chunks.slice(chunk));
        }
        Ok(())
    }
}

/// All series belong to one tenant.
impl TenantSources for Memory {
    fn tenant(&self, tenant: &Tenant) -> Arc<dyn SeriesSource> {
        Arc::new(if tenant.as_str() == "team" { self.clone() } else { Self::default() })
    }
}

fn parse(line: &Value) -> (Labels, ChunkBuf) {
    let pairs =
        line["labels"].as_array().unwrap().iter().map(|p| (p[0].as_str().unwrap(), p[1].as_str().unwrap()));
    let mut chunks = ChunkBuf::default();
    let floats = line["floats"].as_array().unwrap();
    if !floats.is_empty() {
        let (mut state, mut bytes) = (XorState::new(), Vec::new());
        for p in floats {
            state.append(&mut bytes, p[0].as_i64().unwrap(), bits(&p[1])).unwrap();
        }
        state.finish(&mut bytes, 0);
        chunks.push(ChunkEncoding::Xor, floats[0][0].as_i64().unwrap(), state.last_timestamp(), &bytes);
    }
    let histograms: Vec<_> = line["histograms"].as_array().unwrap().iter().map(histogram).collect();
    let mut open: Option<(Millis, OpenChunk<Integers>)> = None;
    for (t, h) in &histograms {
        if open.as_mut().is_some_and(|(_, chunk)| chunk.append(*t, h).is_ok()) {
            continue;
        }
        let next = OpenChunk::begin(open.as_ref().map(|o| &o.1), *t, h).unwrap();
        seal(&mut chunks, open.replace((*t, next)));
    }
    seal(&mut chunks, open);
    (Labels::from_pairs(pairs), chunks)
}

fn seal(chunks: &mut ChunkBuf, open: Option<(Millis, OpenChunk<Integers>)>) {
    let Some((mint, chunk)) = open else { return };
    let mut bytes = Vec::new();
    chunk.finish(&mut bytes);
    chunks.push(ChunkEncoding::Histogram, mint, chunk.last_timestamp(), &bytes);
}

fn bits(v: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(v.as_str().unwrap(), 16).unwrap())
}

fn histogram(v: &Value) -> (Millis, Histogram) {
    let list = |name: &str| v[name].as_array().unwrap().clone();
    let spans = |name: &str| {
        let span =
            |s: &Value| Span { offset: s[0].as_i64().unwrap() as i32, length: s[1].as_u64().unwrap() as u32 };
        list(name).iter().map(span).collect()
    };
    let buckets = |name: &str| list(name).iter().map(|b| b.as_i64().unwrap()).collect();
    let h = Histogram {
        schema: v["schema"].as_i64().unwrap() as i32,
        zero_threshold: bits(&v["zero_threshold"]),
        zero_count: v["zero_count"].as_u64().unwrap(),
        count: v["count"].as_u64().unwrap(),
        sum: bits(&v["sum"]),
        positive_spans: spans("positive_spans"),
        negative_spans: spans("negative_spans"),
        positive_buckets: buckets("positive_buckets"),
        negative_buckets: buckets("negative_buckets"),
        custom_values: list("custom_values").iter().map(bits).collect(),
        ..Histogram::default()
    };
    (v["t"].as_i64().unwrap(), h)
}

/// The API over `sources` for `tenant`, with its figures in `registry`.
pub fn router_with(sources: impl TenantSources + 'static, tenant: &str, registry: &Registry) -> Router {
    router_under(sources, tenant, registry, Limits::default(), Gate::new(20))
}

/// The API under limits.
pub fn router_under(
    sources: impl TenantSources + 'static,
    tenant: &str,
    registry: &Registry,
    limits: Limits,
    gate: Gate,
) -> Router {
    let pool = Pool::new("query", 1).unwrap();
    let options = norn_querier::Options {
        sources: Arc::new(sources),
        counts: Arc::new(Memory::load()),
        engine: Engine::new(norn_promql::Options::default(), pool.shared()),
        clock: Arc::new(norn_contract::clock::SystemClock),
        metrics: norn_querier::Metrics::register(registry),
        limits: TenantLimits::new(limits),
        gate,
        pool,
    };
    norn_querier::routes(options).layer(Extension(Tenant::admit(tenant).unwrap()))
}

/// The API over the series of `testdata` as `tenant` sees it: they belong to `team`.
pub fn router_of(tenant: &str) -> Router {
    router_with(Memory::load(), tenant, &Registry::new())
}

/// The API as the tenant with series sees it.
pub fn router() -> Router {
    router_of("team")
}

/// Answers nothing, ever.
#[derive(Clone, Copy, Default)]
pub struct Never;

impl SeriesSource for Never {
    fn select(&self, _: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        futures::future::pending().boxed()
    }
    fn label_names(&self, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        futures::future::pending().boxed()
    }
    fn label_values(&self, _: String, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        futures::future::pending().boxed()
    }
    fn metadata(&self, _: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
        futures::future::pending().boxed()
    }
    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        futures::future::pending().boxed()
    }
}

impl TenantSources for Never {
    fn tenant(&self, _: &Tenant) -> Arc<dyn SeriesSource> {
        Arc::new(*self)
    }
}

impl CountSeries for Memory {
    fn count(
        &self,
        tenant: &Tenant,
        request: CardinalityRequest,
    ) -> BoxFuture<'_, Result<Cardinality, SourceError>> {
        let is_known = tenant.as_str() == "team";
        let matching: Vec<_> = self
            .matching(&request.matchers, request.since, Millis::MAX)
            .filter(|_| is_known)
            .map(|(labels, _)| labels)
            .collect();
        let values = |name: &String| {
            let mut counts = BTreeMap::<String, u64>::new();
            for value in matching.iter().map(|l| l.get(name)).filter(|v| !v.is_empty()) {
                *counts.entry(value.to_owned()).or_default() += 1;
            }
            counts.into_iter().collect()
        };
        let values = request.names.iter().map(values).collect();
        ready(Ok(Cardinality { series: matching.len() as u64, values })).boxed()
    }
}
