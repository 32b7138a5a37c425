//! Hostile remote-write input: right status, Mimir's error id, bounded memory, and the process
//! goes on.

use std::time::Duration;

use anyhow::{Result, ensure};
use norn_benches::process::usage;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, V2, body, push, raw, snappy};

use crate::support::{now_ms, text};

fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let mut n = bytes.len();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(bytes);
    out
}

#[test]
fn malformed_bodies_are_refused_and_the_server_goes_on() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let good = snappy(&body(&[(&[("__name__", "good"), ("job", "x")], now_ms(), 1.0)]));
    let before = usage(norn.process.id())?;
    for cut in 0..good.len() {
        let response = norn.server.post("/api/v1/push", V1, &good[..cut])?;
        ensure!(response.status == 400, "cut at {cut}: {}", response.status);
    }
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let response = norn.server.post("/api/v1/push", V1, &flipped)?;
        ensure!([200, 400].contains(&response.status), "bit {bit}: {}: {}", response.status, text(&response));
    }
    for declared in [[0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x04]] {
        let response = norn.server.post("/api/v1/push", V1, &declared)?;
        ensure!(response.status == 400, "declared length: {}", response.status);
    }
    let after = usage(norn.process.id())?;
    ensure!(after.peak_rss < before.rss + 300_000_000, "peak {} MB", after.peak_rss / 1_000_000);
    ensure!(push(&norn.server, &[(&[("__name__", "still"), ("job", "x")], now_ms(), 1.0)])?.status == 200);
    ensure!(norn.process.is_running());
    Ok(())
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false", "-distributor.max-recv-msg-size=1048576"])?;
    let before = usage(norn.process.id())?;
    let bomb = snappy(&vec![0u8; 200 << 20]);
    let response = norn.server.post("/api/v1/push", V1, &bomb)?;
    ensure!(response.status == 400, "{}: {}", response.status, text(&response));
    let zeros = snappy(&vec![0u8; 2 << 20]);
    let response = norn.server.post("/api/v1/push", V1, &zeros)?;
    ensure!(
        response.status == 400 && text(&response).contains("err-mimir-distributor-max-write-message-size"),
        "{}: {}",
        response.status,
        text(&response)
    );
    let after = usage(norn.process.id())?;
    ensure!(after.peak_rss < before.rss + 64_000_000, "peak {} MB", after.peak_rss / 1_000_000);
    Ok(())
}

#[test]
fn bad_series_are_named_and_good_ones_are_kept() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let t = now_ms();
    let many: Vec<(String, String)> = (0..10_000).map(|i| (format!("l{i:05}"), "v".to_owned())).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.insert(0, ("__name__", "many"));
    let long = "x".repeat(3000);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i64);
    let cases: &[Case<'_>] = &[
        ("missing-metric-name", &[("job", "x")], t),
        ("metric-name-invalid", &[("__name__", "a b\u{0}"), ("job", "x")], t),
        ("max-label-names-per-series", &many, t),
        ("label-invalid", &[("__name__", "m"), ("a-b c", "x")], t),
        ("label-value-too-long", &[("__name__", "m"), ("a", &long)], t),
        ("label-name-too-long", &[("__name__", "m"), (&long, "a")], t),
        ("duplicate-label-names", &[("__name__", "m"), ("a", "1"), ("a", "2")], t),
        ("too-far-in-future", &[("__name__", "m"), ("a", "f")], t + 3_600_000),
        ("too-far-in-future", &[("__name__", "m"), ("a", "g")], i64::MAX),
    ];
    for (i, (id, labels, timestamp)) in cases.iter().enumerate() {
        let value = i as f64;
        let good: &[(&str, &str)] = &[("__name__", "kept"), ("case", id)];
        let at = t + i as i64;
        let response = push(&norn.server, &[(labels, *timestamp, 1.0), (good, at, value)])?;
        ensure!(
            response.status == 400 && text(&response).contains(&format!("(err-mimir-{id})")),
            "{id}: {}: {}",
            response.status,
            text(&response)
        );
    }
    let kept = norn.server.instant("count(kept)", t as f64 / 1000.0 + 1.0)?;
    ensure!(kept[0]["value"][1] == "8", "{kept}");
    Ok(())
}

