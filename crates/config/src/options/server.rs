//! Options of the HTTP port and of the log.

use std::time::Duration;

use crate::value::choices;

choices! {
    /// Which events are logged.
    pub enum LogLevel {
        /// Everything.
        Debug = "debug",
        /// What is worth knowing.
        Info = "info",
        /// What is not as it should be.
        Warn = "warn",
        /// What failed.
        Error = "error",
    }
}

choices! {
    /// How log lines look.
    pub enum LogFormat {
        /// `key=value` pairs.
        Logfmt = "logfmt",
        /// One JSON object a line.
        Json = "json",
    }
}

crate::table::options! {
    /// The HTTP port and the log.
    pub struct Server {
        /// Address the HTTP port listens on; empty for all addresses. 127.0.0.1 by default when neither -config.file nor -target is given.
        [Basic] http_listen_address: String = String::new(), "server.http_listen_address", "server.http-listen-address";
        /// The HTTP port.
        [Basic] http_listen_port: u16 = 8080, "server.http_listen_port", "server.http-listen-port";
        /// HTTP connections at once; 0 for 16384.
        [Advanced] http_listen_conn_limit: usize = 0, "server.http_listen_conn_limit", "server.http-conn-limit";
        /// How long running requests may go on after the signal to stop.
        [Advanced] graceful_shutdown_timeout: Duration = Duration::from_secs(30), "server.graceful_shutdown_timeout", "server.graceful-shutdown-timeout";
        /// How long a request's body may take to arrive.
        [Advanced] http_server_read_timeout: Duration = Duration::from_secs(30), "server.http_server_read_timeout", "server.http-read-timeout";
        /// How long a client may take nothing of its answer.
        [Advanced] http_server_write_timeout: Duration = Duration::from_secs(120), "server.http_server_write_timeout", "server.http-write-timeout";
        /// How long a connection without a request is kept.
        [Advanced] http_server_idle_timeout: Duration = Duration::from_secs(120), "server.http_server_idle_timeout", "server.http-idle-timeout";
        /// Path put before every route.
        [Advanced] http_path_prefix: String = String::new(), "server.http_path_prefix", "server.path-prefix";
        /// Form of log lines: logfmt or json.
        [Advanced] log_format: LogFormat = LogFormat::Logfmt, "server.log_format", "log.format";
        /// Least severe events that are logged: debug, info, warn or error.
        [Basic] log_level: LogLevel = LogLevel::Info, "server.log_level", "log.level";
    }
}
