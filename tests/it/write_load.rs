//! Many tenants over many connections.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use norn_benches::body::{labels_v1, series_v1};
use norn_benches::http::Client;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, snappy};

use crate::support::{now_ms, text};

#[test]
fn a_thousand_tenants_over_64_connections_do_not_mix() -> Result<()> {
    let mut norn = Norn::start(&["-self-monitoring.enabled=false", "-auth.multitenancy-enabled"])?;
    let (host, t, failed) = (norn.server.host.clone(), now_ms(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for connection in 0..64 {
            let (host, failed) = (&host, &failed);
            scope.spawn(move || {
                let push = || -> Result<()> {
                    let mut client = Client::connect(host)?;
                    for tenant in (connection..1000).step_by(64) {
                        let mut raw = Vec::new();
                        let pairs = [("__name__".to_owned(), "mine".to_owned())];
                        series_v1(&mut raw, &labels_v1(&pairs), t, tenant as f64, &mut Vec::new());
                        let headers = format!("{V1}X-Scope-OrgID: tenant-{tenant}\r\n");
                        let response = client.post("/api/v1/push", &headers, &snappy(&raw))?;
                        ensure!(response.status == 200, "{}: {}", response.status, text(&response));
                    }
                    Ok(())
                };
                if let Err(e) = push() {
                    eprintln!("connection {connection}: {e:#}");
                    failed.store(true, Ordering::SeqCst);
                }
            });
        }
    });
    ensure!(!failed.load(Ordering::SeqCst), "a tenant could not write");
    norn.crash_and_restart()?;
    for tenant in 0..1000 {
        let headers =
            format!("X-Scope-OrgID: tenant-{tenant}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let body = format!("query=mine&time={}", t as f64 / 1000.0);
        let response = norn.server.post("/prometheus/api/v1/query", &headers, body.as_bytes())?;
        let answer = text(&response);
        ensure!(answer.contains(&format!("\"{tenant}\"]")), "tenant {tenant}: {answer}");
    }
    Ok(())
}
