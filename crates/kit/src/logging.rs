//! Logging: one line an event, in logfmt or JSON.
//!
//! ```text
//! ts=2026-11-24T13:50:07.123456Z level=info caller=norn_http::server:81 msg="listening" addr=127.0.0.1:8080
//! ```
//!
//! Fields of the spans around an event (such as `user` and `trace_id`) follow the event's own.
//! Line breaks inside of values are escaped, so an error is always one line.

mod format;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::PanicHookInfo;
use std::str::FromStr;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `key=value` pairs.
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Which events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Default for Level {
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

/// A name that is no format or no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized log {what} \"{value}\", use one of {allowed}")]
pub struct ParseError {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

impl FromStr for Format {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        match s {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(ParseError { what: "format", value: s.to_owned(), allowed: "logfmt, json" }),
        }
    }
}

impl FromStr for Level {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let filter = match s {
            "debug" => LevelFilter::DEBUG,
            "info" => LevelFilter::INFO,
            "warn" => LevelFilter::WARN,
            "error" => LevelFilter::ERROR,
            _ => {
                let allowed = "debug, info, warn, error";
                return Err(ParseError { what: "level", value: s.to_owned(), allowed });
            }
        };
        Ok(Self(filter))
    }
}

/// Sends events to standard error from now on, panics among them.
///
/// # Errors
///
/// When a subscriber was installed before.
pub fn init(level: Level, format: Format) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(level, format, io::stderr))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic is an error like others: one line, with its place and the way there.
fn log_panic(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(panic = text, place, thread = thread.name(), backtrace, "a thread panicked");
}

/// The subscriber that [`init`] installs, with a writer of the caller's choice.
///
/// Libraries below Norn are heard from `warn` on only.
pub fn subscriber<W>(level: Level, format: Format, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let Level(own) = level;
    let filter = Targets::new().with_target("norn", own).with_default(own.min(LevelFilter::WARN));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .fmt_fields(format::Fields(format))
        .event_format(format::Event(format));
    tracing_subscriber::registry().with(filter).with(layer)
}
