//! A client that sends request after request and notes what it was told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use norn_benches::http::{Client, Response};
use norn_wire::proto::v1::{self, Label};
use norn_wire::proto::{Histogram, Message, Sample, v2};

use super::content::{self, Fault, Kind, SERIES};
use super::{Ledger, Options, Outcome, tenant};
use crate::generator::random::Random;
use crate::push::{V1, V2, field as bytes, snappy};

/// How far ahead of its request a sample is that must be refused: beyond now, wherever the ledger is.
const FUTURE: i64 = super::PAST + 3_600_000;
/// How far behind: outside every window.
const OLD: i64 = 2 * 3_600_000;
/// Pause before a server is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// How a client writes its requests: series without samples yet.
enum Dialect {
    V1(Vec<v1::TimeSeries>),
    V2 {
        symbols: Vec<String>,
        /// Each with the number of symbols it and those before it need.
        series: Vec<(v2::TimeSeries, usize)>,
    },
}

impl Dialect {
    fn v1(client: usize) -> Self {
        let series = |i| v1::TimeSeries { labels: content::labels(client, i), ..Default::default() };
        Self::V1((0..SERIES).map(series).collect())
    }

    fn v2(client: usize) -> Self {
        let mut symbols = vec![String::new()];
        let mut series = Vec::with_capacity(SERIES);
        for i in 0..SERIES {
            let labels_refs = refs(&content::labels(client, i), &mut symbols);
            series.push((v2::TimeSeries { labels_refs, ..Default::default() }, symbols.len()));
        }
        Self::V2 { symbols, series }
    }

    /// A request with `count` series.
    fn body(&mut self, seed: u64, id: u64, count: usize, t: i64) -> Vec<u8> {
        let mut raw = Vec::with_capacity(64 * count);
        match self {
            Self::V1(series) => {
                for (i, series) in series[..count].iter_mut().enumerate() {
                    (series.samples, series.histograms) = samples(seed, id, i, t);
                    message(&mut raw, 0x0a, series);
                }
            }
            Self::V2 { symbols, series } => {
                let needed = series[..count].last().map_or(0, |(_, needed)| *needed);
                symbols[..needed].iter().for_each(|symbol| bytes(&mut raw, 0x22, symbol.as_bytes()));
                for (i, (series, _)) in series[..count].iter_mut().enumerate() {
                    let (samples, histograms) = samples(seed, id, i, t);
                    (series.samples, series.histograms) =
                        (samples.iter().map(sample_v2).collect(), histograms);
                    message(&mut raw, 0x2a, series);
                }
            }
        }
        raw
    }

    /// One more series behind `count` others.
    fn add(&self, raw: &mut Vec<u8>, count: usize, series: v1::TimeSeries) {
        let Self::V2 { symbols, series: others } = self else {
            return message(raw, 0x0a, &series);
        };
        let needed = others[..count].last().map_or(0, |(_, needed)| *needed);
        let mut known = symbols[..needed].to_vec();
        let labels_refs = refs(&series.labels, &mut known);
        // Symbols may follow series.
        known[needed..].iter().for_each(|symbol| bytes(raw, 0x22, symbol.as_bytes()));
        let samples = series.samples.iter().map(sample_v2).collect();
        let series =
            v2::TimeSeries { labels_refs, samples, histograms: series.histograms, ..Default::default() };
        message(raw, 0x2a, &series);
    }
}

/// References to labels; symbols that are missing are added.
fn refs(labels: &[Label], symbols: &mut Vec<String>) -> Vec<u32> {
    let mut of = |text: &String| {
        // New ones come last, names that all share first.
        let known = symbols
            .iter()
            .take(8)
            .position(|s| s == text)
            .or_else(|| symbols.iter().rposition(|s| s == text));
        known.unwrap_or_else(|| {
            symbols.push(text.clone());
            symbols.len() - 1
        }) as u32
    };
    labels.iter().flat_map(|l| [of(&l.name), of(&l.value)]).collect()
}

fn samples(seed: u64, id: u64, i: usize, t: i64) -> (Vec<Sample>, Vec<Histogram>) {
    if content::is_histogram(i) {
        return (vec![], vec![content::histogram(seed, id, i, t)]);
    }
    (vec![Sample { value: f64::from_bits(content::value(seed, id, i)), timestamp: t }], vec![])
}

