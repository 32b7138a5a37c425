//! The hot state of 256 series behind one lock: open chunks, newest samples, ways to the rest.
//!
//! The writer keeps the lock while consecutive samples stay in the page; a reader takes it for the
//! copy of one series. A float chunk is cut when it is full or its series reaches the next chunk
//! range. It is cut by the sample that no longer fits, so an open chunk always holds the newest
//! sample of its series. At most one chunk of a series is open, floats or histograms.

use norn_codec::histogram::AppendError;
use norn_codec::xor::XorState;
use norn_contract::source::{ChunkBuf, ChunkSlice};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::sample::is_stale_nan;
use norn_wire::histogram::HistogramRef;

use crate::arena::{Address, NOWHERE, first_timestamp};
use crate::cells::{Cells, Chain};
use crate::fold::{Fold, Refusal};
use crate::histogram::OpenHistogram;
use crate::late::{Late, LateChunk};
use crate::value::{self, Value};

/// Series of a page.
pub(crate) const ROWS: usize = 256;

/// Sealed chunks that are searched for a sample with a late one's timestamp. Beyond, a late
/// sample is stored beside the one it may repeat.
const SEARCH_CHUNKS: usize = 64;

/// One series.
#[derive(Debug)]
struct Row {
    xor: XorState,
    /// Where the range of the open float chunk ends.
    end: Millis,
    /// Oldest sample that came in order; [`Millis::MAX`] before the first.
    mint: Millis,
    words: Chain,
    /// Samples the open float chunk is cut at.
    target: u16,
    sealed: Address,
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

/// A copy of what leads to a series' other chunks.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// Newest sealed chunk.
    pub(crate) sealed: Option<Address>,
    /// Sealed chunks of late samples.
    pub(crate) late: Vec<LateChunk>,
    /// Late samples that wait.
    pub(crate) waiting: Vec<(Millis, Value)>,
}

/// See the module doc.
#[derive(Debug, Default)]
pub(crate) struct Page {
    rows: Vec<Row>,
    cells: Cells,
}

impl Page {
    /// An empty page with room for its rows, unless it is the partition's first.
    pub(crate) fn new(is_first: bool) -> Self {
        let rows = Vec::with_capacity(if is_first { 0 } else { ROWS });
        Self { rows, cells: Cells::default() }
    }

    /// Adds a series whose first chunk is cut at `target` samples.
    pub(crate) fn add(&mut self, target: u16) {
        self.rows.push(Row {
            xor: XorState::new(),
            end: Millis::MIN,
            mint: Millis::MAX,
            words: Chain::default(),
            target,
            sealed: NOWHERE,
            more: None,
        });
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
        let row = self.rows.get_mut(at).ok_or(Refusal::Full)?;
        let count = row.xor.count();
        let fits = count != 0 && count < row.target && t < row.end;
        if !fits || t <= row.xor.last_timestamp() {
            return row.append_float_slowly(&mut self.cells, t, value, fold);
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
        let row = self.rows.get_mut(at).ok_or(Refusal::Full)?;
        row.append_histogram(&mut self.cells, t, histogram, fold)
    }

    /// First and last timestamp of a series; `None` when it has no sample.
    pub(crate) fn range(&self, at: usize) -> Option<(Millis, Millis)> {
        let row = self.rows.get(at)?;
        let late = row.more.as_ref().map_or(Millis::MAX, |m| m.late.mint());
        Some((row.mint.min(late), row.newest()?))
    }

    /// Appends the open chunk of a series to `out` if it overlaps `mint..=maxt`; gives what leads
    /// to its other chunks.
    pub(crate) fn copy(&self, at: usize, mint: Millis, maxt: Millis, out: &mut ChunkBuf) -> Trail {
        let Some(row) = self.rows.get(at) else { return Trail::default() };
        row.copy_open(&self.cells, mint, maxt, out);
        let mut trail = Trail { sealed: Some(row.sealed).filter(|&a| a != NOWHERE), ..Trail::default() };
        if let Some(more) = &row.more {
            trail.waiting = more.late.buffer().to_vec();
            let overlapping = more.late.chunks().iter().filter(|c| c.mint <= maxt && c.maxt >= mint);
            trail.late = overlapping.copied().collect();
        }
        trail
    }

    /// Bytes of heap: rows, and open chunks.
    pub(crate) fn size_bytes(&self) -> (usize, usize) {
        let more = |row: &Row| row.more.as_ref().map_or(0, |m| m.size_bytes());
        let rows = self.rows.capacity() * size_of::<Row>() + self.rows.iter().map(more).sum::<usize>();
        (rows, self.cells.size_bytes())
    }
}

impl Row {
    /// Newest timestamp.
    fn newest(&self) -> Option<Millis> {
        match self.open_histogram() {
            Some(open) => Some(open.maxt()),
            None => (self.xor.count() > 0).then(|| self.xor.last_timestamp()),
        }
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
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        if is_stale_nan(value)
            && let Some(open) = self.open_histogram()
        {
            // The series ends as what it was.
            let stale = open.stale();
            return self.append_histogram(cells, t, stale.as_ref(), fold);
        }
        if self.newest().is_some_and(|newest| t <= newest) {
            return self.append_late(cells, t, Value::Float(value), fold);
        }
        self.seal_open(cells, fold)?;
        self.end = fold.range_end(t);
        self.mint = self.mint.min(t);
        self.push_float(cells, t, value)?;
        fold.took(t);
        Ok(())
    }

