//! Numbers of series and labels.
#![allow(clippy::unwrap_used)]

mod source;

use http_body_util::BodyExt;
use norn_http::axum::Router;
use norn_http::axum::body::Body;
use norn_http::axum::http::Request;
use norn_kit::metrics::Registry;
use norn_limits::Limits;
use norn_querier::Gate;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn get(router: &Router, what: &str) -> (u16, String) {
    let request = Request::get(format!("/api/v1/cardinality/{what}")).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn answer(router: &Router, what: &str) -> Value {
    let (status, body) = get(router, what).await;
    assert_eq!(status, 200, "{what}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn router_of(tenant: &str) -> Router {
    let limits = Limits { cardinality_analysis_enabled: true, ..Limits::default() };
    source::router_under(source::Memory::load(), tenant, &Registry::new(), limits, Gate::new(1))
}

const SELECTOR: &str = "selector=http_requests_total";

#[tokio::test]
async fn label_names_have_their_numbers_of_values() {
    let router = router_of("team");
    let want = json!({
        "label_values_count_total": 7,
        "label_names_count": 4,
        "cardinality": [
            {"label_name": "code", "label_values_count": 2},
            {"label_name": "instance", "label_values_count": 2},
            {"label_name": "job", "label_values_count": 2},
        ],
    });
    assert_eq!(answer(&router, &format!("label_names?{SELECTOR}&limit=3")).await, want);
    let all = answer(&router, "label_names").await;
    assert_eq!(all["cardinality"][0]["label_name"], "__name__");
    assert!(all["label_values_count_total"].as_u64().unwrap() > 20, "{all}");
    let other = answer(&router_of("other"), "label_names").await;
    assert_eq!(other, json!({"label_values_count_total": 0, "label_names_count": 0, "cardinality": []}));
}

#[tokio::test]
async fn label_values_have_their_numbers_of_series() {
    let router = router_of("team");
    let names = "label_names[]=none&label_names[]=job&label_names[]=code&label_names[]=job";
    let want = json!({
        "series_count_total": 4,
        "labels": [
            {
                "label_name": "code", "label_values_count": 2, "series_count": 4,
                "cardinality": [{"label_value": "200", "series_count": 2}],
            },
            {
                "label_name": "job", "label_values_count": 2, "series_count": 4,
                "cardinality": [{"label_value": "api", "series_count": 2}],
            },
        ],
    });
    assert_eq!(answer(&router, &format!("label_values?{names}&{SELECTOR}&limit=1")).await, want);
    let all = answer(&router, "label_values?label_names[]=code&label_names[]=job").await;
    let labels: Vec<_> = all["labels"].as_array().unwrap().iter().map(|l| l["label_name"].as_str()).collect();
    // The one with more series first.
    assert_eq!(labels, [Some("job"), Some("code")]);
    let active = answer(&router, "label_values?label_names[]=job&count_method=active").await;
    // The samples are of 2023.
    assert_eq!(active, json!({"series_count_total": 0, "labels": []}));
}

#[tokio::test]
async fn active_series_are_listed_without_a_status() {
    assert_eq!(answer(&router_of("team"), &format!("active_series?{SELECTOR}")).await, json!({"data": []}));
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let router = router_of("team");
    for what in [
        "label_names?limit=-1",
        "label_names?limit=501",
        "label_names?limit=x",
        "label_names?limit=1&limit=2",
        "label_names?selector=a&selector=b",
        "label_names?selector=(",
        "label_names?count_method=guess",
        "label_values",
        "label_values?label_names[]=",
        "active_series",
    ] {
        assert_eq!(get(&router, what).await.0, 400, "{what}");
    }
    let many: Vec<_> = (0..101).map(|i| format!("label_names[]=l{i}")).collect();
    assert_eq!(get(&router, &format!("label_values?{}", many.join("&"))).await.0, 400);
    // Off by default.
    let (status, body) = get(&source::router(), "label_names").await;
    assert!(status == 400 && body.contains("not enabled for tenant team"), "{status} {body}");
}
