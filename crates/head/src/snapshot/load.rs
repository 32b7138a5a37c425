//! Bytes become a head.

use std::collections::HashMap;
use std::sync::Arc;

use norn_codec::varint::put_uvarint;
use norn_contract::fs::File;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::metadata::{Metadata, MetricType};
use norn_model::sample::Exemplar;
use norn_model::tenant::Tenant;
use norn_wire::settings::FoldSettings;

use super::capture::{OpenImage, RowImage};
use super::fields::{Fields, checksum, frame_header};
use super::{END_MAGIC, FRAME_HEADER, HEADER, Kind, MAGIC, SnapshotError, TRAILER, VERSION};
use crate::catalog::PairId;
use crate::checkpoint::TenantBounds;
use crate::folder::{Account, Folder};
use crate::identity::SeriesRef;
use crate::options::Options;
use crate::page::Place;
use crate::reader::Reader;
use crate::shared::Shared;
use crate::tenant::{Described, SeriesExemplar, TenantState};
use crate::window::{Chunk, WindowNo};
use crate::writer::{Writer, account};

/// A head as the snapshot in `file` kept it. Reading goes on at [`Writer::next_offset`].
///
/// Memory above the head's own: one frame, which has a few thousand series.
///
/// # Errors
///
/// When anything is wrong with the file, or it was made with other options. It holds no secret the
/// log does not have: fold the log instead.
pub fn load(options: Options, file: &dyn File) -> Result<(Writer, Arc<Reader>), SnapshotError> {
    let end = check_ends(file)?;
    let shared = Arc::new(Shared::new(options));
    let mut loader = Loader::new(Arc::clone(&shared));
    let mut later = Vec::new();
    let mut buf = Vec::new();
    let (kind, _) = read_frame(file, end.last, end.len, &mut buf)?;
    expect(kind, Kind::Windows)?;
    let series = loader.windows(&mut Fields(&buf), &mut later)?;
    let mut at = HEADER as u64;
    let mut next = None;
    while at < end.last {
        let (kind, following) = read_frame(file, at, end.last, &mut buf)?;
        let mut fields = Fields(&buf);
        match next {
            None => {
                expect(kind, Kind::Base)?;
                next = Some(loader.base(&mut fields)?);
                later.iter().try_for_each(|tenant| loader.later_tenant(tenant))?;
            }
            Some(_) if kind == Kind::Series as u32 => loader.series(&mut fields)?,
            Some(_) => {
                expect(kind, Kind::Beside)?;
                loader.beside(&mut fields)?;
            }
        }
        if !fields.0.is_empty() {
            return Err(SnapshotError::Damaged("a part is longer than its content"));
        }
        at = following;
    }
    let next = next.ok_or(SnapshotError::Damaged("it has no beginning"))?;
    if u64::from(loader.count) != series {
        return Err(SnapshotError::Damaged("series are missing"));
    }
    let writer = Writer::resumed(loader.folder, loader.accounts, next);
    Ok((writer, Arc::new(Reader::new(shared))))
}

struct End {
    /// Where the last frame begins, and where it must have ended.
    last: u64,
    len: u64,
}

fn check_ends(file: &dyn File) -> Result<End, SnapshotError> {
    let len = file.len()?;
    let mut header = [0; HEADER];
    read_exactly(file, 0, &mut header)?;
    if !header.starts_with(MAGIC) {
        return Err(SnapshotError::Damaged("not a snapshot"));
    }
    if header[MAGIC.len()..MAGIC.len() + 4] != VERSION.to_le_bytes() {
        return Err(SnapshotError::Damaged("written by another version"));
    }
    let len = len.checked_sub(TRAILER as u64).ok_or(SnapshotError::Damaged("it ends early"))?;
    let mut trailer = [0; TRAILER];
    read_exactly(file, len, &mut trailer)?;
    let (last, magic) = trailer.split_at(8);
    let last = last.try_into().map_or(u64::MAX, u64::from_le_bytes);
    if magic != END_MAGIC || last > len || last < HEADER as u64 {
        return Err(SnapshotError::Damaged("it was not completed"));
    }
    Ok(End { last, len })
}

fn read_exactly(file: &dyn File, at: u64, buf: &mut [u8]) -> Result<(), SnapshotError> {
    match file.read_at(buf, at)? {
        read if read == buf.len() => Ok(()),
        _ => Err(SnapshotError::Damaged("it ends early")),
    }
}

