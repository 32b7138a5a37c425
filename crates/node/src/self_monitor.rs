//! Norn scrapes itself, so that a first query answers before anything else was set up.
//!
//! The registry's text is turned into one remote-write request and goes through the same door as
//! everybody's, under the labels a scrape would give: `job="norn"` and `instance`.

use std::time::Duration;

use norn_contract::append::{Appender, Compression, Protocol, Push};
use norn_contract::clock::Clock;
use norn_kit::metrics::Registry;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use norn_wire::proto::{Sample, v1};
use prost::Message;

/// What is needed to scrape oneself.
pub struct SelfMonitor<A, C> {
    /// Where the samples go.
    pub appender: A,
    /// The time.
    pub clock: C,
    /// What is scraped.
    pub registry: Registry,
    /// Whose the samples are.
    pub tenant: Tenant,
    /// The label `instance`.
    pub instance: String,
    /// How often.
    pub interval: Duration,
}

impl<A: Appender, C: Clock> SelfMonitor<A, C> {
    /// Scrapes until `stopped` resolves.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        tokio::pin!(stopped);
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _ = ticks.tick() => self.scrape().await,
            }
        }
    }

    async fn scrape(&self) {
        let mut text = String::new();
        if self.registry.encode_text(&mut text).is_err() {
            tracing::error!("self-monitoring: the metrics cannot be written as text");
            return;
        }
        let request = v1::WriteRequest {
            timeseries: parse(&text, &self.instance, self.clock.now()),
            ..Default::default()
        };
        let push = Push {
            protocol: Protocol::RemoteWrite1,
            compression: Compression::None,
            body: request.encode_to_vec().into(),
        };
        match self.appender.push(self.tenant.clone(), push).await {
            Ok(written) => {
                if let Some(first) = written.refused.first {
                    tracing::warn!(error = %first, "self-monitoring: samples were refused");
                }
            }
            Err(e) => tracing::warn!(error = %e, "self-monitoring: samples were not stored"),
        }
    }
}

/// The series of a metrics text, with a sample each at `timestamp`, and `up`.
fn parse(text: &str, instance: &str, timestamp: Millis) -> Vec<v1::TimeSeries> {
    let mut all: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| series(line, instance, timestamp))
        .collect();
    all.extend(series("up 1", instance, timestamp));
    all
}

/// One line of the Prometheus text format: `name{label="value",…} number`.
fn series(line: &str, instance: &str, timestamp: Millis) -> Option<v1::TimeSeries> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    let (name, mut rest) = series.split_once('{').map_or((series, ""), |(n, l)| (n, l.trim_end_matches('}')));
    let label = |name: &str, value: String| v1::Label { name: name.to_owned(), value };
    let mut labels = vec![
        label("__name__", name.to_owned()),
        label("job", "norn".to_owned()),
        label("instance", instance.to_owned()),
    ];
    while let Some((name, tail)) = rest.split_once("=\"") {
        let (value, tail) = unquote(tail)?;
        labels.push(label(name.trim_start_matches(','), value));
        rest = tail;
    }
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    Some(v1::TimeSeries { labels, samples: vec![Sample { timestamp, value }], ..Default::default() })
}

/// Reads up to the closing quote; gives the text and what follows the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_text_format() {
        let text = "# HELP a b\n# TYPE a counter\na{le=\"+Inf\",x=\"q\\\"\\n,}\"} 1.5e+3\nb +Inf\nbroken\n";
        let all = parse(text, "i", 7);
        let shown: Vec<_> = all
            .iter()
            .map(|s| {
                let labels: Vec<_> = s.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
                format!("{} {}@{}", labels.join(";"), s.samples[0].value, s.samples[0].timestamp)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "__name__=a;instance=i;job=norn;le=+Inf;x=q\"\n,} 1500@7",
                "__name__=b;instance=i;job=norn inf@7",
                "__name__=up;instance=i;job=norn 1@7",
            ]
        );
    }
}
