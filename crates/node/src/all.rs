//! `-target=all`: every role in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use norn_config::options::Config;
use norn_config::{Run, render};
use norn_contract::clock::SystemClock;
use norn_contract::log::IngestLog;
use norn_contract::rng::SystemRng;
use norn_distributor::{Distributor, InstanceLimits, RoleLimits};
use norn_http::axum::Router;
use norn_http::axum::extract::{Request, State};
use norn_http::axum::http::{HeaderMap, StatusCode};
use norn_http::axum::middleware::{Next, from_fn_with_state};
use norn_http::axum::response::{IntoResponse, Response};
use norn_http::pages::{ConfigMode, Pages, Readiness};
use norn_http::tenant::Authentication;
use norn_http::{Listener, Routes, body, pages, router, server};
use norn_ingester::Ingester;
use norn_kit::metrics::{Build, Registry};
use norn_kit::pool::Pool;
use norn_kit::service::{Context, Manager, States};
use norn_kit::stage::StageCpu;
use norn_limits::TenantLimits;
use norn_log::EmbeddedLog;
use norn_log::disk::Disk;
use norn_promql::Engine;
use norn_querier::Gate;
use tokio::sync::mpsc;

use crate::self_monitor::SelfMonitor;
use crate::{Error, REVISION, VERSION, banner, figures};

/// Time for services to stop beyond what running requests may take.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Open files that connections leave to the log and the rest of the process.
const OWN_FILES: usize = 256;

/// This build, for those who ask.
const BUILD: Build = Build { version: VERSION, revision: REVISION, branch: "main" };

/// What the roles share.
struct Process {
    registry: Registry,
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
    distributor: Distributor,
    engine: Engine,
    limits: TenantLimits,
    gate: Gate,
    query_pool: Pool,
    authentication: Authentication,
    /// The first reason why the process must end.
    fatal: mpsc::UnboundedReceiver<String>,
}

/// Runs every role until a signal or a failure.
pub async fn run(run: &Run) -> Result<(), Error> {
    let config = &run.config;
    let Process {
        registry,
        log,
        ingester,
        distributor,
        engine,
        limits,
        gate,
        query_pool,
        authentication,
        fatal,
    } = open(config)?;
    let listener = Listener::bind(&config.server.http_listen_address, config.server.http_listen_port).await?;
    let address = listener.local_addr()?;

    let mut services = Manager::new();
    let stopper = (log.clone(), ingester.clone());
    services.add("ingester", move |context| ingest(context, stopper.0, stopper.1, fatal));
    let states = Arc::new(std::sync::OnceLock::<States>::new());
    let door = Door {
        config,
        registry: &registry,
        ingester: &ingester,
        distributor: &distributor,
        engine,
        limits,
        gate,
        query_pool,
        authentication,
    };
    let (make_router, options) = (door.router(), server_options(config));
    let metrics = server::Metrics::register(&registry, "http");
    let shown = states.clone();
    services.add("http", move |context| async move {
        let router = make_router(shown.get().cloned().unwrap_or_default());
        context.running();
        let cut_off = norn_http::serve(listener, router, options, &metrics, context.stopped()).await;
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "connections were cut off at the end of the drain");
        }
        Ok(())
    });
    if config.self_monitoring.enabled {
        let monitor = SelfMonitor {
            appender: distributor,
            clock: SystemClock,
            registry,
            tenant: Authentication::fixed(&config.general.no_auth_tenant)?.tenant(&HeaderMap::new())?,
            instance: address.to_string(),
            interval: config.self_monitoring.interval,
        };
        services.add("self-monitoring", move |context: Context| async move {
            context.running();
            monitor.run(context.stopped()).await;
            Ok(())
        });
    }
    // Every service was added: the list is complete before any of them runs.
    let _ = states.set(services.states());
    tokio::spawn(greet(run.newcomer, config.clone(), address, ingester));
    services.run(signal(), config.server.graceful_shutdown_timeout + STOP_GRACE).await?;
    tracing::info!("stopped");
    Ok(())
}

