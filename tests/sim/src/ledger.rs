//! What clients know: which records were acknowledged, what was said of them, and what must
//! therefore be there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use norn_contract::applied::{AppliedError, AppliedRecords, Outcome};
use norn_contract::log::{IngestLog, LogError, Offset, Partition};
use norn_head::Checkpoint;
use norn_ingester::checkpoints::Checkpoints;
use norn_log::memory::MemoryFs;
use norn_model::Millis;

use crate::fold::{Fold, Verdict, variants};
use crate::process::{HEAD_DIR, Process, Series};
use crate::traffic::{Content, SERIES, Sent, labels, tenant};
use crate::value::Value;

/// Tenant, series and time of a sample.
type Place = (u8, u8, Millis);

/// An append that was not answered yet.
struct Waiting {
    sent: Sent,
    answer: BoxFuture<'static, Result<Offset, LogError>>,
}

/// What is known of one partition.
#[derive(Default)]
pub struct Account {
    /// Records by offset, from 0: acknowledged, or found after a restart.
    records: Vec<Sent>,
    /// How many of them were acknowledged or read: they must never go.
    certain: usize,
    waiting: VecDeque<Waiting>,
    /// What was refused or unanswered since the last acknowledgement, in order of calls.
    doubtful: Vec<Sent>,
    /// Below it records may have been trimmed.
    trimmed: Offset,
    /// The model of the head, and the offsets it holds.
    fold: Fold,
    folded: Range<Offset>,
    verdicts: BTreeMap<Offset, Verdict>,
    asked: BTreeMap<Offset, BoxFuture<'static, Outcome>>,
    /// Digests of the head by first and next offset.
    digests: BTreeMap<(Offset, Offset), u64>,
    /// What the head of this life has come to.
    applied: Offset,
    /// Below it clients were told what became of records.
    told: Offset,
}

/// All partitions.
#[derive(Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    /// Heads let closed windows go: what they take then depends on what they have forgotten, so they
    /// are not compared with the model, but with what was said.
    is_forgetful: bool,
    /// With forgetful heads: the values that durable records have for a place.
    sent: BTreeMap<Place, Vec<Value>>,
    /// With forgetful heads: places of records of which it was said that all was taken.
    taken: BTreeSet<Place>,
    /// Acknowledged records.
    pub acknowledged: u64,
    /// Appends that were refused.
    pub refused: u64,
    /// Records that were found though nobody was told.
    pub survived: u64,
}

/// What a check found wrong.
pub type Checked = Result<(), String>;

impl Ledger {
    /// Nothing is known.
    pub fn new(is_forgetful: bool) -> Self {
        Self { is_forgetful, ..Self::default() }
    }

    /// Appends a record; its answer is collected later.
    pub fn append(&mut self, process: &Process, partition: Partition, sent: Sent) {
        let answer = process.log.append(partition, sent.record.clone());
        self.accounts[partition as usize].waiting.push_back(Waiting { sent, answer });
    }

