//! Files of blocks, with the targets' flags in front.

use std::path::Path;
use std::sync::Arc;

use norn_block::index::{ChunkMeta, Writer};
use norn_block::tombstones::{self, Tombstone};
use norn_block::{chunks, index};
use norn_log::memory::MemoryFs;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;

fn small_index(series: i64) -> Option<Vec<u8>> {
    let fs = MemoryFs::default();
    let path = Path::new("/").join(index::FILE_NAME);
    let mut writer = Writer::create(Arc::new(fs.clone()), &path).ok()?;
    for i in 0..series {
        let value = format!("{i:02}");
        let labels =
            Labels::from_pairs([("__name__", "up"), ("i", &value), ("job", ["a", "é"][i as usize % 2])]);
        let chunk = |n: i64| ChunkMeta { mint: n * 100 - 5, maxt: n * 100 + 50, at: 8 + 30 * n as u64 };
        writer.add(&labels, &(0..=i % 4).map(chunk).collect::<Vec<_>>()).ok()?;
    }
    writer.finish().ok()?;
    fs.bytes(&path)
}

/// Indexes of 0 to 20 series, checksums mended after a change or not.
pub fn indexes() -> Vec<Vec<u8>> {
    let indexes = [0, 1, 20].into_iter().filter_map(small_index);
    indexes.flat_map(|index| [0u8, 1].map(|flag| [&[flag][..], &index].concat())).collect()
}

/// A chunk file, and where a chunk begins in it.
pub fn chunk_files() -> Vec<Vec<u8>> {
    let fs = MemoryFs::default();
    let mut writer = chunks::Writer::new(Arc::new(fs.clone()), Path::new("/c"), chunks::MAX_FILE_LEN);
    let added: Vec<_> = [3usize, 130, 40]
        .into_iter()
        .filter_map(|len| writer.add(ChunkEncoding::Xor, &vec![len as u8; len]).ok())
        .collect();
    let bytes = writer.finish().ok().and_then(|_| fs.bytes(Path::new("/c/000001"))).unwrap_or_default();
    added.into_iter().map(|at| [&[at as u8][..], &bytes].concat()).collect()
}

/// A whole `meta.json` and a small one.
pub fn metas() -> Vec<Vec<u8>> {
    let whole = r#"{"ulid":"01ARYZ6S410000000000000000","minTime":-1,"maxTime":7200000,"stats":{"numSamples":3,"numSeries":2},
        "compaction":{"level":2,"sources":["01ARYZ6S410000000000000000"],"parents":[{"ulid":"01ARYZ6S410000000000000000",
        "minTime":0,"maxTime":1}],"hints":["from-out-of-order"],"x":null},"version":1,"thanos":{"version":1,"labels":{"a":"b"},
        "downsample":{"resolution":0},"source":"receive","files":[{"rel_path":"index","size_bytes":7}]},"other":[1.5e3]}"#;
    let small = r#"{"ulid":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","minTime":0,"maxTime":0,"version":1}"#;
    vec![whole.into(), small.into()]
}

/// Tombstones without their checksum.
pub fn deletions() -> Vec<Vec<u8>> {
    let some = [
        Tombstone { series: 3, mint: -7, maxt: 900 },
        Tombstone { series: u64::MAX, mint: i64::MIN, maxt: i64::MAX },
    ];
    [&some[..0], &some[..]]
        .map(|all| {
            let mut bytes = tombstones::encode(all);
            bytes.truncate(bytes.len() - 4);
            bytes
        })
        .to_vec()
}
