//! Queries as texts and trees.

use norn_http::axum::extract::{Request, State};
use norn_http::axum::response::Response;
use norn_promql_syntax::ast::Expr;
use norn_promql_syntax::{pretty, to_json};

use crate::error::ApiError;
use crate::params::Form;
use crate::response::{Notes, success};
use crate::{Api, json};

/// `GET|POST /api/v1/format_query`
pub(crate) async fn format(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let text = pretty(&read(&api, request).await?);
    Ok(success(move |out: &mut Vec<u8>| json::text(out, &text), &Notes::default()))
}

/// `GET|POST /api/v1/parse_query`
pub(crate) async fn tree(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let tree = to_json(&read(&api, request).await?);
    Ok(success(move |out: &mut Vec<u8>| json::value(out, &tree), &Notes::default()))
}

async fn read(api: &Api, request: Request) -> Result<Expr, ApiError> {
    let form = Form::read(request).await?;
    api.engine.parse(form.get("query")).map_err(|e| ApiError::parameter("query", e))
}
