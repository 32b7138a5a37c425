//! Time windows: the sealed chunks of one chunk range, and where each series' newest one lies.
//!
//! A sample belongs to the window with number `t.div_euclid(range)`. A window that is being cut is
//! frozen: what comes for its number from then on goes to a new window with the same number.
//! Whoever holds a window can read its chunks, whatever the head has done since.

use std::sync::{Arc, OnceLock};

use norn_contract::log::Offset;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use parking_lot::RwLock;

use crate::checkpoint::TenantBounds;
use crate::files::Files;
use crate::identity::SeriesRef;
use crate::page::Place;
use crate::shared::Shared;
use crate::storage::{Address, Chunks, Header, NOWHERE};

/// Number of a window.
pub(crate) type WindowNo = i64;

/// Series whose addresses lie together.
const GROUP: usize = 32;

/// Groups that lie together.
const BLOCK: usize = 128;

type Group = Option<Box<[Address; GROUP]>>;

/// For each series the address of its newest chunk. Series that came at other times take nothing but
/// eight bytes for each 4096 of them.
#[derive(Debug, Default)]
struct Heads(Vec<Option<Box<[Group; BLOCK]>>>);

impl Heads {
    fn get(&self, series: SeriesRef) -> Address {
        let group = series as usize / GROUP;
        let block = self.0.get(group / BLOCK).and_then(Option::as_ref);
        let group = block.and_then(|block| block[group % BLOCK].as_ref());
        group.map_or(NOWHERE, |group| group[series as usize % GROUP])
    }

    fn set(&mut self, series: SeriesRef, at: Address) {
        let group = series as usize / GROUP;
        if self.0.len() <= group / BLOCK {
            self.0.resize_with(group / BLOCK + 1, || None);
        }
        let Some(block) = self.0.get_mut(group / BLOCK) else { return };
        let block = block.get_or_insert_with(|| Box::new([const { None }; BLOCK]));
        let group = block[group % BLOCK].get_or_insert_with(|| Box::new([NOWHERE; GROUP]));
        group[series as usize % GROUP] = at;
    }

    /// Bytes of heap.
    fn size_bytes(&self) -> usize {
        let blocks = self.0.iter().flatten();
        let groups = blocks.clone().flat_map(|block| block.iter().flatten()).count();
        self.0.capacity() * size_of::<usize>()
            + blocks.count() * BLOCK * size_of::<Group>()
            + groups * GROUP * size_of::<Address>()
    }
}

/// See the module doc.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) number: WindowNo,
    /// The record that put the first sample here.
    pub(crate) first: Offset,
    /// What held of the tenants before that record; set when the record has been folded.
    pub(crate) before: OnceLock<Arc<Vec<TenantBounds>>>,
    heads: RwLock<Heads>,
    chunks: Chunks,
}

impl Window {
    fn new(number: WindowNo, first: Offset) -> Self {
        Self { number, first, before: OnceLock::new(), heads: RwLock::default(), chunks: Chunks::default() }
    }

    /// Keeps a chunk of a series; it names the one that was the newest. Called by the writer alone.
    /// False: there is no room.
    fn seal(&self, series: SeriesRef, chunk: &Chunk, bytes: &[u8]) -> bool {
        let Chunk { encoding, late, mint, maxt } = *chunk;
        let header = Header { previous: self.newest(series), encoding, late, mint, maxt };
        let Some(at) = self.chunks.push(&header, bytes) else { return false };
        self.heads.write().set(series, at);
        true
    }

    /// Where the newest chunk of a series lies, or [`NOWHERE`].
    pub(crate) fn newest(&self, series: SeriesRef) -> Address {
        self.heads.read().get(series)
    }

    /// Gives the chunks of a series to `f`, from the newest to the oldest, until it says no.
    /// `Err` where a chunk can not be read.
    pub(crate) fn each_chunk(
        &self,
        series: SeriesRef,
        f: impl FnMut(&Header, &[u8]) -> bool,
    ) -> Result<(), Address> {
        self.each_chunk_from(self.newest(series), f)
    }

    /// As [`Window::each_chunk`], from the chunk at `at` on.
    pub(crate) fn each_chunk_from(
        &self,
        mut at: Address,
        mut f: impl FnMut(&Header, &[u8]) -> bool,
    ) -> Result<(), Address> {
        while at != NOWHERE {
            let next = self.chunks.read(at, |header, bytes| (header.previous, f(header, bytes)));
            match next.ok_or(at)? {
                (previous, true) => at = previous,
                (_, false) => break,
            }
        }
        Ok(())
    }

    /// Bytes of heap: chunks, and what leads to them; bytes in the file.
    pub(crate) fn size_bytes(&self) -> (usize, usize, u64) {
        let (heap, file) = self.chunks.size_bytes();
        (heap, self.heads.read().size_bytes(), file)
    }
}

/// What is told of a chunk that is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) encoding: ChunkEncoding,
    pub(crate) late: bool,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
}

