//! The accept loop: HTTP/1.1 and h2c on one port, with limits, deadlines and a graceful drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Version;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use norn_kit::metrics::Registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::Service;

use crate::deadline::{Activity, Deadlines, InFlight, Stream};

/// Connections at once unless [`Options::max_connections`] says otherwise.
pub const DEFAULT_MAX_CONNECTIONS: usize = 16_384;
const BACKLOG: u32 = 4096;
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 8 << 20;
const H2_FRAME: u32 = 256 << 10;
const H2_STREAMS: u32 = 250;
const H2_PIECE: usize = 64 << 10;
const H2_PING: Duration = Duration::from_secs(60);
const HEAD_BYTES: usize = 400 << 10;
const H2_HEADER_LIST: u32 = 64 << 10;

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections at once; more wait in the kernel's backlog. 0 = [`DEFAULT_MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// From the first byte of a request to the end of its headers.
    pub head_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a peer may take nothing of a response that is ready.
    pub write_timeout: Duration,
    /// How long running requests may go on after the stop.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 0,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// A port that can not be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "can not listen on {address}: {cause}; choose another with -server.http-listen-address and \
     -server.http-listen-port"
)]
pub struct BindError {
    /// What was asked for.
    pub address: String,
    /// Why not.
    pub cause: io::Error,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on `host:port`. An empty host means every address of the machine; port 0 lets the
    /// system choose.
    ///
    /// # Errors
    ///
    /// When the host has no address or the port is taken or not allowed.
    pub async fn bind(host: &str, port: u16) -> Result<Self, BindError> {
        let fail = |cause| BindError { address: format!("{host}:{port}"), cause };
        if host.is_empty() {
            let any_v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
            let any_v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
            // IPv6 takes IPv4 along; machines without it have IPv4 alone.
            return match listen(any_v6) {
                Err(e) if e.kind() != io::ErrorKind::AddrInUse => listen(any_v4).map_err(fail),
                other => other.map_err(fail),
            };
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in tokio::net::lookup_host((host, port)).await.map_err(fail)? {
            match listen(address) {
                Ok(listener) => return Ok(listener),
                Err(e) => last = e,
            }
        }
        Err(fail(last))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Listener)
}

/// Figures of the connections to a port.
#[derive(Clone, Debug)]
pub struct Metrics {
    open: Gauge,
    limit: Gauge,
}

impl Metrics {
    /// Registers the figures of a port that speaks `protocol`, `http` or `grpc`.
    pub fn register(registry: &Registry, protocol: &'static str) -> Self {
        let family = || Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        let labels = vec![("protocol", protocol)];
        let open = registry.register("cortex_tcp_connections", "TCP connections that are open", family());
        let limit = registry.register("cortex_tcp_connections_limit", "TCP connections at once", family());
        Self { open: open.get_or_create_owned(&labels), limit: limit.get_or_create_owned(&labels) }
    }
}

/// Serves `router` until `stop` resolves, then lets running requests finish within
/// [`Options::drain_timeout`]. Gives back the number of connections that were cut off.
pub async fn serve(
    listener: Listener,
    router: Router,
    options: Options,
    metrics: &Metrics,
    stop: impl Future<Output = ()>,
) -> usize {
    let limit = if options.max_connections == 0 { DEFAULT_MAX_CONNECTIONS } else { options.max_connections };
    metrics.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
    let builder = builder(&options);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let (socket, permit) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener.0, &permits) => accepted,
        };
        let activity = Activity::default();
        let connection = builder
            .serve_connection(
                TokioIo::new(Stream::new(socket, deadlines(&options), activity.clone())),
                service_fn(handler(router.clone(), activity.clone())),
            )
            .into_owned();
        let connection = graceful.watch(connection);
        let open = Open::new(&metrics.open);
        connections.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(e) = ended {
                    tracing::debug!(error = &*e, "connection ended");
                },
                () = activity.stalled(options.write_timeout) => {
                    tracing::debug!("peer does not take its responses, connection is cut");
                }
            }
            drop((permit, open));
        });
    }
    drop(listener);
    drain(graceful, connections, options.drain_timeout).await
}

/// A connection in the gauge.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a permit in the end.
    let permit = permits.clone().acquire_owned().await.ok();
    let mut pause = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                if let Err(e) = socket.set_nodelay(true) {
                    tracing::debug!(error = &e as &dyn std::error::Error, "can not set TCP_NODELAY");
                }
                return (socket, permit);
            }
            Err(e) if is_about_one_connection(&e) => {}
            Err(e) => {
                // Out of descriptors or memory: trying again at once would only burn CPU.
                tracing::warn!(error = &e as &dyn std::error::Error, "can not accept connections");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_about_one_connection(e: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(e.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, time: Duration) -> usize {
    let done = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(time, done).await.is_ok() {
        return 0;
    }
    while connections.try_join_next().is_some() {}
    let cut = connections.len();
    if cut > 0 {
        tracing::warn!(connections = cut, "requests did not end in time, connections are cut");
    }
    connections.shutdown().await;
    cut
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Counts from the end of the previous request; the stream's own deadline is the tight one.
        .header_read_timeout(options.idle_timeout.max(options.head_timeout))
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_frame_size(H2_FRAME)
        .max_header_list_size(H2_HEADER_LIST)
        .max_concurrent_streams(H2_STREAMS)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(options.head_timeout);
    builder
}

fn deadlines(options: &Options) -> Deadlines {
    Deadlines { head: options.head_timeout, idle: options.idle_timeout }
}

type Answer = Result<hyper::Response<Held>, Infallible>;

fn handler(
    router: Router,
    activity: Activity,
) -> impl Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Clone {
    move |request| {
        let mut flight = activity.begin();
        let in_pieces = request.version() == Version::HTTP_2;
        let response = router.clone().call(request.map(Body::new));
        Box::pin(async move {
            let response = response.await?;
            flight.owe(true);
            Ok(response.map(|body| Held { body, rest: Bytes::new(), in_pieces, flight }))
        })
    }
}

/// A response body; its request counts as running until it is written.
struct Held {
    body: Body,
    /// What is left of a frame that is handed out in pieces.
    rest: Bytes,
    /// HTTP/2 would take a frame of any size into its own buffer and call it sent.
    in_pieces: bool,
    flight: InFlight,
}

impl Held {
    fn piece(&mut self) -> Bytes {
        let len = self.rest.len().min(H2_PIECE);
        self.rest.split_to(len)
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.flight.taken();
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.flight.owe(polled.is_ready());
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        let frame = match frame.into_data() {
            Ok(data) if self.in_pieces => {
                self.rest = data;
                Frame::data(self.piece())
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest).min(hint.upper().unwrap_or(u64::MAX)));
        hint
    }
}
