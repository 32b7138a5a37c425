//! What is taken and what is refused, as a sender sees it: Mimir's ids, statuses and reasons.

use anyhow::{Context, Result, ensure};
use norn_benches::http::Response;
use norn_model::sample::stale_nan;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, V2, push, snappy};
use norn_wire::proto::{Message, v1, v2};
use serde_json::Value;

use crate::support::{now_ms, text};

const MINUTE: i64 = 60_000;

fn start(extra: &[&str]) -> Result<Norn> {
    Norn::start(&[&["-self-monitoring.enabled=false"], extra].concat())
}

/// Pushes one sample, and checks that it is refused with `id`, or taken where that is empty.
fn expect(norn: &Norn, labels: &[(&str, &str)], t: i64, value: f64, id: &str) -> Result<()> {
    answered(&push(&norn.server, &[(labels, t, value)])?, id)
        .with_context(|| format!("{labels:?} {t} {value}"))
}

fn answered(response: &Response, id: &str) -> Result<()> {
    let body = text(response);
    match id {
        "" => ensure!(response.status == 200, "{}: {body}", response.status),
        id => ensure!(
            response.status == 400 && body.contains(&format!("(err-mimir-{id})")),
            "want {id}, got {}: {body}",
            response.status
        ),
    }
    Ok(())
}

fn metrics(norn: &Norn) -> Result<String> {
    Ok(text(&norn.server.get("/metrics")?))
}

/// Times and values of the only series that `query` gives.
fn samples(norn: &Norn, query: &str) -> Result<Vec<(i64, String)>> {
    let result = norn.server.instant(query, now_ms() as f64 / 1000.0 + 600.0)?;
    ensure!(result.as_array().map(Vec::len) == Some(1), "{query}: {result}");
    let values = result[0]["values"].as_array().context("no values")?;
    let sample = |v: &Value| Some(((v[0].as_f64()? * 1000.0).round() as i64, v[1].as_str()?.to_owned()));
    values.iter().map(|v| sample(v).context("no sample")).collect()
}

#[test]
fn order_and_times_without_an_out_of_order_window() -> Result<()> {
    let norn = start(&["-validation.past-grace-period=3h"])?;
    let (m, n): (&[_], &[_]) = (&[("__name__", "m")], &[("__name__", "n")]);
    let t = now_ms() - MINUTE;
    for (labels, at, value, id) in [
        (m, t, 1.0, ""),
        (m, t, 1.0, ""),
        (m, t, 2.0, "sample-duplicate-timestamp"),
        (m, t - 1, 1.0, "sample-out-of-order"),
        (m, t - 90 * MINUTE, 1.0, "sample-timestamp-too-old"),
        (n, t - 90 * MINUTE, 1.0, "sample-timestamp-too-old"),
        (n, t - 50 * MINUTE, 1.0, ""),
        (m, t + 1, stale_nan(), ""),
        (m, t + 2, 3.0, ""),
        (m, t - 200 * MINUTE, 1.0, "too-far-in-past"),
        (m, t + 15 * MINUTE, 1.0, "too-far-in-future"),
        (m, t + 9 * MINUTE, 4.0, ""),
    ] {
        expect(&norn, labels, at, value, id)?;
    }
    let kept = samples(&norn, "m[1h]")?;
    ensure!(kept == [(t, "1".to_owned()), (t + 2, "3".into()), (t + 9 * MINUTE, "4".into())], "{kept:?}");
    let metrics = metrics(&norn)?;
    for (reason, n) in [
        ("new-value-for-timestamp", 1),
        ("sample-out-of-order", 1),
        ("sample-timestamp-too-old", 2),
        ("too_far_in_past", 1),
        ("too_far_in_future", 1),
    ] {
        let line = format!(
            "cortex_discarded_samples_total{{user=\"anonymous\",reason=\"{reason}\",group=\"\"}} {n}\n"
        );
        ensure!(metrics.contains(&line), "{line}{metrics}");
    }
    Ok(())
}

#[test]
fn late_samples_within_the_window() -> Result<()> {
    let norn = start(&["-ingester.out-of-order-time-window=5m"])?;
    let m: &[_] = &[("__name__", "m")];
    let t = now_ms();
    for (at, value, id) in [
        (t, 1.0, ""),
        (t - 4 * MINUTE, 2.0, ""),
        (t - 4 * MINUTE, 2.0, ""),
        (t - 4 * MINUTE, 3.0, "sample-duplicate-timestamp"),
        (t - 6 * MINUTE, 4.0, "sample-timestamp-too-old"),
        (t - 2 * MINUTE, stale_nan(), ""),
    ] {
        expect(&norn, m, at, value, id)?;
    }
    let kept = samples(&norn, "m[1h]")?;
    ensure!(kept == [(t - 4 * MINUTE, "2".to_owned()), (t, "1".into())], "{kept:?}");
    let line = "reason=\"sample-too-old\",group=\"\"} 1\n";
    ensure!(metrics(&norn)?.contains(line));
    Ok(())
}

