//! From configuration to a running process.
//!
//! ```text
//! Config ─► Parts of the process (log, heads, door) ─► services in order ─► signal ─► reverse order
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`all`] | `-target=all`: every role in this process |
//! | [`figures`] | what the log and the heads count, as metrics |
//! | [`self_monitor`] | Norn scrapes itself |
//! | [`banner`] | what a newcomer is told |
//!
//! Promises: a role finds everything it needs running; what fails is named. Refuses: decisions
//! that belong to a role.

mod all;
mod banner;
mod figures;
mod self_monitor;

use norn_config::Run;
use norn_kit::logging;

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of this build, where the build was told.
pub const REVISION: &str = match option_env!("NORN_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// An error for people: one line that says what to do.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs until a signal or a failure.
///
/// # Errors
///
/// What could not be started, or the first service that failed.
pub fn run(run: &Run) -> Result<(), Error> {
    let server = &run.config.server;
    logging::init(server.log_level.as_str().parse()?, server.log_format.as_str().parse()?)?;
    if !run.ignored.is_empty() {
        tracing::info!(options = run.ignored.join(","), "options of Mimir that Norn ignores");
    }
    refuse_unknown_targets(&run.config.general.target)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tokio").build()?;
    let ended = runtime.block_on(all::run(run));
    // What could not be stopped in time would be waited for otherwise.
    runtime.shutdown_background();
    ended
}

/// Targets have names before they exist.
fn refuse_unknown_targets(targets: &[String]) -> Result<(), Error> {
    match targets.iter().find(|target| *target != "all") {
        None => Ok(()),
        Some(target) => Err(format!(
            "-target (YAML target) names {target:?}, which this version can not run by itself yet; use all, which runs every role that exists in one process"
        )
        .into()),
    }
}
