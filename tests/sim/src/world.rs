//! One run: a seed decides what happens, and after every fault the ledger is compared with what is
//! there.

use std::sync::Arc;

use norn_contract::log::{IngestLog, LogError, Partition};
use norn_ingester::StartError;
use norn_ingester::blocks::BlocksError;
use norn_ingester::checkpoints::CheckpointError;
use norn_log::memory::{Dice, Lies, MemoryFs};
use norn_log::options::{Compression, Options};
use norn_log::step::Step;
use norn_model::Millis;
use parking_lot::Mutex;

use crate::ledger::{Checked, Ledger};
use crate::process::{Fate, Process};
use crate::traffic::{TENANTS, Traffic, tenant};

const DIR: &str = "/data/log";
const SEGMENT_BYTES: u64 = 64 << 10;
const MAX_PARTITIONS: u64 = 4;
const EMFILE: i32 = 24;

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Events of the run.
    pub events: u32,
    /// Whether closed windows leave the heads as blocks, and the log is trimmed then. Without it the
    /// model is exact.
    pub cuts: bool,
    /// What the disk does not do although it says so.
    pub lies: Lies,
    /// Whether events are printed.
    pub trace: bool,
}

impl Plan {
    /// The run of `seed`. Every other one makes blocks.
    pub fn new(seed: u64) -> Self {
        Self { seed, events: 400, cuts: seed % 2 == 1, lies: Lies::default(), trace: false }
    }
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged records.
    pub acknowledged: u64,
    /// Appends that were refused.
    pub refused: u64,
    /// Records found after a restart though nobody was told.
    pub survived: u64,
    /// Power cuts.
    pub cuts: u64,
    /// Processes that ended otherwise.
    pub ends: u64,
    /// Queries compared.
    pub queries: u64,
    /// Blocks in the end.
    pub blocks: u64,
    /// A hash of all events: equal for equal runs.
    pub events: u64,
}

/// State of a run.
pub struct World {
    plan: Plan,
    dice: Dice,
    fs: MemoryFs,
    process: Option<Process>,
    ledger: Ledger,
    traffic: Traffic,
    fate: Arc<Fate>,
    partitions: Partition,
    /// Why the process must end.
    fatal: Arc<Mutex<Option<String>>>,
    /// A change will fail, or did so in this life.
    armed: bool,
    disk_limited: bool,
    small_queue: bool,
    tally: Tally,
}