fn open(config: &Config) -> Result<Process, Error> {
    let registry = Registry::for_process(BUILD);
    let (fatal_sender, fatal) = mpsc::unbounded_channel();
    let log_options = log_options(config, fatal_sender.clone());
    let log = EmbeddedLog::open(log_options.clone(), Arc::new(Disk))
        .map_err(|e| format!("{e} (-data-dir, YAML data_dir, is {:?})", config.general.data_dir))?;
    let shared_log: Arc<dyn IngestLog> = log.clone();
    let on_fatal: norn_ingester::OnFatal = Arc::new(move |why| {
        // Nobody listens once the process is ending already.
        let _ = fatal_sender.send(why);
    });
    // Apart, and one yields to the other, so that heavy queries never hold up writes.
    let (write_pool, query_pool) = (Pool::new("write", 0)?, Pool::yielding("query", 0)?);
    let limits = TenantLimits::new(config.limits.clone());
    let parts = norn_ingester::Parts {
        options: ingester_options(config),
        log: Arc::clone(&shared_log),
        fs: Arc::new(Disk),
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        pool: query_pool.clone(),
        limits: limits.clone(),
    };
    let ingester = Ingester::start(parts, &on_fatal)?;
    figures::register(&registry, &log, &ingester);
    let parts = norn_distributor::Parts {
        limits: limits.clone(),
        log: shared_log,
        applied: Some(ingester.clone()),
        clock: Arc::new(SystemClock),
        pool: write_pool,
        stages: StageCpu::register(&registry),
        max_recv_msg_size: config.distributor.max_recv_msg_size,
        max_record_bytes: log_options.max_record_bytes,
        instance: instance_limits(config),
        holdings: Some(ingester.clone()),
    };
    let distributor = Distributor::new(parts, &registry);
    let engine = Engine::new(engine_options(config), query_pool.shared());
    let data_dir = Path::new(&config.general.data_dir);
    // What ran when the last process ended was logged.
    let (gate, _) = Gate::with_file(config.querier.max_concurrent, &Disk, data_dir)?;
    let authentication = match config.general.multitenancy_enabled {
        true => Authentication::by_header(),
        false => Authentication::fixed(&config.general.no_auth_tenant)?,
    };
    Ok(Process {
        registry,
        log,
        ingester,
        distributor,
        engine,
        limits,
        gate,
        query_pool,
        authentication,
        fatal,
    })
}

fn log_options(config: &Config, fatal: mpsc::UnboundedSender<String>) -> norn_log::options::Options {
    let c = &config.embedded_log;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let mut options = norn_log::options::Options::new(Path::new(&config.general.data_dir).join("log"));
    options.partitions = if c.partitions == 0 { cores } else { c.partitions };
    options.segment_bytes = c.segment_size_bytes;
    let largest = norn_log::options::Options::largest_record(c.segment_size_bytes);
    options.max_record_bytes = c.max_record_size_bytes.min(largest);
    options.max_queued_bytes = c.max_queued_bytes;
    options.memory_bytes = c.memory_bytes;
    options.spare_segments = c.spare_segments;
    options.retention =
        norn_log::options::Retention { period: c.retention_period, bytes: c.retention_size_bytes };
    options.on_fatal = Some(Arc::new(move |e| {
        // Nobody listens once the process is ending already.
        let _ = fatal.send(format!("the ingest log failed: {e}"));
    }));
    options
}

fn ingester_options(config: &Config) -> norn_ingester::Options {
    let data_dir = Path::new(&config.general.data_dir);
    let (c, tsdb) = (&config.ingester, &config.tsdb);
    let counts = c.active_series_metrics_enabled;
    let defaults = norn_ingester::Options::new(data_dir);
    norn_ingester::Options {
        // An absolute path takes the place of the data directory.
        blocks_dir: data_dir.join(&tsdb.dir),
        block_range: tsdb.block_ranges_period.first().copied().unwrap_or(defaults.block_range),
        look_every: tsdb.head_compaction_interval,
        idle_timeout: tsdb.head_compaction_idle_timeout,
        active_series_every: if counts { c.active_series_metrics_update_period } else { Duration::ZERO },
        active_series_idle: c.active_series_metrics_idle_timeout,
        ..defaults
    }
}

fn instance_limits(config: &Config) -> InstanceLimits {
    let (distributor, ingester) = (&config.distributor, &config.ingester_instance);
    InstanceLimits {
        distributor: RoleLimits {
            max_ingestion_rate: distributor.max_ingestion_rate,
            max_inflight: distributor.max_inflight_push_requests,
            max_inflight_bytes: distributor.max_inflight_push_requests_bytes,
        },
        ingester: RoleLimits {
            max_ingestion_rate: ingester.max_ingestion_rate,
            max_inflight: ingester.max_inflight_push_requests,
            max_inflight_bytes: ingester.max_inflight_push_requests_bytes,
        },
        max_tenants: ingester.max_tenants,
        max_series: ingester.max_series,
    }
}

fn engine_options(config: &Config) -> norn_promql::Options {
    let c = &config.querier;
    norn_promql::Options {
        lookback: c.lookback_delta.as_millis() as i64,
        max_samples: c.max_samples,
        timeout: c.timeout,
        default_subquery_step: c.default_evaluation_interval.as_millis() as i64,
        ..norn_promql::Options::default()
    }
}

fn server_options(config: &Config) -> server::Options {
    let c = &config.server;
    server::Options {
        max_connections: max_connections(c.http_listen_conn_limit, norn_kit::descriptors::raise()),
        idle_timeout: c.http_server_idle_timeout,
        write_timeout: c.http_server_write_timeout,
        drain_timeout: c.graceful_shutdown_timeout,
        ..server::Options::default()
    }
}

