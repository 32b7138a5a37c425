//! `nornctl log inspect`: what a log's files hold.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use norn_contract::fs::FileSystem;
use norn_contract::log::{Offset, Partition};
use norn_log::disk::Disk;
use norn_log::inspect::{Damage, Event, Frame, Segment, walk};

/// What was read since the last segment, or of all of them.
#[derive(Default)]
struct Tally {
    /// Frames and bytes by form.
    frames: BTreeMap<&'static str, (u64, u64)>,
    value_bytes: u64,
    offsets: BTreeMap<Partition, Range<Offset>>,
}

impl Tally {
    fn take(&mut self, frame: &Frame<'_>) {
        let entry = self.frames.entry(frame.form).or_default();
        entry.0 += 1;
        entry.1 += frame.bytes;
        if let Some(record) = &frame.record {
            self.value_bytes += record.value.len() as u64;
            let offsets = self.offsets.entry(record.partition).or_insert(record.offset..record.offset);
            offsets.end = record.offset + 1;
        }
    }

    fn add(&mut self, other: &Self) {
        for (form, (count, bytes)) in &other.frames {
            let entry = self.frames.entry(form).or_default();
            entry.0 += count;
            entry.1 += bytes;
        }
        self.value_bytes += other.value_bytes;
        for (partition, offsets) in &other.offsets {
            self.offsets.entry(*partition).or_insert_with(|| offsets.clone()).end = offsets.end;
        }
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for (partition, offsets) in &self.offsets {
            writeln!(out, "  partition {partition}: offsets {}..{}", offsets.start, offsets.end)?;
        }
        for (form, (count, bytes)) in &self.frames {
            writeln!(out, "  {form}: {count} frames, {bytes} bytes")?;
        }
        let bytes: u64 = self.frames.values().map(|(_, bytes)| bytes).sum();
        writeln!(out, "  values: {} bytes, in {bytes} bytes of frames", self.value_bytes)
    }
}

/// Prints segments and damage; whether the log can be opened and read.
pub fn run(dir: &Path, out: &mut dyn Write) -> Result<bool> {
    let (mut all, mut tally) = (Tally::default(), Tally::default());
    let mut damage: Vec<Damage> = Vec::new();
    let mut segments = 0;
    let mut printed = Ok(());
    walk(&Disk, dir, &mut |event| match event {
        Event::Frame(frame) => tally.take(&frame),
        Event::Damage(found) => damage.push(found),
        Event::Segment(segment) => {
            segments += 1;
            if printed.is_ok() {
                printed = print(&segment, &tally, out);
            }
            all.add(&std::mem::take(&mut tally));
        }
    })?;
    printed?;
    writeln!(out, "{segments} segments")?;
    all.print(out)?;
    let spares = Disk.list(dir)?.iter().filter(|n| n.ends_with(".spare")).count();
    writeln!(out, "{spares} spare files")?;
    for found in &damage {
        writeln!(out, "{found}")?;
    }
    match damage.iter().find(|d| !d.problem.is_harmless()) {
        Some(_) => {
            writeln!(out, "damaged: `nornctl log repair {}` says what can be saved", dir.display())?;
            Ok(false)
        }
        None => {
            writeln!(out, "in order")?;
            Ok(true)
        }
    }
}

fn print(segment: &Segment, tally: &Tally, out: &mut dyn Write) -> std::io::Result<()> {
    let Segment { path, header: _, end, file_bytes, .. } = segment;
    writeln!(out, "{}: frames end at {end} of {file_bytes} bytes", path.display())?;
    tally.print(out)
}
