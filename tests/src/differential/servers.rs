//! Both servers with the data of a seed.

use std::time::Duration;

use anyhow::{Result, bail};
use norn_benches::http::Client;

use crate::api::{Server, form};
use crate::generator::data::{self, SLICES};
use crate::generator::encode;
use crate::norn::Norn;
use crate::prometheus::Prometheus;
use crate::push::{V1, V2, snappy};

use super::answer::{Answer, read};

/// The oracle and the server under test.
pub struct Servers {
    /// The oracle.
    pub prometheus: Prometheus,
    /// The server under test.
    pub norn: Norn,
}

impl Servers {
    /// Starts both with equal features and sends both the same bytes: remote write 1 for odd
    /// seeds, 2 for even ones.
    pub fn start(seed: u64) -> Result<Self> {
        let prometheus = Prometheus::receiver(&[
            "--enable-feature=promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers",
            "--query.max-concurrency=64",
        ])?;
        let norn = Norn::start(&[
            "-self-monitoring.enabled=false",
            "-query-frontend.enabled-promql-experimental-functions=all",
            "-query-frontend.enabled-promql-extended-range-selectors=all",
            "-query-frontend.enabled-promql-binop-fill-modifiers",
            "-querier.max-concurrent=64",
            "-distributor.ingestion-rate-limit=100000000",
            "-distributor.ingestion-burst-size=100000000",
        ])?;
        let servers = Self { prometheus, norn };
        let all = data::series(seed);
        for n in 0..SLICES {
            servers.send(seed, &data::slice(&all, n))?;
        }
        Ok(servers)
    }

    fn send(&self, seed: u64, series: &[data::Series]) -> Result<()> {
        let (headers, body) =
            if seed % 2 == 1 { (V1, encode::version_1(series)) } else { (V2, encode::version_2(series)) };
        let body = snappy(&body);
        let targets = [(&self.prometheus.server, "/api/v1/write"), (&self.norn.server, "/api/v1/push")];
        for (server, path) in targets {
            let response = server.post(path, headers, &body)?;
            if response.status / 100 != 2 {
                bail!("{path}: {}: {}", response.status, String::from_utf8_lossy(&response.body));
            }
        }
        Ok(())
    }
}

/// A connection to one of them that is opened again when it breaks.
pub struct Asker {
    server: Server,
    client: Option<Client>,
}

impl Asker {
    /// Not yet connected.
    pub fn new(server: &Server) -> Self {
        Self { server: server.clone(), client: None }
    }

    /// An instant query at `time` (Unix milliseconds).
    pub fn instant(&mut self, query: &str, time: i64) -> Result<Answer> {
        self.ask("query", &[("query", query), ("time", &seconds(time))])
    }

    /// A range query, all in milliseconds.
    pub fn range(&mut self, query: &str, start: i64, end: i64, step: i64) -> Result<Answer> {
        let (start, end, step) = (seconds(start), seconds(end), seconds(step));
        self.ask("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
    }

    fn ask(&mut self, endpoint: &str, params: &[(&str, &str)]) -> Result<Answer> {
        let path = format!("{}/api/v1/{endpoint}", self.server.prefix);
        let body = form(params);
        let header = "Content-Type: application/x-www-form-urlencoded\r\n";
        for attempt in 0.. {
            let mut client = match self.client.take() {
                Some(client) => client,
                None => Client::connect(&self.server.host)?,
            };
            match client.post(&path, header, body.as_bytes()) {
                Ok(response) => {
                    self.client = Some(client);
                    return Ok(read(&response.body));
                }
                Err(e) if attempt == 2 => return Err(e.context(format!("{path} {params:?}"))),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        unreachable!("the loop returns")
    }
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
