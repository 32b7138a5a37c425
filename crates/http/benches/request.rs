//! What a request costs besides its handler: the same push through a bare router and through the
//! assembled one, in process, and over a socket with keep-alive. CPU time of this process.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::routing::post;
use bytes::Bytes;
use norn_http::router::Options;
use norn_http::server::{self, Metrics};
use norn_http::tenant::Authentication;
use norn_http::{Listener, Routes, assemble, axum, body, serve};
use norn_kit::cpu_time;
use norn_kit::metrics::Registry;
use norn_model::tenant::Tenant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Service;

const SIZE: usize = 80_000;
const PATH: &str = "/api/v1/push";

async fn with_tenant(Extension(_tenant): Extension<Tenant>, body: Body) -> String {
    body::read(body, 1 << 20).await.unwrap().len().to_string()
}

async fn bare(body: Body) -> String {
    body::read(body, 1 << 20).await.unwrap().len().to_string()
}

fn assembled(registry: &Registry) -> Router {
    let options = Options {
        path_prefix: String::new(),
        authentication: Authentication::by_header(),
        body: body::Timeouts::default(),
    };
    let write = Router::new().route(PATH, post(with_tenant));
    assemble(Routes { write, ..Routes::default() }, options, registry)
}

async fn in_process(name: &str, router: Router) -> Duration {
    let body = Bytes::from(vec![7; SIZE]);
    let count = 50_000;
    let start = cpu_time::process();
    for _ in 0..count {
        let request =
            Request::post(PATH).header("X-Scope-OrgID", "team-a").body(Body::from(body.clone())).unwrap();
        let response = router.clone().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    }
    let each = (cpu_time::process() - start) / count;
    println!("{name}: {each:?} of CPU a request");
    each
}

async fn over_a_socket(registry: &Registry, router: Router) {
    let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Metrics::register(registry, "http");
    tokio::spawn(async move {
        serve(listener, router, server::Options::default(), &metrics, std::future::pending()).await
    });
    let mut request =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: {SIZE}\r\n\r\n")
            .into_bytes();
    request.resize(request.len() + SIZE, 7);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (count, mut answer) = (20_000, [0; 4096]);
    let start = cpu_time::process();
    for _ in 0..count {
        stream.write_all(&request).await.unwrap();
        let n = stream.read(&mut answer).await.unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
    }
    let each = (cpu_time::process() - start) / count;
    println!("socket, client included: {each:?} of CPU a request of {SIZE} bytes");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let registry = Registry::new();
    let router = assembled(&registry);
    for _ in 0..3 {
        let plain = in_process("bare router", Router::new().route(PATH, post(bare))).await;
        let layered = in_process("assembled router", router.clone()).await;
        println!("layers: {:?}", layered.saturating_sub(plain));
    }
    over_a_socket(&registry, router).await;
}
