//! Exemplars of the series a query selects.

use std::sync::Arc;

use norn_contract::source::{ExemplarsRequest, SeriesExemplars};
use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::http::StatusCode;
use norn_http::axum::response::{IntoResponse, Response};
use norn_model::matcher::Matcher;
use norn_model::tenant::Tenant;
use norn_promql_syntax::ast::Expr;

use crate::error::ApiError;
use crate::params::Form;
use crate::query::check_size;
use crate::response::{List, Notes, success};
use crate::{Api, json};

/// `GET|POST /api/v1/query_exemplars`
pub(crate) async fn query(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::read(request).await?;
    let (mint, maxt) = form.range()?;
    if maxt < mint {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let limits = api.limits.for_tenant(&tenant);
    check_size(&limits, form.get("query"))?;
    let expr = api.engine(&limits).parse(form.get("query")).map_err(ApiError::bad_data)?;
    let matchers = selectors(&expr);
    if matchers.is_empty() {
        // As Prometheus answers where there is nothing to look for.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let request = ExemplarsRequest { matchers, mint, maxt };
    let found = api.source(&tenant, &limits).exemplars(request).await?;
    api.metrics.answered(&tenant, "query_exemplars");
    Ok(success(List::new(found.into_iter(), write), &Notes::default()))
}

/// The matchers of every selector.
fn selectors(expr: &Expr) -> Vec<Arc<[Matcher]>> {
    let mut found = Vec::new();
    expr.walk(&mut |expr| match expr {
        Expr::Vector(selector) => found.push(Arc::from(selector.matchers.clone())),
        Expr::Matrix(matrix) => found.push(Arc::from(matrix.selector.matchers.clone())),
        _ => {}
    });
    found
}

fn write(out: &mut Vec<u8>, (series, exemplars): SeriesExemplars) {
    out.extend_from_slice(br#"{"seriesLabels":"#);
    json::labels(out, &series);
    out.extend_from_slice(br#","exemplars":"#);
    json::list(out, exemplars, |out, exemplar| {
        out.extend_from_slice(br#"{"labels":"#);
        json::labels(out, &exemplar.labels);
        out.extend_from_slice(br#","value":"#);
        json::float(out, exemplar.value);
        out.extend_from_slice(br#","timestamp":"#);
        json::timestamp(out, exemplar.timestamp);
        out.push(b'}');
    });
    out.push(b'}');
}
