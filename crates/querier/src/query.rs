//! Instant and range queries.
//!
//! The engine stops a query when its future is dropped, which happens when the client leaves.

use std::time::{Duration, Instant};

use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_limits::Limits;
use norn_model::Millis;
use norn_model::quote::Quoted;
use norn_model::rejection::Rejection;
use norn_model::tenant::Tenant;
use norn_promql::value::Value;
use norn_promql::{Cancel, QueryError, Request as Query};

use crate::Api;
use crate::error::ApiError;
use crate::limited::oldest;
use crate::params::{Form, duration};
use crate::response::{Notes, success};
use crate::result::QueryData;

/// Most points a range query may give for one series.
const MAX_POINTS: i64 = 11_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// `GET|POST /api/v1/query`
pub(crate) async fn instant(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    let limit = form.limit()?;
    let at = form.time("time")?.map_or_else(|| api.clock.now(), |t| t.millis());
    let timeout = timeout(&form)?;
    let query = Query::instant(form.get("query"), at);
    run(&api, &tenant, "query", &form, with_options(query, &form, limit, timeout)?).await
}

/// `GET|POST /api/v1/query_range`
pub(crate) async fn range(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    let limit = form.limit()?;
    let (start, end) = (form.required_time("start")?, form.required_time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = duration(form.get("step")).map_err(|why| ApiError::parameter("step", why))?;
    // Evaluation counts in milliseconds.
    if step < NANOS_PER_MILLI {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    if end.nanos_since(start) / step > MAX_POINTS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let timeout = timeout(&form)?;
    let (end, step) = (end.millis(), step / NANOS_PER_MILLI);
    let limits = api.limits.for_tenant(&tenant);
    let start = first_step(start.millis(), step, oldest(&limits, api.clock.now()));
    check_length(&limits, start, end)?;
    if start > end {
        // Nothing of it may be seen.
        check_size(&limits, form.get("query"))?;
        api.engine(&limits).parse(form.get("query")).map_err(QueryError::Parse)?;
        let nothing = Value::Matrix(Vec::new());
        return Ok(success(QueryData::new(nothing, None), &Notes::default()));
    }
    let query = Query::range(form.get("query"), start, end, step);
    run(&api, &tenant, "query_range", &form, with_options(query, &form, limit, timeout)?).await
}

/// The first of `start`, `start + step`, … that is not before `oldest`.
fn first_step(start: Millis, step: Millis, oldest: Millis) -> Millis {
    let hidden = oldest.saturating_sub(start).max(0);
    let steps = hidden.div_euclid(step) + Millis::from(hidden.rem_euclid(step) > 0);
    start.saturating_add(steps.saturating_mul(step))
}

fn check_length(limits: &Limits, start: Millis, end: Millis) -> Result<(), ApiError> {
    let limit = limits.max_total_query_length;
    let length = Duration::from_millis(end.saturating_sub(start).max(0) as u64);
    if limit.is_zero() || length <= limit {
        return Ok(());
    }
    let message = format!("the query covers too much time (query range: {length:?}, limit: {limit:?})");
    Err(refused("max-total-query-length", &message, "query-frontend.max-total-query-length"))
}

/// Whether a tenant may ask with a text of this size.
pub(crate) fn check_size(limits: &Limits, query: &str) -> Result<(), ApiError> {
    let (limit, size) = (limits.max_query_expression_size_bytes, query.len());
    if limit == 0 || size <= limit {
        return Ok(());
    }
    let message = format!("the query's text is too long (size: {size} bytes, limit: {limit} bytes)");
    let flag = "query-frontend.max-query-expression-size-bytes";
    Err(refused("max-query-expression-size-bytes", &message, flag))
}

fn refused(id: &'static str, message: &str, flag: &str) -> ApiError {
    ApiError::bad_data(Rejection::new(id, "", message).with_tenant_flags(&[flag]))
}

fn timeout(form: &Form) -> Result<Option<Duration>, ApiError> {
    match form.get("timeout") {
        "" => Ok(None),
        text => {
            let nanos = duration(text).map_err(|why| ApiError::parameter("timeout", why))?;
            Ok(Some(Duration::from_nanos(nanos.max(0) as u64)))
        }
    }
}

fn with_options(
    query: Query,
    form: &Form,
    limit: Option<usize>,
    timeout: Option<Duration>,
) -> Result<Query, ApiError> {
    let lookback = match form.get("lookback_delta") {
        "" => None,
        text => {
            let wrapped =
                |why| ApiError::bad_data(format_args!("error parsing lookback delta duration: {why}"));
            Some(duration(text).map_err(wrapped)? / NANOS_PER_MILLI).filter(|ms| *ms > 0)
        }
    };
    let explain = form.get("explain") == "true";
    Ok(Query { lookback, timeout, limit: limit.unwrap_or(0), explain, ..query })
}

async fn run(
    api: &Api,
    tenant: &Tenant,
    operation: &str,
    form: &Form,
    query: Query,
) -> Result<Response, ApiError> {
    let limits = api.limits.for_tenant(tenant);
    check_size(&limits, &query.text)?;
    let engine = api.engine(&limits);
    let expr = engine.parse(&query.text).map_err(QueryError::Parse)?;
    let most = engine.options().timeout;
    let deadline = Instant::now() + query.timeout.map_or(most, |t| t.min(most));
    let _running = api.gate.enter(tenant, &query.text, api.clock.now(), deadline).await?;
    let began = Instant::now();
    let query = Query { timeout: Some(deadline.saturating_duration_since(began)), ..query };
    let source = api.source(tenant, &limits);
    let output = match engine.run_parsed(&expr, &query, source, Cancel::new()).await {
        Ok(output) => output,
        Err(error) => {
            api.metrics.failed(tenant, &error.to_string());
            return Err(error.into());
        }
    };
    let took = began.elapsed();
    api.metrics.answered(tenant, operation);
    api.metrics.evaluated(tenant, took, &output.stats);
    let mut notes = Notes { warnings: output.warnings, infos: output.infos };
    let stats = form.get("stats");
    if !matches!(stats, "" | "true" | "all") {
        notes.warnings.push(format!(
            "value {} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"",
            Quoted(stats)
        ));
    }
    let stats = (!stats.is_empty()).then_some((output.stats, took));
    Ok(success(QueryData::new(output.value, stats).explained(output.operators), &notes))
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Parse(_) | QueryError::BadData(_) => Self::parameter("query", error),
            _ => Self::Told(error.kind(), error.to_string()),
        }
    }
}