/// Connections at once: what is configured, but never so many that no file could be opened.
fn max_connections(configured: usize, open_files: u64) -> usize {
    let wanted = if configured == 0 { server::DEFAULT_MAX_CONNECTIONS } else { configured };
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let possible = open_files.saturating_sub(OWN_FILES).max(open_files / 2).max(1);
    if wanted > possible {
        tracing::warn!(
            connections = possible,
            wanted,
            open_files,
            "fewer connections than configured, because the system allows this process too few open files"
        );
    }
    wanted.min(possible)
}

/// The log and the heads, as one service: it fails when one of them can not go on, and stops in
/// the order that loses nothing: what waits becomes durable, then the heads end.
async fn ingest(
    context: Context,
    log: Arc<EmbeddedLog>,
    ingester: Arc<Ingester>,
    mut fatal: mpsc::UnboundedReceiver<String>,
) -> Result<(), Error> {
    context.running();
    tokio::select! {
        () = context.stopped() => {}
        Some(why) = fatal.recv() => return Err(why.into()),
    }
    tokio::task::spawn_blocking(move || {
        log.close();
        // No request waits any more; what is left of a replay is left for the next start.
        ingester.stop();
    })
    .await?;
    Ok(())
}

struct Door<'a> {
    config: &'a Config,
    registry: &'a Registry,
    ingester: &'a Arc<Ingester>,
    distributor: &'a Distributor,
    engine: Engine,
    limits: TenantLimits,
    gate: Gate,
    query_pool: Pool,
    authentication: Authentication,
}

impl Door<'_> {
    /// Everything that answers on the port; the list of services is known last.
    fn router(self) -> impl FnOnce(States) -> Router + Send + use<> {
        let ingester = self.ingester.clone();
        let readiness: Readiness = Arc::new(move || match ingester.is_caught_up() {
            true => Ok(()),
            false => Err(ingester.describe_progress()),
        });
        let gate = from_fn_with_state(readiness.clone(), require_ready);
        let query = norn_querier::routes(norn_querier::Options {
            sources: self.ingester.clone(),
            counts: self.ingester.clone(),
            engine: self.engine,
            clock: Arc::new(SystemClock),
            metrics: norn_querier::Metrics::register(self.registry),
            limits: self.limits,
            gate: self.gate,
            pool: self.query_pool,
        });
        let status = norn_querier::status_routes(BUILD);
        let prefix = &self.config.api.prometheus_http_prefix;
        let routes = Routes {
            write: norn_distributor::api::complete(
                norn_distributor::api::routes(self.distributor.clone()).layer(gate.clone()),
            ),
            read: also_below(prefix, query).layer(gate),
            open: also_below(prefix, status).merge(norn_ingester::api::routes(self.ingester.clone())),
        };
        let options = router::Options {
            path_prefix: self.config.server.http_path_prefix.clone(),
            authentication: self.authentication,
            body: body::Timeouts { total: self.config.server.http_server_read_timeout, ..Default::default() },
        };
        let (config, registry) = (self.config.clone(), self.registry.clone());
        move |services| {
            let pages = Pages {
                services,
                readiness,
                config: Arc::new(move |mode| config.to_yaml(config_mode(mode))),
                registry: registry.clone(),
                links: vec![
                    ("/api/v1/status/buildinfo", "Build of this process"),
                    ("/ingester/flush", "Turn everything in memory into blocks"),
                ],
            };
            let routes = Routes { open: routes.open.merge(pages::router(pages)), ..routes };
            norn_http::assemble(routes, options, &registry)
        }
    }
}

/// Routes at the root and below `prefix`.
fn also_below(prefix: &str, routes: Router) -> Router {
    match prefix.trim_end_matches('/') {
        "" => routes,
        prefix => Router::new().nest(prefix, routes.clone()).merge(routes),
    }
}

fn config_mode(mode: ConfigMode) -> render::Mode {
    match mode {
        ConfigMode::Effective => render::Mode::Effective,
        ConfigMode::Diff => render::Mode::Diff,
        ConfigMode::Defaults => render::Mode::Defaults,
    }
}

/// Until the log is replayed answers would have gaps, so there are none.
async fn require_ready(State(readiness): State<Readiness>, request: Request, next: Next) -> Response {
    match readiness() {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready yet: {why}\n")).into_response(),
    }
}

/// Says where everything is once it is.
async fn greet(newcomer: bool, config: Config, address: SocketAddr, ingester: Arc<Ingester>) {
    while !ingester.is_caught_up() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tracing::info!(%address, version = VERSION, "ready");
    if newcomer {
        let prefix = &config.api.prometheus_http_prefix;
        let data_dir = Path::new(&config.general.data_dir);
        // Not a log line: this is for the person at the terminal.
        println!("{}", banner::text(address, prefix, data_dir, config.self_monitoring.enabled));
    }
}

/// Resolves with SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals can not be received; stop this process with SIGKILL");
        return std::future::pending().await;
    };
    let name = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "stopping");
}
