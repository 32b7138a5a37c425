//! Pieces become bytes.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use norn_contract::log::Offset;
use norn_contract::source::ChunkSlice;
use norn_model::Millis;
use norn_model::metadata::Metadata;
use norn_model::tenant::Tenant;
use norn_wire::settings::FoldSettings;

use super::capture::Piece;
use super::fields::{Body, put_frame};
use super::{END_MAGIC, Kind, MAGIC, SnapshotError, VERSION};
use crate::catalog::{Catalog, PairId};
use crate::identity::{self, SeriesRef};
use crate::select::SLICE;
use crate::shared::Shared;
use crate::tenant::TenantState;
use crate::window::{Window, WindowNo};

/// What held when the snapshot was begun.
#[derive(Debug)]
pub(crate) struct Base {
    /// The first record that a replay needs.
    pub(crate) next: Offset,
    pub(crate) flushed: Vec<(WindowNo, Offset)>,
    /// By number.
    pub(crate) tenants: Vec<TenantImage>,
}

/// A tenant's account.
#[derive(Debug)]
pub(crate) struct TenantImage {
    pub(crate) tenant: Tenant,
    pub(crate) state: Arc<TenantState>,
    pub(crate) settings: FoldSettings,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
    /// Nothing below it is taken in order any more.
    pub(crate) closed: Millis,
    pub(crate) taken: (u64, u64),
}

/// Makes the bytes of a snapshot, piece by piece. Holds the writer up for nothing but look-ups of
/// labels, a slice at a time.
pub struct Encoder {
    shared: Arc<Shared>,
    base: Base,
    /// Numbers of label pairs in the file.
    pairs: HashMap<PairId, u32, RandomState>,
    /// Series in the order of the file.
    series: Vec<SeriesRef>,
    /// Bytes that were given out.
    position: u64,
    out: Vec<u8>,
    body: Body,
    rows: Rows,
}

/// Columns of a piece that come from elsewhere.
#[derive(Default)]
struct Rows {
    /// Positions in the piece of rows whose series exists.
    kept: Vec<u32>,
    tenants: Vec<u32>,
    label_counts: Vec<u32>,
    labels: Vec<u32>,
    new_pairs: Vec<(u32, String, String)>,
    /// By sealed chunk.
    chunks: Vec<SealedChunk>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct SealedChunk {
    /// Position among the kept rows.
    row: u32,
    /// `late << 3 | encoding`.
    kind: u32,
    mint: Millis,
    maxt: Millis,
    len: usize,
}

impl Encoder {
    pub(crate) fn new(shared: Arc<Shared>, base: Base) -> Self {
        Self {
            shared,
            base,
            pairs: HashMap::default(),
            series: Vec::new(),
            position: 0,
            out: Vec::new(),
            body: Body::default(),
            rows: Rows::default(),
        }
    }

    /// The first record that a start from the snapshot has to read.
    pub fn next_offset(&self) -> Offset {
        self.base.next
    }

    /// The bytes to append to the file for the next piece; the last one completes it.
    ///
    /// # Errors
    ///
    /// When a sealed chunk can not be read.
    pub fn encode(&mut self, piece: &Piece) -> Result<&[u8], SnapshotError> {
        self.out.clear();
        if self.position == 0 {
            self.out.extend_from_slice(MAGIC);
            self.out.extend_from_slice(&VERSION.to_le_bytes());
            self.out.extend_from_slice(&[0; 4]);
            self.put_base()?;
        }
        self.rows.clear();
        self.name(piece);
        self.read_sealed(piece)?;
        self.put_series(piece)?;
        if piece.is_last {
            let later = self.later_tenants();
            self.put_beside(&later)?;
            self.put_end(piece, &later)?;
        }
        self.position += self.out.len() as u64;
        Ok(&self.out)
    }

    fn put_base(&mut self) -> Result<(), SnapshotError> {
        let (options, body) = (&self.shared.options, &mut self.body);
        body.clear();
        body.number(u64::from(options.partition)).number(u64::from(options.samples_per_chunk));
        body.signed(options.chunk_range).number(self.base.next);
        body.number(self.base.flushed.len() as u64);
        for (window, offset) in &self.base.flushed {
            body.signed(*window).number(*offset);
        }
        body.number(self.base.tenants.len() as u64);
        for image in &self.base.tenants {
            body.blob(image.tenant.as_str().as_bytes()).blob(&image.settings.encode());
            body.signed(image.mint).signed(image.maxt).signed(image.closed);
            body.number(image.taken.0).number(image.taken.1);
        }
        put_frame(Kind::Base, &body.bytes, &mut self.out)
    }

    /// Finds the labels of the rows; rows of series that have gone are left out.
    fn name(&mut self, piece: &Piece) {
        let (rows, pairs, series) = (&mut self.rows, &mut self.pairs, &mut self.series);
        for (slice, images) in piece.rows.chunks(SLICE).enumerate() {
            let catalog = self.shared.catalog.read();
            for (at, image) in images.iter().enumerate() {
                if rows.name(&catalog, image.series, pairs) {
                    rows.kept.push((slice * SLICE + at) as u32);
                    series.push(image.series);
                }
            }
        }
    }

