//! An acknowledgement ledger: what clients were told, held against what the server has.
//!
//! Clients send requests whose content follows from a number alone. Each remembers what it was
//! told; after a fault the samples are read back with all their bits:
//!
//! | the client was told | the server has |
//! |---|---|
//! | 200 | every sample, once, unaltered |
//! | 400, of some series | those series not at all, all others as with 200 |
//! | 400, of the request | nothing |
//! | 5xx, or nothing at all | the whole request or nothing; from the first look on it stays so |
//!
//! A request of which nothing is known may be sent again, as senders do; it is still there once.
//!
//! | module | subject |
//! |---|---|
//! | [`content`] | what a request says |
//! | [`sender`] | a client |
//! | [`verify`] | the comparison |

pub mod content;
pub mod sender;
pub mod verify;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use parking_lot::Mutex;

use crate::api::Server;
use crate::generator::random::Random;
use crate::ledger::content::Kind;
use crate::ledger::sender::Sender;

/// Milliseconds between two requests' timestamps.
pub const STEP: i64 = 200;
/// How many requests a late one is behind.
pub const LAG: i64 = 100;
/// How far before now the first timestamp lies, in milliseconds.
const PAST: i64 = 48 * 3_600_000;

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may be there or not.
    Unknown,
    /// It is there.
    There,
    /// It is not there.
    NotThere,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who sent it.
    pub client: usize,
    /// What it says.
    pub kind: Kind,
    /// What is known of it.
    pub outcome: Outcome,
    /// Whether it was answered with 200, or with 400 as it had to be.
    pub acknowledged: bool,
}

/// How a ledger is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where all content comes from.
    pub seed: u64,
    /// Clients that send at once; two share a tenant.
    pub clients: usize,
    /// Whether the server takes samples that are ten minutes late; otherwise they are sent to be
    /// refused.
    pub late: bool,
}

/// The requests of all clients, by number.
pub struct Ledger {
    options: Options,
    /// Timestamp of request 0.
    base: i64,
    entries: Mutex<Vec<Entry>>,
}

/// Requests by what is known of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Answered as they had to be.
    pub acknowledged: usize,
    /// Refused as a whole.
    pub refused: usize,
    /// Never answered, or with 5xx.
    pub unanswered: usize,
}

impl Ledger {
    fn new(options: Options) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        Self { options, base: (now - PAST) / 1000 * 1000, entries: Mutex::new(Vec::new()) }
    }

    fn begin(&self, client: usize, kind: Kind) -> Result<u64> {
        let mut entries = self.entries.lock();
        ensure!((entries.len() as i64) < PAST / STEP, "the ledger is full");
        entries.push(Entry { client, kind, outcome: Outcome::Unknown, acknowledged: false });
        Ok(entries.len() as u64 - 1)
    }

    fn again(&self, id: u64) -> Kind {
        let entry = &mut self.entries.lock()[id as usize];
        if entry.outcome == Outcome::NotThere {
            entry.outcome = Outcome::Unknown;
        }
        entry.kind
    }

    fn answered(&self, id: u64, outcome: Outcome) {
        let entry = &mut self.entries.lock()[id as usize];
        (entry.outcome, entry.acknowledged) = (outcome, true);
    }

    /// Notes what a look at the server showed.
    fn settle(&self, id: u64, outcome: Outcome) {
        self.entries.lock()[id as usize].outcome = outcome;
    }

    fn len(&self) -> u64 {
        self.entries.lock().len() as u64
    }

    /// Timestamp of request `id`; a late one's lies [`LAG`] requests back, between two others.
    fn time(&self, id: u64, kind: Kind) -> i64 {
        let time = self.base + id as i64 * STEP;
        if kind == Kind::Late { time - LAG * STEP + STEP / 2 } else { time }
    }

    /// The request that has a sample at `t`.
    fn id_at(&self, t: i64) -> Option<(u64, bool)> {
        let since = t - self.base;
        let (id, late) = match since.rem_euclid(STEP) {
            0 => (since / STEP, false),
            r if r == STEP / 2 => (since.div_euclid(STEP) + LAG, true),
            _ => return None,
        };
        Some((u64::try_from(id).ok()?, late))
    }

    /// How many requests ended in which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.lock().iter() {
            match (entry.acknowledged, entry.outcome) {
                (true, Outcome::NotThere) => counts.refused += 1,
                (true, _) => counts.acknowledged += 1,
                (false, _) => counts.unanswered += 1,
            }
        }
        counts
    }
}

/// A tenant of clients.
pub fn tenant(client: usize) -> String {
    format!("ledger-{}", client / 2)
}

/// A ledger with its clients.
pub struct Load {
    /// What was sent.
    pub ledger: Ledger,
    senders: Vec<Sender>,
    /// First request that was not compared yet.
    next: u64,
}

impl Load {
    /// Clients that have not sent anything yet.
    pub fn new(options: Options) -> Self {
        let senders = (0..options.clients).map(|client| Sender::new(options, client)).collect();
        Self { ledger: Ledger::new(options), senders, next: 0 }
    }

    /// Lets all clients send to `server` while `during` runs. Connections may break at any time;
    /// an answer that no server may give is an error.
    pub fn run<T>(&mut self, server: &Server, during: impl FnOnce() -> Result<T>) -> Result<T> {
        let (stop, ledger) = (AtomicBool::new(false), &self.ledger);
        std::thread::scope(|scope| {
            let run = |sender: &mut Sender| sender.run(ledger, &server.host, &stop);
            let threads: Vec<_> =
                self.senders.iter_mut().map(|sender| scope.spawn(move || run(sender))).collect();
            let outcome = during();
            stop.store(true, Ordering::SeqCst);
            for thread in threads {
                thread.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            outcome
        })
    }

    /// Compares what was sent since the last time. Gives the number of samples that were right.
    pub fn verify(&mut self, server: &Server) -> Result<u64> {
        let next = self.ledger.len();
        let samples = verify::verify(&self.ledger, server, self.next..next)?;
        self.next = next;
        Ok(samples)
    }

    /// Compares everything.
    pub fn verify_all(&self, server: &Server) -> Result<u64> {
        verify::verify(&self.ledger, server, self.all())
    }

    fn all(&self) -> Range<u64> {
        0..self.ledger.len()
    }

    /// A choice for whoever makes faults, from the ledger's seed.
    pub fn faults(&self) -> Random {
        Random::new(self.ledger.options.seed, u64::MAX)
    }
}
