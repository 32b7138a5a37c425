//! The file that names the queries that run: `docs/formats/active-queries.md`.

use std::io::{ErrorKind, IoSlice, Result};
use std::path::Path;
use std::sync::Arc;

use norn_contract::fs::{File, FileSystem, OpenMode};
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Bytes of a slot.
const SLOT: usize = 1024;
/// Most slots that are read at a start.
const MAX_READ: u64 = 4096;

/// A query that ran when the process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    /// When it began.
    pub start: Millis,
    /// Its tenant.
    pub user: String,
    /// Its text, maybe cut.
    pub query: String,
}

/// The open file.
pub(crate) struct ActiveQueries {
    slots: Mutex<Slots>,
}

struct Slots {
    file: Box<dyn File>,
    free: Vec<usize>,
    is_failing: bool,
}

/// A query's place in the file; blank again when it is dropped.
pub(crate) struct Slot {
    of: Arc<ActiveQueries>,
    number: usize,
}

impl ActiveQueries {
    /// Reads what the last process left in the file, logs it, and makes room for `slots` queries.
    pub(crate) fn open(fs: &dyn FileSystem, path: &Path, slots: usize) -> Result<(Self, Vec<LeftOver>)> {
        let file = match fs.open(path, OpenMode::Write) {
            Err(e) if e.kind() == ErrorKind::NotFound => fs.open(path, OpenMode::Create)?,
            other => other?,
        };
        let left = read(&*file)?;
        file.set_len(0)?;
        let slots = Slots { file, free: (0..slots).rev().collect(), is_failing: false };
        for number in 0..slots.free.len() {
            slots.write(number, &[])?;
        }
        Ok((Self { slots: Mutex::new(slots) }, left))
    }

    /// Writes a query down. `None` where no slot is free or the file can not be written: no
    /// reason to refuse a query.
    pub(crate) fn enter(self: &Arc<Self>, tenant: &Tenant, query: &str, start: Millis) -> Option<Slot> {
        let line = line(tenant, query, start);
        let mut slots = self.slots.lock();
        let number = slots.free.pop()?;
        let written = slots.write(number, &line);
        slots.report(written);
        Some(Slot { of: self.clone(), number })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.of.slots.lock();
        let written = slots.write(self.number, &[]);
        slots.report(written);
        slots.free.push(self.number);
    }
}

impl Slots {
    fn write(&self, number: usize, line: &[u8]) -> Result<()> {
        let mut slot = [b' '; SLOT];
        let len = line.len().min(SLOT - 1);
        slot[..len].copy_from_slice(&line[..len]);
        slot[SLOT - 1] = b'\n';
        self.file.write_at(&mut [IoSlice::new(&slot)], (number * SLOT) as u64)
    }

    /// Logs the first of a row of failures.
    fn report(&mut self, outcome: Result<()>) {
        if let Err(error) = &outcome
            && !self.is_failing
        {
            tracing::warn!(%error, "active queries can not be written down");
        }
        self.is_failing = outcome.is_err();
    }
}

/// The object of a slot, with as much of the text as fits.
fn line(tenant: &Tenant, query: &str, start: Millis) -> Vec<u8> {
    let mut left = LeftOver { start, user: tenant.to_string(), query: query.to_owned() };
    let mut keep = query.len();
    loop {
        // Numbers and texts always have a form in JSON.
        let line = serde_json::to_vec(&left).unwrap_or_default();
        if line.len() < SLOT {
            return line;
        }
        keep = query.floor_char_boundary((keep * 3 / 4).min(SLOT));
        left.query = format!("{}…", &query[..keep]);
    }
}

fn read(file: &dyn File) -> Result<Vec<LeftOver>> {
    let slots = (file.len()? / SLOT as u64).min(MAX_READ);
    let (mut left, mut unreadable) = (Vec::new(), 0);
    let mut slot = [0; SLOT];
    for number in 0..slots {
        file.read_at(&mut slot, number * SLOT as u64)?;
        match slot.trim_ascii() {
            [] => {}
            line => match serde_json::from_slice(line) {
                Ok(query) => left.push(query),
                Err(_) => unreadable += 1,
            },
        }
    }
    if !left.is_empty() || unreadable > 0 {
        let queries = serde_json::to_string(&left).unwrap_or_default();
        tracing::warn!(queries, unreadable, "queries that were running when the process ended");
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use norn_log::disk::Disk;

    use super::*;

    fn tenant() -> Tenant {
        Tenant::admit("team").unwrap()
    }

    #[test]
    fn what_ran_is_found_again_and_what_ended_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queries.active");
        let (active, left) = ActiveQueries::open(&Disk, &path, 3).unwrap();
        let active = Arc::new(active);
        assert!(left.is_empty());
        let ended = active.enter(&tenant(), "ended", 1).unwrap();
        let kept = active.enter(&tenant(), "sum(\"x\n\")", 2).unwrap();
        drop(ended);
        let again = active.enter(&tenant(), &"é\u{1}".repeat(3000), 3).unwrap();
        std::mem::forget((kept, again));
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * SLOT as u64);

        let (_, left) = ActiveQueries::open(&Disk, &path, 1).unwrap();
        let queries: Vec<_> = left.iter().map(|l| (l.start, l.user.as_str())).collect();
        assert_eq!(queries, [(3, "team"), (2, "team")]);
        assert!(left[0].query.ends_with('…') && left[0].query.len() > 300, "{}", left[0].query);
        assert_eq!(left[1].query, "sum(\"x\n\")");
        let (_, left) = ActiveQueries::open(&Disk, &path, 1).unwrap();
        assert!(left.is_empty());
    }

    #[test]
    fn slots_are_limited_and_garbage_is_no_query() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queries.active");
        fs::write(&path, [b'x'; 5 * SLOT + 7]).unwrap();
        let (active, left) = ActiveQueries::open(&Disk, &path, 1).unwrap();
        let active = Arc::new(active);
        assert!(left.is_empty());
        let first = active.enter(&tenant(), "a", 0);
        assert!(first.is_some() && active.enter(&tenant(), "b", 0).is_none());
        drop(first);
        assert!(active.enter(&tenant(), "c", 0).is_some());
        assert!(fs::read(&path).unwrap().iter().all(|b| b.is_ascii_whitespace()));
    }
}
