//! What a tenant may not, and how many queries run at once.
#![allow(clippy::unwrap_used)]

mod source;

use std::time::Duration;

use futures::FutureExt;
use http_body_util::BodyExt;
use norn_http::axum::Router;
use norn_http::axum::body::Body;
use norn_http::axum::http::Request;
use norn_kit::metrics::Registry;
use norn_limits::Limits;
use norn_querier::Gate;
use serde_json::Value;
use tower::ServiceExt;

async fn get(router: &Router, url: &str) -> (u16, String) {
    let request = Request::get(url).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn under(limits: Limits) -> Router {
    source::router_under(source::Memory::load(), "team", &Registry::new(), limits, Gate::new(1))
}

/// Asks what has to be refused.
async fn refused(limits: Limits, url: &str, status: u16, kind: &str, id: &str, flag: &str) {
    let (got, body) = get(&under(limits), url).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((got, answer["errorType"].as_str()), (status, Some(kind)), "{body}");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains(&format!("(err-mimir-{id})")) && error.contains(flag), "{error}");
}

const FOUR: &str = "query=http_requests_total&time=1700000060";

fn none() -> Limits {
    Limits::default()
}

#[tokio::test]
async fn series_are_counted_once_a_query() {
    let limits = |n| Limits { max_fetched_series_per_query: n, ..none() };
    let (id, flag) = ("max-series-per-query", "-querier.max-fetched-series-per-query");
    refused(limits(3), &format!("/api/v1/query?{FOUR}"), 422, "execution", id, flag).await;
    let twice = "/api/v1/query?query=http_requests_total%2Bhttp_requests_total&time=1700000060";
    assert_eq!(get(&under(limits(4)), twice).await.0, 200);
    let more = "/api/v1/query?query=http_requests_total+or+gauge_00&time=1700000060";
    refused(limits(4), more, 422, "execution", id, flag).await;
    let series = "/api/v1/series?match[]=http_requests_total";
    assert_eq!(get(&under(limits(1)), series).await.0, 200);
}

#[tokio::test]
async fn met_limits_are_counted() {
    let registry = Registry::new();
    let limits = Limits { max_fetched_series_per_query: 1, ..none() };
    let router = source::router_under(source::Memory::load(), "team", &registry, limits, Gate::new(1));
    get(&router, &format!("/api/v1/query?{FOUR}")).await;
    let mut text = String::new();
    registry.encode_text(&mut text).unwrap();
    let line =
        r#"cortex_querier_queries_rejected_total{reason="max-fetched-series-per-query",user="team"} 1"#;
    assert!(text.lines().any(|l| l == line), "{text}");
}

#[tokio::test]
async fn memory_is_limited_by_tenant() {
    let limits = Limits { max_estimated_memory_consumption_per_query: 100, ..none() };
    let (id, flag) =
        ("max-estimated-memory-consumption-per-query", "-querier.max-estimated-memory-consumption-per-query");
    refused(limits, &format!("/api/v1/query?{FOUR}"), 422, "execution", id, flag).await;
}

#[tokio::test]
async fn texts_are_limited() {
    let limits = || Limits { max_query_expression_size_bytes: 5, ..none() };
    let (id, flag) = ("max-query-expression-size-bytes", "-query-frontend.max-query-expression-size-bytes");
    for url in [
        "/api/v1/query?query=123456",
        "/api/v1/query_range?query=123456&start=0&end=1&step=1",
        "/api/v1/query_exemplars?query=123456",
        "/api/v1/format_query?query=123456",
        "/api/v1/parse_query?query=123456",
    ] {
        refused(limits(), url, 400, "bad_data", id, flag).await;
    }
    assert_eq!(get(&under(limits()), "/api/v1/query?query=12345").await.0, 200);
}

