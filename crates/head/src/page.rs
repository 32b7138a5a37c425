//! The hot state of 256 series behind one lock: open chunks, newest samples, late ones that wait.
//!
//! The writer keeps the lock while consecutive samples stay in the page; a reader takes it for the
//! copy of one series. A float chunk is cut when it is full or its series reaches the next window.
//! It is cut by the sample that no longer fits, so an open chunk always holds the newest sample of
//! its series. At most one chunk of a series is open, floats or histograms. Sealed chunks go to the
//! window they lie in; a sweep seals what is open in windows that are being cut, and the row goes on
//! knowing its newest sample.

mod image;

use norn_codec::histogram::AppendError;
use norn_codec::xor::XorState;
use norn_contract::source::{ChunkBuf, ChunkSlice};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram};
use norn_model::sample::{is_stale_nan, stale_nan};
use norn_wire::histogram::HistogramRef;

use crate::cells::{Cells, Chain};
use crate::fold::{Fold, Refusal};
use crate::histogram::OpenHistogram;
use crate::identity::SeriesRef;
use crate::late::Late;
use crate::shared::row_of;
use crate::storage::first_timestamp;
use crate::value::{self, Value};
use crate::window::{Chunk, WindowNo};

/// Series of a page.
pub(crate) const ROWS: usize = 256;

/// Sealed chunks of a window that are searched for a sample with a late one's timestamp. Beyond, a
/// late sample is stored beside the one it may repeat.
const SEARCH_CHUNKS: usize = 64;

/// What the newest sample of a series is that came in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    /// There is none.
    Nothing,
    Float,
    Int,
    FloatHistogram,
}

/// One series.
#[derive(Debug)]
struct Row {
    /// The open float chunk. Without samples in it: newest timestamp and value alone.
    xor: XorState,
    /// Where the window of the open float chunk ends.
    end: Millis,
    /// Oldest sample that came in order; [`Millis::MAX`] before the first.
    mint: Millis,
    words: Chain,
    /// Samples the open float chunk is cut at.
    target: u16,
    newest: Newest,
    more: Option<Box<More>>,
}

/// What few series have.
#[derive(Debug, Default)]
struct More {
    late: Late,
    /// The open chunk if it holds histograms.
    histogram: Option<Box<OpenHistogram>>,
}

impl More {
    fn size_bytes(&self) -> usize {
        let open = self.histogram.as_ref().map_or(0, |h| h.size_bytes());
        size_of::<Self>() + self.late.size_bytes() + open
    }
}

/// Which series a row belongs to, and by which cut its page was swept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) series: SeriesRef,
    pub(crate) epoch: u64,
}

/// A series without samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) series: SeriesRef,
    /// Newest timestamp that came in order.
    pub(crate) newest: Option<Millis>,
}

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Page {
    rows: Vec<Row>,
    /// Numbers of the series that are left, ascending, once the page was thinned; empty before.
    places: Vec<u8>,
    /// Series that are left.
    live: u16,
    cells: Cells,
    /// Number of its first series.
    first: SeriesRef,
    /// The last cut that swept it.
    epoch: u64,
}

impl Page {
    /// The empty page whose first series will be `first`, with room for its rows, unless it is the
    /// partition's first.
    pub(crate) fn new(first: SeriesRef, epoch: u64) -> Self {
        let rows = Vec::with_capacity(if first == 0 { 0 } else { ROWS });
        Self { rows, places: Vec::new(), live: 0, cells: Cells::default(), first, epoch }
    }

    /// Adds a series whose first chunk is cut at `target` samples.
    pub(crate) fn add(&mut self, target: u16) {
        self.rows.push(Row { target, ..Row::gone() });
        self.live += 1;
    }

    fn place(&self, number: usize) -> Place {
        Place { series: self.first + number as SeriesRef, epoch: self.epoch }
    }