/// Windows in the order of their creation, as readers hold them.
pub(crate) type WindowList = Arc<Vec<Arc<Window>>>;

/// The writer's side of the windows.
#[derive(Debug)]
pub(crate) struct Windows {
    shared: Arc<Shared>,
    /// Take samples.
    live: Vec<Arc<Window>>,
    /// Are being cut.
    frozen: Vec<Arc<Window>>,
    files: Option<Files>,
    /// Counts cuts. A page that says the same number has been swept by the last one.
    pub(crate) epoch: u64,
    /// Offset of the record that is being folded.
    pub(crate) record: Offset,
    /// Whether a window was created since this was last looked at.
    pub(crate) changed: bool,
}

impl Windows {
    /// None.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let options = &shared.options;
        let files = options.storage.clone().map(|storage| Files::new(storage, options.partition));
        let (live, frozen) = (Vec::new(), Vec::new());
        Self { shared, live, frozen, files, epoch: 0, record: 0, changed: false }
    }

    /// Writes a slab of chunks to its file if one has to go there. False: none has.
    pub(crate) fn write_one(&mut self) -> bool {
        let Some(files) = &mut self.files else { return false };
        let all = || self.frozen.iter().chain(&self.live);
        let full = all().map(|window| window.chunks.full()).sum();
        let oldest = all().filter(|window| window.chunks.full() > 0).min_by_key(|window| window.number);
        let Some(window) = oldest.filter(|_| files.is_due(full)) else { return false };
        let outcome = window.chunks.write_one(|| files.create(window.number));
        files.wrote(outcome, full);
        true
    }

    /// Adds a window of a snapshot. Of several with a number the first one needs the oldest record.
    pub(crate) fn restore(&mut self, number: WindowNo, first: Offset, before: Vec<TenantBounds>) {
        if self.live.iter().any(|window| window.number == number) {
            return;
        }
        let before = OnceLock::from(Arc::new(before));
        self.live.push(Arc::new(Window { before, ..Window::new(number, first) }));
        self.publish();
    }

    /// The window that takes samples with this number at `place`; a new one if need be.
    pub(crate) fn of(&mut self, number: WindowNo, place: Place) -> &Arc<Window> {
        let of_number = |w: &Arc<Window>| w.number == number;
        if place.epoch != self.epoch
            && let Some(at) = self.frozen.iter().rposition(of_number)
        {
            return &self.frozen[at];
        }
        let at = match self.live.iter().rposition(of_number) {
            Some(at) => at,
            None => {
                self.live.push(Arc::new(Window::new(number, self.record)));
                self.changed = true;
                self.publish();
                self.live.len() - 1
            }
        };
        &self.live[at]
    }

    /// Keeps a chunk of the series at `place`.
    pub(crate) fn seal(&mut self, number: WindowNo, place: Place, chunk: &Chunk, bytes: &[u8]) {
        let window = Arc::clone(self.of(number, place));
        if window.seal(place.series, chunk, bytes) {
            return;
        }
        // Full. Another one beside it has room for any chunk.
        let next = Window { before: window.before.clone(), ..Window::new(number, window.first) };
        next.seal(place.series, chunk, bytes);
        let is_frozen = self.frozen.iter().any(|frozen| Arc::ptr_eq(frozen, &window));
        let list = if is_frozen { &mut self.frozen } else { &mut self.live };
        list.push(Arc::new(next));
        self.changed = true;
        self.publish();
    }

    /// All, frozen ones too, in the order of their creation as far as one number goes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Window>> {
        self.frozen.iter().chain(&self.live)
    }

    /// Whether any window has a chunk of a series.
    pub(crate) fn have(&self, series: SeriesRef) -> bool {
        self.all().any(|window| window.newest(series) != NOWHERE)
    }

    /// Whether a window below `end` takes samples.
    pub(crate) fn has_below(&self, end: WindowNo) -> bool {
        self.live.iter().any(|window| window.number < end)
    }

    /// Freezes windows below `end`.
    pub(crate) fn freeze(&mut self, end: WindowNo) {
        self.epoch += 1;
        let (frozen, live) = std::mem::take(&mut self.live).into_iter().partition(|w| w.number < end);
        (self.frozen, self.live) = (frozen, live);
    }

    /// Those that are being cut.
    pub(crate) fn frozen(&self) -> &[Arc<Window>] {
        &self.frozen
    }

    /// Lets frozen windows go.
    pub(crate) fn release(&mut self) {
        self.frozen.clear();
        self.publish();
    }

    /// Lets frozen windows take samples again.
    pub(crate) fn thaw(&mut self) {
        let live = std::mem::take(&mut self.live);
        self.live = std::mem::take(&mut self.frozen).into_iter().chain(live).collect();
    }

    fn publish(&self) {
        let list: Vec<Arc<Window>> = self.all().cloned().collect();
        *self.shared.windows.write() = Arc::new(list);
    }
}
