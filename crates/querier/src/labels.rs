//! Series, names and values of labels, metadata.

use std::sync::Arc;

use norn_contract::source::{LabelsRequest, MetadataRequest, Need, SelectRequest};
use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::metadata::Metadata;
use norn_model::quote::QuotedBytes;
use norn_model::tenant::Tenant;

use crate::error::ApiError;
use crate::params::{Form, integer, percent_decode};
use crate::response::{List, Notes, success};
use crate::{Api, escape, json};

/// `GET|POST /api/v1/series`
pub(crate) async fn series(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    if form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = form.limit()?;
    let (mint, maxt) = form.range()?;
    let sets = matcher_sets(&form).map_err(|why| ApiError::parameter("match[]", why))?;
    let source = api.source(&tenant, &api.limits.for_tenant(&tenant));
    let mut labels = Vec::new();
    for matchers in &sets {
        let matchers = Arc::clone(matchers);
        let request = SelectRequest { matchers, mint, maxt, need: Need::Labels, max_series: 0 };
        labels.extend(source.select(request).await?.labels);
    }
    if sets.len() > 1 {
        labels.sort_unstable();
        labels.dedup();
    }
    let mut notes = Notes::default();
    notes.truncate(&mut labels, limit);
    api.metrics.answered(&tenant, "series");
    let list = List::new(labels.into_iter(), |out: &mut Vec<u8>, l: Labels| json::labels(out, &l));
    Ok(success(list, &notes))
}

/// `GET|POST /api/v1/labels`
pub(crate) async fn names(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    let (request, limit) = labels_request(&form)?;
    let names = api.source(&tenant, &api.limits.for_tenant(&tenant)).label_names(request).await?;
    api.metrics.answered(&tenant, "label_names");
    Ok(texts(names, limit))
}

/// `GET /api/v1/label/{name}/values`
pub(crate) async fn values(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = label_name(request.uri().path())?;
    let form = Form::read(request).await?;
    let (request, limit) = labels_request(&form)?;
    let values = api.source(&tenant, &api.limits.for_tenant(&tenant)).label_values(name, request).await?;
    api.metrics.answered(&tenant, "label_values");
    Ok(texts(values, limit))
}

/// `GET /api/v1/metadata`
pub(crate) async fn metadata(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    let number = |name: &str| match form.get(name) {
        "" => Ok(None),
        text => {
            integer(text).map(Some).map_err(|_| ApiError::bad_data(format_args!("{name} must be a number")))
        }
    };
    // A negative limit is none; so is a limit per metric of 0.
    let limit = number("limit")?.and_then(|n| usize::try_from(n).ok());
    let limit_per_metric =
        number("limit_per_metric")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let metric = Some(form.get("metric")).filter(|m| !m.is_empty()).map(str::to_owned);
    let request = MetadataRequest { metric, limit, limit_per_metric };
    let metrics = api.source(&tenant, &api.limits.for_tenant(&tenant)).metadata(request).await?;
    api.metrics.answered(&tenant, "metadata");
    Ok(success(move |out: &mut Vec<u8>| write_metadata(out, &metrics), &Notes::default()))
}

fn write_metadata(out: &mut Vec<u8>, metrics: &[(String, Vec<Metadata>)]) {
    out.push(b'{');
    for (i, (name, entries)) in metrics.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::text(out, name);
        out.push(b':');
        json::list(out, entries, |out, entry| {
            out.extend_from_slice(br#"{"type":"#);
            json::text(out, entry.kind.as_str());
            out.extend_from_slice(br#","unit":"#);
            json::text(out, &entry.unit);
            out.extend_from_slice(br#","help":"#);
            json::text(out, &entry.help);
            out.push(b'}');
        });
    }
    out.push(b'}');
}

fn labels_request(form: &Form) -> Result<(LabelsRequest, Option<usize>), ApiError> {
    let limit = form.limit()?;
    let (mint, maxt) = form.range()?;
    let matchers = matcher_sets(form).map_err(ApiError::bad_data)?;
    // One more, to know whether anything was cut off.
    let ask = limit.map_or(0, |n| n.saturating_add(1));
    Ok((LabelsRequest { matchers, mint, maxt, limit: ask }, limit))
}

/// The matchers of every `match[]`.
fn matcher_sets(form: &Form) -> Result<Vec<Arc<[Matcher]>>, String> {
    let selectors: Result<Vec<_>, _> = form.all("match[]").map(norn_promql_syntax::parse_selector).collect();
    let selectors = selectors.map_err(|e| e.to_string())?;
    if selectors.iter().any(|matchers| matchers.iter().all(Matcher::matches_empty)) {
        return Err("match[] must contain at least one non-empty matcher".to_owned());
    }
    Ok(selectors.into_iter().map(Arc::from).collect())
}

/// The label in `…/label/<name>/values`.
fn label_name(path: &str) -> Result<String, ApiError> {
    let segment = path.rsplit('/').nth(1).unwrap_or_default();
    let bytes = percent_decode(segment.as_bytes(), false).unwrap_or_default();
    let invalid =
        |bytes: &[u8]| ApiError::bad_data(format_args!("invalid label name: {}", QuotedBytes(bytes)));
    let name = String::from_utf8(bytes).map_err(|e| invalid(e.as_bytes()))?;
    let name = escape::unescape(&name);
    if name.is_empty() { Err(invalid(b"")) } else { Ok(name) }
}

fn texts(mut texts: Vec<String>, limit: Option<usize>) -> Response {
    let mut notes = Notes::default();
    notes.truncate(&mut texts, limit);
    success(List::new(texts.into_iter(), |out: &mut Vec<u8>, t: String| json::text(out, &t)), &notes)
}
