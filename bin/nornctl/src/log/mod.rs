//! `nornctl log`: looks into the directory of an embedded ingest log, and mends it.
//!
//! | command | does |
//! |---|---|
//! | `inspect DIR` | segments, frames, offsets, and all that is wrong |
//! | `dump DIR [--samples]` | one JSON line a record; with `--samples` all that it holds |
//! | `repair DIR [--yes]` | says which records are lost and saves the others; changes nothing without `--yes` |
//!
//! `inspect` and `dump` only read, also beside a process that writes. `repair` needs the log's lock.

mod dump;
mod inspect;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use norn_log::disk::Disk;
use norn_log::repair::{self, Plan};

/// Runs `action` on the directory that `arguments` name; whether the log is in order.
pub fn run(action: &str, arguments: &[String]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    let known = match action {
        "inspect" => "",
        "dump" => "--samples",
        "repair" => "--yes",
        _ => bail!("unknown command log {action}: inspect, dump and repair are known"),
    };
    let (flags, names): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|a| a.starts_with('-'));
    let [name] = names[..] else { bail!("log {action} needs one directory") };
    if let Some(flag) = flags.iter().find(|f| ***f != known) {
        bail!("unknown flag {flag} of log {action}");
    }
    let dir = Path::new(name);
    ensure!(dir.is_dir(), "{name} is no directory");
    let outcome = match (action, flags.is_empty()) {
        ("inspect", _) => inspect::run(dir, &mut out),
        ("dump", plain) => dump::run(dir, !plain, &mut out),
        (_, true) => preview(dir, &mut out),
        (_, false) => mend(dir, &mut out),
    };
    // Whoever reads only the beginning has what he wants.
    match outcome {
        Err(e) if is_broken_pipe(&e) => Ok(true),
        other => other,
    }
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Says what a repair would do.
fn preview(dir: &Path, out: &mut dyn Write) -> Result<bool> {
    let plan = repair::plan(&Disk, dir)?;
    describe(&plan, out)?;
    if plan.is_empty() {
        writeln!(out, "nothing to repair")?;
    } else if plan.hopeless.is_empty() {
        writeln!(out, "nothing was changed; `nornctl log repair {} --yes` does it", dir.display())?;
    }
    Ok(plan.is_empty())
}

fn mend(dir: &Path, out: &mut dyn Write) -> Result<bool> {
    let (plan, copies) = repair::repair(&Disk, dir)?;
    describe(&plan, out)?;
    for copy in copies {
        writeln!(out, "the file as it was: {}", copy.display())?;
    }
    let left = repair::plan(&Disk, dir)?;
    ensure!(left.is_empty(), "the log is still damaged: {left:?}");
    writeln!(out, "{}", if plan.is_empty() { "nothing to repair" } else { "repaired" })?;
    Ok(true)
}

fn describe(plan: &Plan, out: &mut dyn Write) -> Result<()> {
    for damage in &plan.damage {
        writeln!(out, "{damage}")?;
    }
    for damage in &plan.untold {
        writeln!(out, "{damage}: nothing tells whether the newest records of a partition were there")?;
    }
    for path in plan.segments.keys() {
        writeln!(out, "to be written anew: {}", path.display())?;
    }
    for damage in &plan.hopeless {
        writeln!(out, "can not be repaired: {damage}")?;
    }
    if !plan.segments.is_empty() {
        writeln!(out, "records that are lost: {}", plan.lost.len())?;
        for (partition, offset) in &plan.lost {
            writeln!(out, "  partition {partition} offset {offset}")?;
        }
    }
    Ok(())
}
