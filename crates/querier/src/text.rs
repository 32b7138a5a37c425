//! Queries as texts and trees.

use norn_http::axum::Extension;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_model::tenant::Tenant;
use norn_promql_syntax::ast::Expr;
use norn_promql_syntax::{pretty, to_json};

use crate::error::ApiError;
use crate::params::Form;
use crate::query::check_size;
use crate::response::{Notes, success};
use crate::{Api, json};

/// `GET|POST /api/v1/format_query`
pub(crate) async fn format(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let text = pretty(&read(&api, &tenant, request).await?);
    Ok(success(move |out: &mut Vec<u8>| json::text(out, &text), &Notes::default()))
}

/// `GET|POST /api/v1/parse_query`
pub(crate) async fn tree(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    request: Request,
) -> Result<Response, ApiError> {
    let tree = to_json(&read(&api, &tenant, request).await?);
    Ok(success(move |out: &mut Vec<u8>| json::value(out, &tree), &Notes::default()))
}

async fn read(api: &Api, tenant: &Tenant, request: Request) -> Result<Expr, ApiError> {
    let form = Form::read(request).await?;
    let limits = api.limits.for_tenant(tenant);
    check_size(&limits, form.get("query"))?;
    api.engine(&limits).parse(form.get("query")).map_err(|e| ApiError::parameter("query", e))
}
