//! Chunks of selected series.

use std::ops::RangeInclusive;
use std::sync::Arc;

use norn_contract::source::{ChunkBuf, SeriesData, SourceError};
use norn_model::Millis;

use crate::identity::SeriesRef;
use crate::shared::Shared;
use crate::value;
use crate::window::{Window, WindowList, WindowNo};

/// The series of a selection.
pub(crate) struct Selected {
    pub(crate) shared: Arc<Shared>,
    pub(crate) series: Vec<SeriesRef>,
    /// The windows there were before the series were found: what the head lets go stays here.
    pub(crate) windows: WindowList,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
}

impl SeriesData for Selected {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        match self.series.get(index) {
            Some(&series) => read(&self.shared, &self.windows, series, self.mint, self.maxt, out),
            None => Ok(()),
        }
    }
}

/// Appends the chunks of a series that overlap `mint..=maxt`, by first timestamp. Of equal ones
/// those whose samples came in order are first. Looks into `seen` and into all windows of the head.
pub(crate) fn read(
    shared: &Shared,
    seen: &WindowList,
    series: SeriesRef,
    mint: Millis,
    maxt: Millis,
    out: &mut ChunkBuf,
) -> Result<(), SourceError> {
    let from = out.chunks.len();
    // The page before the windows: a chunk that is sealed in between is seen twice, not never.
    let page = shared.page(series);
    let waiting = page.map_or_else(Vec::new, |page| page.lock().copy(series, mint, maxt, out));
    let now = Arc::clone(&shared.windows.read());
    let range = shared.options.chunk_range;
    let numbers = mint.div_euclid(range)..=maxt.div_euclid(range);
    let mut sealed = Sealed { series, numbers, mint, maxt, late: ChunkBuf::default() };
    for window in seen.iter() {
        sealed.copy(window, out)?;
    }
    if !Arc::ptr_eq(&now, seen) {
        for window in now.iter().filter(|window| !seen.iter().any(|w| Arc::ptr_eq(w, window))) {
            sealed.copy(window, out)?;
        }
    }
    sealed.append_late(out);
    let first = waiting.partition_point(|(t, _)| *t < mint);
    let end = waiting.partition_point(|(t, _)| *t <= maxt);
    value::encode(waiting.get(first..end).unwrap_or_default(), out);
    sort(out, from);
    Ok(())
}

/// As [`read`] for what `windows` have alone.
pub(crate) fn read_sealed(
    windows: &[Arc<Window>],
    series: SeriesRef,
    numbers: RangeInclusive<WindowNo>,
    out: &mut ChunkBuf,
) -> Result<(), SourceError> {
    let from = out.chunks.len();
    let (mint, maxt) = (Millis::MIN, Millis::MAX);
    let mut sealed = Sealed { series, numbers, mint, maxt, late: ChunkBuf::default() };
    for window in windows {
        sealed.copy(window, out)?;
    }
    sealed.append_late(out);
    sort(out, from);
    Ok(())
}

/// Stable: of equal first timestamps what was appended first stays first.
fn sort(out: &mut ChunkBuf, from: usize) {
    if let Some(chunks) = out.chunks.get_mut(from..) {
        chunks.sort_by_key(|chunk| chunk.mint);
    }
}

/// Copies sealed chunks of one series out of windows.
struct Sealed {
    series: SeriesRef,
    numbers: RangeInclusive<WindowNo>,
    mint: Millis,
    maxt: Millis,
    /// Those of late samples, to come after the others.
    late: ChunkBuf,
}

impl Sealed {
    fn copy(&mut self, window: &Window, out: &mut ChunkBuf) -> Result<(), SourceError> {
        if !self.numbers.contains(&window.number) {
            return Ok(());
        }
        let done = window.each_chunk(self.series, |header, bytes| {
            if header.mint <= self.maxt && header.maxt >= self.mint {
                let out = if header.late { &mut self.late } else { &mut *out };
                out.push(header.encoding, header.mint, header.maxt, bytes);
            }
            true
        });
        done.map_err(|at| {
            let number = window.number;
            SourceError::Corrupt(format!("no chunk at address {at:#x} of window {number} of the head"))
        })
    }

    /// The oldest first.
    fn append_late(&self, out: &mut ChunkBuf) {
        for chunk in self.late.chunks.iter().rev() {
            out.push(chunk.encoding, chunk.mint, chunk.maxt, self.late.slice(chunk));
        }
    }
}
