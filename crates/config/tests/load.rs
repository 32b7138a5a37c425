//! Whole command lines and files: precedence, Mimir's own configurations, every error text.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use norn_config::options::{LogFormat, LogLevel};
use norn_config::render::Mode;
use norn_config::{Config, ConfigError, Loaded, Run};

fn load(args: &[&str]) -> Result<Loaded, ConfigError> {
    load_with(args, &[])
}

fn load_with(args: &[&str], env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    Config::load(args.iter().map(|a| a.to_string()), |name| {
        env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string())
    })
}

fn run(args: &[&str]) -> Run {
    match load(args).unwrap() {
        Loaded::Run(run) => *run,
        other => panic!("{other:?}"),
    }
}

fn error(args: &[&str]) -> String {
    load(args).unwrap_err().to_string()
}

/// A file that goes with the test, and the flag that names it.
struct File {
    _dir: tempfile::TempDir,
    path: String,
}

fn file(text: &str) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, text).unwrap();
    File { path: path.to_str().unwrap().to_owned(), _dir: dir }
}

impl File {
    fn flag(&self) -> String {
        format!("-config.file={}", self.path)
    }

    fn run(&self, more: &[&str]) -> Run {
        let flag = self.flag();
        let mut args = vec![flag.as_str()];
        args.extend(more);
        run(&args)
    }

    /// The error with the file's path shortened.
    fn error(&self) -> String {
        error(&[&self.flag()]).replace(&self.path, "c.yaml")
    }
}

#[test]
fn a_newcomer_gets_a_process_to_try() {
    let run = run(&[]);
    assert!(run.newcomer && run.ignored.is_empty());
    let config = run.config;
    assert!(!config.general.multitenancy_enabled && config.self_monitoring.enabled);
    assert_eq!(config.server.http_listen_address, "127.0.0.1");
    assert_eq!(config.server.http_listen_port, 8080);
    assert_eq!(config.general.data_dir, "./data");
}

#[test]
fn mimirs_defaults_hold_once_a_target_or_a_file_is_named() {
    let empty = file("");
    for run in [run(&["-target=all"]), empty.run(&[])] {
        assert!(!run.newcomer);
        assert_eq!(run.config, Config::default());
        assert!(run.config.general.multitenancy_enabled && !run.config.self_monitoring.enabled);
        assert_eq!(run.config.server.http_listen_address, "");
    }
    let run = run(&["-server.http-listen-port=9009"]);
    assert!(run.newcomer && !run.config.general.multitenancy_enabled);
    assert_eq!(run.config.server.http_listen_port, 9009);
}

#[test]
fn defaults_are_mimirs() {
    let config = Config::default();
    let limits = &config.limits;
    assert_eq!((limits.ingestion_rate, limits.ingestion_burst_size), (10_000.0, 200_000));
    assert_eq!((limits.max_label_names_per_series, limits.max_label_names_per_info_series), (30, 80));
    assert_eq!((limits.max_label_name_length, limits.max_label_value_length), (1024, 2048));
    assert_eq!(limits.creation_grace_period, Duration::from_secs(600));
    assert_eq!(limits.max_global_series_per_user, 150_000);
    assert_eq!(config.distributor.max_recv_msg_size, 104_857_600);
    assert_eq!(config.querier.timeout, Duration::from_secs(120));
    assert_eq!(config.querier.max_samples, 50_000_000);
    assert_eq!(config.frontend.max_body_size, 10_485_760);
    assert_eq!(config.api.prometheus_http_prefix, "/prometheus");
}

#[test]
fn flags_win_over_yaml_and_yaml_over_defaults() {
    let file = file("querier:\n  timeout: 30s\n  max_concurrent: 5\nlimits:\n  ingestion_rate: 1e6\n");
    let run = file.run(&["-querier.timeout", "40s", "--querier.timeout=50s"]);
    assert_eq!(run.config.querier.timeout, Duration::from_secs(50));
    assert_eq!(run.config.querier.max_concurrent, 5);
    assert_eq!(run.config.limits.ingestion_rate, 1e6);
    assert_eq!(run.config.querier.max_samples, 50_000_000);
}

