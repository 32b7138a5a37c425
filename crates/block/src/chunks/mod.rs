//! Chunk bytes in numbered files.

use std::path::{Path, PathBuf};

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

/// The directory in a block.
pub const DIR_NAME: &str = "chunks";
/// Most bytes of a file.
pub const MAX_FILE_LEN: u64 = 512 << 20;
/// Most bytes of a chunk's data.
pub const MAX_CHUNK_LEN: usize = 64 << 20;

const MAGIC: [u8; 4] = 0x85bd_40dd_u32.to_be_bytes();
const VERSION: u8 = 1;
const HEADER_LEN: u64 = 8;
/// Longest length field.
const MAX_LEN_LEN: usize = 5;
const CRC_LEN: usize = 4;

/// Where a chunk is: file number from 0 in the upper half, position in the lower.
pub type ChunkRef = u64;

fn file_path(dir: &Path, index: u32) -> PathBuf {
    dir.join(format!("{:06}", u64::from(index) + 1))
}

fn split(at: ChunkRef) -> (u32, u64) {
    ((at >> 32) as u32, at & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use norn_contract::source::ChunkBuf;
    use norn_log::disk::Disk;
    use norn_model::chunk::ChunkEncoding;
    use proptest::prelude::*;

    use super::*;
    use crate::file::ReadAt;
    use crate::index::ChunkMeta;

    fn meta(at: ChunkRef) -> ChunkMeta {
        ChunkMeta { mint: 1, maxt: 2, at }
    }

    fn write(dir: &Path, limit: u64, chunks: &[Vec<u8>]) -> Vec<ChunkRef> {
        let mut writer = Writer::new(std::sync::Arc::new(Disk), dir, limit);
        let refs = chunks.iter().map(|c| writer.add(ChunkEncoding::Xor, c).unwrap()).collect();
        writer.finish().unwrap();
        refs
    }

    #[test]
    fn a_file_is_written_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write(dir.path(), MAX_FILE_LEN, &[b"ab".to_vec(), b"c".to_vec()]), [8, 16]);
        let bytes = std::fs::read(dir.path().join("000001")).unwrap();
        let crc = |b: &[u8]| norn_codec::crc::crc32c(b).to_be_bytes();
        let want = [
            &[0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0, 2, 1, b'a', b'b'][..],
            &crc(b"\x01ab"),
            &[1, 1, b'c'],
            &crc(b"\x01c"),
        ];
        assert_eq!(bytes, want.concat());
    }

    #[test]
    fn files_are_cut_at_the_limit_and_refs_follow() {
        let dir = tempfile::tempdir().unwrap();
        let chunks: Vec<Vec<u8>> = (0..7u8).map(|i| vec![i; 20]).collect();
        // Header and two chunks of 26 bytes; the rule counts 5 bytes for a length.
        let refs = write(dir.path(), 8 + 26 + 30, &chunks);
        let files: Vec<u64> = refs.iter().map(|r| r >> 32).collect();
        assert_eq!(files, [0, 0, 1, 1, 2, 2, 3]);
        let reader = Reader::open(&Disk, dir.path()).unwrap();
        let mut out = ChunkBuf::default();
        reader.read(&refs.iter().copied().map(meta).collect::<Vec<_>>(), &mut out).unwrap();
        let got: Vec<_> = out.chunks.iter().map(|c| out.slice(c).to_vec()).collect();
        assert_eq!(got, chunks);
        std::fs::remove_file(dir.path().join("000002")).unwrap();
        assert!(Reader::open(&Disk, dir.path()).is_err());
    }

    #[test]
    fn refuses_cut_and_changed_files_and_wild_refs() {
        let dir = tempfile::tempdir().unwrap();
        let refs = write(dir.path(), MAX_FILE_LEN, &[vec![5; 30], vec![6; 200]]);
        let bytes = std::fs::read(dir.path().join("000001")).unwrap();
        let metas = [meta(refs[0]), meta(refs[1])];
        let read = |bytes: Vec<u8>, metas: &[ChunkMeta]| {
            let reader = Reader::of(vec![Box::new(bytes) as Box<dyn ReadAt>])?;
            reader.read(metas, &mut ChunkBuf::default())
        };
        assert!(read(bytes.clone(), &metas).is_ok());
        for i in (0..bytes.len()).filter(|i| !(5..8).contains(i)) {
            assert!(read(bytes[..i].to_vec(), &metas).is_err(), "cut at {i}");
            let mut changed = bytes.clone();
            changed[i] ^= 1 << (i % 8);
            assert!(read(changed, &metas).is_err(), "changed at {i}");
        }
        for at in [0, 9, 200, 1 << 32, u64::MAX, u64::from(u32::MAX)] {
            assert!(read(bytes.clone(), &[meta(at)]).is_err(), "{at}");
        }
    }

    #[test]
    fn refuses_the_same_bytes_over_and_over() {
        let dir = tempfile::tempdir().unwrap();
        let refs = write(dir.path(), MAX_FILE_LEN, &[vec![5; 1 << 20]]);
        let reader = Reader::open(&Disk, dir.path()).unwrap();
        let read = |times: usize| reader.read(&vec![meta(refs[0]); times], &mut ChunkBuf::default());
        assert!(read(10).is_ok() && read(1000).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn round_trips(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..40),
            limit in 4000u64..20_000,
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let refs = write(dir.path(), limit, &chunks);
            let reader = Reader::open(&Disk, dir.path()).unwrap();
            let picked: Vec<usize> = picked.iter().map(|i| i.index(chunks.len())).collect();
            let metas: Vec<ChunkMeta> = picked.iter().map(|&i| meta(refs[i])).collect();
            let mut out = ChunkBuf::default();
            reader.read(&metas, &mut out).unwrap();
            for (chunk, &i) in out.chunks.iter().zip(&picked) {
                prop_assert_eq!(out.slice(chunk), &chunks[i][..]);
            }
            prop_assert_eq!(out.chunks.len(), picked.len());
        }
    }
}
