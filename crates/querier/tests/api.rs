//! What recorded answers can not show: tenants, methods, sizes, metadata, cancellation.
#![allow(clippy::unwrap_used)]

mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use norn_contract::source::*;
use norn_http::axum::Router;
use norn_http::axum::body::Body;
use norn_http::axum::http::{Request, header};
use norn_kit::metrics::{Build, Registry};
use norn_model::metadata::Metadata;
use norn_model::tenant::Tenant;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn ask(router: &Router, method: &str, url: &str, form: impl Into<Body>) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
        .body(form.into())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(router: &Router, url: &str) -> (u16, String) {
    ask(router, "GET", url, "").await
}

async fn data(router: &Router, url: &str) -> Value {
    let (status, body) = get(router, url).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_tenant_sees_only_its_own_series() {
    let other = source::router_of("other");
    for (url, empty) in [
        (
            "/api/v1/query?query=http_requests_total&time=1700000000",
            json!({"resultType": "vector", "result": []}),
        ),
        ("/api/v1/series?match[]=http_requests_total", json!([])),
        ("/api/v1/labels", json!([])),
        ("/api/v1/label/job/values", json!([])),
    ] {
        assert_eq!(data(&other, url).await["data"], empty, "{url}");
        assert_ne!(data(&source::router(), url).await["data"], empty, "{url}");
    }
}

#[tokio::test]
async fn metadata_is_limited_as_prometheus_does() {
    let router = source::router();
    let (_, all) = get(&router, "/api/v1/metadata").await;
    assert_eq!(
        all,
        concat!(
            r#"{"status":"success","data":{"#,
            r#""a":[{"type":"counter","unit":"s","help":"first \u003chelp\u003e"},"#,
            r#"{"type":"gauge","unit":"s","help":"other"}],"#,
            r#""b":[{"type":"gaugehistogram","unit":"s","help":""}]}}"#,
        )
    );
    let sizes = |v: Value| -> Vec<usize> {
        v["data"].as_object().unwrap().values().map(|e| e.as_array().unwrap().len()).collect()
    };
    for (parameters, want) in [
        ("limit=1", vec![2]),
        ("limit=0", vec![]),
        ("limit=-1", vec![2, 1]),
        ("limit_per_metric=1", vec![1, 1]),
        ("limit_per_metric=0", vec![2, 1]),
        ("metric=b", vec![1]),
        ("metric=c", vec![]),
    ] {
        let url = format!("/api/v1/metadata?{parameters}");
        assert_eq!(sizes(data(&router, &url).await), want, "{parameters}");
    }
    let (status, body) = get(&router, "/api/v1/metadata?limit=x").await;
    let want = r#"{"status":"error","errorType":"bad_data","error":"limit must be a number"}"#;
    assert_eq!((status, body.as_str()), (400, want));
}

#[tokio::test]
async fn exemplars_come_by_series() {
    let router = source::router();
    let ask =
        async |parameters: &str| get(&router, &format!("/api/v1/query_exemplars?query={parameters}")).await;
    let (status, body) = ask("http_requests_total").await;
    let first = r#"{"status":"success","data":[{"seriesLabels":{"__name__":"http_requests_total","#;
    let tail = r#""exemplars":[{"labels":{"id":"<1>"},"value":"0.5","timestamp":"#;
    assert_eq!(status, 200);
    assert!(body.starts_with(first) && body.matches(tail).count() == 4, "{body}");
    // Every selector counts, wherever it is.
    let (_, both) = ask("sum(rate(http_requests_total[5m]))%20or%20http_requests_total").await;
    assert_eq!(both, body);
    assert_eq!(ask("http_requests_total&end=5").await.1, r#"{"status":"success","data":[]}"#);
    // What Prometheus 3.14 answers.
    assert_eq!(ask("1").await, (204, String::new()));
    for (parameters, error) in [
        ("up%20%2B", "1:5: parse error: unexpected end of input"),
        ("up&start=10&end=5", "end timestamp must not be before start timestamp"),
        ("", "unknown position: parse error: no expression found in input"),
    ] {
        let want = format!(r#"{{"status":"error","errorType":"bad_data","error":"{error}"}}"#);
        assert_eq!(ask(parameters).await, (400, want));
    }
}

#[tokio::test]
async fn series_say_when_they_were_cut() {
    let body = data(&source::router(), "/api/v1/series?match[]=http_requests_total&limit=1").await;
    assert_eq!(body["data"].as_array().unwrap().len(), 1);
    assert_eq!(body["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn other_methods_are_refused() {
    let router = source::router();
    for (method, url) in [
        ("HEAD", "/api/v1/query?query=1"),
        ("DELETE", "/api/v1/series"),
        ("POST", "/api/v1/metadata"),
        ("POST", "/api/v1/label/job/values"),
        ("OPTIONS", "/api/v1/labels"),
    ] {
        assert_eq!(ask(&router, method, url, "").await.0, 405, "{method} {url}");
    }
}

#[tokio::test]
async fn forms_are_read_to_a_limit_and_come_before_the_url() {
    let router = source::router();
    let big = vec![b'a'; (10 << 20) + 1];
    assert_eq!(ask(&router, "POST", "/api/v1/query?query=1", big).await.0, 413);
    let (_, body) = ask(&router, "POST", "/api/v1/query?query=1&time=7", "query=2").await;
    assert!(body.contains(r#""result":[7,"2"]"#), "{body}");
    let json = Request::post("/api/v1/query?query=1&time=7").header(header::CONTENT_TYPE, "application/json");
    let response = router.oneshot(json.body(Body::from("query=2")).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(br#""result":[7,"1"]}}"#));
}

#[tokio::test]
async fn stats_are_shown_on_request() {
    let router = source::router();
    let url = "/api/v1/query?query=http_requests_total&time=1700000060&stats=";
    let body = data(&router, &format!("{url}true")).await;
    assert_eq!(body["data"]["stats"]["samples"]["totalQueryableSamples"], 4);
    assert!(body["data"]["stats"]["timings"]["execTotalTime"].as_f64().unwrap() > 0.0);
    assert_eq!(body["warnings"], Value::Null);
    let body = data(&router, &format!("{url}yes")).await;
    let warning = body["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with(r#"value "yes" for parameter "stats" is deprecated"#), "{warning}");
    assert_eq!(data(&router, url).await["data"]["stats"], Value::Null);
}

#[tokio::test]
async fn operators_are_explained_on_request() {
    let router = source::router();
    let query = "query=sum(rate(http_requests_total[1m]))";
    let range = format!("/api/v1/query_range?{query}&start=1700000060&end=1700000120&step=30");
    for (url, steps) in [(format!("/api/v1/query?{query}&time=1700000060"), 1), (range, 3)] {
        let body = data(&router, &format!("{url}&explain=true&stats=true")).await;
        let operators = body["data"]["explain"]["operators"].as_array().unwrap();
        let part = |name: &str| operators.iter().map(|o| o[name].clone()).collect::<Vec<_>>();
        assert_eq!(part("operator"), ["aggregate", "window", "select"]);
        assert_eq!(part("depth"), [0, 1, 2]);
        assert_eq!(part("position"), [0, 4, 9]);
        assert_eq!(part("series"), [json!(1), json!(4), Value::Null]);
        assert_eq!(part("samples"), [json!(steps), json!(4 * steps), Value::Null]);
        let read = &body["data"]["stats"]["samples"]["totalQueryableSamples"];
        assert_eq!(part("samplesRead"), [json!(0), read.clone(), Value::Null]);
        assert!(part("chunkBytes")[1].as_u64().unwrap() > 0, "{operators:?}");
        assert!(part("cpuSeconds")[..2].iter().all(|cpu| cpu.as_f64().unwrap() > 0.0), "{operators:?}");
        let detail = part("detail")[2].as_str().unwrap().to_owned();
        assert!(detail.starts_with(r#"{__name__="http_requests_total"}[1m] from "#), "{detail}");
        for unasked in ["", "&explain=", "&explain=false"] {
            assert_eq!(data(&router, &format!("{url}{unasked}")).await["data"]["explain"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_query_without_time_asks_the_clock() {
    let before = norn_contract::clock::Clock::now(&norn_contract::clock::SystemClock);
    let body = data(&source::router(), "/api/v1/query?query=time()").await;
    let seconds: f64 = body["data"]["result"][1].as_str().unwrap().parse().unwrap();
    assert!((seconds * 1000.0 - before as f64).abs() < 60_000.0);
}

#[tokio::test]
async fn a_query_out_of_time_is_a_timeout() {
    let router = source::router();
    let (status, body) = get(&router, "/api/v1/query?query=http_requests_total&timeout=0").await;
    assert_eq!(status, 503);
    assert!(
        body.starts_with(r#"{"status":"error","errorType":"timeout","error":"query timed out in "#),
        "{body}"
    );
}

#[tokio::test]
async fn grafana_takes_us_for_mimir() {
    let build = Build { version: "1.2.3", revision: "abc", branch: "main" };
    let body = data(&norn_querier::status_routes(build), "/api/v1/status/buildinfo").await;
    assert_eq!(body["data"]["application"], "Grafana Mimir");
    assert_eq!(body["data"]["version"], "1.2.3");
    assert!(!body["data"]["features"].as_object().unwrap().is_empty());
}

#[tokio::test]
async fn a_large_answer_is_whole() {
    let url = "/api/v1/query_range?query=http_requests_total&start=1700000000&end=1700000300&step=0.03";
    let body = data(&source::router(), url).await;
    let points = |s: &Value| s["values"].as_array().unwrap().len();
    let series = body["data"]["result"].as_array().unwrap();
    assert_eq!(series.iter().map(points).collect::<Vec<_>>(), [10_001; 4]);
}

#[tokio::test]
async fn answers_are_counted() {
    let registry = Registry::new();
    let router = source::router_with(source::Memory::load(), "team", &registry);
    data(&router, "/api/v1/query?query=http_requests_total&time=1700000060").await;
    data(&router, "/api/v1/labels").await;
    get(&router, "/api/v1/query?query=(").await;
    let mut text = String::new();
    registry.encode_text(&mut text).unwrap();
    for line in [
        r#"cortex_query_frontend_queries_total{op="query",user="team"} 1"#,
        r#"cortex_query_frontend_queries_total{op="label_names",user="team"} 1"#,
        r#"cortex_query_fetched_series_total{user="team"} 4"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

/// Fails every question, or never answers.
struct Broken {
    error: Option<SourceError>,
    abandoned: Arc<AtomicBool>,
}

/// Tells when it is dropped.
struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Broken {
    fn answer<T: Send + 'static>(&self) -> BoxFuture<'_, Result<T, SourceError>> {
        let watch = Watch(self.abandoned.clone());
        async move {
            let _watch = watch;
            match &self.error {
                Some(error) => Err(error.clone()),
                None => futures::future::pending().await,
            }
        }
        .boxed()
    }
}

impl SeriesSource for Broken {
    fn select(&self, _: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        self.answer()
    }
    fn label_names(&self, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        self.answer()
    }
    fn label_values(&self, _: String, _: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        self.answer()
    }
    fn metadata(
        &self,
        _: MetadataRequest,
    ) -> BoxFuture<'_, Result<Vec<(String, Vec<Metadata>)>, SourceError>> {
        self.answer()
    }
    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        self.answer()
    }
}

/// Gives every tenant the same source.
struct Same(Arc<Broken>);

impl TenantSources for Same {
    fn tenant(&self, _: &Tenant) -> Arc<dyn SeriesSource> {
        self.0.clone()
    }
}

fn broken(error: Option<SourceError>) -> (Router, Arc<AtomicBool>) {
    let abandoned = Arc::new(AtomicBool::new(false));
    let broken = Same(Arc::new(Broken { error, abandoned: abandoned.clone() }));
    (source::router_with(broken, "team", &Registry::new()), abandoned)
}

#[tokio::test]
async fn errors_of_the_source_are_told() {
    let (router, _) = broken(Some(SourceError::Unavailable("partition 3 is away".to_owned())));
    for url in ["/api/v1/query?query=up", "/api/v1/labels", "/api/v1/series?match[]=up", "/api/v1/metadata"] {
        let (status, body) = get(&router, url).await;
        assert_eq!(status, 500, "{url}");
        assert!(body.contains(r#""errorType":"internal""#) && body.contains("partition 3 is away"), "{body}");
    }
    let (router, _) = broken(Some(SourceError::TooManySeries { limit: 7 }));
    for url in ["/api/v1/query?query=up", "/api/v1/label/a/values"] {
        let (status, body) = get(&router, url).await;
        assert_eq!(status, 422, "{url}");
        assert!(body.contains(r#""errorType":"execution""#), "{body}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let (router, abandoned) = broken(None);
    let request = Request::get("/api/v1/query?query=up").body(Body::empty()).unwrap();
    let mut answer = Box::pin(router.oneshot(request));
    for _ in 0..10 {
        assert!((&mut answer).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert!(!abandoned.load(Ordering::SeqCst));
    drop(answer);
    assert!(abandoned.load(Ordering::SeqCst));
}