/// Reads the body of the frame at `at`, which ends before `end`. Gives its kind and where it ends.
fn read_frame(file: &dyn File, at: u64, end: u64, body: &mut Vec<u8>) -> Result<(u32, u64), SnapshotError> {
    let mut header = [0; FRAME_HEADER];
    read_exactly(file, at, &mut header)?;
    let (kind, len, crc) = frame_header(&header);
    let from = at + FRAME_HEADER as u64;
    let following = from.saturating_add(len as u64);
    if following > end {
        return Err(SnapshotError::Damaged("a part ends behind its end"));
    }
    body.resize(len, 0);
    read_exactly(file, from, body)?;
    match checksum(kind, body) == crc {
        true => Ok((kind, following)),
        false => Err(SnapshotError::Damaged("the checksum of a part does not fit")),
    }
}

fn expect(kind: u32, expected: Kind) -> Result<(), SnapshotError> {
    match kind == expected as u32 {
        true => Ok(()),
        false => Err(SnapshotError::Damaged("a part is out of place")),
    }
}

fn encoding(number: u32) -> Result<ChunkEncoding, SnapshotError> {
    let number = u8::try_from(number).ok().and_then(ChunkEncoding::from_number);
    number.ok_or(SnapshotError::Damaged("unknown encoding of a chunk"))
}

struct Loader {
    shared: Arc<Shared>,
    folder: Folder,
    accounts: HashMap<Tenant, Account>,
    /// By number.
    tenants: Vec<Arc<TenantState>>,
    /// Pairs by their number in the file.
    pairs: Vec<PairId>,
    /// Series so far.
    count: SeriesRef,
}

/// Columns of a frame of series.
struct Columns {
    tenants: Vec<u32>,
    label_counts: Vec<u32>,
    labels: Vec<u32>,
    mint: Vec<i64>,
    maxt: Vec<i64>,
    values: Vec<i64>,
    targets: Vec<u32>,
    kinds: Vec<u32>,
}

impl Columns {
    fn take(fields: &mut Fields<'_>, rows: usize, labels: usize) -> Result<Self, SnapshotError> {
        Ok(Self {
            tenants: fields.small_column(rows)?,
            label_counts: fields.small_column(rows)?,
            labels: fields.small_column(labels)?,
            mint: fields.column(rows)?,
            maxt: fields.column(rows)?,
            values: fields.column(rows)?,
            targets: fields.small_column(rows)?,
            kinds: fields.small_column(rows)?,
        })
    }

    fn image(&self, row: usize, series: SeriesRef) -> RowImage {
        RowImage {
            series,
            mint: self.mint[row],
            maxt: self.maxt[row],
            value: f64::from_bits(self.values[row] as u64),
            target: self.targets[row] as u16,
            newest: (self.kinds[row] >> 1) as u8,
            is_open: self.kinds[row] & 1 == 1,
        }
    }
}

