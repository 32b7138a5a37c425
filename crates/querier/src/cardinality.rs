//! How many series there are, of which labels and values, as Mimir answers it.
//!
//! Straight from what is in memory, and only for tenants that may ask.

use std::cmp::Reverse;
use std::sync::Arc;

use norn_contract::cardinality::{Cardinality, CardinalityRequest};
use norn_contract::source::{LabelsRequest, Need, SelectRequest};
use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_limits::Limits;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::matcher::Matcher;
use norn_model::tenant::Tenant;
use serde_json::{Value, json};

use crate::error::{ApiError, Plain};
use crate::params::{Form, integer};
use crate::response::{List, bare, only_data};
use crate::{Api, json as write};

/// Entries of a list where a request does not say.
const DEFAULT_LIMIT: i64 = 20;
/// Most entries of a list.
const MAX_LIMIT: i64 = 500;
/// Most labels of one request.
const MAX_NAMES: usize = 100;
/// How long a series is active after its last sample.
const ACTIVE: Millis = 20 * 60 * 1000;

/// What all three endpoints are asked.
struct Question {
    matchers: Arc<[Matcher]>,
    since: Millis,
    limit: usize,
}

/// `GET|POST /api/v1/cardinality/label_names`
pub(crate) async fn names(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, Plain> {
    let limits = admit(&api, &tenant)?;
    let form = Form::read(request).await?;
    let Question { matchers, since, limit } = question(&api, &form)?;
    let sets = if matchers.is_empty() { Vec::new() } else { vec![matchers.clone()] };
    let request = LabelsRequest { matchers: sets, mint: Millis::MIN, maxt: Millis::MAX, limit: 0 };
    let names = api.source(&tenant, &limits).label_names(request).await?;
    let request = CardinalityRequest { matchers, since, names: names.clone() };
    let counts = api.counts.count(&tenant, request).await?;
    let sizes = counts.values.iter().map(Vec::len);
    let mut found: Vec<(String, usize)> = names.into_iter().zip(sizes).filter(|(_, n)| *n > 0).collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let values: usize = found.iter().map(|f| f.1).sum();
    let name = |(name, n): &(String, usize)| json!({"label_name": name, "label_values_count": n});
    api.metrics.answered(&tenant, "cardinality_label_names");
    Ok(answer(json!({
        "label_values_count_total": values,
        "label_names_count": found.len(),
        "cardinality": found.iter().take(limit).map(name).collect::<Vec<_>>(),
    })))
}

/// `GET|POST /api/v1/cardinality/label_values`
pub(crate) async fn values(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, Plain> {
    admit(&api, &tenant)?;
    let form = Form::read(request).await?;
    let names = label_names(&form)?;
    let Question { matchers, since, limit } = question(&api, &form)?;
    let total = CardinalityRequest { matchers, since, names: names.clone() };
    let Cardinality { series, values } = api.counts.count(&tenant, total).await?;
    let counted = names.into_iter().zip(values).filter(|(_, values)| !values.is_empty());
    let mut labels: Vec<_> = counted
        .map(|(name, mut values)| {
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            (values.iter().map(|v| v.1).sum::<u64>(), name, values)
        })
        .collect();
    labels.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
    let value = |(value, n): &(String, u64)| json!({"label_value": value, "series_count": n});
    let label = |(series, name, values): &(u64, String, Vec<(String, u64)>)| {
        json!({
            "label_name": name,
            "label_values_count": values.len(),
            "series_count": series,
            "cardinality": values.iter().take(limit).map(value).collect::<Vec<_>>(),
        })
    };
    api.metrics.answered(&tenant, "cardinality_label_values");
    let labels: Vec<_> = labels.iter().map(label).collect();
    Ok(answer(json!({"series_count_total": series, "labels": labels})))
}

/// `GET|POST /api/v1/cardinality/active_series`
pub(crate) async fn active_series(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, Plain> {
    let limits = admit(&api, &tenant)?;
    let form = Form::read(request).await?;
    let matchers = selector(&form)?;
    if matchers.is_empty() {
        return Err(ApiError::bad_data("missing \"selector\" parameter").into());
    }
    let mint = api.clock.now().saturating_sub(ACTIVE);
    let request = SelectRequest { matchers, mint, maxt: Millis::MAX, need: Need::Labels, max_series: 0 };
    let labels = api.source(&tenant, &limits).select(request).await?.labels;
    api.metrics.answered(&tenant, "cardinality_active_series");
    let list = List::new(labels.into_iter(), |out: &mut Vec<u8>, l: Labels| write::labels(out, &l));
    Ok(only_data(list))
}

fn answer(value: Value) -> Response {
    bare(move |out: &mut Vec<u8>| write::value(out, &value))
}

/// The limits of a tenant that may ask.
fn admit(api: &Api, tenant: &Tenant) -> Result<Arc<Limits>, ApiError> {
    let limits = api.limits.for_tenant(tenant);
    if limits.cardinality_analysis_enabled {
        return Ok(limits);
    }
    Err(ApiError::bad_data(format_args!("cardinality analysis is not enabled for tenant {tenant}")))
}

fn question(api: &Api, form: &Form) -> Result<Question, ApiError> {
    let since = match form.get("count_method") {
        "" | "inmemory" => Millis::MIN,
        "active" => api.clock.now().saturating_sub(ACTIVE),
        other => {
            let why = format_args!("count_method must be inmemory or active, and not {other}").to_string();
            return Err(ApiError::bad_data(why));
        }
    };
    Ok(Question { matchers: selector(form)?, since, limit: limit(form)? })
}

/// The value of a parameter that may be there once.
fn once<'a>(form: &'a Form, name: &'a str) -> Result<&'a str, ApiError> {
    if form.all(name).count() > 1 {
        return Err(ApiError::bad_data(format_args!("{name} may be given once")));
    }
    Ok(form.get(name))
}

fn limit(form: &Form) -> Result<usize, ApiError> {
    let limit = match once(form, "limit")? {
        "" => DEFAULT_LIMIT,
        text => integer(text).map_err(ApiError::bad_data)?,
    };
    if !(0..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::bad_data(format_args!("limit must be between 0 and {MAX_LIMIT}")));
    }
    Ok(limit as usize)
}

fn selector(form: &Form) -> Result<Arc<[Matcher]>, ApiError> {
    match once(form, "selector")? {
        "" => Ok(Arc::from([])),
        text => {
            let matchers = norn_promql_syntax::parse_selector(text);
            Ok(Arc::from(matchers.map_err(|e| ApiError::bad_data(format_args!("selector: {e}")))?))
        }
    }
}

fn label_names(form: &Form) -> Result<Vec<String>, ApiError> {
    let mut names: Vec<String> = form.all("label_names[]").map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => Err(ApiError::bad_data("label_names[] must be given")),
        n if n > MAX_NAMES => {
            Err(ApiError::bad_data(format_args!("at most {MAX_NAMES} label_names[] may be given")))
        }
        _ if names.iter().any(String::is_empty) => Err(ApiError::bad_data("label_names[] may not be empty")),
        _ => Ok(names),
    }
}