    fn append_histogram(
        &mut self,
        cells: &mut Cells,
        t: Millis,
        histogram: HistogramRef<'_>,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        if self.newest().is_some_and(|newest| t <= newest) {
            return self.append_late(cells, t, Value::from(histogram), fold);
        }
        let open = self.more.as_mut().and_then(|more| more.histogram.as_mut());
        match open.map_or(Err(AppendError::NewChunk), |open| open.append(t, histogram)) {
            Ok(()) => {}
            Err(AppendError::Invalid(text)) => return Err(Refusal::Histogram(text)),
            Err(AppendError::NewChunk) => self.begin_histogram(cells, t, histogram, fold)?,
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
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        let next = OpenHistogram::begin(self.open_histogram(), t, fold.range_end(t), histogram);
        let next = next.map_err(|e| match e {
            AppendError::Invalid(text) => Refusal::Histogram(text),
            AppendError::NewChunk => Refusal::Histogram("histogram begins no chunk"),
        })?;
        self.seal_open(cells, fold)?;
        self.more.get_or_insert_default().histogram = Some(Box::new(next));
        Ok(())
    }

    /// Moves the open chunk, if there is one, to the arena.
    fn seal_open(&mut self, cells: &mut Cells, fold: &mut Fold<'_>) -> Result<(), Refusal> {
        fold.scratch.clear();
        if let Some(more) = &mut self.more
            && let Some(open) = &more.histogram
        {
            open.copy(&mut fold.scratch);
            let range = (open.mint, open.maxt());
            self.sealed = fold.seal(self.sealed, open.encoding(), range, &fold.scratch)?;
            more.histogram = None;
        }
        if self.xor.count() > 0 {
            cells.copy(self.words, &mut fold.scratch);
            self.xor.finish(&mut fold.scratch, 0);
            let range = (first_timestamp(&fold.scratch).unwrap_or_default(), self.xor.last_timestamp());
            self.sealed = fold.seal(self.sealed, ChunkEncoding::Xor, range, &fold.scratch)?;
            cells.release(&mut self.words);
            self.xor = XorState::new();
            self.target = fold.samples_per_chunk;
        }
        Ok(())
    }

    /// Appends the open chunk to `out` if it overlaps the range.
    fn copy_open(&self, cells: &Cells, mint: Millis, maxt: Millis, out: &mut ChunkBuf) {
        let Some(last) = self.newest().filter(|&last| last >= mint) else { return };
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

    /// Takes a sample that is not newer than the newest one.
    fn append_late(
        &mut self,
        cells: &Cells,
        t: Millis,
        value: Value,
        fold: &mut Fold<'_>,
    ) -> Result<(), Refusal> {
        if self.newest() != Some(t) {
            fold.admit_late(t)?;
        }
        let late = self.more.as_ref().and_then(|more| more.late.find(t, fold));
        match late.or_else(|| self.find_in_order(cells, t, fold)) {
            Some(stored) if stored.same(&value) => return Ok(()),
            Some(_) => return Err(Refusal::Duplicate),
            None => {}
        }
        if let Err(AppendError::Invalid(text)) = value::check(&value) {
            return Err(Refusal::Histogram(text));
        }
        self.more.get_or_insert_default().late.insert(t, value, fold)?;
        fold.took(t);
        Ok(())
    }

    /// The value at `t` among samples that came in order.
    fn find_in_order(&self, cells: &Cells, t: Millis, fold: &Fold<'_>) -> Option<Value> {
        if self.xor.count() > 0 && self.xor.last_timestamp() == t {
            return Some(Value::Float(self.xor.last_value()));
        }
        let mut open = ChunkBuf::default();
        self.copy_open(cells, t, t, &mut open);
        if let Some(chunk) = open.chunks.first() {
            return value::find(chunk.encoding, open.slice(chunk), t);
        }
        let mut at = self.sealed;
        for _ in 0..SEARCH_CHUNKS {
            let (previous, mint, found) = fold.arena.read(at, |header, bytes| {
                let inside = header.mint <= t && t <= header.maxt;
                let found = if inside { value::find(header.encoding, bytes, t) } else { None };
                (header.previous, header.mint, found)
            })?;
            if mint <= t {
                return found;
            }
            at = previous;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_small() {
        assert!(size_of::<Row>() <= 80, "{}", size_of::<Row>());
    }
}