#[test]
fn labels_are_normalised() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let t = now_ms();
    let unsorted: &[(&str, &str)] = &[("z", "1"), ("__name__", "n"), ("a", "2"), ("empty", "")];
    let sorted: &[(&str, &str)] = &[("__name__", "n"), ("a", "2"), ("z", "1")];
    ensure!(push(&norn.server, &[(unsorted, t - 10, 1.0)])?.status == 200);
    ensure!(push(&norn.server, &[(sorted, t, 2.0)])?.status == 200);
    let samples = norn.server.instant("n[1m]", t as f64 / 1000.0)?;
    ensure!(samples.as_array().map(Vec::len) == Some(1), "{samples}");
    ensure!(samples[0]["values"].as_array().map(Vec::len) == Some(2), "{samples}");
    Ok(())
}

#[test]
fn odd_values_and_times_come_back_as_they_went_in() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    for (name, timestamp, value) in
        [("odd_nan", 1000, nan), ("odd_inf", 1000, f64::NEG_INFINITY), ("zero", 1000, -0.0)]
    {
        let labels: &[(&str, &str)] = &[("__name__", name)];
        let response = push(&norn.server, &[(labels, timestamp, value)])?;
        ensure!(response.status == 200, "{name}: {}: {}", response.status, text(&response));
    }
    let response = push(&norn.server, &[(&[("__name__", "early")], i64::MIN, 1.0)])?;
    let why = text(&response);
    ensure!(response.status == 400 && why.contains("(err-mimir-sample-timestamp-too-old)"), "{why}");
    for (name, expected) in [("odd_nan", "NaN"), ("odd_inf", "-Inf"), ("zero", "-0")] {
        let result = norn.server.instant(name, 1.0)?;
        ensure!(result[0]["value"][1] == expected, "{name}: {result}");
    }
    Ok(())
}

#[test]
fn symbol_references_out_of_range_refuse_that_series_alone() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let t = now_ms();
    let mut sample = vec![0x09];
    sample.extend(1f64.to_le_bytes());
    sample.push(0x10);
    let mut n = t as u64;
    while n >= 0x80 {
        sample.push(n as u8 | 0x80);
        n >>= 7;
    }
    sample.push(n as u8);
    let series = |refs: &[u8]| field(0x2a, &[field(0x0a, refs), field(0x12, &sample)].concat());
    let symbols = ["", "__name__", "v2"].map(|s| field(0x22, s.as_bytes())).concat();
    for bad in [&[1u8, 99][..], &[1, 2, 1][..]] {
        let request = [symbols.clone(), series(bad), series(&[1, 2])].concat();
        let response = norn.server.post("/api/v1/push", V2, &snappy(&request))?;
        ensure!(response.status == 400, "{}: {}", response.status, text(&response));
    }
    let kept = norn.server.instant("v2", t as f64 / 1000.0)?;
    ensure!(kept[0]["value"][1] == "1", "{kept}");
    Ok(())
}

#[test]
fn content_types_and_encodings() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let t = now_ms();
    let sent = |headers: &str, path: &str| -> Result<(u16, String)> {
        let raw = body(&[(&[("__name__", "typed")], t, 1.0)]);
        let response = norn.server.post(path, headers, &snappy(&raw))?;
        Ok((response.status, text(&response)))
    };
    for (headers, status) in [
        (V1, 200),
        ("Content-Encoding: snappy\r\n", 200),
        ("", 200),
        ("Content-Type: text/plain\r\n", 200),
        ("Content-Type: application/x-protobuf;proto=prometheus.WriteRequest\r\n", 200),
        ("Content-Type: application/x-protobuf;proto=some.Other\r\n", 400),
        ("Content-Encoding: gzip\r\n", 415),
    ] {
        let (got, why) = sent(headers, "/api/v1/push")?;
        ensure!(got == status, "{headers:?}: {got}, {why}");
    }
    ensure!(sent(V1, "/api/v1/write")?.0 == 200);
    Ok(())
}

#[test]
fn slow_headers_and_endless_bodies_are_cut() -> Result<()> {
    let norn = Norn::start(&["-self-monitoring.enabled=false"])?;
    let patience = Duration::from_secs(15);
    let start = std::time::Instant::now();
    let answer = raw(&norn.server, b"POST /api/v1/push HTTP/1.1\r\nHost: x\r\nX-Slow: ", patience)?;
    ensure!(!answer.contains("200") && start.elapsed() < patience, "slow headers: {answer:?}");
    let declared = b"POST /api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    let answer = raw(&norn.server, declared, patience)?;
    ensure!(answer.starts_with("HTTP/1.1 4"), "declared too large: {answer:?}");
    ensure!(norn.server.get("/ready")?.status == 200);
    Ok(())
}
