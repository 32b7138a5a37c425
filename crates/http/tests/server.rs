//! The server on real sockets: slow, endless, oversized and hostile clients, drain, h2c.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use norn_http::observe::Cause;
use norn_http::pages::{self, Pages};
use norn_http::router::Options as RouterOptions;
use norn_http::server::{Metrics, Options};
use norn_http::tenant::Authentication;
use norn_http::{Listener, Routes, assemble, axum, body, serve};
use norn_kit::logging::{self, Format, Level};
use norn_kit::metrics::Registry;
use norn_kit::service::Manager;
use norn_model::tenant::Tenant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const BODY_LIMIT: usize = 100_000;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<usize>,
    registry: Registry,
    release: Arc<Notify>,
}

async fn echo(Extension(tenant): Extension<Tenant>, body: axum::body::Body) -> Response {
    match body::read(body, BODY_LIMIT).await {
        Ok(bytes) => format!("{tenant} {}", bytes.len()).into_response(),
        Err(e) => e.into_response(),
    }
}

async fn full() -> Response {
    let cause = Extension(Cause("disk is full\non /data".to_owned()));
    (StatusCode::SERVICE_UNAVAILABLE, cause, "come again").into_response()
}

fn routes(release: Arc<Notify>, registry: &Registry) -> Routes {
    let wait = move || {
        let release = release.clone();
        async move {
            release.notified().await;
            "waited"
        }
    };
    let boom = || async {
        if true {
            panic!("boom");
        }
    };
    let pages = Pages {
        services: Manager::new().states(),
        readiness: Arc::new(|| Ok(())),
        config: Arc::new(|mode| format!("mode: {mode:?}\n")),
        registry: registry.clone(),
        links: vec![("/a?b=<c>", "a link")],
    };
    Routes {
        write: Router::new().route("/api/v1/push", post(echo)),
        read: Router::new()
            .route("/prometheus/api/v1/label/{name}/values", get(|| async { "x".repeat(5000) }))
            .route("/boom", get(boom))
            .route("/full", get(full))
            .route("/big", get(|| async { vec![b'x'; 64 << 20] })),
        open: pages::router(pages).route("/wait", get(wait)),
    }
}

async fn start(options: Options, timeouts: body::Timeouts, authentication: Authentication) -> Server {
    let registry = Registry::new();
    let release = Arc::new(Notify::new());
    let router_options = RouterOptions { path_prefix: String::new(), authentication, body: timeouts };
    let router = assemble(routes(release.clone(), &registry), router_options, &registry);
    let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let metrics = Metrics::register(&registry, "http");
    let done =
        tokio::spawn(
            async move { serve(listener, router, options, &metrics, async { _ = stopped.await }).await },
        );
    Server { address, stop, done, registry, release }
}

async fn default_server() -> Server {
    start(Options::default(), body::Timeouts::default(), Authentication::by_header()).await
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Sends `request` and reads until the server closes.
async fn talk(server: &Server, request: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut out = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut out)).await;
    // A reset after the answer is an end, too.
    let _ = read.expect("the server neither answers nor closes");
    String::from_utf8_lossy(&out).into_owned()
}

fn get_request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

fn push(headers: &str, body: &str) -> String {
    format!(
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |r| r.1)
}

#[tokio::test]
async fn tenants_are_required_where_they_matter() {
    let server = default_server().await;
    let response = talk(&server, &push("", "abc")).await;
    assert_eq!((status(&response), content(&response)), (401, "no org id"));
    let response = talk(&server, &push("X-Scope-OrgID: team-a\r\n", "abc")).await;
    assert_eq!((status(&response), content(&response)), (200, "team-a 3"));
    assert_eq!(status(&talk(&server, &push("X-Scope-OrgID: a|b\r\n", "abc")).await), 422);
    assert_eq!(status(&talk(&server, &push("X-Scope-OrgID: a/b\r\n", "abc")).await), 400);
    assert_eq!(status(&talk(&server, &get_request("/ready", "")).await), 200);
    assert_eq!(status(&talk(&server, &get_request("/nowhere", "")).await), 404);
    assert_eq!(status(&talk(&server, &get_request("/api/v1/push", "X-Scope-OrgID: a\r\n")).await), 405);
}