    /// Takes a float sample of the series at `at`.
    #[inline]
    pub(crate) fn append_float(
        &mut self,
        at: usize,
        t: Millis,
        value: f64,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        let (place, slot) = (self.place(at), self.slot(at));
        let row = self.rows.get_mut(slot).ok_or(Refusal::Full)?;
        let count = row.xor.count();
        let fits = count != 0 && count < row.target && t < row.end && t >= fold.bounds.min_valid;
        if !fits || t <= row.xor.last_timestamp() {
            return row.append_float_slowly(&mut self.cells, t, value, place, fold);
        }
        row.push_float(&mut self.cells, t, value)?;
        fold.took(t);
        Ok(())
    }

    /// Takes a histogram of the series at `at`.
    pub(crate) fn append_histogram(
        &mut self,
        at: usize,
        t: Millis,
        histogram: HistogramRef<'_>,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        let (place, slot) = (self.place(at), self.slot(at));
        let row = self.rows.get_mut(slot).ok_or(Refusal::Full)?;
        row.append_histogram(&mut self.cells, t, histogram, place, fold)
    }

    /// Newest timestamp of a series that came in order.
    pub(crate) fn newest(&self, at: usize) -> Option<Millis> {
        self.rows.get(self.slot(at))?.newest()
    }

    /// First and last timestamp of a series; `None` when it has no sample.
    pub(crate) fn range(&self, at: usize) -> Option<(Millis, Millis)> {
        let row = self.rows.get(self.slot(at))?;
        let late = row.more.as_ref().and_then(|m| m.late.range());
        let in_order = row.newest().map(|newest| (row.mint, newest));
        match (in_order, late) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, other) => one.or(other),
        }
    }

    /// Appends the open chunk of a series to `out` if it overlaps `mint..=maxt`; gives the late
    /// samples that wait.
    pub(crate) fn copy(
        &self,
        series: SeriesRef,
        mint: Millis,
        maxt: Millis,
        out: &mut ChunkBuf,
    ) -> Vec<(Millis, Value)> {
        let Some(row) = self.rows.get(self.slot(row_of(series))) else { return Vec::new() };
        row.copy_open(&self.cells, mint, maxt, out);
        row.more.as_ref().map_or_else(Vec::new, |more| more.late.buffer().to_vec())
    }

    /// The series that are left.
    pub(crate) fn series(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        let there = self.rows.iter().enumerate().filter(|(_, row)| !row.is_gone());
        there.map(|(slot, _)| self.first + self.number(slot) as SeriesRef)
    }

    /// Seals what is open or waits in windows below `end`, for the cut `epoch`; says of how many
    /// series.
    pub(crate) fn sweep(&mut self, end: WindowNo, epoch: u64, fold: &mut Fold<'_>) -> usize {
        let mut sealed = 0;
        for slot in 0..self.rows.len() {
            let place = self.place(self.number(slot));
            let Some(row) = self.rows.get_mut(slot) else { break };
            sealed += usize::from(row.sweep(&mut self.cells, end, place, fold));
        }
        self.epoch = epoch;
        sealed
    }

    /// Tells the rows that samples below `floor` are gone. Appends to `gone` the series that have
    /// nothing here and, says `elsewhere`, nothing elsewhere.
    pub(crate) fn forget(
        &mut self,
        floor: Millis,
        elsewhere: impl Fn(SeriesRef) -> bool,
        gone: &mut Vec<Gone>,
    ) {
        for slot in 0..self.rows.len() {
            let series = self.first + self.number(slot) as SeriesRef;
            let Some(row) = self.rows.get_mut(slot).filter(|row| !row.is_gone()) else { continue };
            row.forget(floor);
            if row.is_idle() && !elsewhere(series) {
                gone.push(Gone { series, newest: row.newest() });
            }
        }
    }

    /// Takes out series, in ascending order, that [`Page::forget`] found; says whether none is left.
    pub(crate) fn remove(&mut self, gone: &[Gone]) -> bool {
        for &Gone { series, .. } in gone {
            let slot = self.slot(row_of(series));
            if let Some(row) = self.rows.get_mut(slot).filter(|row| !row.is_gone()) {
                *row = Row::gone();
                self.live = self.live.saturating_sub(1);
            }
        }
        if !gone.is_empty() {
            self.shrink();
        }
        self.live == 0
    }

    /// Gives memory back when fewer than half of the rows are left.
    fn shrink(&mut self) {
        let is_full = self.rows.len() == ROWS || !self.places.is_empty();
        if is_full && usize::from(self.live) * 2 < self.rows.len() {
            let places: Vec<u8> = (0..self.rows.len())
                .filter(|&slot| self.rows.get(slot).is_some_and(|row| !row.is_gone()))
                .map(|slot| self.number(slot) as u8)
                .collect();
            self.rows.retain(|row| !row.is_gone());
            self.rows.shrink_to_fit();
            self.places = places;
        }
        self.cells.compact(self.rows.iter_mut().map(|row| &mut row.words));
    }

    /// Where the row of the series with this number in the page is.
    #[inline]
    fn slot(&self, number: usize) -> usize {
        if self.places.is_empty() {
            return number;
        }
        self.places.binary_search(&(number as u8)).unwrap_or(usize::MAX)
    }

    /// The number in the page of the series whose row is at `slot`.
    fn number(&self, slot: usize) -> usize {
        self.places.get(slot).map_or(slot, |&number| usize::from(number))
    }

    /// Bytes of heap: rows, and open chunks.
    pub(crate) fn size_bytes(&self) -> (usize, usize) {
        let more = |row: &Row| row.more.as_ref().map_or(0, |m| m.size_bytes());
        let rows = self.places.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.rows.iter().map(more).sum::<usize>();
        (rows, self.cells.size_bytes())
    }
}