/// A request with one series of two samples that began at `start`, 0 for not known.
fn counter(name: &str, samples: &[(i64, f64, i64)]) -> Vec<u8> {
    let sample = |&(timestamp, value, start_timestamp): &(i64, f64, i64)| v2::Sample {
        value,
        timestamp,
        start_timestamp,
    };
    let request = v2::Request {
        symbols: ["", "__name__", name].map(String::from).to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2],
            samples: samples.iter().map(sample).collect(),
            ..Default::default()
        }],
    };
    snappy(&request.encode_to_vec())
}

#[test]
fn a_counter_begins_with_zero_if_the_tenant_wants_it() -> Result<()> {
    let t = now_ms() / 1000 * 1000 - 5 * MINUTE;
    for (flags, increase) in
        [(&[][..], "0"), (&["-distributor.otel-created-timestamp-zero-ingestion-enabled"][..], "7")]
    {
        let mut norn = start(flags)?;
        for n in 0..2 {
            let body = counter("c_total", &[(t + n * 15_000, 7.0, t - 10_000)]);
            answered(&norn.server.post("/api/v1/push", V2, &body)?, "")?;
        }
        for _ in 0..2 {
            let result = norn.server.instant("c_total[1m] ", (t + 20_000) as f64 / 1000.0)?;
            let count = result[0]["values"].as_array().map(Vec::len);
            ensure!(count == Some(2 + usize::from(increase != "0")), "{result}");
            let query = "max_over_time(c_total[1m]) - min_over_time(c_total[1m])";
            let result = norn.server.instant(query, (t + 20_000) as f64 / 1000.0)?;
            ensure!(result[0]["value"][1] == increase, "{result}");
            // The replay decides the same.
            norn.crash_and_restart()?;
        }
    }
    Ok(())
}

fn with_exemplars(t: i64, exemplars: &[(i64, &str)]) -> Vec<u8> {
    let label = |(name, value): (&str, &str)| v1::Label { name: name.to_owned(), value: value.to_owned() };
    let exemplar = |&(timestamp, id): &(i64, &str)| v1::Exemplar {
        labels: vec![label(("trace_id", id))],
        value: 1.0,
        timestamp,
    };
    let series = v1::TimeSeries {
        labels: vec![label(("__name__", "e"))],
        samples: vec![norn_wire::proto::Sample { value: 1.0, timestamp: t }],
        exemplars: exemplars.iter().map(exemplar).collect(),
        ..Default::default()
    };
    snappy(&v1::WriteRequest { timeseries: vec![series], ..Default::default() }.encode_to_vec())
}

#[test]
fn exemplars_come_in_order() -> Result<()> {
    let t = now_ms() - MINUTE;
    let long = "é".repeat(121);
    for ignore in [false, true] {
        let flag = format!("-ingester.ignore-ooo-exemplars={ignore}");
        let norn = start(&["-ingester.max-global-exemplars-per-user=100", &flag])?;
        let send = |n: i64, exemplars: &[(i64, &str)]| {
            norn.server.post("/api/v1/push", V1, &with_exemplars(t + n, exemplars))
        };
        answered(&send(0, &[(t, "a"), (t + 5, "b")])?, "")?;
        answered(&send(1, &[(t, "a"), (t + 5, "b"), (t + 6, "c")])?, "")?;
        answered(&send(2, &[(t + 7, &long)])?, "exemplar-labels-too-long")?;
        let late = send(3, &[(t + 1, "d")])?;
        ensure!(late.status == if ignore { 200 } else { 400 }, "{}", text(&late));
        ensure!(ignore || text(&late).contains("out of order"), "{}", text(&late));
        let at = |t: i64| format!("{}.{:03}", t / 1000, t % 1000);
        let params = [("query", "e"), ("start", &at(t - MINUTE)), ("end", &at(t + MINUTE))];
        let found = norn.server.api("query_exemplars", &params)?;
        let ids: Vec<_> = found["data"][0]["exemplars"].as_array().context("none")?.iter().collect();
        let ids: Vec<_> = ids.iter().filter_map(|e| e["labels"]["trace_id"].as_str()).collect();
        ensure!(ids == ["a", "b", "c"], "{found}");
        let metrics = metrics(&norn)?;
        let line =
            "cortex_discarded_exemplars_total{user=\"anonymous\",reason=\"exemplar-out-of-order\"} 2\n";
        ensure!(metrics.contains(line), "{metrics}");
    }
    Ok(())
}