    /// Collects answers. `may_refuse` says whether there is a reason for refusals.
    pub fn collect(&mut self, process: &Process, may_refuse: bool) -> Checked {
        for p in 0..self.accounts.len() {
            while let Some(answer) = self.accounts[p].next_answer() {
                self.settle(p, answer, may_refuse, Some(process))?;
            }
            let taken = self.is_forgetful.then_some(&mut self.taken);
            self.accounts[p].compare_outcomes(p, taken)?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        p: usize,
        (sent, answer): (Sent, Result<Offset, LogError>),
        may_refuse: bool,
        process: Option<&Process>,
    ) -> Checked {
        let account = &mut self.accounts[p];
        let offset = match answer {
            Ok(offset) => offset,
            Err(e) if may_refuse => {
                self.refused += 1;
                account.doubtful.push(sent);
                return match e {
                    LogError::Unavailable(_) => Ok(()),
                    e => Err(format!("partition {p}: an append was refused with {e}")),
                };
            }
            Err(e) => return Err(format!("partition {p}: an append was refused without reason: {e}")),
        };
        let next = account.records.len() as Offset;
        if offset != next {
            return Err(format!("partition {p}: record {next} was acknowledged with offset {offset}"));
        }
        if self.is_forgetful {
            note_values(&mut self.sent, &sent);
        }
        account.records.push(sent);
        account.certain = account.records.len();
        account.doubtful.clear();
        self.acknowledged += 1;
        if let Some(process) = process {
            account.asked.insert(offset, process.ingester.applied(p as Partition, offset));
        }
        Ok(())
    }

    /// The process is gone, its futures are answered or dead.
    pub fn bury(&mut self) -> Checked {
        for p in 0..self.accounts.len() {
            while let Some(answer) = self.accounts[p].next_answer() {
                self.settle(p, answer, true, None)?;
            }
            let account = &mut self.accounts[p];
            account.doubtful.extend(account.waiting.drain(..).map(|w| w.sent));
            account.asked.clear();
        }
        Ok(())
    }

    /// Compares the log of a process that has just started with what must be in it, and takes what
    /// else is there.
    pub fn recover(&mut self, process: &Process) -> Checked {
        let known = process.log.known() as usize;
        if known < self.accounts.len() {
            return Err(format!("the log knows {known} partitions of {}", self.accounts.len()));
        }
        self.accounts.resize_with(known, Account::default);
        let (is_forgetful, sent) = (self.is_forgetful, &mut self.sent);
        for (p, account) in self.accounts.iter_mut().enumerate() {
            let first = process.workers[p].progress.next();
            let found = account.recover(process, p).map_err(|e| format!("partition {p}: {e}"))?;
            if is_forgetful {
                found.iter().for_each(|sent_then| note_values(sent, sent_then));
            } else {
                account.begin_again(first)?;
            }
            account.applied = first;
            self.survived += found.len() as u64;
        }
        Ok(())
    }

    /// Trims a partition's log, so that the next start begins there and knows nothing of what was
    /// before. False: the disk failed, and nothing is trimmed.
    pub fn trim(
        &mut self,
        process: &Process,
        fs: &MemoryFs,
        partition: Partition,
        before: Offset,
    ) -> Result<bool, String> {
        let account = &mut self.accounts[partition as usize];
        if before < account.trimmed {
            // An earlier life may have saved that one.
            return Ok(false);
        }
        account.trimmed = before;
        let checkpoint = Checkpoint { offset: before, ..Checkpoint::default() };
        let saved = Checkpoints::open(Arc::new(fs.clone()), HEAD_DIR.into())
            .is_ok_and(|checkpoints| checkpoints.save(partition, &checkpoint).is_ok());
        if saved {
            let trimmed = process.log.trim(partition, before);
            trimmed.map_err(|e| format!("partition {partition}: trim below {before} failed: {e}"))?;
        }
        Ok(saved)
    }

    /// The head of a partition has come to `next`: so does the model.
    pub fn applied(&mut self, partition: usize, next: Offset) -> Checked {
        let account = &mut self.accounts[partition];
        account.applied = next;
        if next > account.records.len() as Offset {
            return Err(format!("partition {partition}: came to {next}, which was not answered"));
        }
        while !self.is_forgetful && account.folded.end < next {
            let offset = account.folded.end;
            let verdict = account.fold.take(&account.records[offset as usize]);
            account.verdicts.insert(offset, verdict);
            account.folded.end += 1;
        }
        Ok(())
    }

    /// Compares a digest with an earlier one of the same records.
    pub fn compare_digest(&mut self, partition: usize, digest: u64) -> Checked {
        if self.is_forgetful {
            return Ok(());
        }
        let account = &mut self.accounts[partition];
        let folded = (account.folded.start, account.folded.end);
        match account.digests.insert(folded, digest) {
            Some(before) if before != digest => Err(format!(
                "partition {partition}: records {folded:?} gave digest {before:016x} and now {digest:016x}"
            )),
            _ => Ok(()),
        }
    }

    /// Compares what a query over a tenant gave with what it must give.
    pub fn compare(&self, number: u8, range: (Millis, Millis), found: &[Series]) -> Checked {
        let mut found: BTreeMap<_, _> = found.iter().map(|(labels, samples)| (labels, samples)).collect();
        for series in 0..SERIES {
            let labels = labels(series);
            let samples = found.remove(&labels).map(Vec::as_slice).unwrap_or_default();
            let want = self.candidates(number, series, range);
            let none = Vec::new();
            let is_allowed = |t: Millis, value: &Value| match self.is_forgetful {
                true => self.sent.get(&(number, series, t)).unwrap_or(&none).contains(value),
                false => want.get(&t).is_some_and(|values| values.contains(&value)),
            };
            let compared = compare_series(&want, samples, self.is_complete(), is_allowed);
            compared.map_err(|e| format!("{} {labels}: {e}", tenant(number)))?;
        }
        match found.first_key_value() {
            Some((labels, _)) => Err(format!("{}: series {labels} was never sent", tenant(number))),
            None => Ok(()),
        }
    }

    /// Whether the heads have come to everything of which something was said.
    fn is_complete(&self) -> bool {
        !self.is_forgetful || self.accounts.iter().all(|a| a.applied >= a.told)
    }

    /// The values a series has, by time: one for each partition that took a sample.
    fn candidates(&self, tenant: u8, series: u8, range: (Millis, Millis)) -> BTreeMap<Millis, Vec<&Value>> {
        let mut all: BTreeMap<Millis, Vec<&Value>> = BTreeMap::new();
        let taken = self.taken.range((tenant, series, range.0)..=(tenant, series, range.1));
        all.extend(taken.map(|place| (place.2, self.sent.get(place).into_iter().flatten().collect())));
        let folds = self.accounts.iter().flat_map(|a| a.fold.series(tenant));
        for (_, samples) in folds.filter(|(number, _)| *number == series) {
            for (t, value) in samples.range(range.0..=range.1) {
                all.entry(*t).or_default().push(value);
            }
        }
        all
    }

    /// Number of partitions ever written.
    pub fn partitions(&self) -> usize {
        self.accounts.len()
    }

    /// Appends that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.accounts.iter().map(|a| a.waiting.len()).sum()
    }
}

