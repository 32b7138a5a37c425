//! The API answers as Prometheus did, byte for byte. `testdata/README.md` describes the files.
#![allow(clippy::unwrap_used)]

mod source;

use http_body_util::BodyExt;
use norn_http::axum::Router;
use norn_http::axum::body::Body;
use norn_http::axum::http::{Request, header};
use tower::ServiceExt;

struct Recorded {
    method: &'static str,
    url: &'static str,
    form: &'static str,
    status: u16,
    content_type: &'static str,
    body: &'static str,
}

fn recorded() -> Vec<Recorded> {
    let text = include_str!("../testdata/recorded.txt");
    let mut lines = text.lines().filter(|l| !l.starts_with('#'));
    let mut out = Vec::new();
    while let Some(request) = lines.next() {
        let mut parts = request.strip_prefix("> ").unwrap().splitn(3, ' ');
        let (method, url) = (parts.next().unwrap(), parts.next().unwrap());
        let (status, content_type) =
            lines.next().unwrap().strip_prefix("< ").unwrap().split_once(' ').unwrap();
        out.push(Recorded {
            method,
            url,
            form: parts.next().unwrap_or_default(),
            status: status.parse().unwrap(),
            content_type,
            body: lines.next().unwrap(),
        });
    }
    assert!(out.len() > 100);
    out
}

async fn ask(router: &Router, r: &Recorded) -> (u16, String, String) {
    let request = Request::builder()
        .method(r.method)
        .uri(r.url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(r.form))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (status, content_type.unwrap_or_default(), body.trim_end_matches('\n').to_owned())
}

#[tokio::test]
async fn answers_are_those_of_prometheus() {
    let router = source::router();
    let mut wrong = 0;
    for r in recorded() {
        let (status, content_type, body) = ask(&router, &r).await;
        if (status, content_type.as_str(), body.as_str()) != (r.status, r.content_type, r.body) {
            wrong += 1;
            eprintln!(
                "{} {} {}\n  want {} {} {}\n  got  {status} {content_type} {body}",
                r.method, r.url, r.form, r.status, r.content_type, r.body
            );
        }
    }
    assert_eq!(wrong, 0, "answers differ");
}