    fn read_sealed(&mut self, piece: &Piece) -> Result<(), SnapshotError> {
        let rows = &mut self.rows;
        let mut heads = piece.heads.iter().peekable();
        for (kept, row) in rows.kept.iter().enumerate() {
            while let Some(head) = heads.next_if(|head| head.row <= *row) {
                let Some(window) = piece.windows.get(head.window as usize).filter(|_| head.row == *row)
                else {
                    continue;
                };
                let from = rows.chunks.len();
                let read = window.each_chunk_from(head.at, |header, bytes| {
                    rows.chunks.push(SealedChunk {
                        row: kept as u32,
                        kind: u32::from(header.late) << 3 | header.encoding as u32,
                        mint: header.mint,
                        maxt: header.maxt,
                        len: bytes.len(),
                    });
                    rows.bytes.extend_from_slice(bytes);
                    true
                });
                read.map_err(|_| SnapshotError::Damaged("a sealed chunk can not be read"))?;
                oldest_first(&mut rows.chunks[from..], &mut rows.bytes);
            }
        }
        Ok(())
    }

    fn put_series(&mut self, piece: &Piece) -> Result<(), SnapshotError> {
        let (rows, body) = (&self.rows, &mut self.body);
        body.clear();
        body.number(piece.next).number(rows.kept.len() as u64).number(rows.labels.len() as u64);
        body.number(rows.new_pairs.len() as u64);
        for (tenant, name, value) in &rows.new_pairs {
            body.number(u64::from(*tenant)).blob(name.as_bytes()).blob(value.as_bytes());
        }
        body.column(rows.tenants.iter().map(|&n| i64::from(n)))?;
        body.column(rows.label_counts.iter().map(|&n| i64::from(n)))?;
        body.column(rows.labels.iter().map(|&n| i64::from(n)))?;
        let kept = || rows.kept.iter().filter_map(|&row| piece.rows.get(row as usize));
        body.column(kept().map(|row| row.mint))?;
        body.column(kept().map(|row| row.maxt))?;
        body.column(kept().map(|row| row.value.to_bits() as i64))?;
        body.column(kept().map(|row| i64::from(row.target)))?;
        body.column(kept().map(|row| i64::from(row.newest) << 1 | i64::from(row.is_open)))?;
        put_open(piece, &rows.kept, body)?;
        put_late(piece, &rows.kept, body)?;
        rows.put_sealed(body)?;
        put_frame(Kind::Series, &body.bytes, &mut self.out)
    }

    /// Tenants that came since the snapshot was begun, by number.
    fn later_tenants(&self) -> Vec<(Tenant, Arc<TenantState>)> {
        let mut later = Vec::new();
        for (tenant, state) in self.shared.tenants.read().iter() {
            if state.number as usize >= self.base.tenants.len() {
                later.push((tenant.clone(), Arc::clone(state)));
            }
        }
        later.sort_unstable_by_key(|(_, state)| state.number);
        later
    }

    /// Metadata and exemplars as they are now: a replay that comes to older ones changes nothing.
    fn put_beside(&mut self, later: &[(Tenant, Arc<TenantState>)]) -> Result<(), SnapshotError> {
        let states = self.base.tenants.iter().map(|image| &image.state);
        for (number, state) in states.chain(later.iter().map(|(_, state)| state)).enumerate() {
            let body = &mut self.body;
            body.clear();
            body.number(number as u64);
            let metadata = state.metadata.read();
            body.number(metadata.len() as u64);
            for (metric, all) in metadata.iter() {
                body.blob(metric.as_bytes()).number(all.len() as u64);
                for described in all {
                    let Metadata { kind, help, unit } = &described.metadata;
                    body.number(*kind as u64).blob(help.as_bytes()).blob(unit.as_bytes());
                    body.signed(described.seen());
                }
            }
            drop(metadata);
            let exemplars: Vec<_> = state.exemplars.lock().iter().cloned().collect();
            let known = exemplars
                .iter()
                .filter_map(|e| Some((self.series.binary_search(&e.series).ok()?, &e.exemplar)));
            let known: Vec<_> = known.collect();
            body.number(known.len() as u64);
            for (series, exemplar) in known {
                body.number(series as u64).signed(exemplar.timestamp).number(exemplar.value.to_bits());
                body.number(exemplar.labels.iter().count() as u64);
                for (name, value) in exemplar.labels.iter() {
                    body.blob(name.as_bytes()).blob(value.as_bytes());
                }
            }
            put_frame(Kind::Beside, &body.bytes, &mut self.out)?;
        }
        Ok(())
    }