fn sample_v2(sample: &Sample) -> v2::Sample {
    v2::Sample { value: sample.value, timestamp: sample.timestamp, start_timestamp: 0 }
}

fn message(out: &mut Vec<u8>, tag: u8, message: &impl Message) {
    bytes(out, tag, &message.encode_to_vec());
}

/// A client.
pub struct Sender {
    options: Options,
    client: usize,
    random: Random,
    dialect: Dialect,
    headers: String,
    /// A request of which nothing is known.
    unanswered: Option<u64>,
    /// Whether anything was acknowledged.
    started: bool,
}

impl Sender {
    /// A client that has not sent anything. Odd ones speak remote write 2.
    pub fn new(options: Options, client: usize) -> Self {
        let (dialect, protocol) =
            if client.is_multiple_of(2) { (Dialect::v1(client), V1) } else { (Dialect::v2(client), V2) };
        Self {
            options,
            client,
            random: Random::new(options.seed, u64::MAX - 1 - client as u64),
            dialect,
            headers: format!("{protocol}X-Scope-OrgID: {}\r\n", tenant(client)),
            unanswered: None,
            started: false,
        }
    }

    /// Sends until `stop`; connects again whenever the connection is lost.
    pub fn run(&mut self, ledger: &Ledger, host: &str, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::SeqCst) {
            let Ok(mut connection) = Client::connect(host) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            while !stop.load(Ordering::SeqCst) {
                let id = self.next(ledger)?;
                let (kind, body) = self.request(ledger, id);
                self.unanswered = Some(id);
                let Ok(response) = connection.post("/api/v1/push", &self.headers, &body) else { break };
                match self.judge(kind, &response)? {
                    Some(outcome) => {
                        ledger.answered(id, outcome);
                        self.unanswered = None;
                        self.started |= outcome == Outcome::There;
                    }
                    None => std::thread::sleep(PAUSE),
                }
            }
        }
        Ok(())
    }

    /// A new request, or the last one again.
    fn next(&mut self, ledger: &Ledger) -> Result<u64> {
        match self.unanswered.take() {
            Some(id) if !self.started || self.random.chance(50) => Ok(id),
            _ => {
                let kind = content::choose(&mut self.random, self.options.late, !self.started);
                ledger.begin(self.client, kind)
            }
        }
    }

    fn request(&mut self, ledger: &Ledger, id: u64) -> (Kind, Vec<u8>) {
        let (kind, seed) = (ledger.again(id), self.options.seed);
        let (count, t) = (content::series(seed, id), ledger.time(id, kind));
        let mut raw = self.dialect.body(seed, id, count, t);
        match kind {
            Kind::Mixed(fault) => self.dialect.add(&mut raw, count, self.bad_series(fault, id, t)),
            // Within the last series: what came before it is whole.
            Kind::Malformed => raw.truncate(raw.len() - 3),
            Kind::Plain | Kind::Late => {}
        }
        (kind, snappy(&raw))
    }

    fn bad_series(&self, fault: Fault, id: u64, t: i64) -> v1::TimeSeries {
        let mut series =
            v1::TimeSeries { labels: content::refused_labels(self.client, fault), ..Default::default() };
        let timestamp = match fault {
            Fault::Future => t + FUTURE,
            Fault::Old => t - OLD,
            Fault::LabelName | Fault::Histogram => t,
        };
        if fault == Fault::Histogram {
            series.histograms = vec![content::bad_histogram(self.options.seed, id, timestamp)];
        } else {
            series.samples = vec![Sample { value: 1.0, timestamp }];
        }
        series
    }

    /// What an answer says of the request; nothing for 5xx.
    fn judge(&self, kind: Kind, response: &Response) -> Result<Option<Outcome>> {
        match (response.status, kind) {
            (200, Kind::Plain | Kind::Late) | (400, Kind::Mixed(_)) => Ok(Some(Outcome::There)),
            (400, Kind::Malformed) => Ok(Some(Outcome::NotThere)),
            (500..=599, _) => Ok(None),
            (status, _) => bail!(
                "client {}: {kind:?} was answered with {status}: {}",
                self.client,
                String::from_utf8_lossy(&response.body)
            ),
        }
    }
}
