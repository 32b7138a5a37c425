//! Chunks of selected series.

use std::sync::Arc;

use norn_contract::source::{ChunkBuf, SeriesData, SourceError};
use norn_model::Millis;

use crate::arena::NOWHERE;
use crate::identity::SeriesRef;
use crate::page::Trail;
use crate::shared::{Shared, row_of};
use crate::value;

/// The series of a selection.
pub(crate) struct Selected {
    pub(crate) shared: Arc<Shared>,
    pub(crate) series: Vec<SeriesRef>,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
}

impl SeriesData for Selected {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        match self.series.get(index) {
            Some(&series) => read(&self.shared, series, self.mint, self.maxt, out),
            None => Ok(()),
        }
    }
}

/// Appends the chunks of a series that overlap `mint..=maxt`, by first timestamp. Of equal ones
/// those whose samples came in order are first.
pub(crate) fn read(
    shared: &Shared,
    series: SeriesRef,
    mint: Millis,
    maxt: Millis,
    out: &mut ChunkBuf,
) -> Result<(), SourceError> {
    let from = out.chunks.len();
    let Some(page) = shared.page(series) else { return Ok(()) };
    let trail = page.lock().copy(row_of(series), mint, maxt, out);
    copy_sealed(shared, &trail, mint, maxt, out)?;
    copy_late(shared, trail, mint, maxt, out)?;
    out.chunks[from..].sort_by_key(|chunk| chunk.mint);
    Ok(())
}

/// From the newest sealed chunk back until chunks are too old.
fn copy_sealed(
    shared: &Shared,
    trail: &Trail,
    mint: Millis,
    maxt: Millis,
    out: &mut ChunkBuf,
) -> Result<(), SourceError> {
    let mut next = trail.sealed;
    while let Some(at) = next {
        let before = shared.arena.read(at, |header, bytes| {
            if header.mint <= maxt && header.maxt >= mint {
                out.push(header.encoding, header.mint, header.maxt, bytes);
            }
            Some(header.previous).filter(|&at| at != NOWHERE && header.mint > mint)
        });
        next = before.ok_or_else(|| lost(at))?;
    }
    Ok(())
}

fn copy_late(
    shared: &Shared,
    trail: Trail,
    mint: Millis,
    maxt: Millis,
    out: &mut ChunkBuf,
) -> Result<(), SourceError> {
    for chunk in trail.late {
        let copied = shared.arena.read(chunk.at, |header, bytes| {
            out.push(header.encoding, header.mint, header.maxt, bytes);
        });
        copied.ok_or_else(|| lost(chunk.at))?;
    }
    let first = trail.waiting.partition_point(|(t, _)| *t < mint);
    let end = trail.waiting.partition_point(|(t, _)| *t <= maxt);
    value::encode(trail.waiting.get(first..end).unwrap_or_default(), out);
    Ok(())
}

fn lost(at: u32) -> SourceError {
    SourceError::Corrupt(format!("no chunk at address {at:#x} of the head"))
}