/// Runs a plan; the error says what was wrong.
pub fn run(plan: Plan) -> Result<Tally, String> {
    let mut world = World::new(plan);
    for _ in 0..plan.events {
        world.event()?;
    }
    world.conclude()?;
    let Ledger { acknowledged, refused, survived, .. } = world.ledger;
    Ok(Tally { acknowledged, refused, survived, ..world.tally })
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let fs = MemoryFs::default();
        fs.seed(plan.seed);
        fs.lie(plan.lies);
        let partitions = 1 + dice.below(MAX_PARTITIONS) as Partition;
        let traffic = Traffic::new(!plan.cuts);
        Self {
            plan,
            dice,
            fs,
            process: None,
            ledger: Ledger::new(plan.cuts),
            fate: Arc::new(Fate::new(traffic.now, plan.seed)),
            traffic,
            partitions,
            fatal: Arc::default(),
            armed: false,
            disk_limited: false,
            small_queue: false,
            tally: Tally::default(),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String, kind: u64) {
        self.tally.events = (self.tally.events ^ kind).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        self.tally.events ^= self.fs.operations();
        if self.plan.trace {
            println!("{:>6} {}", self.fs.operations(), what());
        }
    }

    /// One event.
    fn event(&mut self) -> Checked {
        if self.process.is_none() {
            return self.start();
        }
        let passed = self.dice.below(3000) as Millis;
        self.pass(passed);
        match self.dice.below(100) {
            0..26 => self.append(),
            26..28 if self.plan.cuts => self.flush(),
            26..28 => self.append(),
            28..40 => self.write()?,
            40..52 if self.plan.cuts && self.dice.below(2) == 0 => self.cut(),
            40..52 => self.write()?,
            52..60 => self.keep(),
            60..76 => self.work()?,
            76..82 => self.query()?,
            82..84 => self.trim()?,
            84..87 => self.settle()?,
            87..90 => self.arm(),
            90..92 => self.limit_disk(),
            92 => self.starve(),
            93 => self.jump(),
            94..97 => self.threaten(),
            97 => return self.cut_power(),
            98 => return self.end("killed"),
            _ => return self.close(),
        }
        if self.fs.is_out_of_power() {
            return self.cut_power();
        }
        let fatal = self.fatal.lock().take();
        if let Some(why) = fatal {
            if !self.armed {
                return Err(format!("the log failed without reason: {why}"));
            }
            return self.end(&why);
        }
        self.collect()
    }

    /// Whether there is a reason not to take a record.
    fn may_refuse(&self) -> bool {
        self.armed || self.disk_limited || self.small_queue || self.fs.is_out_of_power()
    }

    fn collect(&mut self) -> Checked {
        let may_refuse = self.may_refuse();
        match &self.process {
            Some(process) => self.ledger.collect(process, may_refuse),
            None => Ok(()),
        }
    }

    fn options(&mut self) -> Options {
        let dice = &mut self.dice;
        let mut options = Options::new(DIR);
        options.partitions = self.partitions;
        options.segment_bytes = SEGMENT_BYTES;
        options.max_record_bytes = 20 << 10;
        options.memory_bytes = [0, 4 << 10, 1 << 20][dice.below(3) as usize];
        options.spare_segments = dice.below(3) as usize;
        options.recycled_segments = dice.below(3) as usize;
        self.small_queue = dice.below(8) == 0;
        if self.small_queue {
            options.max_queued_bytes = 4 << 10;
        }
        if dice.below(3) == 0 {
            options.compression = Compression::Zstd;
        }
        options.salt = self.plan.seed as u32;
        let fatal = Arc::clone(&self.fatal);
        options.on_fatal = Some(Arc::new(move |e| *fatal.lock() = Some(e.to_string())));
        options
    }

    fn start(&mut self) -> Checked {
        let options = self.options();
        self.note(
            || format!("start with {options_partitions} partitions", options_partitions = options.partitions),
            1,
        );
        match Process::start(options, &self.fs, &self.fate, self.plan.cuts) {
            Ok(process) => {
                self.ledger.recover(&process)?;
                self.process = Some(process);
                if self.dice.below(3) == 0 { self.settle() } else { Ok(()) }
            }
            Err(_) if self.fs.is_out_of_power() => self.cut_power(),
            Err(e) if is_passing(&e) && (self.armed || self.disk_limited) => {
                if self.disk_limited && self.dice.below(2) == 0 {
                    self.limit_disk();
                }
                self.end(&format!("did not start: {e}"))
            }
            Err(e) => Err(format!("did not start: {e}")),
        }
    }

    fn append(&mut self) {
        let partition = self.dice.below(u64::from(self.partitions)) as Partition;
        let Some(process) = &self.process else { return };
        let count = 1 + self.dice.below(4);
        let alike = self.dice.below(6) == 0;
        for _ in 0..count {
            let sent = match alike {
                true => self.traffic.garbage(0, 64),
                false => self.traffic.record(&mut self.dice, partition, self.partitions),
            };
            if self.plan.trace {
                println!("       tenant {}: {:?}", sent.tenant, sent.content);
            }
            self.ledger.append(process, partition, sent);
        }
        self.note(|| format!("append {count} to partition {partition}"), 2);
    }

    fn write(&mut self) -> Checked {
        let waiting = self.ledger.waiting();
        let step = self.process.as_mut().map(|p| p.steps.write());
        self.note(|| format!("write {waiting}: {step:?}"), 3);
        self.collect()
    }

    /// Some steps of the cutter.
    fn cut(&mut self) {
        let Some(process) = &mut self.process else { return };
        let count = 1 + self.dice.below(5);
        let more = (0..count).map(|_| process.cutter.step(self.traffic.now)).last();
        let blocks = process.blocks();
        self.note(|| format!("cut in {count} steps: {more:?}, {blocks} blocks"), 17);
    }

    fn flush(&mut self) {
        if let Some(process) = &self.process {
            // Nobody waits for it.
            drop(process.ingester.flush());
        }
        self.note(|| "flush".into(), 18);
    }

    /// Lets the cutter and the partitions come to an end with a cut.
    fn cut_all(&mut self) -> Checked {
        for _ in 0..1000 {
            let Some(process) = &mut self.process else { return Ok(()) };
            process.cutter.step(self.traffic.now);
            if process.cutter.is_idle() {
                return Ok(());
            }
            (0..self.ledger.partitions()).try_for_each(|partition| self.work_on(partition))?;
        }
        Err("a cut does not come to an end".into())
    }

    fn keep(&mut self) {
        let step = self.process.as_mut().map(|p| p.steps.keep());
        self.note(|| format!("keep: {step:?}"), 4);
    }

    fn work(&mut self) -> Checked {
        let partition = self.dice.below(self.ledger.partitions() as u64) as usize;
        self.work_on(partition)
    }

    fn work_on(&mut self, partition: usize) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        let next = process.work(partition).map_err(|e| format!("partition {partition}: {e}"))?;
        self.note(|| format!("partition {partition} has come to {next}"), 5);
        self.ledger.applied(partition, next)
    }

    /// Compares a query with the model.
    fn query(&mut self) -> Checked {
        let number = self.dice.below(u64::from(TENANTS)) as u8;
        let middle = self.traffic.now;
        let from = middle + self.dice.below(20_000_000) as Millis - 10_000_000;
        let range = match self.dice.below(3) {
            0 => (Millis::MIN, Millis::MAX),
            1 => (from, from + self.dice.below(20_000_000) as Millis),
            _ => (from, Millis::MAX),
        };
        self.query_range(number, range)
    }

    fn query_range(&mut self, number: u8, range: (Millis, Millis)) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        let found = match process.read(&tenant(number), range.0, range.1) {
            Ok(found) => found,
            // There may be no descriptors to read blocks with.
            Err(_) if self.armed && self.plan.cuts => return Ok(()),
            Err(e) => return Err(e),
        };
        let samples: usize = found.iter().map(|(_, samples)| samples.len()).sum();
        self.tally.queries += 1;
        self.note(|| format!("query of tenant {number}: {samples} samples"), samples as u64);
        self.ledger.compare(number, range, &found)
    }

    /// Lets every partition catch up and compares everything.
    fn settle(&mut self) -> Checked {
        self.note(|| "settle".into(), 6);
        for partition in 0..self.ledger.partitions() {
            while self.process.as_ref().is_some_and(|p| !p.is_caught_up(partition)) {
                self.work_on(partition)?;
            }
            if let Some(process) = &self.process {
                let digest = process.workers[partition].head.digest();
                self.ledger.compare_digest(partition, digest)?;
            }
        }
        (0..TENANTS).try_for_each(|number| self.query_range(number, (Millis::MIN, Millis::MAX)))
    }

    fn trim(&mut self) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        if self.plan.cuts || self.dice.below(3) > 0 {
            return Ok(());
        }
        let partition = self.dice.below(self.ledger.partitions() as u64) as Partition;
        let range = process.log.range(partition);
        let before = range.start + self.dice.below(range.end - range.start + 1);
        // What a reader has not had yet is not trimmed by anyone.
        let before = before.min(process.workers[partition as usize].progress.next());
        let done = self.ledger.trim(process, &self.fs, partition, before)?;
        self.note(|| format!("trim partition {partition} below {before} of {range:?}: {done}"), 7);
        Ok(())
    }

    /// Lets one of the next changes fail.
    fn arm(&mut self) {
        let after = self.dice.below(30);
        self.fs.fail_after(after);
        self.armed = true;
        self.note(|| format!("the change after {after} more will fail"), 8);
    }

    fn limit_disk(&mut self) {
        let limit = (!self.disk_limited).then(|| self.fs.used_bytes() + self.dice.below(40_000) as usize);
        self.fs.limit_bytes(limit);
        self.disk_limited = limit.is_some();
        self.note(|| format!("the disk has room for {limit:?} bytes"), 9);
    }

    fn starve(&mut self) {
        let count = 1 + self.dice.below(3) as usize;
        self.fs.fail_opens(count, EMFILE);
        self.armed = true;
        self.note(|| format!("no descriptors for {count} files"), 10);
    }

    fn pass(&mut self, by: Millis) {
        self.traffic.now += by;
        self.fate.pass(by);
    }

    fn jump(&mut self) {
        let by = self.dice.below(20_000_000) as Millis - 10_000_000;
        self.pass(by);
        self.note(|| format!("the clock jumps by {by} ms"), 11);
    }

    fn threaten(&mut self) {
        let after = self.dice.below(25);
        self.fs.crash_after(after);
        self.note(|| format!("the power will go after {after} changes"), 12);
    }

    fn bury(&mut self) -> Checked {
        self.process = None;
        self.fatal.lock().take();
        self.armed = false;
        self.partitions = match self.dice.below(4) {
            0 => 1 + self.dice.below(MAX_PARTITIONS) as Partition,
            _ => self.partitions,
        };
        self.ledger.bury()
    }

    fn cut_power(&mut self) -> Checked {
        self.note(|| "the power goes".into(), 13);
        self.fs.crash_after(0);
        self.bury()?;
        self.fs.restart(&mut self.dice);
        self.tally.cuts += 1;
        Ok(())
    }

    /// The process ends in the middle of whatever it does.
    fn end(&mut self, why: &str) -> Checked {
        self.note(|| format!("the process ends: {why}"), 14);
        self.fs.kill();
        self.tally.ends += 1;
        self.bury()
    }

    fn close(&mut self) -> Checked {
        self.note(|| "close".into(), 15);
        if let Some(process) = &mut self.process {
            process.close();
        }
        self.collect()?;
        if self.fs.is_out_of_power() {
            return self.cut_power();
        }
        self.end("closed")
    }

    /// After all faults are over everything must be there, and the log must take records.
    fn conclude(&mut self) -> Checked {
        self.note(|| "conclude".into(), 16);
        self.fs.limit_bytes(None);
        self.disk_limited = false;
        self.fs.crash_after(u64::from(u32::MAX));
        self.end("end of the run")?;
        self.start()?;
        self.small_queue = false;
        for partition in 0..self.partitions {
            self.write()?;
            let Some(process) = &self.process else { return Err("it does not run".into()) };
            let before = process.log.range(partition).end;
            let sent = self.traffic.record(&mut self.dice, partition, self.partitions);
            self.ledger.append(process, partition, sent);
            self.write()?;
            if self.process.as_ref().is_some_and(|p| p.log.range(partition).end != before + 1) {
                return Err(format!("partition {partition} takes no records although nothing is wrong"));
            }
        }
        while self.process.as_mut().is_some_and(|p| p.steps.keep() == Step::Worked) {}
        self.settle()?;
        if self.plan.cuts {
            self.flush();
            self.cut_all()?;
            self.settle()?;
            self.tally.blocks = self.process.as_ref().map_or(0, |p| p.blocks() as u64);
        }
        self.close()?;
        self.start()?;
        self.settle()?;
        self.cut_power()?;
        self.start()?;
        self.settle()
    }
}

/// Whether a start may fail for a fault of the disk that says nothing about what is on it.
fn is_passing(error: &StartError) -> bool {
    match error {
        StartError::Log(e) => matches!(e, LogError::Unavailable(_)),
        StartError::Blocks(e) => matches!(e, BlocksError::Unavailable { .. }),
        StartError::Checkpoint(e) => matches!(e, CheckpointError::Io { .. }),
        _ => false,
    }
}