    fn put_end(&mut self, piece: &Piece, later: &[(Tenant, Arc<TenantState>)]) -> Result<(), SnapshotError> {
        let at = self.position + self.out.len() as u64;
        let body = &mut self.body;
        body.clear();
        body.number(self.series.len() as u64).number(piece.windows.len() as u64);
        for window in piece.windows.iter() {
            put_window(window, body);
        }
        body.number(later.len() as u64);
        for (tenant, _) in later {
            body.blob(tenant.as_str().as_bytes());
        }
        put_frame(Kind::Windows, &body.bytes, &mut self.out)?;
        self.out.extend_from_slice(&at.to_le_bytes());
        self.out.extend_from_slice(END_MAGIC);
        Ok(())
    }
}

fn put_window(window: &Window, body: &mut Body) {
    body.signed(window.number).number(window.first);
    let before = window.before.get().map_or(&[][..], |before| before);
    body.number(before.len() as u64);
    for bounds in before {
        body.blob(bounds.tenant.as_str().as_bytes()).blob(&bounds.settings.encode()).signed(bounds.maxt);
    }
}

/// Open chunks of kept rows: kinds, first timestamps, lengths, bytes.
fn put_open(piece: &Piece, kept: &[u32], body: &mut Body) -> Result<(), SnapshotError> {
    let mut kept = kept.iter().peekable();
    let mut open = piece.open.chunks.iter();
    let mut chunks: Vec<&ChunkSlice> = Vec::new();
    for (at, row) in piece.rows.iter().enumerate() {
        let is_kept = kept.next_if(|kept| **kept as usize == at).is_some();
        if row.is_open {
            chunks.extend(open.next().filter(|_| is_kept));
        }
    }
    body.number(chunks.len() as u64);
    body.column(chunks.iter().map(|chunk| chunk.encoding as i64))?;
    body.column(chunks.iter().map(|chunk| chunk.mint))?;
    body.column(chunks.iter().map(|chunk| chunk.len as i64))?;
    for chunk in chunks {
        body.bytes.extend_from_slice(piece.open.slice(chunk));
    }
    Ok(())
}

/// Ranges of late samples by row, and those that wait, as chunks.
fn put_late(piece: &Piece, kept: &[u32], body: &mut Body) -> Result<(), SnapshotError> {
    let position = |row: u32| kept.binary_search(&row).ok();
    let late: Vec<_> = piece.late.iter().filter_map(|late| Some((position(late.row)?, late))).collect();
    body.number(late.len() as u64);
    for (row, late) in late {
        body.number(row as u64).signed(late.mint).signed(late.maxt);
    }
    let chunks = piece.waiting.iter().zip(&piece.waiting_chunks.chunks);
    let chunks: Vec<_> =
        chunks.filter_map(|((row, to), chunk)| Some((position(*row)?, *to, chunk))).collect();
    body.number(chunks.len() as u64);
    for (row, window, chunk) in chunks {
        body.number(row as u64).signed(window).number(chunk.encoding as u64);
        body.signed(chunk.mint).signed(chunk.maxt).blob(piece.waiting_chunks.slice(chunk));
    }
    Ok(())
}

/// Chunks were read from the newest to the oldest and are sealed again the other way round.
fn oldest_first(chunks: &mut [SealedChunk], bytes: &mut Vec<u8>) {
    if chunks.len() < 2 {
        return;
    }
    let total: usize = chunks.iter().map(|chunk| chunk.len).sum();
    let start = bytes.len() - total;
    let newest_first = bytes.split_off(start);
    let mut end = newest_first.len();
    for chunk in chunks.iter().rev() {
        bytes.extend_from_slice(&newest_first[end - chunk.len..end]);
        end -= chunk.len;
    }
    chunks.reverse();
}

impl Rows {
    fn clear(&mut self) {
        self.kept.clear();
        self.tenants.clear();
        self.label_counts.clear();
        self.labels.clear();
        self.new_pairs.clear();
        self.chunks.clear();
        self.bytes.clear();
    }

    /// Adds the labels of a series; false if it has gone.
    fn name(
        &mut self,
        catalog: &Catalog,
        series: SeriesRef,
        numbers: &mut HashMap<PairId, u32, RandomState>,
    ) -> bool {
        let (mut count, mut tenant) = (0, None);
        for pair in identity::pairs(catalog.identities().get(series)) {
            tenant = tenant.or_else(|| Some(catalog.name(catalog.pair(pair)?.name)?.tenant));
            let next = numbers.len() as u32;
            let number = *numbers.entry(pair).or_insert_with(|| {
                let (name, value) = catalog.pair_texts(pair);
                self.new_pairs.push((tenant.unwrap_or_default(), name.to_owned(), value.to_owned()));
                next
            });
            self.labels.push(number);
            count += 1;
        }
        let Some(tenant) = tenant else { return false };
        self.tenants.push(tenant);
        self.label_counts.push(count);
        true
    }

    fn put_sealed(&self, body: &mut Body) -> Result<(), SnapshotError> {
        let chunks = &self.chunks;
        body.number(chunks.len() as u64);
        body.column(chunks.iter().map(|chunk| i64::from(chunk.row)))?;
        body.column(chunks.iter().map(|chunk| i64::from(chunk.kind)))?;
        body.column(chunks.iter().map(|chunk| chunk.mint))?;
        body.column(chunks.iter().map(|chunk| chunk.maxt.wrapping_sub(chunk.mint)))?;
        body.column(chunks.iter().map(|chunk| chunk.len as i64))?;
        body.bytes.extend_from_slice(&self.bytes);
        Ok(())
    }
}
