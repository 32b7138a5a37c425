//! What a restart needs to begin in the middle of the log. Drawn in `docs/formats/checkpoint.md`.

use std::sync::Arc;

use norn_codec::crc::crc32c;
use norn_codec::varint;
use norn_contract::log::Offset;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use norn_wire::settings::FoldSettings;

const MAGIC: [u8; 8] = *b"NORNCKP\0";
/// The version that is written and read.
pub const VERSION: u32 = 1;
const HEADER_LEN: usize = MAGIC.len() + 4;
const CRC_LEN: usize = 4;

/// What decides how a tenant's records are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantBounds {
    /// Whose it is.
    pub tenant: Tenant,
    /// Settings in force.
    pub settings: FoldSettings,
    /// Newest timestamp taken so far; [`Millis::MIN`] before the first.
    pub maxt: Millis,
}

/// Series that had their place when the limits for series looked last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Before this record no other series was there that is needed again.
    pub below: Offset,
    /// Hashes of the series of each tenant; ascending in a [`Checkpoint`] that was decoded.
    pub series: Vec<(Tenant, Vec<u64>)>,
}

/// A point of the log from which a restart can fold, and what it has to know there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// No record below it has a sample that is not in a finished cut.
    pub offset: Offset,
    /// Length of a window in milliseconds. What is said of windows holds for this length only.
    pub chunk_range: Millis,
    /// Windows, by their first millisecond, and an offset: records below it have what they put
    /// into the window in blocks.
    pub flushed: Vec<(Millis, Offset)>,
    /// What held of each tenant before the record at `offset`.
    pub tenants: Vec<TenantBounds>,
    /// Who has a place: series that limits let pass again.
    pub known: Arc<Known>,
}

/// Bytes that are no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the magic bytes.
    #[error("not a checkpoint")]
    Magic,
    /// Written by a newer version.
    #[error("checkpoint version {0} is not known")]
    Version(u32),
    /// Bytes were changed or cut off.
    #[error("checkpoint is damaged: its checksum does not fit")]
    Checksum,
    /// The checksum fits and the content does not.
    #[error("checkpoint is malformed: {0}")]
    Malformed(&'static str),
}

impl Checkpoint {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let series: usize = self.known.series.iter().map(|(_, hashes)| hashes.len()).sum();
        let mut out = Vec::with_capacity(HEADER_LEN + self.tenants.len() * 64 + series * 5 + 64);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        varint::put_uvarint(&mut out, self.offset);
        varint::put_varint(&mut out, self.chunk_range);
        varint::put_uvarint(&mut out, self.flushed.len() as u64);
        for (start, end) in &self.flushed {
            varint::put_varint(&mut out, *start);
            varint::put_uvarint(&mut out, *end);
        }
        varint::put_uvarint(&mut out, self.tenants.len() as u64);
        for bounds in &self.tenants {
            put_bytes(&mut out, bounds.tenant.as_str().as_bytes());
            put_bytes(&mut out, &bounds.settings.encode());
            varint::put_varint(&mut out, bounds.maxt);
        }
        varint::put_uvarint(&mut out, self.known.below);
        varint::put_uvarint(&mut out, self.known.series.len() as u64);
        for (tenant, hashes) in &self.known.series {
            put_bytes(&mut out, tenant.as_str().as_bytes());
            put_hashes(&mut out, hashes.clone());
        }
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    ///
    /// When they are not what [`Checkpoint::encode`] gave.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(CheckpointError::Magic)?;
        let (version, _) = rest.split_first_chunk().ok_or(CheckpointError::Checksum)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(CheckpointError::Version(version));
        }
        let (content, crc) = bytes.split_last_chunk::<CRC_LEN>().ok_or(CheckpointError::Checksum)?;
        let mut input = content.get(HEADER_LEN..).ok_or(CheckpointError::Checksum)?;
        if crc32c(content) != u32::from_le_bytes(*crc) {
            return Err(CheckpointError::Checksum);
        }
        let (offset, chunk_range) = (uvarint(&mut input)?, signed(&mut input)?);
        let flushed = list(&mut input, 2, |input, _| Ok((signed(input)?, uvarint(input)?)))?;
        let tenants = list(&mut input, 4, |input, _| tenant_bounds(input))?;
        let below = uvarint(&mut input)?;
        let series = list(&mut input, 2, |input, _| Ok((tenant(input)?, list(input, 1, next_hash)?)))?;
        if !input.is_empty() {
            return Err(CheckpointError::Malformed("bytes behind the end"));
        }
        Ok(Self { offset, chunk_range, flushed, tenants, known: Arc::new(Known { below, series }) })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn uvarint(input: &mut &[u8]) -> Result<u64, CheckpointError> {
    varint::take_uvarint(input).map_err(|_| CheckpointError::Malformed("a number is cut off"))
}

fn signed(input: &mut &[u8]) -> Result<i64, CheckpointError> {
    varint::take_varint(input).map_err(|_| CheckpointError::Malformed("a number is cut off"))
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], CheckpointError> {
    let len = usize::try_from(uvarint(input)?).unwrap_or(usize::MAX);
    input.split_off(..len).ok_or(CheckpointError::Malformed("a text is cut off"))
}

/// A count and as many entries of at least `least` bytes; `take` is given the one before.
fn list<T>(
    input: &mut &[u8],
    least: usize,
    mut take: impl FnMut(&mut &[u8], Option<&T>) -> Result<T, CheckpointError>,
) -> Result<Vec<T>, CheckpointError> {
    let count = usize::try_from(uvarint(input)?).unwrap_or(usize::MAX);
    if count > input.len() / least {
        return Err(CheckpointError::Malformed("a list is cut off"));
    }
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let next = take(input, all.last())?;
        all.push(next);
    }
    Ok(all)
}

fn tenant_bounds(input: &mut &[u8]) -> Result<TenantBounds, CheckpointError> {
    let tenant = tenant(input)?;
    let settings = FoldSettings::decode(take_bytes(input)?);
    let settings = settings.map_err(|_| CheckpointError::Malformed("settings can not be read"))?;
    Ok(TenantBounds { tenant, settings, maxt: signed(input)? })
}

fn tenant(input: &mut &[u8]) -> Result<Tenant, CheckpointError> {
    let id = std::str::from_utf8(take_bytes(input)?).ok();
    let tenant = id.and_then(|id| Tenant::admit(id).ok());
    tenant.ok_or(CheckpointError::Malformed("no tenant has such an id"))
}

/// Each as the distance from the one before.
fn put_hashes(out: &mut Vec<u8>, mut hashes: Vec<u64>) {
    hashes.sort_unstable();
    hashes.dedup();
    varint::put_uvarint(out, hashes.len() as u64);
    let mut last = 0;
    for hash in hashes {
        varint::put_uvarint(out, hash - last);
        last = hash;
    }
}

fn next_hash(input: &mut &[u8], last: Option<&u64>) -> Result<u64, CheckpointError> {
    let distance = uvarint(input)?;
    let hash = last.copied().unwrap_or(0).checked_add(distance);
    let ascends = last.is_none() || distance > 0;
    hash.filter(|_| ascends).ok_or(CheckpointError::Malformed("hashes do not ascend"))
}
