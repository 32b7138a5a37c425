//! Writes events and span fields as logfmt or JSON.

use std::fmt::{self, Debug, Write};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::Format;

/// Writes fields, each led by a separator: ` key=value` or `,"key":value`.
pub(super) struct Fields(pub(super) Format);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { format: self.0, message_key: "msg", writer, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// Writes one event.
pub(super) struct Event(pub(super) Format);

impl<S> FormatEvent<S, Fields> for Event
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, Fields>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let ts = jiff::Timestamp::now();
        let level = match *meta.level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG | tracing::Level::TRACE => "debug",
        };
        let (caller, line) = (meta.target(), meta.line().unwrap_or(0));
        match self.0 {
            Format::Logfmt => write!(writer, "ts={ts:.6} level={level} caller={caller}:{line}")?,
            Format::Json => {
                write!(writer, r#"{{"ts":"{ts:.6}","level":"{level}","caller":"{caller}:{line}""#)?
            }
        }
        ctx.format_fields(writer.by_ref(), event)?;
        for span in ctx.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<Fields>>() {
                writer.write_str(&fields.fields)?;
            }
        }
        writer.write_str(if self.0 == Format::Json { "}\n" } else { "\n" })
    }
}

struct Visitor<'w> {
    format: Format,
    message_key: &'static str,
    writer: Writer<'w>,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn key(&mut self, field: &Field) -> fmt::Result {
        let key = if field.name() == "message" { self.message_key } else { field.name() };
        match self.format {
            Format::Logfmt => write!(self.writer, " {key}="),
            Format::Json => write!(self.writer, ",{}:", JsonText(key)),
        }
    }

    fn text(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.key(field)?;
        match self.format {
            Format::Json => write!(self.writer, "{}", JsonText(value)),
            Format::Logfmt if is_bare(value) && field.name() != "message" => self.writer.write_str(value),
            // JSON's escapes are what logfmt readers understand.
            Format::Logfmt => write!(self.writer, "{}", JsonText(value)),
        }
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) -> fmt::Result {
        self.key(field)?;
        write!(self.writer, "{value}")
    }

    fn then(&mut self, write: impl FnOnce(&mut Self) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = write(self);
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.then(|v| v.text(field, &format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.then(|v| v.text(field, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.then(|v| v.bare(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.then(|v| v.bare(field, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.then(|v| v.bare(field, value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.then(|v| v.bare(field, value));
        } else {
            self.then(|v| v.text(field, &value.to_string()));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Errors that already print their cause are not printed twice.
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        self.then(|v| v.text(field, &text));
    }
}

/// Whether logfmt needs no quotes.
fn is_bare(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c > ' ' && c != '"' && c != '=' && !c.is_control())
}

/// A JSON string, quotes included.
struct JsonText<'a>(&'a str);

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::super::{Level, subscriber};
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn capture(level: &str, format: Format, body: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let level: Level = level.parse().unwrap();
        tracing::subscriber::with_default(subscriber(level, format, move || writer.clone()), body);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn events() {
        let span = tracing::info_span!("request", user = "team-a", trace_id = tracing::field::Empty);
        span.record("trace_id", "0af7");
        let _entered = span.enter();
        let error = io::Error::other("line one\nline \"two\"");
        tracing::warn!(error = &error as &dyn std::error::Error, took = 1.5, n = 3u64, "push failed");
        tracing::debug!("not at this level");
    }

    #[test]
    fn logfmt_is_one_line_with_span_fields() {
        let out = capture("info", Format::Logfmt, events);
        assert_eq!(out.lines().count(), 1, "{out}");
        let (head, tail) = out.split_once(" msg=").unwrap();
        assert!(head.starts_with("ts=2") && head.contains("Z level=warn caller=norn_kit::"), "{out}");
        assert_eq!(
            tail,
            "\"push failed\" error=\"line one\\nline \\\"two\\\"\" took=1.5 n=3 user=team-a trace_id=0af7\n"
        );
    }

    #[test]
    fn json_parses() {
        let out = capture("debug", Format::Json, events);
        let lines: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["level"], "warn");
        assert_eq!(lines[0]["msg"], "push failed");
        assert_eq!(lines[0]["error"], "line one\nline \"two\"");
        assert_eq!(lines[0]["n"], 3);
        assert_eq!(lines[0]["user"], "team-a");
        assert_eq!(lines[1]["level"], "debug");
    }

    #[test]
    fn libraries_are_heard_from_warn_on() {
        let out = capture("debug", Format::Logfmt, || {
            tracing::info!(target: "hyper::proto", "chatter");
            tracing::warn!(target: "hyper::proto", "trouble");
        });
        assert!(!out.contains("chatter") && out.contains("trouble"), "{out}");
    }

    #[test]
    fn names_of_levels_and_formats() {
        assert_eq!("json".parse(), Ok(Format::Json));
        let error = "trace".parse::<Level>().unwrap_err().to_string();
        assert_eq!(error, "unrecognized log level \"trace\", use one of debug, info, warn, error");
    }
}
