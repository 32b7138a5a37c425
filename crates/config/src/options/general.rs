//! Options of the process as a whole.

use std::time::Duration;

crate::table::options! {
    /// What concerns the process as a whole.
    pub struct General {
        /// What this process runs; several names are separated by commas. See -modules.
        [Basic] target: Vec<String> = vec!["all".to_owned()], "target", "target";
        /// Requests name their tenant in the header X-Scope-OrgID. When off, every request belongs to one tenant.
        [Basic] multitenancy_enabled: bool = true, "multitenancy_enabled", "auth.multitenancy-enabled";
        /// The tenant of every request when multitenancy is off.
        [Advanced] no_auth_tenant: String = "anonymous".to_owned(), "no_auth_tenant", "auth.no-auth-tenant";
        /// Directory for everything that is kept on local disk.
        [Basic] data_dir: String = "./data".to_owned(), "data_dir", "data-dir";
    }
}

crate::table::options! {
    /// Prefixes of the APIs.
    pub struct Api {
        /// Path that the Prometheus API is served under.
        [Advanced] prometheus_http_prefix: String = "/prometheus".to_owned(), "api.prometheus_http_prefix", "http.prometheus-http-prefix";
    }
}

crate::table::options! {
    /// Norn watching itself.
    pub struct SelfMonitoring {
        /// Store this process' own metrics like those of any other job. On by default when neither -config.file nor -target is given.
        [Basic] enabled: bool = false, "self_monitoring.enabled", "self-monitoring.enabled";
        /// Time between two readings of its own metrics.
        [Advanced] interval: Duration = Duration::from_secs(15), "self_monitoring.interval", "self-monitoring.interval";
    }
}
