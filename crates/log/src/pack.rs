//! How values are kept in frames: made smaller by whoever appends, and given back as they were.

use bytes::Bytes;
use norn_contract::log::{Record, RecordKind};
use norn_wire::record::columns::{self, Splitter};
use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

use crate::format::{Encoding, MAX_VALUE, crc};
use crate::options::Compression;

const LEVEL: i32 = 1;
/// Bytes in front of the compressed columns.
const COLUMNS_HEADER: usize = 8;
/// Packers that keep more memory than this are not used again.
const MAX_KEPT: usize = 4 << 20;
/// Packers that wait to be used again.
const MAX_IDLE: usize = 16;

/// Longest columns of a value of `len` bytes.
fn max_columns(len: usize) -> usize {
    2 * len + 1024
}

/// Packs values in memory that is used again.
pub struct Packers {
    compression: Compression,
    idle: Mutex<Vec<Packer>>,
}

struct Packer {
    splitter: Splitter,
    columns: Vec<u8>,
    packed: Vec<u8>,
    zstd: Compressor<'static>,
}

impl Packers {
    /// Packs as `compression` says.
    pub fn new(compression: Compression) -> Self {
        Self { compression, idle: Mutex::default() }
    }

    /// A record's value as it is written: smaller, or as it is.
    pub fn pack(&self, record: &Record) -> (Bytes, Encoding) {
        let packed = match (self.compression, record.kind) {
            (Compression::None, _) | (_, RecordKind::Settings) => None,
            (Compression::Zstd, _) => self.with(|p| p.whole(&record.value)).map(|b| (b, Encoding::Zstd)),
            (Compression::Columns, RecordKind::Write(norn_wire::record::VERSION)) => {
                self.with(|p| p.columns(&record.value)).map(|b| (b, Encoding::Columns))
            }
            (Compression::Columns, RecordKind::Write(_)) => None,
        };
        packed.unwrap_or_else(|| (record.value.clone(), Encoding::Plain))
    }

    /// What `pack` makes, if it could be made and is shorter.
    fn with(&self, pack: impl FnOnce(&mut Packer) -> Option<Bytes>) -> Option<Bytes> {
        let idle = self.idle.lock().pop();
        let mut packer = idle.map_or_else(Packer::new, Some)?;
        let packed = pack(&mut packer);
        if packer.kept_bytes() <= MAX_KEPT {
            let mut idle = self.idle.lock();
            if idle.len() < MAX_IDLE {
                idle.push(packer);
            }
        }
        packed
    }
}

impl Packer {
    fn new() -> Option<Self> {
        let zstd = Compressor::new(LEVEL).ok()?;
        Some(Self { splitter: Splitter::new(), columns: Vec::new(), packed: Vec::new(), zstd })
    }

    fn kept_bytes(&self) -> usize {
        self.columns.capacity() + self.packed.capacity() + self.splitter.kept_bytes()
    }

    fn whole(&mut self, value: &[u8]) -> Option<Bytes> {
        let packed = self.zstd.compress(value).ok()?;
        (packed.len() < value.len()).then(|| Bytes::from(packed))
    }

    fn columns(&mut self, value: &[u8]) -> Option<Bytes> {
        self.columns.clear();
        self.splitter.split(value, &mut self.columns);
        if self.columns.len() > max_columns(value.len()) {
            return None;
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.columns.len()));
        self.zstd.compress_to_buffer(&self.columns, &mut self.packed).ok()?;
        if COLUMNS_HEADER + self.packed.len() >= value.len() {
            return None;
        }
        let mut out = Vec::with_capacity(COLUMNS_HEADER + self.packed.len());
        out.extend_from_slice(&crc(value).to_le_bytes());
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.packed);
        Some(Bytes::from(out))
    }
}

/// Gives back what was packed, in memory that is used again.
#[derive(Default)]
pub struct Unpacker {
    zstd: Option<Decompressor<'static>>,
    columns: Vec<u8>,
}