#[test]
fn metadata_beyond_the_limits_is_refused() -> Result<()> {
    let norn =
        start(&["-ingester.max-global-metadata-per-user=2", "-ingester.max-global-metadata-per-metric=1"])?;
    let send = |family: &str, help: &str| {
        let metadata = vec![norn_wire::proto::MetricMetadata {
            r#type: 1,
            metric_family_name: family.to_owned(),
            help: help.to_owned(),
            unit: String::new(),
        }];
        let request = v1::WriteRequest { metadata, ..Default::default() };
        norn.server.post("/api/v1/push", V1, &snappy(&request.encode_to_vec()))
    };
    for (family, help, id) in [
        ("a", "1", ""),
        ("a", "2", "max-metadata-per-metric"),
        ("b", "1", ""),
        ("c", "1", "max-metadata-per-user"),
        ("a", "1", ""),
    ] {
        answered(&send(family, help)?, id)?;
    }
    let metadata = norn.server.api("metadata", &[])?;
    let names: Vec<_> = metadata["data"].as_object().context("none")?.keys().collect();
    ensure!(names == ["a", "b"], "{metadata}");
    let metrics = metrics(&norn)?;
    for reason in ["per_metric_metadata_limit", "per_user_metadata_limit"] {
        let line = format!("cortex_discarded_metadata_total{{user=\"anonymous\",reason=\"{reason}\"}} 1\n");
        ensure!(metrics.contains(&line), "{metrics}");
    }
    Ok(())
}

#[test]
fn names_of_any_text_can_be_written_and_asked_for() -> Result<()> {
    let t = now_ms();
    let labels: &[_] = &[("__name__", "http.server é"), ("service.name", "x")];
    let norn = start(&["-validation.name-validation-scheme=utf8"])?;
    expect(&norn, labels, t, 1.0, "")?;
    let query = r#"{"http.server é", "service.name"="x"}"#;
    let result = norn.server.instant(query, t as f64 / 1000.0)?;
    ensure!(result[0]["metric"]["service.name"] == "x", "{result}");
    let values = norn.server.api("label/U__service_2e_name/values", &[])?;
    ensure!(values["data"][0] == "x", "{values}");
    expect(&start(&[])?, labels, t, 1.0, "metric-name-invalid")
}

#[test]
fn the_process_has_limits_of_its_own() -> Result<()> {
    let norn = start(&[
        "-auth.multitenancy-enabled=true",
        "-ingester.instance-limits.max-tenants=2",
        "-ingester.instance-limits.max-series=3",
    ])?;
    let t = now_ms();
    let send = |tenant: &str, name: &str, at: i64| {
        let headers = format!("{V1}X-Scope-OrgID: {tenant}\r\n");
        let body = norn_tests::push::body(&[(&[("__name__", name)], at, 1.0)]);
        norn.server.post("/api/v1/push", &headers, &snappy(&body))
    };
    for (i, (tenant, name, id)) in [
        ("a", "1", ""),
        // Nothing of it is stored: the tenant takes no place.
        ("c", "bad name", ""),
        ("b", "1", ""),
        ("c", "1", "ingester-max-tenants"),
        ("a", "2", ""),
        ("b", "2", "ingester-max-series"),
        ("b", "1", ""),
        ("a", "2", ""),
    ]
    .iter()
    .enumerate()
    {
        let (name, status) = match *name {
            "bad name" => (name.to_string(), 400),
            name => (format!("m{name}"), if id.is_empty() { 200 } else { 503 }),
        };
        let response = send(tenant, &name, t + i as i64)?;
        ensure!(response.status == status && text(&response).contains(id), "{i}: {}", text(&response));
    }
    let metrics = metrics(&norn)?;
    for line in [
        "cortex_ingester_instance_rejected_requests_total{reason=\"ingester_max_tenants\"} 1\n",
        "cortex_ingester_instance_rejected_requests_total{reason=\"ingester_max_series\"} 1\n",
        "cortex_ingester_instance_limits{limit=\"max_series\"} 3",
        "cortex_distributor_inflight_push_requests 0",
        "cortex_ingester_inflight_push_requests 0",
    ] {
        ensure!(metrics.contains(line), "{line}{metrics}");
    }
    Ok(())
}

#[test]
fn the_process_takes_so_much_a_second() -> Result<()> {
    for (role, flag) in [
        ("distributor", "-distributor.instance-limits.max-ingestion-rate=10"),
        ("ingester", "-ingester.instance-limits.max-ingestion-rate=10"),
    ] {
        let norn = start(&[flag])?;
        let t = now_ms();
        let series: Vec<_> = (0..1000).map(|i| i.to_string()).collect();
        let labels: Vec<_> = series.iter().map(|i| [("__name__", "m"), ("i", i.as_str())]).collect();
        let all: Vec<norn_tests::push::OneSample<'_>> = labels.iter().map(|l| (&l[..], t, 1.0)).collect();
        ensure!(push(&norn.server, &all)?.status == 200);
        let id = format!("(err-mimir-{role}-max-ingestion-rate)");
        norn.server.wait_for(&id, std::time::Duration::from_secs(10), || {
            let response = push(&norn.server, &[(&[("__name__", "m")], now_ms(), 1.0)])?;
            Ok(response.status == 503 && text(&response).contains(&id))
        })?;
    }
    Ok(())
}
