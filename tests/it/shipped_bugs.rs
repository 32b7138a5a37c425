//! Bugs that other servers of this kind shipped, tried here; `tests/README.md` lists them all.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use norn_benches::process::usage;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, body, field, push, raw, snappy};
use norn_wire::proto::v1::{Label, TimeSeries};
use norn_wire::proto::{BucketSpan, Count, Histogram, Message};

use crate::support::{now_ms, text};

const PATIENCE: Duration = Duration::from_secs(10);
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn start(extra: &[&str]) -> Result<Norn> {
    Norn::start(&[&["-self-monitoring.enabled=false"], extra].concat())
}

/// Takes what a fault must not have cost: some memory, and the process.
fn unharmed(norn: &mut Norn, rss_before: u64, megabytes: u64) -> Result<()> {
    ensure!(norn.process.is_running(), "{}", norn.log());
    let peak = usage(norn.process.id())?.peak_rss;
    ensure!(peak < rss_before + megabytes * 1_000_000, "peak {} MB", peak / 1_000_000);
    ensure!(norn.server.get("/ready")?.status == 200);
    Ok(())
}

#[test]
fn remote_read_bombs_are_refused_before_they_are_unpacked() -> Result<()> {
    let mut norn = start(&[])?;
    let before = usage(norn.process.id())?.rss;
    let declared_only = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let zeros = snappy(&vec![0; 200 << 20]);
    for bomb in [&declared_only[..], &zeros[..zeros.len().min(900_000)], &zeros] {
        let response = norn.server.post("/prometheus/api/v1/read", V1, bomb)?;
        ensure!((400..500).contains(&response.status), "{}: {}", response.status, text(&response));
    }
    unharmed(&mut norn, before, 32)
}

/// A byte of a packed varint becomes eight in memory, and no more than the decoder's budget.
#[test]
fn packed_buckets_of_histograms_do_not_swell() -> Result<()> {
    let mut norn = start(&[])?;
    let before = usage(norn.process.id())?.rss;
    let labels = [("__name__", "swelling")].map(|(n, v)| Label { name: n.into(), value: v.into() }).to_vec();
    let histogram = Histogram {
        count: Some(Count::Int(0)),
        positive_spans: vec![BucketSpan { offset: 0, length: 16 << 20 }],
        timestamp: now_ms(),
        ..Histogram::default()
    };
    let mut raw_histogram = histogram.encode_to_vec();
    field(&mut raw_histogram, 0x62, &vec![0; 16 << 20]);
    let mut series = TimeSeries { labels, ..TimeSeries::default() }.encode_to_vec();
    field(&mut series, 0x22, &raw_histogram);
    let mut request = Vec::new();
    field(&mut request, 0x0a, &series);
    let response = norn.server.post("/api/v1/push", V1, &snappy(&request))?;
    ensure!(response.status == 400, "{}: {}", response.status, text(&response));
    // The message as it came, unpacked, and its numbers: within the budget of its size.
    unharmed(&mut norn, before, 250)
}

fn files_below(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, out)?;
        }
        out.push(path);
    }
    Ok(())
}

#[test]
fn tenants_are_no_paths() -> Result<()> {
    let mut norn = start(&["-auth.multitenancy-enabled=true"])?;
    let long = "../".repeat(3400);
    let forms: [&[u8]; 16] = [
        b"..",
        b".",
        b"../escaped",
        b"../../escaped",
        b"/escaped",
        b"a/../../escaped",
        b"..\\escaped",
        b"%2e%2e%2fescaped",
        b"%252e%252e%252fescaped",
        b"..%c0%afescaped",
        "․․∕escaped".as_bytes(),
        b"escaped\0",
        b"a\xff",
        b"__mimir_cluster",
        b"..;/escaped",
        long.as_bytes(),
    ];
    let sample = snappy(&body(&[(&[("__name__", "escaped")], now_ms(), 1.0)]));
    for form in forms {
        for path in ["/api/v1/push", "/prometheus/api/v1/query?query=escaped", "/prometheus/api/v1/labels"] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Scope-OrgID: ");
            let rest = format!("\r\nContent-Length: {}\r\n\r\n", sample.len());
            let answer =
                raw(&norn.server, &[head.as_bytes(), form, rest.as_bytes(), &sample].concat(), PATIENCE)?;
            let shown = String::from_utf8_lossy(&form[..form.len().min(40)]).into_owned();
            ensure!(answer.starts_with("HTTP/1.1 4"), "{shown:?}, {path}: {answer:?}");
        }
    }
    norn.crash_and_restart()?;
    let (mut files, data) = (Vec::new(), norn.data_dir());
    // The directory around the data is the test's own.
    files_below(data.parent().unwrap_or(&data), &mut files)?;
    let strange = files
        .iter()
        .find(|f| f.to_string_lossy().contains("escaped") || !(f.starts_with(&data) || f.ends_with("log")));
    ensure!(strange.is_none(), "{strange:?}");
    Ok(())
}

