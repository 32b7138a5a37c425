//! Queries over HTTP, by a client that keeps no state.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use norn_benches::http::{Client, Response};
use serde_json::Value;

/// A server and the prefix of its Prometheus API.
#[derive(Clone, Debug)]
pub struct Server {
    /// `127.0.0.1:port`.
    pub host: String,
    /// `/prometheus` or empty.
    pub prefix: &'static str,
}

impl Server {
    /// GET of any path.
    pub fn get(&self, path: &str) -> Result<Response> {
        Client::connect(&self.host)?.get(path)
    }

    /// POST of any path with extra header lines.
    pub fn post(&self, path: &str, headers: &str, body: &[u8]) -> Result<Response> {
        Client::connect(&self.host)?.post(path, headers, body)
    }

    /// GET of an API endpoint with query parameters; the whole JSON answer.
    pub fn api(&self, endpoint: &str, params: &[(&str, &str)]) -> Result<Value> {
        let path = format!("{}/api/v1/{endpoint}?{}", self.prefix, form(params));
        let response = self.get(&path)?;
        serde_json::from_slice(&response.body).with_context(|| {
            format!("{path}: {}: {}", response.status, String::from_utf8_lossy(&response.body))
        })
    }

    /// `data.result` of an instant query at `time` (Unix seconds).
    pub fn instant(&self, query: &str, time: f64) -> Result<Value> {
        self.result("query", &[("query", query), ("time", &time.to_string())])
    }

    /// `data.result` of a range query.
    pub fn range(&self, query: &str, start: f64, end: f64, step: f64) -> Result<Value> {
        let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
        self.result("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
    }

    fn result(&self, endpoint: &str, params: &[(&str, &str)]) -> Result<Value> {
        let answer = self.api(endpoint, params)?;
        if answer["status"] != "success" {
            bail!("{params:?}: {answer}");
        }
        Ok(answer["data"]["result"].clone())
    }

    /// Waits until `path` answers 200.
    pub fn wait_ready(&self, path: &str, patience: Duration) -> Result<()> {
        self.wait_for(path, patience, || Ok(self.get(path)?.status == 200))
    }

    /// Waits until `condition` holds; errors count as not yet.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        mut condition: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < patience {
            match condition() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(e) => last = Some(e),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{}: {what} did not come within {patience:?}; last error {last:?}", self.host)
    }
}

/// `application/x-www-form-urlencoded`.
pub fn form(params: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for b in value.bytes() {
            if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
                out.push(b as char);
            } else {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}
