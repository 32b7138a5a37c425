//! Reads back what clients sent and compares it, sample by sample and bit by bit.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use norn_wire::proto::v1::TimeSeries;

use super::content::{self, Kind};
use super::{Entry, LAG, Ledger, Outcome, tenant};
use crate::api::Server;
use crate::read::{query, read, shown};

/// Compares the requests `ids` of all clients and settles what was unknown. Gives the number of
/// samples that were right.
pub fn verify(ledger: &Ledger, server: &Server, ids: Range<u64>) -> Result<u64> {
    let mut samples = 0;
    for client in 0..ledger.options.clients {
        samples += one_client(ledger, server, client, &ids)
            .with_context(|| format!("seed {}, client {client}, requests {ids:?}", ledger.options.seed))?;
    }
    Ok(samples)
}

fn one_client(ledger: &Ledger, server: &Server, client: usize, ids: &Range<u64>) -> Result<u64> {
    let entries = ledger.entries.lock().clone();
    let name = client.to_string();
    // Late samples lie before others, and what should not be there may lie anywhere behind.
    let start = if ids.start == 0 { i64::MIN } else { ledger.time(ids.start, Kind::Late) };
    let header = format!("X-Scope-OrgID: {}\r\n", tenant(client));
    let results = read(server, &header, vec![query(&[(0, "client", &name)], start, i64::MAX)])?;
    let series = &results.first().context("no result")?.timeseries;
    let mut look = Look { ledger, entries: &entries, client, found: HashMap::new() };
    series.iter().try_for_each(|s| look.series(s))?;
    let found = look.found;
    for id in ids.clone() {
        let entry = entries.get(id as usize).context("no entry")?;
        if entry.client == client {
            let outcome = judge(ledger, id, entry, found.get(&id).copied().unwrap_or(0))?;
            ledger.settle(id, outcome);
        }
    }
    Ok(found.values().map(|n| *n as u64).sum())
}

/// What is known of a request of which `found` samples are there.
fn judge(ledger: &Ledger, id: u64, entry: &Entry, found: usize) -> Result<Outcome> {
    let whole = content::series(ledger.options.seed, id);
    let may_be = |outcome| entry.outcome == outcome || entry.outcome == Outcome::Unknown;
    match found {
        0 if may_be(Outcome::NotThere) => Ok(Outcome::NotThere),
        n if n == whole && may_be(Outcome::There) && entry.kind != Kind::Malformed => Ok(Outcome::There),
        n => bail!("request {id}, {entry:?}: {n} of {whole} samples are there"),
    }
}

/// Samples of one client.
struct Look<'a> {
    ledger: &'a Ledger,
    entries: &'a [Entry],
    client: usize,
    /// Samples by request.
    found: HashMap<u64, usize>,
}

impl Look<'_> {
    fn series(&mut self, series: &TimeSeries) -> Result<()> {
        let i: usize = series.labels.last().context("no labels")?.value.parse()?;
        let labels = content::labels(self.client, i);
        ensure!(series.labels == labels, "series {:?} should not be there", series.labels);
        let seed = self.ledger.options.seed;
        let mut last = i64::MIN;
        for sample in &series.samples {
            let id = self.request(i, &mut last, sample.timestamp)?;
            let (got, want) = (sample.value.to_bits(), content::value(seed, id, i));
            ensure!(
                got == want && !content::is_histogram(i),
                "request {id}, series {i}: {got:x} instead of {want:x}"
            );
        }
        for histogram in &series.histograms {
            let t = histogram.timestamp;
            let id = self.request(i, &mut last, t)?;
            let (got, want) = (shown(histogram), shown(&content::histogram(seed, id, i, t)));
            ensure!(
                got == want && content::is_histogram(i),
                "request {id}, series {i}: {got} instead of {want}"
            );
        }
        Ok(())
    }

    /// Counts the sample of series `i` at `t` and gives its request.
    fn request(&mut self, i: usize, last: &mut i64, t: i64) -> Result<u64> {
        ensure!(t > *last, "series {i} has two samples at {t}");
        *last = t;
        let (id, is_late) =
            self.ledger.id_at(t).with_context(|| format!("series {i}: nothing was sent at {t}"))?;
        let sent = self.entries.get(id as usize);
        let sent = sent.filter(|e| e.client == self.client && (e.kind == Kind::Late) == is_late);
        ensure!(
            sent.is_some(),
            "series {i}: request {id} at {t} was not sent by this client ({LAG} behind: {is_late})"
        );
        ensure!(i < content::series(self.ledger.options.seed, id), "request {id} has no series {i}");
        *self.found.entry(id).or_default() += 1;
        Ok(id)
    }
}