impl Row {
    /// A row without a series, as no chunk can be cut at no sample.
    fn gone() -> Self {
        Self {
            xor: XorState::new(),
            end: Millis::MIN,
            mint: Millis::MAX,
            words: Chain::default(),
            target: 0,
            newest: Newest::Nothing,
            more: None,
        }
    }

    fn is_gone(&self) -> bool {
        self.target == 0
    }

    /// Whether nothing is open and nothing waits.
    fn is_idle(&self) -> bool {
        self.open_maxt().is_none() && self.more.as_ref().is_none_or(|more| more.late.buffer().is_empty())
    }

    /// Samples below `floor` are gone.
    fn forget(&mut self, floor: Millis) {
        self.mint = self.mint.max(floor);
        if let Some(more) = &mut self.more {
            more.late.forget(floor);
            if more.histogram.is_none() && more.late.range().is_none() {
                self.more = None;
            }
        }
    }

    /// Newest timestamp that came in order.
    fn newest(&self) -> Option<Millis> {
        match self.open_histogram() {
            Some(open) => Some(open.maxt()),
            None => (self.newest != Newest::Nothing).then(|| self.xor.last_timestamp()),
        }
    }

    /// Newest timestamp of the open chunk.
    fn open_maxt(&self) -> Option<Millis> {
        self.newest().filter(|_| self.xor.count() > 0 || self.open_histogram().is_some())
    }

    fn open_histogram(&self) -> Option<&OpenHistogram> {
        self.more.as_ref()?.histogram.as_deref()
    }

    #[inline(always)]
    fn push_float(&mut self, cells: &mut Cells, t: Millis, value: f64) -> Result<(), Refusal> {
        self.xor.append(&mut cells.sink(&mut self.words), t, value).map_err(|_| Refusal::Full)
    }

