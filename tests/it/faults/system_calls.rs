//! What reaches the disk before a client is told so, as the system sees it.
//!
//! `kill -9` keeps what the system holds in memory and proves nothing about syncs. Here every
//! answer of 200 is traced back: the record's bytes were written to a segment, `fdatasync` of that
//! segment began after that and ended well, and its name was synced, before the answer was sent.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use norn_benches::http::Client;
use norn_tests::norn::Norn;
use norn_tests::push::{V1, body, snappy};
use norn_tests::trace::{self, Event, buffers};

use super::FLAGS;
use crate::support::{now_ms, text};

const CALLS: &str =
    "read,recvfrom,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2";
const REQUESTS: usize = 40;
const CLIENTS: usize = 4;
/// The header of a frame: `docs/formats/log.md`.
const FRAME_HEADER: usize = 48;
/// The type of a frame with settings; smaller ones, and 4, hold what was sent.
const SETTINGS: u8 = 3;

/// What the calls so far have made durable.
#[derive(Default)]
struct Seen {
    /// The tenant of the request that was last read from a socket.
    asked: HashMap<String, String>,
    /// Tenants of the records written to a segment, and not synced.
    written: HashMap<String, Vec<String>>,
    /// Those of them that were there when a sync began.
    syncing: HashMap<String, Vec<String>>,
    /// Segments whose names are durable, or are to be by the next sync of the directory.
    named: HashSet<String>,
    renamed: Vec<String>,
    durable: HashMap<String, usize>,
    acknowledged: HashMap<String, usize>,
}

/// The file or socket a call is about.
fn subject(event: &Event) -> String {
    event.args.split([',', ')']).next().unwrap_or_default().to_owned()
}

fn path(subject: &str) -> &str {
    subject.split_once('<').map_or("", |(_, path)| path.trim_end_matches(' ').trim_end_matches('>'))
}

impl Seen {
    fn take(&mut self, event: &Event) -> Result<()> {
        let subject = subject(event);
        let is_segment = path(&subject).ends_with(".log");
        match (event.call.as_str(), event.result) {
            ("read" | "recvfrom", Some(1..)) if subject.contains("socket:") => self.asked(subject, event),
            ("write" | "writev" | "pwrite64" | "pwritev", Some(1..)) if is_segment => {
                let file = path(&subject).to_owned();
                self.written.entry(file).or_default().extend(tenants(event));
            }
            ("fdatasync" | "fsync", None) => {
                let file = path(&subject).to_owned();
                let written = self.written.remove(&file).unwrap_or_default();
                self.syncing.insert(file, written);
            }
            ("fdatasync" | "fsync", Some(0)) => self.synced(path(&subject))?,
            ("rename" | "renameat" | "renameat2", Some(0)) => {
                let names = buffers(&event.args);
                let to = String::from_utf8_lossy(names.last().context("no name")?).into_owned();
                self.renamed.push(to);
            }
            ("write" | "writev" | "sendto" | "sendmsg", None) if subject.contains("socket:") => {
                self.answered(&subject, event)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn asked(&mut self, socket: String, event: &Event) {
        let text = String::from_utf8_lossy(&buffers(&event.args).concat()).to_lowercase();
        if let Some(rest) = text.split("x-scope-orgid: ").nth(1) {
            self.asked.insert(socket, rest.split("\r\n").next().unwrap_or_default().to_owned());
        }
    }

    fn synced(&mut self, file: &str) -> Result<()> {
        let dir = |path: &str| path.rsplit_once('/').map(|(dir, _)| dir.to_owned());
        let renamed = std::mem::take(&mut self.renamed);
        let (named, rest) = renamed.into_iter().partition(|to| dir(to).as_deref() == Some(file));
        self.renamed = rest;
        self.named.extend::<Vec<_>>(named);
        for tenant in self.syncing.remove(file).unwrap_or_default() {
            ensure!(
                self.named.contains(file),
                "a record of {tenant} lies in {file}, whose name is not durable"
            );
            *self.durable.entry(tenant).or_default() += 1;
        }
        Ok(())
    }

    fn answered(&mut self, socket: &str, event: &Event) -> Result<()> {
        if !buffers(&event.args).concat().starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        let Some(tenant) = self.asked.remove(socket) else { return Ok(()) };
        let acknowledged = self.acknowledged.entry(tenant.clone()).or_default();
        *acknowledged += 1;
        let durable = self.durable.get(&tenant).copied().unwrap_or(0);
        ensure!(
            durable >= *acknowledged,
            "{tenant} was told that {acknowledged} requests are stored, {durable} are"
        );
        Ok(())
    }
}

/// Tenants of the records, not the settings, in a write of frames.
fn tenants(event: &Event) -> Vec<String> {
    let is_record =
        |b: &Vec<u8>| b.len() > FRAME_HEADER && b.starts_with(b"Nfrm") && b[8] < 128 && b[8] != SETTINGS;
    let frames = buffers(&event.args).into_iter().filter(is_record);
    frames.map(|b| String::from_utf8_lossy(&b[FRAME_HEADER..]).into_owned()).collect()
}

/// Each request belongs to a tenant of its own, which its frame's header names.
fn send(host: &str, client: usize) -> Result<()> {
    let mut connection = Client::connect(host)?;
    for i in 0..REQUESTS {
        let headers = format!("{V1}X-Scope-OrgID: traced-{client}-{i}\r\n");
        for again in 0..2 {
            let names: Vec<String> = (0..20).map(|n| format!("{:x}", (i + 1) << n)).collect();
            let labels: Vec<_> = names.iter().map(|n| [("__name__", "traced"), ("n", n)]).collect();
            let series: Vec<_> = labels.iter().map(|l| (&l[..], now_ms() + again, i as f64)).collect();
            let body = snappy(&body(&series));
            let response = connection.post("/api/v1/push", &headers, &body)?;
            ensure!(response.status == 200, "{}: {}", response.status, text(&response));
        }
    }
    Ok(())
}

#[test]
fn every_acknowledged_record_was_synced_before() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("trace");
    let wrapper = trace::wrapper(CALLS, &file);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let small = "-embedded-log.segment-size-bytes=65536";
    let flags = [&FLAGS[..FLAGS.len() - 1], &[small]].concat();
    let mut norn = Norn::start_under(&wrapper, &flags)?;
    let host = norn.server.host.clone();
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|c| {
                scope.spawn({
                    let host = &host;
                    move || send(host, c)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let pid = norn.process.id();
    norn.process.kill()?;
    let events = trace::read(&file, pid)?;
    let seen = follow(&events)?;
    let acknowledged: usize = seen.acknowledged.values().sum();
    ensure!(acknowledged == 2 * CLIENTS * REQUESTS, "the trace shows {acknowledged} answers");
    ensure!(seen.named.len() > 1, "segments were never finished: {:?}", seen.named);
    // The check itself: a server that does not sync would be found out.
    let unsynced: Vec<_> = events.into_iter().filter(|e| e.call != "fdatasync").collect();
    ensure!(follow(&unsynced).is_err(), "without any sync nothing seems to be wrong");
    Ok(())
}

fn follow(events: &[Event]) -> Result<Seen> {
    let mut seen = Seen::default();
    for event in events {
        seen.take(event).with_context(|| format!("{event:?}"))?;
    }
    Ok(seen)
}