#[test]
fn a_request_names_one_tenant_whatever_the_number_of_headers() -> Result<()> {
    let norn = start(&["-auth.multitenancy-enabled=true"])?;
    let sample = snappy(&body(&[(&[("__name__", "m")], now_ms(), 1.0)]));
    for (headers, status) in [
        ("X-Scope-OrgID: a\r\nX-Scope-OrgID: a\r\n", "200"),
        ("X-Scope-OrgID: a\r\nX-Scope-OrgID: b\r\n", "422"),
        ("X-Scope-OrgID: a\r\nx-scope-orgid: ../b\r\n", "400"),
        ("X-Scope-OrgID: a|b\r\n", "422"),
        ("X-Scope-OrgID: a,b\r\n", "400"),
        ("X-Scope-OrgID : a\r\n", "400"),
    ] {
        let length = sample.len();
        let head = format!(
            "POST /api/v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        let answer = raw(&norn.server, &[head.as_bytes(), &sample].concat(), PATIENCE)?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {answer}");
    }
    Ok(())
}

/// Odd paths reach no handler without a tenant, and two lengths are no request.
#[test]
fn requests_that_proxies_read_otherwise_are_refused() -> Result<()> {
    let norn = start(&["-auth.multitenancy-enabled=true"])?;
    let request = |line: &str, headers: &str| {
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
    };
    let smuggled = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    for (line, headers) in [
        ("GET prometheus/api/v1/labels", ""),
        ("GET //prometheus/api/v1/labels", ""),
        ("GET /ready/../prometheus/api/v1/labels", ""),
        ("GET /%70rometheus/api/v1/labels", ""),
        ("GET http://x/prometheus/api/v1/labels", ""),
        ("GET /prometheus/api/v1/labels/", ""),
        ("POST /api/v1/push", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("POST /api/v1/push", &format!("X-Scope-OrgID: a\r\n{smuggled}")),
        ("POST /api/v1/push", "X-Scope-OrgID: a\r\nTransfer-Encoding: chunked, identity\r\n"),
    ] {
        let bytes = format!("{}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", request(line, headers));
        let answer = raw(&norn.server, bytes.as_bytes(), PATIENCE)?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{line}, {headers:?}: {answer}");
        ensure!(answer.matches("HTTP/1.1").count() <= 1, "{line}, {headers:?}: {answer}");
    }
    let get = request("GET /api/v1/push", "X-Scope-OrgID: a\r\n");
    let answer = raw(&norn.server, get.as_bytes(), PATIENCE)?;
    ensure!(answer.starts_with("HTTP/1.1 405"), "a GET must change nothing: {answer}");
    Ok(())
}

#[test]
fn a_body_that_was_cut_off_stores_nothing() -> Result<()> {
    let norn = start(&[])?;
    let t = now_ms();
    let whole = body(&[(&[("__name__", "cut")], t, 1.0), (&[("__name__", "cut"), ("b", "2")], t, 1.0)]);
    let sent = snappy(&whole);
    let mut stream = TcpStream::connect(&norn.server.host)?;
    write!(
        stream,
        "POST /api/v1/push HTTP/1.1\r\nHost: x\r\n{V1}Content-Length: {}\r\n\r\n",
        sent.len() + 1
    )?;
    stream.write_all(&sent)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(!answer.contains(" 200 "), "{answer}");
    let found = norn.server.instant("cut", t as f64 / 1000.0)?;
    ensure!(found.as_array().is_some_and(Vec::is_empty), "{found}");
    Ok(())
}

#[test]
fn one_byte_or_one_label_does_not_end_the_process() -> Result<()> {
    let mut norn = start(&["-query-frontend.enabled-promql-experimental-functions=all"])?;
    let before = usage(norn.process.id())?.rss;
    for query in
        ["%80", "%BF%BF", "up%80", "%22%80%22", "%7Ba%3D%22%BF%22%7D", "sum(%80)", "%C3", "%F0%9F%98"]
    {
        for place in ["query", "query_range"] {
            let body = format!("query={query}&time=1&start=1&end=2&step=1");
            let response = norn.server.post(&format!("/prometheus/api/v1/{place}"), FORM, body.as_bytes())?;
            ensure!([200, 400].contains(&response.status), "{query}: {}", text(&response));
        }
        let path = format!("/prometheus/api/v1/series?match[]={query}");
        ensure!([200, 400].contains(&norn.server.get(&path)?.status), "{path}");
    }
    let (t, digits) = (now_ms(), "9".repeat(309));
    let signed = format!("-{digits}e{digits}.{digits}");
    let values = [digits.as_str(), &signed, "0x1p-1074", "1e999", "", "∞", "00000000000000000001"];
    for value in values {
        ensure!(push(&norn.server, &[(&[("__name__", "numbers"), ("n", value)], t, 1.0)])?.status == 200);
    }
    for query in [
        "sort_by_label(numbers, \"n\")",
        "sort_by_label_desc(numbers, \"n\")",
        "count_values(\"n\", numbers)",
    ] {
        let found = norn.server.instant(query, t as f64 / 1000.0)?;
        ensure!(found.as_array().is_some_and(|a| !a.is_empty()), "{query}: {found}");
    }
    unharmed(&mut norn, before, 100)
}

#[test]
fn varints_without_an_end_end() -> Result<()> {
    let mut norn = start(&[])?;
    let before = usage(norn.process.id())?.rss;
    for raw in [vec![0xff; 11], vec![0x80; 1 << 20], [vec![0x0a], vec![0x80; 64]].concat(), vec![0x08; 3]] {
        let response = norn.server.post("/api/v1/push", V1, &snappy(&raw))?;
        ensure!(response.status == 400, "{:x?}: {}", &raw[..3], response.status);
        let response = norn.server.post("/prometheus/api/v1/read", V1, &snappy(&raw))?;
        ensure!(response.status == 400, "{:x?}: {}", &raw[..3], response.status);
    }
    unharmed(&mut norn, before, 100)
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Sends HTTP/2 frames until the server has had enough; gives what it sent and whether it closed.
fn flood(norn: &Norn, frames: impl Iterator<Item = Vec<u8>>) -> Result<(Vec<u8>, bool)> {
    let mut stream = TcpStream::connect(&norn.server.host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(4, 0, 0, &[]))?;
    // A server that closes is what is wanted here.
    let refused = frames.into_iter().any(|f| stream.write_all(&f).is_err());
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e) => break e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    Ok((answer, closed || refused))
}

/// `GET /metrics` with static names only, but for the path.
fn headers() -> Vec<u8> {
    [&[0x82, 0x86, 0x04, 8][..], b"/metrics", &[0x01, 1, b'x']].concat()
}

#[test]
fn http_2_rapid_resets_end_the_connection() -> Result<()> {
    let mut norn = start(&[])?;
    let before = usage(norn.process.id())?.rss;
    let reset = |n: u32| [frame(1, 5, 2 * n + 1, &headers()), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    let (_, closed) = flood(&norn, (0..100_000).map(reset))?;
    ensure!(closed, "100,000 requests were begun and reset on one connection");
    unharmed(&mut norn, before, 64)
}

#[test]
fn http_2_headers_without_an_end_end_the_connection() -> Result<()> {
    let mut norn = start(&[])?;
    let before = usage(norn.process.id())?.rss;
    let begin = std::iter::once(frame(1, 0, 1, &headers()));
    let more = (0..4000).map(|i: u32| {
        let name = format!("x-{i:08}");
        let pair = [&[0x00, 10][..], name.as_bytes(), &[100], &[b'v'; 100]].concat();
        frame(9, 0, 1, &pair.repeat(100))
    });
    let (_, closed) = flood(&norn, begin.chain(more))?;
    ensure!(closed, "40 MB of headers were taken");
    unharmed(&mut norn, before, 64)
}

#[test]
fn what_clients_send_is_never_a_page() -> Result<()> {
    let norn = start(&[])?;
    let (t, script) = (now_ms(), "<script>alert(1)</script>");
    ensure!(push(&norn.server, &[(&[("__name__", "page"), ("x", script)], t, 1.0)])?.status == 200);
    let encoded = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/prometheus/api/v1/query?query=page&time={}", t / 1000 + 1),
        format!("/prometheus/api/v1/query?query={encoded}"),
        format!("/prometheus/api/v1/label/{encoded}/values"),
        "/prometheus/api/v1/series?match[]=page".to_owned(),
        format!("/prometheus/api/v1/query?query=1&time={encoded}"),
        format!("/config?mode={encoded}"),
        format!("/services?{encoded}"),
        format!("/?{encoded}"),
        format!("/{encoded}"),
        "/metrics".to_owned(),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(&norn.server, request.as_bytes(), PATIENCE)?;
        let is_page = answer.to_lowercase().contains("content-type: text/html");
        ensure!(!(is_page && answer.contains("<script")), "{path}: {answer}");
        ensure!(
            is_page || !answer.contains("<script") || answer.to_lowercase().contains("content-type: "),
            "{path}: {answer}"
        );
    }
    Ok(())
}

#[test]
fn secrets_of_requests_are_not_logged() -> Result<()> {
    let norn = start(&["-log.level=debug"])?;
    let headers = format!("{V1}Authorization: Bearer hidden-token\r\nCookie: session=hidden-cookie\r\n");
    ensure!(norn.server.post("/api/v1/push", &headers, b"junk")?.status == 400);
    let failing = norn.server.post("/prometheus/api/v1/query", &headers, b"query=hidden-nothing")?;
    ensure!(failing.status >= 400, "{}", failing.status);
    for page in ["/config", "/config?mode=diff", "/services", "/metrics"] {
        ensure!(!text(&norn.server.get(page)?).contains("hidden-"), "{page}");
    }
    ensure!(!norn.log().contains("hidden-token") && !norn.log().contains("hidden-cookie"), "{}", norn.log());
    Ok(())
}