impl Loader {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            folder: Folder::new(Arc::clone(&shared)),
            shared,
            accounts: HashMap::new(),
            tenants: Vec::new(),
            pairs: Vec::new(),
            count: 0,
        }
    }

    /// Reads the last frame: how many series there are, windows, and tenants that are not in the
    /// base.
    fn windows(&mut self, fields: &mut Fields<'_>, later: &mut Vec<Tenant>) -> Result<u64, SnapshotError> {
        let series = fields.number()?;
        for _ in 0..fields.count()? {
            let (number, first) = (fields.signed()?, fields.number()?);
            let mut before = Vec::new();
            for _ in 0..fields.count()? {
                let tenant = tenant(fields)?;
                before.push(TenantBounds { tenant, settings: settings(fields)?, maxt: fields.signed()? });
            }
            self.folder.windows.restore(number, first, before);
        }
        for _ in 0..fields.count()? {
            later.push(tenant(fields)?);
        }
        Ok(series)
    }

    /// A tenant of which a replay will read the first record.
    fn later_tenant(&mut self, tenant: &Tenant) -> Result<(), SnapshotError> {
        let account = account(&mut self.accounts, &self.shared, tenant).map_err(|_| SnapshotError::Full)?;
        self.tenants.push(Arc::clone(&account.state));
        Ok(())
    }

    fn base(&mut self, fields: &mut Fields<'_>) -> Result<u64, SnapshotError> {
        let options = &self.shared.options;
        if fields.number()? != u64::from(options.partition) {
            return Err(SnapshotError::Other("partition"));
        }
        if fields.number()? != u64::from(options.samples_per_chunk) {
            return Err(SnapshotError::Other("number of samples in a chunk"));
        }
        if fields.signed()? != options.chunk_range {
            return Err(SnapshotError::Other("chunk range"));
        }
        let next = fields.number()?;
        for _ in 0..fields.count()? {
            self.folder.flushed.push((fields.signed()?, fields.number()?));
        }
        for _ in 0..fields.count()? {
            let tenant = tenant(fields)?;
            let settings = settings(fields)?;
            let times = (fields.signed()?, fields.signed()?, fields.signed()?);
            let taken = (fields.number()?, fields.number()?);
            let account =
                account(&mut self.accounts, &self.shared, &tenant).map_err(|_| SnapshotError::Full)?;
            self.tenants.push(account.restore(settings, times, taken));
        }
        Ok(next)
    }

    fn series(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let next = fields.number()?;
        // Columns of equal numbers take next to nothing: these counts are checked against them.
        let (rows, labels) = (fields.number()? as usize, fields.number()? as usize);
        for _ in 0..fields.count()? {
            self.pair(fields)?;
        }
        let columns = Columns::take(fields, rows, labels)?;
        self.folder.captured.push((self.count, next));
        let first = self.count;
        self.add_series(&columns)?;
        let open = open_chunks(fields)?;
        let mut late = HashMap::new();
        for _ in 0..fields.count()? {
            late.insert(fields.number()?, (fields.signed()?, fields.signed()?));
        }
        let mut open = open.into_iter();
        for row in 0..rows {
            let image = columns.image(row, first + row as SeriesRef);
            let chunk = match image.is_open {
                true => Some(open.next().ok_or(SnapshotError::Damaged("an open chunk is missing"))?),
                false => None,
            };
            self.row(&image, chunk.as_ref(), late.remove(&(row as u64)))?;
        }
        if open.next().is_some() || !late.is_empty() {
            return Err(SnapshotError::Damaged("a chunk belongs to no series"));
        }
        self.waiting(fields, first, rows)?;
        self.sealed(fields, first, rows)
    }

    fn pair(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let tenant = self.tenant(fields.number()?)?.number;
        let (name, value) = (fields.text()?, fields.text()?);
        let pair = self.shared.catalog.write().intern_pair(tenant, name, value);
        self.pairs.push(pair.ok_or(SnapshotError::Full)?);
        Ok(())
    }

    fn tenant(&self, number: u64) -> Result<&Arc<TenantState>, SnapshotError> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.tenants.get(number).ok_or(SnapshotError::Damaged("unknown tenant"))
    }

    fn add_series(&mut self, columns: &Columns) -> Result<(), SnapshotError> {
        let shared = Arc::clone(&self.shared);
        let mut catalog = shared.catalog.write();
        let (mut labels, mut key) = (columns.labels.iter(), Vec::new());
        for (tenant, count) in columns.tenants.iter().zip(&columns.label_counts) {
            let tenant = self.tenant(u64::from(*tenant))?.number;
            key.clear();
            for number in labels.by_ref().take(*count as usize) {
                let pair = self.pairs.get(*number as usize).ok_or(SnapshotError::Damaged("unknown label"))?;
                put_uvarint(&mut key, u64::from(*pair));
            }
            if key.is_empty() || catalog.identities().find(&key).is_some() {
                return Err(SnapshotError::Damaged("a series is there twice"));
            }
            let series = catalog.add_series(tenant, &key).ok_or(SnapshotError::Full)?;
            if series != self.count {
                return Err(SnapshotError::Full);
            }
            self.count += 1;
        }
        match labels.next() {
            None => Ok(()),
            Some(_) => Err(SnapshotError::Damaged("labels belong to no series")),
        }
    }

    fn row(
        &mut self,
        image: &RowImage,
        open: Option<&OpenImage<'_>>,
        late: Option<(Millis, Millis)>,
    ) -> Result<(), SnapshotError> {
        let range = self.shared.options.chunk_range;
        let page = self.folder.page_for(image.series).ok_or(SnapshotError::Full)?;
        Ok(page.lock().restore(image, open, late, range)?)
    }

    fn waiting(&mut self, fields: &mut Fields<'_>, first: u32, rows: usize) -> Result<(), SnapshotError> {
        for _ in 0..fields.count()? {
            let row = fields.number()?;
            let (window, kind) = (fields.signed()?, fields.number()? as u32);
            let (mint, maxt) = (fields.signed()?, fields.signed()?);
            let chunk = Chunk { encoding: encoding(kind)?, late: true, mint, maxt };
            self.seal(window, first, (row as usize, rows), &chunk, fields.blob()?)?;
        }
        Ok(())
    }

    fn sealed(&mut self, fields: &mut Fields<'_>, first: u32, rows: usize) -> Result<(), SnapshotError> {
        let count = fields.number()? as usize;
        let (of, kinds) = (fields.small_column(count)?, fields.small_column(count)?);
        let (mints, spans) = (fields.column(count)?, fields.column(count)?);
        let lens = fields.small_column(count)?;
        let range = self.shared.options.chunk_range;
        for i in 0..count {
            let (mint, maxt) = (mints[i], mints[i].wrapping_add(spans[i]));
            let chunk = Chunk { encoding: encoding(kinds[i] & 7)?, late: kinds[i] & 8 != 0, mint, maxt };
            let bytes = split(fields, lens[i] as usize)?;
            self.seal(mint.div_euclid(range), first, (of[i] as usize, rows), &chunk, bytes)?;
        }
        Ok(())
    }

    fn seal(
        &mut self,
        window: WindowNo,
        first: SeriesRef,
        (row, rows): (usize, usize),
        chunk: &Chunk,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        if row >= rows {
            return Err(SnapshotError::Damaged("a chunk belongs to no series"));
        }
        let series = first + row as SeriesRef;
        let place = Place { series, epoch: self.folder.windows.epoch };
        self.folder.windows.seal(window, place, chunk, bytes);
        Ok(())
    }

    fn beside(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let number = fields.number()?;
        let state = Arc::clone(self.tenant(number)?);
        let mut map = state.metadata.write();
        for _ in 0..fields.count()? {
            let (metric, mut all) = (fields.text()?, Vec::new());
            for _ in 0..fields.count()? {
                let kind = MetricType::from_number(fields.number()?);
                let metadata = Metadata { kind, help: fields.text()?.into(), unit: fields.text()?.into() };
                all.push(Described::new(metadata, fields.signed()?));
            }
            map.insert(Arc::from(metric), all);
        }
        let mut ring = state.exemplars.lock();
        for _ in 0..fields.count()? {
            let series = u32::try_from(fields.number()?).ok().filter(|series| *series < self.count);
            let series = series.ok_or(SnapshotError::Damaged("an exemplar belongs to no series"))?;
            let (timestamp, value) = (fields.signed()?, f64::from_bits(fields.number()?));
            let mut pairs = Vec::new();
            for _ in 0..fields.count()? {
                pairs.push((fields.text()?, fields.text()?));
            }
            let exemplar = Exemplar { labels: Labels::from_pairs(pairs), value, timestamp };
            // They are in the order in which the ring took them.
            let _ = ring.push(SeriesExemplar { series, exemplar }, usize::MAX);
        }
        Ok(())
    }
}

