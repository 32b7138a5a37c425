//! `POST /api/v1/read`: Prometheus' remote read.
//!
//! ```text
//! body ─ snappy ─ ReadRequest ─ select ─┬─ samples: decoded on the pool into one message
//!                                       └─ chunks: passed on, frame by frame, while they are sent
//! ```
//!
//! | module | subject |
//! |---|---|
//! | `samples` | the answer as one message |
//! | `chunks` | the answer as frames of chunks |
//! | `column` | samples of a series of any kind: from chunks, into chunks |
//!
//! Errors are plain texts, as those of Prometheus are.

mod chunks;
mod column;
mod samples;

use std::sync::Arc;
use std::time::Instant;

use norn_contract::source::{Need, SelectRequest, Selection};
use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_http::body;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::tenant::Tenant;
use norn_wire::content;
use norn_wire::proto::Message;
use norn_wire::proto::read::{LabelMatcher, Query, ReadRequest, ResponseType};
use norn_wire::proto::v1::Label;

use crate::Api;
use crate::error::{ApiError, Plain};
use crate::gate::Running;

/// Largest request, compressed or not.
const MAX_BODY: usize = 1 << 20;

/// A query of a request with the series it selects.
struct Found {
    selection: Selection,
    mint: Millis,
    maxt: Millis,
}

/// A request that may run.
struct Admitted {
    found: Vec<Found>,
    deadline: Instant,
    running: Running,
}

/// `POST /api/v1/read`
pub(crate) async fn read(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, Plain> {
    let request = decode(&body::read(request.into_body(), MAX_BODY).await?)?;
    let response_type = negotiate(&request.accepted_response_types)?;
    let admitted = admit(&api, &tenant, &request.queries).await?;
    let response = match response_type {
        ResponseType::Samples => samples::respond(&api, &tenant, admitted).await?,
        ResponseType::StreamedXorChunks => chunks::respond(admitted),
    };
    api.metrics.answered(&tenant, "remote_read");
    Ok(response)
}

fn decode(body: &[u8]) -> Result<ReadRequest, ApiError> {
    let mut raw = Vec::new();
    content::snappy(body, MAX_BODY, &mut raw).map_err(ApiError::bad_data)?;
    ReadRequest::decode(&*raw).map_err(ApiError::bad_data)
}

/// The first form the client takes that is known here; a client that says nothing takes samples.
fn negotiate(accepted: &[i32]) -> Result<ResponseType, ApiError> {
    let known = accepted.iter().find_map(|number| match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    });
    match known {
        None if accepted.is_empty() => Ok(ResponseType::Samples),
        None => Err(ApiError::bad_data(format_args!(
            "server does not support any of the requested response types: {accepted:?}; supported: [0, 1]"
        ))),
        Some(known) => Ok(known),
    }
}

/// Waits until the request may run, and selects its series.
async fn admit(api: &Api, tenant: &Tenant, queries: &[Query]) -> Result<Admitted, ApiError> {
    let sets = queries.iter().map(matchers).collect::<Result<Vec<_>, _>>()?;
    let limits = api.limits.for_tenant(tenant);
    let deadline = Instant::now() + api.engine.options().timeout;
    let running = api.gate.enter(tenant, &describe(&sets), api.clock.now(), deadline).await?;
    let source = api.source(tenant, &limits);
    let mut found = Vec::with_capacity(queries.len());
    for (query, matchers) in queries.iter().zip(sets) {
        let (mint, maxt) = (query.start_timestamp_ms, query.end_timestamp_ms);
        let request = SelectRequest { matchers, mint, maxt, need: Need::Samples, max_series: 0 };
        let selection = match source.select(request).await {
            Ok(selection) => selection,
            Err(error) => {
                api.metrics.failed(tenant, &error.to_string());
                return Err(error.into());
            }
        };
        found.push(Found { selection, mint, maxt });
    }
    Ok(Admitted { found, deadline, running })
}

fn matchers(query: &Query) -> Result<Arc<[Matcher]>, ApiError> {
    query.matchers.iter().map(matcher).collect()
}

fn matcher(wire: &LabelMatcher) -> Result<Matcher, ApiError> {
    let op = match wire.r#type {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(ApiError::bad_data("invalid matcher type")),
    };
    Matcher::new(op, &wire.name, &wire.value).map_err(ApiError::bad_data)
}

/// The request in words, for the file of active queries.
fn describe(sets: &[Arc<[Matcher]>]) -> String {
    let selector = |set: &Arc<[Matcher]>| {
        let all: Vec<_> = set.iter().map(|m| format!("{m}")).collect();
        format!("{{{}}}", all.join(","))
    };
    // What does not fit into the file is cut off anyway.
    let shown: Vec<_> = sets.iter().take(8).map(selector).collect();
    format!("remote read of {}", shown.join(" "))
}

fn labels(labels: &Labels) -> Vec<Label> {
    let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    labels.iter().map(label).collect()
}
