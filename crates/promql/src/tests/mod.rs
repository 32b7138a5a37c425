//! The engine over a source in memory.
//!
//! | module | subject |
//! |---|---|
//! | [`pitfalls`] | where a plausible engine differs from the reference |
//! | [`limits`] | cancellation, deadlines, memory, samples, depth |
//! | [`steps`] | ranges against instants |
//! | [`explain`] | plans as text, costs of operators |

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use futures::executor::block_on;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_promql_syntax::ast::Expr;

use crate::testing::MemorySource;
use crate::value::{Output, PointValue, Value};
use crate::{Cancel, Engine, Options, QueryError, Request};

mod explain;
mod limits;
mod pitfalls;
mod steps;

static POOL: LazyLock<Arc<rayon::ThreadPool>> =
    LazyLock::new(|| Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()));

fn options() -> Options {
    Options { syntax: norn_promql_syntax::Options::all(), ..Options::default() }
}

fn engine(options: Options) -> Engine {
    Engine::new(options, POOL.clone())
}

/// The labels of a selector of `=` matchers.
fn labels(text: &str) -> Labels {
    let Ok(Expr::Vector(v)) = norn_promql_syntax::parse(text, &norn_promql_syntax::Options::all()) else {
        panic!("{text} is no selector")
    };
    Labels::from_pairs(v.matchers.iter().map(|m| (m.name(), m.value())))
}

/// A source with a sample every 10 s from 0 for each value.
fn source(series: &[(&str, &[f64])]) -> Arc<MemorySource> {
    let source = MemorySource::default();
    for (name, values) in series {
        let labels = labels(name);
        for (i, value) in values.iter().enumerate() {
            source.add(&labels, i as Millis * 10_000, PointValue::Float(*value)).unwrap();
        }
    }
    Arc::new(source)
}

fn run(options: Options, source: &Arc<MemorySource>, request: &Request) -> Result<Output, QueryError> {
    block_on(engine(options).run(request, source.clone(), Cancel::new()))
}

/// Elements of an instant vector as text, in the engine's order.
fn instant_with(options: Options, source: &Arc<MemorySource>, text: &str, at: Millis) -> Vec<String> {
    match run(options, source, &Request::instant(text, at)).map(|o| o.value) {
        Ok(Value::Vector(elements)) => elements
            .iter()
            .map(|e| match &e.value {
                PointValue::Float(v) => format!("{} {v:?}", e.labels),
                PointValue::Histogram(h) => format!("{} {}", e.labels, crate::histogram::text::display(h)),
            })
            .collect(),
        Ok(Value::Scalar { value, .. }) => vec![format!("{value:?}")],
        Ok(other) => vec![format!("{other:?}")],
        Err(e) => vec![e.to_string()],
    }
}

fn instant(source: &Arc<MemorySource>, text: &str, at: Millis) -> Vec<String> {
    instant_with(options(), source, text, at)
}

/// Series of a range query as text: labels and `seconds:value` of each point.
fn range(source: &Arc<MemorySource>, text: &str, start: Millis, end: Millis, step: Millis) -> Vec<String> {
    match run(options(), source, &Request::range(text, start, end, step)).map(|o| o.value) {
        Ok(Value::Matrix(series)) => series
            .iter()
            .map(|s| {
                let points: Vec<_> = s.floats.iter().map(|(t, v)| format!("{}:{v:?}", t / 1000)).collect();
                format!("{} {}", s.labels, points.join(" "))
            })
            .collect(),
        Ok(other) => vec![format!("{other:?}")],
        Err(e) => vec![e.to_string()],
    }
}
