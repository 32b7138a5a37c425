//! From cuts to blocks: one a tenant and window, over all partitions.

use std::collections::VecDeque;
use std::ops::Range;

use norn_block::meta::Thanos;
use norn_block::ulid::Ulid;
use norn_block::{Builder, Error};
use norn_contract::merge;
use norn_contract::source::ChunkBuf;
use norn_head::Cut;
use norn_model::Millis;
use norn_model::tenant::Tenant;

use super::{Answers, Cutter, State, ask};
use crate::partition::Command;

/// What Mimir's ingesters call themselves in their blocks.
const SOURCE: &str = "receive";

/// A cut on its way to disk.
pub(crate) struct Writing {
    /// By partition.
    cuts: Vec<Option<Cut>>,
    /// What is not written yet.
    parts: VecDeque<(Tenant, Range<Millis>)>,
    /// What is.
    written: Vec<(Tenant, Ulid)>,
    began: Millis,
}

impl Cutter {
    pub(super) fn begin_writing(&mut self, cuts: Vec<Option<Cut>>, now: Millis) {
        let mut parts: Vec<_> = cuts.iter().flatten().flat_map(Cut::parts).collect();
        parts.sort_unstable_by(|a, b| (&a.0, a.1.start).cmp(&(&b.0, b.1.start)));
        parts.dedup();
        self.state = State::Writing(Writing { cuts, parts: parts.into(), written: Vec::new(), began: now });
    }

    /// Writes the next block, or has the heads let go when all are written.
    pub(super) fn write_next(&mut self, mut writing: Writing, now: Millis) {
        let Some((tenant, range)) = writing.parts.pop_front() else {
            return self.let_go(writing, now);
        };
        match self.write(&tenant, range, &writing.cuts, now) {
            Ok(id) => {
                writing.written.extend(id.map(|id| (tenant, id)));
                self.state = State::Writing(writing);
            }
            Err(error) => {
                tracing::error!(user = %tenant, %error, "no block can be cut: everything stays in memory and in the log");
                self.abandon(writing);
            }
        }
    }

    fn write(
        &self,
        tenant: &Tenant,
        range: Range<Millis>,
        cuts: &[Option<Cut>],
        now: Millis,
    ) -> Result<Option<Ulid>, Error> {
        let selections = cuts.iter().flatten().map(|cut| cut.select(tenant, &range)).collect();
        let series = merge::selections(selections);
        let id = Ulid::new(now, self.random());
        let thanos = Thanos { version: Some(1), source: SOURCE.to_owned(), ..Thanos::default() };
        let options =
            norn_block::Options { thanos: Some(thanos), ..norn_block::Options::new(id, range.clone()) };
        let dir = self.blocks.tenant_dir(tenant)?;
        let mut builder = Builder::create(self.blocks.file_system(), &dir, options)?;
        let mut chunks = ChunkBuf::default();
        for (i, labels) in series.labels.iter().enumerate() {
            chunks.clear();
            series.data.read(i, &mut chunks).map_err(|e| Error::Invalid(e.to_string()))?;
            builder.add(labels, &chunks)?;
        }
        let Some(meta) = builder.finish()? else { return Ok(None) };
        self.blocks.publish(tenant, id)?;
        let (from, to) = (range.start, range.end);
        let (series, samples) = (meta.stats.num_series, meta.stats.num_samples);
        tracing::info!(user = %tenant, block = %id, from, to, series, samples, "block cut");
        Ok(Some(id))
    }

    fn random(&self) -> [u8; 10] {
        let bytes = [self.rng.next_u64().to_le_bytes(), self.rng.next_u64().to_le_bytes()].concat();
        std::array::from_fn(|i| bytes[i])
    }

    /// All blocks are durable and visible: the heads need not keep their samples.
    fn let_go(&mut self, writing: Writing, now: Millis) {
        if !writing.written.is_empty() {
            self.stats.cuts.count(true);
            let seconds = now.saturating_sub(writing.began).max(0) as f64 / 1000.0;
            self.stats.cut_seconds.observe(seconds);
        }
        for (partition, cut) in self.partitions.iter().zip(writing.cuts) {
            ask(partition, cut.map_or(Command::Checkpoint, Command::Finish));
        }
        self.state = State::Finishing(Answers::new(self.partitions.len()));
    }

    /// Takes back what was written: its samples are still in the heads, and will be written again.
    fn abandon(&mut self, writing: Writing) {
        self.stats.cuts.count(false);
        self.agenda.cut_before = None;
        self.agenda.still.clear();
        for (tenant, id) in &writing.written {
            if let Err(error) = self.blocks.remove(tenant, |meta| meta.ulid == *id) {
                tracing::error!(user = %tenant, block = %id, %error, "a block of an abandoned cut can not be deleted");
            }
        }
        for (partition, cut) in self.partitions.iter().zip(writing.cuts) {
            if let Some(cut) = cut {
                ask(partition, Command::Abandon(cut));
            }
        }
        self.tell_served();
    }
}