impl Unpacker {
    /// The value of `len` bytes that `payload` holds, or what is wrong.
    pub fn unpack(&mut self, encoding: Encoding, payload: &[u8], len: usize) -> Result<Bytes, &'static str> {
        if len > MAX_VALUE {
            return Err("a value is too large");
        }
        let value = match encoding {
            Encoding::Plain => Bytes::copy_from_slice(payload),
            Encoding::Zstd => {
                let value = self.zstd()?.decompress(payload, len);
                Bytes::from(value.map_err(|_| "a value can not be decompressed")?)
            }
            Encoding::Columns => self.columns(payload, len)?,
            Encoding::Lost => Bytes::new(),
        };
        if value.len() == len { Ok(value) } else { Err("a value has another length than its frame says") }
    }

    fn zstd(&mut self) -> Result<&mut Decompressor<'static>, &'static str> {
        if self.zstd.is_none() {
            self.zstd = Decompressor::new().ok();
        }
        self.zstd.as_mut().ok_or("no memory to decompress a value")
    }

    fn columns(&mut self, payload: &[u8], len: usize) -> Result<Bytes, &'static str> {
        let (sum, payload) = payload.split_first_chunk::<4>().ok_or("columns are cut off")?;
        let (size, packed) = payload.split_first_chunk::<4>().ok_or("columns are cut off")?;
        let size = u32::from_le_bytes(*size) as usize;
        if size > max_columns(len) {
            return Err("columns are too long for their value");
        }
        let mut columns = std::mem::take(&mut self.columns);
        columns.clear();
        columns.reserve(size);
        let got = self.zstd()?.decompress_to_buffer(packed, &mut columns);
        if got.is_err() || columns.len() != size {
            return Err("columns can not be decompressed");
        }
        let value = columns::join(&columns, len).map_err(|_| "columns do not make a record")?;
        if columns.capacity() <= MAX_KEPT {
            self.columns = columns;
        }
        if crc(&value) != u32::from_le_bytes(*sum) {
            return Err("a value's checksum is wrong");
        }
        Ok(Bytes::from(value))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use norn_model::tenant::Tenant;
    use norn_wire::record::Builder;

    use super::*;

    fn record(value: impl Into<Bytes>) -> Record {
        let tenant = Tenant::admit("a").unwrap();
        Record { tenant, kind: RecordKind::Write(2), timestamp: 0, value: value.into() }
    }

    fn request() -> Record {
        let mut builder = Builder::new();
        for i in 0..100 {
            let cpu = format!("{i}");
            builder.series([("__name__", "cpu_seconds_total"), ("cpu", &cpu)]).sample(1000, f64::from(i));
        }
        record(builder.finish())
    }

    #[test]
    fn columns_are_small_and_give_the_value_back() {
        let request = request();
        let (payload, encoding) = Packers::new(Compression::Columns).pack(&request);
        assert_eq!(encoding, Encoding::Columns);
        assert!(payload.len() * 5 < request.value.len(), "{} of {}", payload.len(), request.value.len());
        let len = request.value.len();
        let mut unpacker = Unpacker::default();
        assert_eq!(unpacker.unpack(encoding, &payload, len).unwrap(), request.value);
        assert_eq!(unpacker.unpack(encoding, &payload, len).unwrap(), request.value);
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        for compression in [Compression::None, Compression::Zstd, Compression::Columns] {
            let packers = Packers::new(compression);
            for value in [&b""[..], b"v", &crc(b"x").to_le_bytes()] {
                let record = record(value.to_vec());
                assert_eq!(packers.pack(&record), (record.value.clone(), Encoding::Plain));
            }
            let settings = Record { kind: RecordKind::Settings, ..record(vec![0; 1000]) };
            assert_eq!(packers.pack(&settings).1, Encoding::Plain);
        }
        let old = Record { kind: RecordKind::Write(1), ..request() };
        assert_eq!(Packers::new(Compression::Columns).pack(&old).1, Encoding::Plain);
    }

    #[test]
    fn every_damage_to_columns_is_found() {
        let request = request();
        let len = request.value.len();
        let (payload, encoding) = Packers::new(Compression::Columns).pack(&request);
        let mut unpacker = Unpacker::default();
        let mut unpack = |payload: &[u8], len| unpacker.unpack(encoding, payload, len);
        for at in 0..payload.len() {
            assert!(unpack(&payload[..at], len).is_err());
            for bit in 0..8 {
                let mut damaged = payload.to_vec();
                damaged[at] ^= 1 << bit;
                // A flag of zstd may mean nothing; then the value is the same.
                assert!(
                    unpack(&damaged, len).is_ok_and(|v| v == request.value) || unpack(&damaged, len).is_err()
                );
            }
        }
        assert!(unpack(&payload, len + 1).is_err());
        assert!(unpack(&payload, MAX_VALUE + 1).is_err());
        let mut huge = payload.to_vec();
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(unpack(&huge, len), Err("columns are too long for their value"));
    }
}