#[test]
fn values_of_every_kind() {
    let file = file(
        "server: {log_level: warn, log_format: json, http_listen_port: 9_000}\n\
         multitenancy_enabled: off\n\
         no_auth_tenant: 007\n\
         target: [all, alertmanager]\n\
         limits:\n\
         querier:\n  timeout:\n\
         self_monitoring: {enabled: yes, interval: 1m30s}\n",
    );
    let config = file.run(&[]).config;
    assert_eq!((config.server.log_level, config.server.log_format), (LogLevel::Warn, LogFormat::Json));
    assert_eq!(config.server.http_listen_port, 9000);
    assert_eq!(config.general.no_auth_tenant, "007");
    assert_eq!(config.general.target, ["all", "alertmanager"]);
    assert_eq!(config.querier.timeout, Duration::from_secs(120));
    assert!(!config.general.multitenancy_enabled && config.self_monitoring.enabled);
    assert_eq!(config.self_monitoring.interval, Duration::from_secs(90));
    let config =
        run(&["-auth.multitenancy-enabled", "-self-monitoring.enabled=false", "-target", "all,ruler"]).config;
    assert!(config.general.multitenancy_enabled && !config.self_monitoring.enabled);
    assert_eq!(config.general.target, ["all", "ruler"]);
}

#[test]
fn variables_are_expanded_only_when_asked_for() {
    let file = file("no_auth_tenant: ${TENANT:someone}\ndata_dir: $DIR\n");
    let env = [("DIR", "/var/lib/norn")];
    let flag = file.flag();
    let config = |args: &[&str]| match load_with(args, &env).unwrap() {
        Loaded::Run(run) => run.config.general,
        other => panic!("{other:?}"),
    };
    for expand in ["-config.expand-env", "-config.expand-env=true"] {
        let general = config(&[&flag, expand]);
        assert_eq!(
            (general.no_auth_tenant.as_str(), general.data_dir.as_str()),
            ("someone", "/var/lib/norn")
        );
    }
    assert_eq!(config(&[&flag]).data_dir, "$DIR");
    assert_eq!(config(&[&flag, "-config.expand-env=false"]).data_dir, "$DIR");
}

const MIMIR: &str = r#"
target: all,alertmanager
multitenancy_enabled: false
ingest_storage:
  enabled: true
  kafka:
    address: kafka:9092
    topic: mimir
    sasl_username: u
    sasl_password: "${SECRET}"
common:
  storage:
    backend: s3
    s3: {endpoint: s3.example:443, bucket_name: mimir, access_key_id: "${KEY}", secret_access_key: "${SECRET}"}
blocks_storage:
  storage_prefix: blocks
  tsdb: {dir: /data/tsdb, ship_interval: 0}
  bucket_store:
    chunks_cache: {backend: memcached, memcached: {addresses: "dns+memcached:11211", max_item_size: 1048576}}
ruler_storage: {storage_prefix: ruler}
alertmanager_storage: {storage_prefix: alertmanager}
memberlist: {join_members: [gossip-ring:7946], abort_if_cluster_join_fails: false}
ingester:
  ring:
    instance_id: mimir-0
    kvstore: {store: memberlist}
    replication_factor: 1
distributor:
  ring: {instance_interface_names: [eth0, lo]}
  ha_tracker: {enable_ha_tracker: true, kvstore: {store: memberlist}}
server:
  http_listen_port: 8081
  grpc_listen_port: 9096
  grpc_server_max_recv_msg_size: 209715200
frontend: {parallelize_shardable_queries: true, results_cache: {backend: memcached}}
runtime_config: {file: /etc/mimir/runtime.yaml, period: 5s}
usage_stats: {enabled: false}
activity_tracker: {filepath: ""}
store_gateway:
limits:
  max_global_series_per_user: 3000000
  accept_ha_samples: true
  out_of_order_time_window: 30m
  compactor_blocks_retention_period: 1y
  metric_relabel_configs:
    - {source_labels: [a], regex: b, action: drop}
  active_series_custom_trackers: {prod: '{env="prod"}'}
"#;