fn open_chunks<'a>(fields: &mut Fields<'a>) -> Result<Vec<OpenImage<'a>>, SnapshotError> {
    let count = fields.number()? as usize;
    let kinds = fields.small_column(count)?;
    let mints = fields.column(count)?;
    let lens = fields.small_column(count)?;
    let mut chunks = Vec::with_capacity(kinds.len());
    for i in 0..count {
        let bytes = split(fields, lens[i] as usize)?;
        chunks.push(OpenImage { encoding: encoding(kinds[i])?, mint: mints[i], bytes });
    }
    Ok(chunks)
}

fn split<'a>(fields: &mut Fields<'a>, len: usize) -> Result<&'a [u8], SnapshotError> {
    let (bytes, rest) = fields.0.split_at_checked(len).ok_or(SnapshotError::Damaged("a part ends early"))?;
    fields.0 = rest;
    Ok(bytes)
}

fn tenant(fields: &mut Fields<'_>) -> Result<Tenant, SnapshotError> {
    Tenant::admit(fields.text()?).map_err(|_| SnapshotError::Damaged("a tenant's name is not valid"))
}

fn settings(fields: &mut Fields<'_>) -> Result<FoldSettings, SnapshotError> {
    FoldSettings::decode(fields.blob()?).map_err(|_| SnapshotError::Damaged("settings can not be read"))
}
