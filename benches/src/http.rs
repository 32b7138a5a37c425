//! A keep-alive HTTP/1.1 client over one connection: blocking, plain, no redirects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may keep silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection to a server.
pub struct Client {
    host: String,
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
}

/// What the server answered.
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body, decoded from chunks.
    pub body: Vec<u8>,
}

/// Splits `http://host:port/path` into host and path.
pub fn split_url(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").context("only http:// URLs")?;
    Ok(rest.find('/').map_or((rest, "/"), |i| rest.split_at(i)))
}

impl Client {
    /// Connects to `host` (`name:port`).
    pub fn connect(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("connecting to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { host: host.to_owned(), stream: BufReader::new(stream), head: Vec::new() })
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.send("GET", path, "", &[])
    }

    /// Sends a GET with extra header lines (each ending in CRLF).
    pub fn get_with(&mut self, path: &str, headers: &str) -> Result<Response> {
        self.send("GET", path, headers, &[])
    }

    /// Sends a POST with extra header lines (each ending in CRLF).
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Response> {
        self.send("POST", path, headers, body)
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Response> {
        self.head.clear();
        write!(
            self.head,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )?;
        let stream = self.stream.get_mut();
        stream.write_all(&self.head)?;
        // A server may refuse a body before it has come: its answer says more than our error.
        let sent = stream.write_all(body);
        match self.response() {
            Ok(response) => Ok(response),
            Err(e) => sent.map_err(Into::into).and(Err(e)),
        }
    }

    fn response(&mut self) -> Result<Response> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status line")?;
        let (mut length, mut chunked) = (None, false);
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("connection closed in the headers");
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(n) = header.strip_prefix("content-length:") {
                length = Some(n.trim().parse::<usize>()?);
            }
            chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
        }
        let body = if chunked { self.chunks()? } else { self.exactly(length.unwrap_or(0))? };
        Ok(Response { status, body })
    }

    fn exactly(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).context("bad chunk size")?;
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