    fn append_float_slowly(
        &mut self,
        cells: &mut Cells,
        t: Millis,
        value: f64,
        place: Place,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        // A series of histograms ends as what it was.
        match self.newest {
            Newest::Int if is_stale_nan(value) => {
                let stale = Histogram { sum: stale_nan(), ..Histogram::default() };
                return self.append_histogram(cells, t, HistogramRef::Int(&stale), place, fold);
            }
            Newest::FloatHistogram if is_stale_nan(value) => {
                let stale = FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() };
                return self.append_histogram(cells, t, HistogramRef::Float(&stale), place, fold);
            }
            _ => {}
        }
        if self.is_late(t, fold) {
            return self.append_late(cells, t, Value::Float(value), place, fold);
        }
        if fold.is_flushed(t) {
            return Ok(());
        }
        self.seal_open(cells, place, fold);
        fold.windows.of(fold.number(t), place);
        self.end = fold.range_end(t);
        self.mint = self.mint.min(t);
        self.newest = Newest::Float;
        self.push_float(cells, t, value)?;
        fold.took(t);
        Ok(())
    }

    /// Whether a sample does not go into the open chunk or a newer one.
    fn is_late(&self, t: Millis, fold: &Fold<'_>) -> bool {
        t < fold.bounds.min_valid || self.newest().is_some_and(|newest| t <= newest)
    }

    fn append_histogram(
        &mut self,
        cells: &mut Cells,
        t: Millis,
        histogram: HistogramRef<'_>,
        place: Place,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        if self.is_late(t, fold) {
            return self.append_late(cells, t, Value::from(histogram), place, fold);
        }
        let open = self.more.as_mut().and_then(|more| more.histogram.as_mut());
        match open.map_or(Err(AppendError::NewChunk), |open| open.append(t, histogram)) {
            Ok(()) => {}
            Err(AppendError::Invalid(text)) => return Err(Refusal::Histogram(text)),
            Err(AppendError::NewChunk) if fold.is_flushed(t) => return Ok(()),
            Err(AppendError::NewChunk) => self.begin_histogram(cells, t, histogram, place, fold)?,
        }
        self.mint = self.mint.min(t);
        fold.took(t);
        Ok(())
    }

    fn begin_histogram(
        &mut self,
        cells: &mut Cells,
        t: Millis,
        histogram: HistogramRef<'_>,
        place: Place,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        let next = OpenHistogram::begin(self.open_histogram(), t, fold.range_end(t), histogram);
        let next = next.map_err(|e| match e {
            AppendError::Invalid(text) => Refusal::Histogram(text),
            AppendError::NewChunk => Refusal::Histogram("histogram begins no chunk"),
        })?;
        self.seal_open(cells, place, fold);
        fold.windows.of(fold.number(t), place);
        self.newest = match histogram {
            HistogramRef::Int(_) => Newest::Int,
            HistogramRef::Float(_) => Newest::FloatHistogram,
        };
        self.more.get_or_insert_default().histogram = Some(Box::new(next));
        Ok(())
    }

    /// Moves the open chunk, if there is one, to its window.
    fn seal_open(&mut self, cells: &mut Cells, place: Place, fold: &mut Fold<'_>) {
        fold.scratch.clear();
        let Some(maxt) = self.open_maxt() else { return };
        let number = fold.number(maxt);
        let sealed = |encoding, mint| Chunk { encoding, late: false, mint, maxt };
        if let Some(more) = &mut self.more
            && let Some(open) = &more.histogram
        {
            open.copy(&mut fold.scratch);
            let chunk = sealed(open.encoding(), open.mint);
            fold.windows.seal(number, place, &chunk, &fold.scratch);
            more.histogram = None;
            self.xor = XorState::after(maxt, 0.0);
        } else {
            cells.copy(self.words, &mut fold.scratch);
            self.xor.finish(&mut fold.scratch, 0);
            let mint = first_timestamp(&fold.scratch).unwrap_or_default();
            fold.windows.seal(number, place, &sealed(ChunkEncoding::Xor, mint), &fold.scratch);
            cells.release(&mut self.words);
            self.xor = XorState::after(maxt, self.xor.last_value());
            self.target = fold.samples_per_chunk;
        }
    }

    /// Seals what is open or waits in windows below `end`; says whether there was something.
    fn sweep(&mut self, cells: &mut Cells, end: WindowNo, place: Place, fold: &mut Fold<'_>) -> bool {
        let mut any = false;
        if self.open_maxt().is_some_and(|maxt| fold.number(maxt) < end) {
            self.seal_open(cells, place, fold);
            any = true;
        }
        if let Some(more) = &mut self.more
            && !more.late.buffer().is_empty()
        {
            more.late.seal(end, place, fold);
            any = true;
        }
        any
    }

    /// Appends the open chunk to `out` if it overlaps the range.
    fn copy_open(&self, cells: &Cells, mint: Millis, maxt: Millis, out: &mut ChunkBuf) {
        let Some(last) = self.open_maxt().filter(|&last| last >= mint) else { return };
        let start = out.bytes.len();
        let (encoding, first) = match self.open_histogram() {
            Some(open) if open.mint > maxt => return,
            Some(open) => {
                open.copy(&mut out.bytes);
                (open.encoding(), open.mint)
            }
            None => {
                cells.copy(self.words, &mut out.bytes);
                self.xor.finish(&mut out.bytes, start);
                (ChunkEncoding::Xor, first_timestamp(&out.bytes[start..]).unwrap_or_default())
            }
        };
        if first > maxt {
            return out.bytes.truncate(start);
        }
        let len = out.bytes.len() - start;
        out.chunks.push(ChunkSlice { encoding, mint: first, maxt: last, start, len });
    }

    /// Takes a sample that goes into no open chunk.
    fn append_late(
        &mut self,
        cells: &Cells,
        t: Millis,
        value: Value,
        place: Place,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        let is_newest = self.newest() == Some(t) && t >= fold.bounds.min_valid;
        if !is_newest {
            fold.bounds.admit_late(t)?;
        }
        match self.stored(cells, t, place.series, fold) {
            Some(stored) if stored.same(&value) => return Ok(()),
            Some(_) => return Err(Refusal::Duplicate),
            None => {}
        }
        if fold.is_flushed(t) {
            return Ok(());
        }
        if let Err(AppendError::Invalid(text)) = value::check(&value) {
            return Err(Refusal::Histogram(text));
        }
        self.more.get_or_insert_default().late.insert(t, value, place, fold);
        fold.took(t);
        Ok(())
    }

    /// The value at `t`, if the head still has it.
    fn stored(&self, cells: &Cells, t: Millis, series: SeriesRef, fold: &Fold<'_>) -> Option<Value> {
        if self.newest == Newest::Float && self.xor.last_timestamp() == t {
            return Some(Value::Float(self.xor.last_value()));
        }
        if let Some(value) = self.more.as_ref().and_then(|more| more.late.find(t)) {
            return Some(value.clone());
        }
        let mut open = ChunkBuf::default();
        self.copy_open(cells, t, t, &mut open);
        let value = open.chunks.first().and_then(|c| value::find(c.encoding, open.slice(c), t));
        value.or_else(|| find_sealed(series, t, fold))
    }
}

fn find_sealed(series: SeriesRef, t: Millis, fold: &Fold<'_>) -> Option<Value> {
    let (number, mut found) = (fold.number(t), None);
    for window in fold.windows.all().filter(|w| w.number == number) {
        let mut left = SEARCH_CHUNKS;
        // A chunk that can not be read is no reason to refuse a sample.
        let _ = window.each_chunk(series, |header, bytes| {
            if header.mint <= t && t <= header.maxt {
                found = value::find(header.encoding, bytes, t);
            }
            left -= 1;
            found.is_none() && left > 0
        });
        if found.is_some() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_small() {
        assert!(size_of::<Row>() <= 80, "{}", size_of::<Row>());
    }
}