#[tokio::test]
async fn without_multitenancy_everyone_is_the_fixed_tenant() {
    let fixed = Authentication::fixed("anonymous").unwrap();
    let server = start(Options::default(), body::Timeouts::default(), fixed).await;
    let response = talk(&server, &push("X-Scope-OrgID: a|b\r\n", "abcd")).await;
    assert_eq!(content(&response), "anonymous 4");
}

#[tokio::test]
async fn slow_heads_and_silent_connections_are_cut() {
    let options = Options { head_timeout: Duration::from_millis(200), ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    for opening in ["", "GET /rea", "GET /ready HTTP/1.1\r\nHost: x\r\nX-A", "PRI * HT"] {
        let begun = Instant::now();
        let response = talk(&server, opening).await;
        assert!(response.is_empty() || status(&response) >= 400, "{response}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    // A head that trickles is as slow as one that stops.
    let mut stream = connect(&server).await;
    let begun = Instant::now();
    while stream.write_all(b"G").await.is_ok() && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "the server listens to a trickle");
}

#[tokio::test]
async fn idle_connections_outlive_the_head_timeout_and_not_the_idle_timeout() {
    let options = Options {
        head_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(700),
        ..Options::default()
    };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let mut stream = connect(&server).await;
    for pause in [300, 0] {
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut buf = [0; 1024];
        let n = stream.read(&mut buf).await.unwrap();
        assert!(buf[..n].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let begun = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    let idle = begun.elapsed();
    assert!(idle > Duration::from_millis(400) && idle < Duration::from_secs(3), "{idle:?}");
}

#[tokio::test]
async fn bodies_that_never_end_are_cut() {
    let timeouts = body::Timeouts { idle: Duration::from_millis(150), total: Duration::from_millis(500) };
    let server = start(Options::default(), timeouts, Authentication::by_header()).await;
    let head =
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = talk(&server, head).await;
    assert_eq!((status(&response), content(&response)), (408, "request body did not arrive in time"));
    assert!(response.to_ascii_lowercase().contains("connection: close"));

    // One byte every 50 ms never idles but runs out of time in all.
    let mut stream = connect(&server).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    while stream.write_all(b"1\r\nx\r\n").await.is_ok() && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "the body was awaited for ever");
}

#[tokio::test]
async fn oversized_bodies_are_refused_announced_or_not() {
    let server = default_server().await;
    let announced =
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: 999999999\r\n\r\n";
    let response = talk(&server, announced).await;
    assert_eq!((status(&response), content(&response)), (413, "request body is larger than 100000 bytes"));

    let mut stream = connect(&server).await;
    let head =
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{head}{:x}\r\n{}\r\n", BODY_LIMIT + 1, "x".repeat(BODY_LIMIT + 1));
    stream.write_all(chunk.as_bytes()).await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 413);

    let exact = push("X-Scope-OrgID: a\r\n", &"x".repeat(BODY_LIMIT));
    assert_eq!(content(&talk(&server, &exact).await), format!("a {BODY_LIMIT}"));
}

#[tokio::test]
async fn running_requests_finish_before_the_stop() {
    let server = default_server().await;
    let mut waiting = connect(&server).await;
    waiting.write_all(get_request("/wait", "").as_bytes()).await.unwrap();
    let mut idle = connect(&server).await;
    while !metrics_text(&server).contains("cortex_inflight_requests{method=\"GET\",route=\"wait\"} 1") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let Server { address, stop, done, release, .. } = server;
    stop.send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "", "idle connections are closed");
    assert!(TcpStream::connect(address).await.is_err(), "nothing new is accepted");
    assert!(!done.is_finished());
    release.notify_one();
    assert_eq!(content(&rest(&mut waiting).await), "waited");
    assert_eq!(done.await.unwrap(), 0);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let options = Options { drain_timeout: Duration::from_millis(100), ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let mut stuck = connect(&server).await;
    stuck.write_all(get_request("/wait", "").as_bytes()).await.unwrap();
    while !metrics_text(&server).contains("route=\"wait\"} 1") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stop.send(()).unwrap();
    assert_eq!(server.done.await.unwrap(), 1);
    assert_eq!(rest(&mut stuck).await, "");
}

#[tokio::test]
async fn clients_that_do_not_read_are_cut() {
    let options = Options { write_timeout: Duration::from_millis(200), ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let mut deaf = connect(&server).await;
    deaf.write_all(get_request("/big", "X-Scope-OrgID: a\r\n").as_bytes()).await.unwrap();
    let begun = Instant::now();
    while !metrics_text(&server).contains("route=\"big\",status_code=\"200\"") {
        assert!(begun.elapsed() < Duration::from_secs(5), "the response is written for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(metrics_text(&server).contains("cortex_inflight_requests{method=\"GET\",route=\"big\"} 0"));
}

#[tokio::test]
async fn http2_streams_that_are_not_read_are_cut() {
    let options = Options { write_timeout: Duration::from_millis(200), ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1000)
        .handshake(TokioIo::new(connect(&server).await))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(format!("http://{}/big", server.address))
        .header("X-Scope-OrgID", "a")
        .body(Full::new(bytes::Bytes::new()))
        .unwrap();
    let unread = sender.send_request(request).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), connection).await;
    assert!(ended.is_ok(), "the connection is kept for ever");
    assert_eq!(unread.status(), 200);
}

#[tokio::test]
async fn slow_handlers_and_slow_readers_are_not_cut() {
    let options = Options { write_timeout: Duration::from_millis(100), ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let mut waiting = connect(&server).await;
    waiting.write_all(get_request("/wait", "").as_bytes()).await.unwrap();
    let mut slow = connect(&server).await;
    slow.write_all(get_request("/big", "X-Scope-OrgID: a\r\n").as_bytes()).await.unwrap();
    let (mut buf, mut total) = (vec![0; 4 << 20], 0);
    loop {
        match slow.read(&mut buf).await.unwrap() {
            0 => break,
            n => total += n,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(total > 64 << 20, "cut after {total} bytes");
    server.release.notify_one();
    assert_eq!(content(&rest(&mut waiting).await), "waited");
}

#[tokio::test]
async fn a_process_without_tenant_routes_serves_its_pages() {
    let registry = Registry::new();
    let options = RouterOptions {
        path_prefix: "/mimir/".to_owned(),
        authentication: Authentication::by_header(),
        body: body::Timeouts::default(),
    };
    let open = routes(Arc::new(Notify::new()), &registry).open;
    let router = assemble(Routes { open, ..Routes::default() }, options, &registry);
    let listener = Listener::bind("localhost", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Metrics::register(&registry, "http");
    let server = serve(listener, router, Options::default(), &metrics, std::future::pending());
    let client = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(get_request("/mimir/ready", "").as_bytes()).await.unwrap();
        rest(&mut stream).await
    };
    tokio::select! {
        _ = server => panic!("ended"),
        response = client => assert_eq!(content(&response), "ready\n"),
    }
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let options = Options { max_connections: 1, ..Options::default() };
    let server = start(options, body::Timeouts::default(), Authentication::by_header()).await;
    let mut first = connect(&server).await;
    first.write_all(get_request("/wait", "").as_bytes()).await.unwrap();
    let mut second = connect(&server).await;
    second.write_all(get_request("/ready", "").as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "served above the limit");
    server.release.notify_one();
    assert_eq!(content(&rest(&mut first).await), "waited");
    assert_eq!(content(&rest(&mut second).await), "ready\n");
}

#[tokio::test]
async fn http2_with_prior_knowledge_on_the_same_port() {
    let server = default_server().await;
    let stream = connect(&server).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for size in [0, 3, 90_000] {
        let request = hyper::Request::post(format!("http://{}/api/v1/push", server.address))
            .header("X-Scope-OrgID", "team-b")
            .body(Full::new(bytes::Bytes::from(vec![7; size])))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.version(), hyper::Version::HTTP_2);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("team-b {size}"));
    }
}

fn metrics_text(server: &Server) -> String {
    let mut text = String::new();
    server.registry.encode_text(&mut text).unwrap();
    text
}

#[tokio::test]
async fn requests_are_measured_and_panics_answered() {
    let server = default_server().await;
    let headers = "X-Scope-OrgID: a\r\nAccept-Encoding: gzip\r\n";
    let response = talk(&server, &get_request("/prometheus/api/v1/label/job/values", headers)).await;
    assert_eq!(status(&response), 200);
    assert!(response.to_ascii_lowercase().contains("content-encoding: gzip"), "{response}");
    assert!(response.len() < 1000, "not compressed");
    let plain =
        talk(&server, &get_request("/prometheus/api/v1/label/job/values", "X-Scope-OrgID: a\r\n")).await;
    assert_eq!(content(&plain).len(), 5000);
    assert_eq!(status(&talk(&server, &get_request("/boom", "X-Scope-OrgID: a\r\n")).await), 500);
    talk(&server, &get_request("/guessed/by/a/client", "")).await;
    talk(&server, "BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let response = talk(&server, &get_request("/metrics", "")).await;
    assert!(response.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{response}");
    for line in [
        "cortex_request_duration_seconds_count{method=\"GET\",route=\"prometheus_api_v1_label_name_values\",status_code=\"200\",ws=\"false\"} 2",
        "cortex_request_duration_seconds_count{method=\"GET\",route=\"boom\",status_code=\"500\",ws=\"false\"} 1",
        "cortex_request_duration_seconds_count{method=\"GET\",route=\"other\",status_code=\"404\",ws=\"false\"} 1",
        "cortex_request_duration_seconds_count{method=\"other\",route=\"root\",status_code=\"405\",ws=\"false\"} 1",
        "cortex_inflight_requests{method=\"GET\",route=\"metrics\"} 1",
        "cortex_tcp_connections_limit{protocol=\"http\"} 16384",
    ] {
        assert!(response.contains(line), "{line} is not in\n{response}");
    }
    let path = "/metrics?name%5B%5D=cortex_tcp_connections_limit&name[]=none";
    let response = talk(&server, &get_request(path, "")).await;
    let families: Vec<_> = content(&response).lines().filter(|l| l.starts_with("# TYPE")).collect();
    assert_eq!(families, ["# TYPE cortex_tcp_connections_limit gauge"]);
    let response =
        talk(&server, &get_request("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n"))
            .await;
    assert!(response.contains("application/openmetrics-text") && response.ends_with("# EOF\n"));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_failure_is_one_log_line_with_tenant_and_trace() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = logging::subscriber(Level::default(), Format::Logfmt, move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = default_server().await;
    let headers = "X-Scope-OrgID: team-a\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    assert_eq!(content(&talk(&server, &get_request("/full", headers)).await), "come again");
    talk(&server, &get_request("/nowhere", headers)).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    for part in [
        " level=warn caller=norn_http::observe:",
        " msg=\"request failed\" method=GET path=/full status=503 seconds=0.0",
        " cause=\"disk is full\\non /data\" trace_id=0af7651916cd43dd8448eb211c80319c user=team-a",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn pages_show_state_and_configuration() {
    let server = default_server().await;
    let body = |r: String| content(&r).to_owned();
    assert!(body(talk(&server, &get_request("/", "")).await).contains("a?b=&lt;c&gt;"));
    assert_eq!(body(talk(&server, &get_request("/config", "")).await), "mode: Effective\n");
    assert_eq!(body(talk(&server, &get_request("/config?mode=diff", "")).await), "mode: Diff\n");
    assert_eq!(status(&talk(&server, &get_request("/config?mode=x", "")).await), 400);
    let services = body(talk(&server, &get_request("/services", "Accept: application/json\r\n")).await);
    assert!(services.starts_with("{\"now\":\"2") && services.ends_with("\"services\":[]}"), "{services}");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_remedy() {
    let server = default_server().await;
    let error = Listener::bind("127.0.0.1", server.address.port()).await.unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()), "{error}");
    assert!(error.contains("-server.http-listen-port"), "{error}");
    assert!(Listener::bind("", 0).await.is_ok());
}