#[test]
fn a_mimir_configuration_starts_unchanged() {
    let file = file(MIMIR);
    let run = file.run(&[
        "-config.expand-env",
        "-memberlist.join=gossip-ring:7946",
        "-ingester.ring.zone-awareness-enabled",
        "-ingester.ring.instance-availability-zone",
        "zone-a",
        "-mem-ballast-size-bytes=1073741824",
        "-querier.max-concurrent=8",
    ]);
    let config = &run.config;
    assert_eq!(config.general.target, ["all", "alertmanager"]);
    assert_eq!(config.server.http_listen_port, 8081);
    assert_eq!(config.limits.max_global_series_per_user, 3_000_000);
    assert_eq!(config.limits.out_of_order_time_window, Duration::from_secs(1800));
    assert_eq!(config.querier.max_concurrent, 8);
    for name in [
        "-ingester.ring.instance-availability-zone",
        "-ingester.ring.zone-awareness-enabled",
        "-mem-ballast-size-bytes",
        "-memberlist.join",
        "activity_tracker.filepath",
        "blocks_storage.bucket_store.chunks_cache.memcached.addresses",
        "blocks_storage.tsdb.ship_interval",
        "common.storage.s3.secret_access_key",
        "distributor.ha_tracker.kvstore.store",
        "ingest_storage.kafka.address",
        "ingester.ring.kvstore.store",
        "limits.accept_ha_samples",
        "limits.active_series_custom_trackers.prod",
        "limits.metric_relabel_configs",
        "memberlist.join_members",
        "runtime_config.file",
        "server.grpc_listen_port",
    ] {
        assert!(run.ignored.iter().any(|i| i == name), "{name} is not in {:?}", run.ignored);
    }
    assert!(!run.ignored.iter().any(|i| i.contains("max_global_series_per_user")));
    assert_eq!(run.config.tsdb.dir, "/data/tsdb");
    assert!(run.ignored.is_sorted());
}

#[test]
fn what_config_shows_can_be_loaded_again() {
    let mut args = vec!["-target=all", "-querier.timeout=1m30s"];
    args.extend([
        "-query-frontend.enabled-promql-experimental-functions=info,limitk",
        "-data-dir=a: \"b\" #c",
    ]);
    let run = run(&args);
    let again = file(&run.config.to_yaml(Mode::Effective)).run(&[]);
    assert_eq!(again.config, run.config);
    let diff = file(&run.config.to_yaml(Mode::Diff)).run(&[]);
    assert_eq!(diff.config, run.config);
    assert_eq!(file(&run.config.to_yaml(Mode::Defaults)).run(&[]).config, Config::default());
}

#[test]
fn questions_are_answered_instead_of_running() {
    for flag in ["-help", "-h", "--help"] {
        assert!(matches!(load(&[flag]), Ok(Loaded::Help(t)) if t.starts_with("Usage of norn:")), "{flag}");
    }
    let Ok(Loaded::Help(all)) = load(&["-help-all"]) else { panic!("no help") };
    assert!(all.contains("-embedded-log.partitions int"));
    assert_eq!(load(&["-version"]), Ok(Loaded::Version));
    assert!(matches!(load(&["-modules"]), Ok(Loaded::Modules(t)) if t.contains("ingester *")));
    assert!(matches!(load(&["-help=false"]), Ok(Loaded::Run(_))));
}

