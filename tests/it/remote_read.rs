//! Remote read as a real Prometheus answers it, and as a real Prometheus understands it.

use anyhow::{Context, Result, ensure};
use norn_tests::differential::servers::Servers;
use norn_tests::generator::data::{SLICE, SLICES, START};
use norn_tests::prometheus::Prometheus;
use norn_tests::read::{lines, query, read};

const END: i64 = START + SLICE * SLICES;

#[test]
fn samples_are_those_that_prometheus_gives() -> Result<()> {
    let servers = Servers::start(1)?;
    let middle = START + (END - START) / 2;
    let queries = vec![
        query(&[(2, "__name__", ".+")], START, END),
        query(&[(2, "__name__", ".+")], middle, middle + 60_000),
        query(&[(3, "__name__", "[a-h].*")], middle, middle),
        query(&[(0, "__name__", "not there")], START, END),
        query(&[(1, "__name__", ""), (2, "job", ".*")], END, i64::MAX),
    ];
    let want = read(&servers.prometheus.server, "", queries.clone())?;
    let got = read(&servers.norn.server, "", queries)?;
    ensure!(want.len() == got.len());
    let (mut samples, mut histograms) = (0, 0);
    for (i, (want, got)) in want.iter().zip(&got).enumerate() {
        // The reference also gives series of which nothing lies within the range.
        let want: Vec<_> =
            want.timeseries.iter().filter(|s| !s.samples.is_empty() || !s.histograms.is_empty()).collect();
        let (wanted, given) = (want.len(), got.timeseries.len());
        ensure!(wanted == given, "query {i}: {given} series instead of {wanted}");
        for (want, got) in want.into_iter().zip(&got.timeseries) {
            let (wanted, given) = (lines(want), lines(got));
            let differs = wanted.iter().zip(&given).find(|(a, b)| a != b);
            ensure!(differs.is_none() && wanted.len() == given.len(), "query {i}: {} {differs:?}", wanted[0]);
            samples += want.samples.len();
            histograms += want.histograms.len();
        }
    }
    ensure!(samples > 10_000 && histograms > 100, "only {samples} samples and {histograms} histograms");
    Ok(())
}

#[test]
fn prometheus_reads_streamed_chunks() -> Result<()> {
    let servers = Servers::start(1)?;
    let reader = Prometheus::reader(&servers.norn.server.host)?;
    let end = END as f64 / 1000.0;
    let query = "{__name__=~\".+\"}[2h]";
    let want = servers.norn.server.instant(query, end)?;
    let got = reader.server.instant(query, end)?;
    let (want, got) = (want.as_array().context("series")?, got.as_array().context("series")?);
    ensure!(want.len() == got.len() && want.len() > 50, "{} of {} series", got.len(), want.len());
    for (want, got) in want.iter().zip(got) {
        ensure!(want == got, "{}\n{}", want["metric"], got["metric"]);
    }
    Ok(())
}