#[tokio::test]
async fn lengths_are_limited() {
    let hour = Duration::from_secs(3600);
    let limits = Limits { max_total_query_length: hour, ..none() };
    let range = |start: i64| format!("/api/v1/query_range?query=up&start={start}&end=1700003600&step=60");
    let flag = "-query-frontend.max-total-query-length";
    refused(limits.clone(), &range(1_699_999_999), 400, "bad_data", "max-total-query-length", flag).await;
    assert_eq!(get(&under(limits), &range(1_700_000_000)).await.0, 200);

    let limits = || Limits { max_partial_query_length: hour, ..none() };
    let flag = "-querier.max-partial-query-length";
    let long = "/api/v1/query?query=rate(up[61m])&time=1700000060";
    refused(limits(), long, 422, "execution", "max-query-length", flag).await;
    let short = "/api/v1/query?query=rate(up[59m])&time=1700000060";
    assert_eq!(get(&under(limits()), short).await.0, 200);
    assert_eq!(get(&under(limits()), "/api/v1/series?match[]=up").await.0, 200);
}

#[tokio::test]
async fn lookback_hides_what_is_older() {
    // The series are of 2023: a day before now there is nothing of them.
    let limits = Limits { max_query_lookback: Duration::from_secs(86_400), ..none() };
    let router = under(limits);
    for url in [
        "/api/v1/query?query=http_requests_total&time=1700000060",
        "/api/v1/query?query=http_requests_total[100y]",
        "/api/v1/query_range?query=vector(1)&start=1700000000&end=1700000060&step=1",
        "/api/v1/series?match[]=http_requests_total&start=1700000000&end=1700000060",
        "/api/v1/query_exemplars?query=http_requests_total&start=1700000000&end=1700000060",
    ] {
        let (status, body) = get(&router, url).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let data = &answer["data"];
        let list = data.get("result").unwrap_or(data);
        assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(0)), "{url}: {body}");
    }
    // Steps keep their times.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (start, end) = (now - 2 * 86_400, now);
    let url = format!("/api/v1/query_range?query=time()&start={start}&end={end}&step=7000");
    let answer: Value = serde_json::from_str(&get(&router, &url).await.1).unwrap();
    let first = answer["data"]["result"][0]["values"][0][0].as_u64().unwrap();
    assert_eq!((first - start) % 7000, 0);
    assert!((now - 86_400..now - 86_400 + 7001).contains(&first), "{first} {now}");
}

#[tokio::test]
async fn experimental_functions_are_enabled_by_name() {
    let limits = |names: &[&str]| {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Limits { enabled_promql_experimental_functions: names, ..none() }
    };
    let max_of = "/api/v1/query?query=max_of(1,2)";
    let limitk = "/api/v1/query?query=limitk(1,up)";
    for (names, url, status) in [
        (&["max_of"][..], max_of, 200),
        (&["max_of"], limitk, 400),
        (&["limitk"], max_of, 400),
        (&["limitk"], limitk, 200),
        (&["all"], max_of, 200),
        (&["all"], limitk, 200),
        (&[], max_of, 400),
        (&[], limitk, 400),
    ] {
        assert_eq!(get(&under(limits(names)), url).await.0, status, "{names:?} {url}");
    }
    let (_, body) = get(&under(limits(&["info"])), max_of).await;
    assert!(body.contains(r#"parse error: function \"max_of\" is not enabled"#), "{body}");
}

#[tokio::test]
async fn queries_wait_for_each_other_and_the_wait_counts() {
    let router = source::router_under(source::Never, "team", &Registry::new(), none(), Gate::new(1));
    let ask = |query: &str| {
        let url = format!("/api/v1/query?query={query}&timeout=300ms");
        let request = Request::get(url).body(Body::empty()).unwrap();
        Box::pin(router.clone().oneshot(request))
    };
    let mut first = ask("up");
    for _ in 0..10 {
        assert!((&mut first).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    // The first one never ends: the second gives up in the queue.
    let (status, body) = get(&router, "/api/v1/query?query=1&timeout=100ms").await;
    let want = r#"{"status":"error","errorType":"timeout","error":"query timed out in query queue"}"#;
    assert_eq!((status, body.as_str()), (503, want));
    // Look-ups are no queries.
    assert_eq!(get(&router, "/api/v1/format_query?query=1").await.0, 200);
    let second = ask("1");
    drop(first);
    assert_eq!(second.await.unwrap().status().as_u16(), 200);
}
