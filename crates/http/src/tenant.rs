//! Who a request belongs to.
//!
//! The tenant comes from `X-Scope-OrgID`. Whoever can reach the port can name any tenant: put a
//! proxy in front that sets the header. One of the three places that admit tenants.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use norn_model::tenant::{Tenant, TenantError};

/// The header that names the tenant.
pub const HEADER: &str = "x-scope-orgid";

/// How requests are given a tenant.
#[derive(Clone, Debug)]
pub struct Authentication(Mode);

#[derive(Clone, Debug)]
enum Mode {
    Header,
    Fixed(Tenant),
}

/// A request that belongs to no tenant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// No tenant, or not one that can exist: 401, 400.
    #[error("{0}")]
    Refused(#[from] TenantError),
    /// Several tenants: 422.
    #[error("too many tenant IDs: the request names {0} tenants and tenant federation is not enabled")]
    TooMany(usize),
}

impl Authentication {
    /// The header decides; a request without it is refused.
    pub fn by_header() -> Self {
        Self(Mode::Header)
    }

    /// Every request belongs to the tenant `id`; the header is ignored.
    ///
    /// # Errors
    ///
    /// When no tenant can be called `id`.
    pub fn fixed(id: &str) -> Result<Self, TenantError> {
        Ok(Self(Mode::Fixed(Tenant::admit(id)?)))
    }

    /// The tenant of a request with these headers.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError`] is a complete response of its own.
    pub fn tenant(&self, headers: &HeaderMap) -> Result<Tenant, AuthenticationError> {
        match &self.0 {
            Mode::Fixed(tenant) => Ok(tenant.clone()),
            Mode::Header => from_header(headers),
        }
    }
}

fn from_header(headers: &HeaderMap) -> Result<Tenant, AuthenticationError> {
    let mut lines = headers.get_all(HEADER).iter();
    let raw = lines.next().ok_or(TenantError::Missing)?;
    let mut ids = String::from_utf8_lossy(raw.as_bytes());
    // Whoever looks at one line of several must not let through what another names.
    for more in lines {
        let ids = ids.to_mut();
        ids.push('|');
        ids.push_str(&String::from_utf8_lossy(more.as_bytes()));
    }
    if !ids.contains('|') {
        return Ok(Tenant::admit(&ids)?);
    }
    let mut distinct: Vec<&str> = ids.split('|').collect();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct[..] {
        [id] => Ok(Tenant::admit(id)?),
        _ => {
            for id in &distinct {
                Tenant::admit(id)?;
            }
            Err(AuthenticationError::TooMany(distinct.len()))
        }
    }
}

impl IntoResponse for AuthenticationError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Refused(TenantError::Missing) => StatusCode::UNAUTHORIZED,
            Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::TooMany(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        (status, self.to_string()).into_response()
    }
}

/// Middleware: puts the [`Tenant`] into the request's extensions, or answers.
pub(crate) async fn require(
    State(auth): State<Authentication>,
    mut request: Request,
    next: Next,
) -> Response {
    match auth.tenant(request.headers()) {
        Ok(tenant) => {
            tracing::Span::current().record("user", tenant.as_str());
            request.extensions_mut().insert(tenant);
            next.run(request).await
        }
        Err(e) => e.into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    fn status(auth: &Authentication, header: Option<&[u8]>) -> Result<String, (u16, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        match auth.tenant(&headers) {
            Ok(tenant) => Ok(tenant.as_str().to_owned()),
            Err(e) => {
                let text = e.to_string();
                Err((e.into_response().status().as_u16(), text))
            }
        }
    }

    #[test]
    fn the_header_names_the_tenant() {
        let auth = Authentication::by_header();
        assert_eq!(status(&auth, Some(b"team-a")), Ok("team-a".into()));
        assert_eq!(status(&auth, Some(b"a|a")), Ok("a".into()));
        assert_eq!(status(&auth, None), Err((401, "no org id".into())));
        assert_eq!(status(&auth, Some(b"")), Err((401, "no org id".into())));
        let (code, text) = status(&auth, Some(b"../x")).unwrap_err();
        assert_eq!((code, text.contains("unsupported character '/'")), (400, true), "{text}");
        assert_eq!(status(&auth, Some(b"\xff")).unwrap_err().0, 400);
        assert_eq!(status(&auth, Some(b"..")).unwrap_err().0, 400);
        assert_eq!(status(&auth, Some(&[b'a'; 151])).unwrap_err().0, 400);
        let (code, text) = status(&auth, Some(b"a|b|a")).unwrap_err();
        assert_eq!(code, 422);
        assert!(text.starts_with("too many tenant IDs: the request names 2 tenants"), "{text}");
        assert_eq!(status(&auth, Some(b"a|")).unwrap_err().0, 401);
    }

    #[test]
    fn several_headers_are_several_tenants() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("a"));
        headers.append(HEADER, HeaderValue::from_static("a"));
        let auth = Authentication::by_header();
        assert_eq!(auth.tenant(&headers).unwrap().as_str(), "a");
        headers.append(HEADER, HeaderValue::from_static("b"));
        assert_eq!(auth.tenant(&headers), Err(AuthenticationError::TooMany(2)));
        headers.append(HEADER, HeaderValue::from_static("../b"));
        assert!(matches!(auth.tenant(&headers), Err(AuthenticationError::Refused(_))));
    }

    #[test]
    fn without_multitenancy_the_header_is_ignored() {
        let auth = Authentication::fixed("anonymous").unwrap();
        assert_eq!(status(&auth, Some(b"../x")), Ok("anonymous".into()));
        assert_eq!(status(&auth, None), Ok("anonymous".into()));
        assert!(Authentication::fixed("a/b").is_err());
    }
}