impl Sent {
    /// What a forgetful head may say, told what it said; notes what it has promised.
    fn told(&self, said: &Verdict, taken: &mut BTreeSet<Place>) -> Option<Verdict> {
        match (&self.content, said) {
            (Content::Garbage, _) => Some(Verdict::Undecodable),
            (_, Verdict::Undecodable) => None,
            (Content::Settings(_), _) => Some(Verdict::Folded(0, None)),
            (Content::Write(parts), Verdict::Folded(0, _)) => {
                taken.extend(parts.iter().map(|part| (self.tenant, part.series, part.t)));
                Some(said.clone())
            }
            (Content::Write(parts), Verdict::Folded(refused, _)) => {
                (*refused as usize <= parts.len()).then(|| said.clone())
            }
        }
    }
}

/// Adds what a record may put into series.
fn note_values(all: &mut BTreeMap<Place, Vec<Value>>, sent: &Sent) {
    if let Content::Write(parts) = &sent.content {
        for part in parts {
            all.entry((sent.tenant, part.series, part.t)).or_default().extend(variants(part.item));
        }
    }
}

fn compare_series(
    want: &BTreeMap<Millis, Vec<&Value>>,
    found: &[(Millis, Value)],
    is_complete: bool,
    is_allowed: impl Fn(Millis, &Value) -> bool,
) -> Checked {
    let mut there = BTreeSet::new();
    for (t, value) in found {
        if !is_allowed(*t, value) {
            return Err(format!("{value:?} at {t} where {:?} was taken", want.get(t)));
        }
        there.insert(*t);
    }
    match want.keys().find(|t| is_complete && !there.contains(*t)) {
        Some(t) => Err(format!("the sample at {t} is lost: {:?}", want[t])),
        None => Ok(()),
    }
}

impl Account {
    fn next_answer(&mut self) -> Option<(Sent, Result<Offset, LogError>)> {
        let answer = (&mut self.waiting.front_mut()?.answer).now_or_never()?;
        Some((self.waiting.pop_front()?.sent, answer))
    }

    /// Compares what the ingester said of records with what the model says.
    fn compare_outcomes(&mut self, p: usize, mut taken: Option<&mut BTreeSet<Place>>) -> Checked {
        while let Some(mut first) = self.asked.first_entry() {
            let offset = *first.key();
            if offset >= self.applied {
                break;
            }
            let Some(outcome) = first.get_mut().now_or_never() else {
                return Err(format!("partition {p}: no outcome of record {offset}, which was applied"));
            };
            drop(first.remove());
            let said = match outcome {
                Ok(None) => Verdict::Folded(0, None),
                Ok(Some(r)) => Verdict::Folded(r.samples + r.histograms, r.first.as_ref().map(|r| r.id)),
                Err(AppliedError::Undecodable) => Verdict::Undecodable,
                Err(e) => return Err(format!("partition {p}: outcome of record {offset}: {e}")),
            };
            let want = match &mut taken {
                Some(taken) => self.records[offset as usize].told(&said, taken),
                None => self.verdicts.get(&offset).cloned(),
            };
            if want.as_ref() != Some(&said) {
                return Err(format!(
                    "partition {p}: record {offset} came to {said:?}, the model says {want:?}"
                ));
            }
            self.told = offset + 1;
        }
        Ok(())
    }

    /// The model begins with the record the head begins with.
    fn begin_again(&mut self, first: Offset) -> Checked {
        if first > self.trimmed {
            return Err(format!("begins at {first}, but was trimmed below {} only", self.trimmed));
        }
        self.fold = Fold::default();
        self.folded = first..first;
        self.verdicts.clear();
        Ok(())
    }

    /// Compares the log with what must be in it; gives what else is there.
    fn recover(&mut self, process: &Process, p: usize) -> Result<Vec<Sent>, String> {
        let range = process.log.range(p as Partition);
        if range.end < self.certain as Offset {
            return Err(format!("{} acknowledged records are lost", self.certain as Offset - range.end));
        }
        // Those that were found once were durable then.
        self.records.truncate(self.certain);
        let mut reader = process.log.read(p as Partition, range.start).map_err(|e| e.to_string())?;
        let mut got = Vec::new();
        while (got.len() as Offset) < range.end - range.start {
            let before = got.len();
            reader.next(&mut got, Duration::ZERO).map_err(|e| e.to_string())?;
            if got.len() == before {
                return Err(format!("records from {} on can not be read", range.start + before as Offset));
            }
        }
        let mut doubtful = std::mem::take(&mut self.doubtful).into_iter();
        let before = self.records.len();
        for (want, (offset, record)) in (range.start..).zip(got) {
            if offset != want {
                return Err(format!("offset {offset} where {want} should be"));
            }
            if let Some(sent) = self.records.get(offset as usize) {
                if sent.record != record {
                    return Err(format!("record {offset} is not what was acknowledged"));
                }
                continue;
            }
            let sent = doubtful.find(|sent| sent.record == record);
            self.records.push(sent.ok_or_else(|| format!("record {offset} was never sent, or out of turn"))?);
        }
        self.certain = self.records.len();
        Ok(self.records[before..].to_vec())
    }
}
