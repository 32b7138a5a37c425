//! Tenants are kept apart, and their limits are enforced with Mimir's ids.

use anyhow::{Result, ensure};
use norn_tests::norn::Norn;
use norn_tests::push::{V1, body, snappy};

use crate::support::{now_ms, text};

fn start(extra: &[&str]) -> Result<Norn> {
    let mut flags = vec!["-self-monitoring.enabled=false", "-auth.multitenancy-enabled=true"];
    flags.extend(extra);
    Norn::start(&flags)
}

fn push_as(norn: &Norn, tenant: &str, name: &str, count: usize) -> Result<(u16, String)> {
    push_at(norn, tenant, name, count, now_ms())
}

fn push_at(norn: &Norn, tenant: &str, name: &str, count: usize, timestamp: i64) -> Result<(u16, String)> {
    let mut raw = Vec::new();
    for i in 0..count {
        raw.extend(body(&[(&[("__name__", name), ("i", &i.to_string())], timestamp, 1.0)]));
    }
    let headers = format!("{V1}X-Scope-OrgID: {tenant}\r\n");
    let response = norn.server.post("/api/v1/push", &headers, &snappy(&raw))?;
    Ok((response.status, text(&response)))
}

fn count(norn: &Norn, tenant: &str) -> Result<String> {
    let headers = format!("X-Scope-OrgID: {tenant}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let query = b"query=count(%7B__name__%3D~%22.%2B%22%7D)";
    let response = norn.server.post("/prometheus/api/v1/query", &headers, query)?;
    let answer: serde_json::Value = serde_json::from_slice(&response.body)?;
    Ok(answer["data"]["result"][0]["value"][1].as_str().unwrap_or("none").to_owned())
}

#[test]
fn a_request_needs_a_valid_tenant() -> Result<()> {
    let norn = start(&[])?;
    let response = norn.server.post("/api/v1/push", V1, b"")?;
    ensure!(response.status == 401 && text(&response).trim() == "no org id", "{}", text(&response));
    let response = norn.server.get("/prometheus/api/v1/query?query=1")?;
    ensure!(response.status == 401, "{}", response.status);
    let (status, why) = push_as(&norn, "../etc", "m", 1)?;
    ensure!((400..402).contains(&status), "{status}: {why}");
    let (status, why) = push_as(&norn, "a|b", "m", 1)?;
    ensure!(status == 422 || status == 400, "{status}: {why}");
    Ok(())
}

#[test]
fn tenants_do_not_see_each_other() -> Result<()> {
    let mut norn = start(&[])?;
    ensure!(push_as(&norn, "a", "m", 3)?.0 == 200);
    ensure!(push_as(&norn, "b", "m", 5)?.0 == 200);
    for _ in 0..2 {
        ensure!(count(&norn, "a")? == "3" && count(&norn, "b")? == "5" && count(&norn, "c")? == "none");
        norn.crash_and_restart()?;
    }
    Ok(())
}

#[test]
fn series_limit_refuses_new_series_only() -> Result<()> {
    let mut norn = start(&["-ingester.max-global-series-per-user=10"])?;
    let t = now_ms();
    ensure!(push_at(&norn, "a", "m", 10, t)?.0 == 200);
    let (status, why) = push_at(&norn, "a", "other", 5, t)?;
    ensure!(status == 400 && why.contains("(err-mimir-max-series-per-user)"), "{status}: {why}");
    ensure!(push_at(&norn, "a", "m", 10, t + 1)?.0 == 200);
    ensure!(count(&norn, "a")? == "10");
    norn.crash_and_restart()?;
    ensure!(count(&norn, "a")? == "10", "a replay must neither refuse nor admit anything else");
    Ok(())
}

#[test]
fn ingestion_rate_is_limited_with_429() -> Result<()> {
    let norn = start(&["-distributor.ingestion-rate-limit=10", "-distributor.ingestion-burst-size=100"])?;
    ensure!(push_as(&norn, "a", "m", 100)?.0 == 200);
    let (status, why) = push_as(&norn, "a", "n", 100)?;
    ensure!(status == 429 && why.contains("(err-mimir-tenant-max-ingestion-rate)"), "{status}: {why}");
    ensure!(push_as(&norn, "b", "m", 100)?.0 == 200, "limits are per tenant");
    Ok(())
}

#[test]
fn label_names_are_limited() -> Result<()> {
    let norn = start(&["-validation.max-label-names-per-series=1"])?;
    let (status, why) = push_as(&norn, "a", "m", 1)?;
    ensure!(status == 400 && why.contains("(err-mimir-max-label-names-per-series)"), "{status}: {why}");
    Ok(())
}

#[test]
fn out_of_order_window() -> Result<()> {
    let norn = start(&["-ingester.out-of-order-time-window=10m"])?;
    let strict = start(&[])?;
    let t = now_ms();
    for (n, taken) in [(&norn, true), (&strict, false)] {
        ensure!(push_at(n, "a", "m", 1, t)?.0 == 200);
        let (status, why) = push_at(n, "a", "m", 1, t - 60_000)?;
        if taken {
            ensure!(status == 200, "{status}: {why}");
            let (status, why) = push_at(n, "a", "m", 1, t - 3_600_000)?;
            ensure!(status == 400 && why.contains("(err-mimir-sample-timestamp-too-old)"), "{status}: {why}");
        } else {
            ensure!(status == 400 && why.contains("(err-mimir-sample-out-of-order)"), "{status}: {why}");
        }
    }
    Ok(())
}