#[test]
fn errors_of_the_command_line() {
    for (args, want) in [
        (
            &["-querier.timeuot=5s"][..],
            "unknown flag -querier.timeuot; did you mean -querier.timeout?; -help-all lists every flag",
        ),
        (
            &["-querier.max_samples=5"],
            "unknown flag -querier.max_samples; did you mean -querier.max-samples?; -help-all lists every flag",
        ),
        (
            &["-limits.ingestion_rate=5"],
            "unknown flag -limits.ingestion_rate; did you mean -distributor.ingestion-rate-limit?; -help-all lists every flag",
        ),
        (
            &["-memberlist.jion=x"],
            "unknown flag -memberlist.jion; did you mean -memberlist.join?; -help-all lists every flag",
        ),
        (&["-quite.another-thing"], "unknown flag -quite.another-thing; -help-all lists every flag"),
        (&["-querier.timeout"], "flag -querier.timeout needs a value: -querier.timeout=<value>"),
        (
            &["-auth.multitenancy-enabled", "false"],
            "argument \"false\" is not a flag; flags start with -, and a boolean is set with -flag=true or -flag=false",
        ),
        (
            &["-querier.timeout=5"],
            "invalid value \"5\" for flag -querier.timeout (YAML querier.timeout): missing unit in duration; use a duration like 30s, 5m or 1h30m",
        ),
        (
            &["-server.http-listen-port=99999"],
            "invalid value \"99999\" for flag -server.http-listen-port (YAML server.http_listen_port): not a whole number from 0 to 65535",
        ),
        (
            &["-log.level=trace"],
            "invalid value \"trace\" for flag -log.level (YAML server.log_level): not one of debug info warn error",
        ),
        (&["-help=maybe"], "invalid value \"maybe\" for flag -help: not a boolean; use true or false"),
        (
            &["-target=write"],
            "invalid configuration: unknown target \"write\" in -target (YAML target); use all, distributor,",
        ),
        (
            &["-target="],
            "invalid configuration: -target (YAML target) names nothing to run; the default is all",
        ),
        (
            &["-querier.timeout=3m"],
            "invalid configuration: -querier.timeout (3m) is longer than -server.http-write-timeout (2m): answers would be cut off; raise the latter or lower the former",
        ),
        (
            &["-http.prometheus-http-prefix=prom"],
            "invalid configuration: -http.prometheus-http-prefix is \"prom\"; it must start with / and hold no {, } or *",
        ),
        (
            &["-config.file=/nowhere/c.yaml"],
            "can not read the configuration file /nowhere/c.yaml (-config.file): No such file",
        ),
    ] {
        let got = error(args);
        assert!(got.starts_with(want), "{args:?}\n got: {got}\nwant: {want}");
        assert!(!got.contains('\n'));
    }
}

#[test]
fn errors_of_the_file() {
    for (text, want) in [
        ("a: 1\nquerier:\n  timeout: 1m\n", "c.yaml:1: unknown key a"),
        ("querier:\n  timeuot: 1m\n", "c.yaml:2: unknown key querier.timeuot; did you mean querier.timeout?"),
        (
            "server:\n  ingestion_rate: 5\n",
            "c.yaml:2: unknown key server.ingestion_rate; did you mean limits.ingestion_rate?",
        ),
        (
            "auth.multitenancy-enabled: true\n",
            "c.yaml:1: unknown key auth.multitenancy-enabled; did you mean multitenancy_enabled?",
        ),
        (
            "memberlits:\n  join_members: [x]\n",
            "c.yaml:2: unknown key memberlits.join_members; did you mean memberlist.join_members?",
        ),
        ("ingester: 5\n", "c.yaml:1: unknown key ingester"),
        ("target: {all: true}\n", "c.yaml:1: unknown key target.all"),
        (
            "querier:\n  timeout: 5\n",
            "invalid value \"5\" for querier.timeout (flag -querier.timeout) at c.yaml:2: missing unit in duration; use a duration like 30s, 5m or 1h30m",
        ),
        (
            "target: [[all]]\n",
            "invalid value \"[…]\" for target (flag -target) at c.yaml:1: a comma-separated list is wanted",
        ),
        (
            "- a\n",
            "can not parse the configuration file c.yaml (-config.file): the file is not a mapping of keys to values",
        ),
        ("a: [\n", "can not parse the configuration file c.yaml (-config.file): "),
        ("a: 1\n---\nb: 2\n", "can not parse the configuration file c.yaml (-config.file): "),
    ] {
        let got = file(text).error();
        assert!(got.starts_with(want), "{text:?}\n got: {got}\nwant: {want}");
        assert!(!got.contains('\n'), "{got}");
    }
}

#[test]
fn block_ranges_are_one_of_whole_seconds() {
    let hour = std::time::Duration::from_secs(3600);
    assert_eq!(run(&[]).config.tsdb.block_ranges_period, [2 * hour]);
    let flag = |value: &str| format!("-blocks-storage.tsdb.block-ranges-period={value}");
    assert_eq!(run(&[&flag("1h")]).config.tsdb.block_ranges_period, [hour]);
    let list = file("blocks_storage: {tsdb: {block_ranges_period: [1h30m]}}").run(&[]);
    assert_eq!(list.config.tsdb.block_ranges_period, [hour * 3 / 2]);
    for wrong in ["", "2h,24h", "30s", "25h", "2h1ms"] {
        let error = error(&[&flag(wrong)]);
        assert!(error.contains("-blocks-storage.tsdb.block-ranges-period"), "{wrong}: {error}");
    }
}
