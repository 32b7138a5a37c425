//! `meta.json`: what a block is.

use std::collections::BTreeMap;

use norn_model::Millis;
use serde::{Deserialize, Serialize};
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};

use crate::Error;
use crate::ulid::Ulid;

/// The file's name.
pub const FILE_NAME: &str = "meta.json";
/// Most bytes that are read.
pub const MAX_BYTES: u64 = 16 << 20;
/// The version of the block format.
pub const VERSION: u32 = 1;

/// Hint of a block cut from samples that came out of order.
pub const FROM_OUT_OF_ORDER: &str = "from-out-of-order";

/// The content of the file. Fields that are not known are kept in `other`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The block's id, also its directory's name.
    pub ulid: Ulid,
    /// First millisecond of the range.
    pub min_time: Millis,
    /// First millisecond after the range.
    pub max_time: Millis,
    /// Counts.
    #[serde(default)]
    pub stats: Stats,
    /// Where the block comes from.
    #[serde(default)]
    pub compaction: Compaction,
    /// [`VERSION`].
    pub version: u32,
    /// Mimir's and Thanos' part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanos: Option<Thanos>,
    /// Fields of others.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Counts of a block; zeros are not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples of any kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Samples in float chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Samples in histogram chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deletions.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_false(b: &bool) -> bool {
    !b
}

/// Where a block comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 for a block cut from a head; one more than the highest parent's after a merge.
    pub level: u32,
    /// Ids of all ancestors of level 1, sorted; its own at level 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// Whether the block may be deleted: a merge of it came out empty.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks it was merged from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// Whether a merge of it failed.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Such as [`FROM_OUT_OF_ORDER`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Fields of others.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A block that was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// Its id.
    pub ulid: Ulid,
    /// Its first millisecond.
    pub min_time: Millis,
    /// First millisecond after it.
    pub max_time: Millis,
}

/// Mimir's and Thanos' part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thanos {
    /// 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// External labels.
    pub labels: BTreeMap<String, String>,
    /// Downsampling.
    pub downsample: Downsample,
    /// Who made the block: `receive`, `compactor`, ….
    pub source: String,
    /// Names of chunk files; superseded by `files`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segment_files: Vec<String>,
    /// Files of the block, sorted by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<BlockFile>,
    /// Fields of others.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Downsampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Downsample {
    /// Milliseconds between samples; 0 = as they came.
    pub resolution: i64,
}

/// A file of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockFile {
    /// Path in the block.
    pub rel_path: String,
    /// Bytes; 0, which is not written, for `meta.json` itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
}

impl Meta {
    /// Reads a whole file. Refuses other versions and empty ranges.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let broken = |what: String| Error::corrupt(format!("{FILE_NAME}: {what}"));
        let meta: Self = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
        if meta.version != VERSION {
            return Err(Error::Unsupported(format!("{FILE_NAME}: version {} is not known", meta.version)));
        }
        if meta.min_time > meta.max_time {
            return Err(broken(format!("range {}..{} is reversed", meta.min_time, meta.max_time)));
        }
        Ok(meta)
    }

    /// The whole file.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"\t"));
        self.serialize(&mut serializer).map_err(|e| Error::Invalid(format!("{FILE_NAME}: {e}")))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIMIR: &str = "{
\t\"ulid\": \"01ARYZ6S410000000000000000\",
\t\"minTime\": 1700000000000,
\t\"maxTime\": 1700007200000,
\t\"stats\": {
\t\t\"numSamples\": 960,
\t\t\"numSeries\": 2,
\t\t\"numChunks\": 8
\t},
\t\"compaction\": {
\t\t\"level\": 1,
\t\t\"sources\": [
\t\t\t\"01ARYZ6S410000000000000000\"
\t\t],
\t\t\"hints\": [
\t\t\t\"from-out-of-order\"
\t\t]
\t},
\t\"version\": 1,
\t\"thanos\": {
\t\t\"version\": 1,
\t\t\"labels\": {
\t\t\t\"__compactor_shard_id__\": \"3_of_8\"
\t\t},
\t\t\"downsample\": {
\t\t\t\"resolution\": 0
\t\t},
\t\t\"source\": \"receive\",
\t\t\"segment_files\": [
\t\t\t\"000001\"
\t\t],
\t\t\"files\": [
\t\t\t{
\t\t\t\t\"rel_path\": \"chunks/000001\",
\t\t\t\t\"size_bytes\": 1234
\t\t\t},
\t\t\t{
\t\t\t\t\"rel_path\": \"meta.json\"
\t\t\t}
\t\t],
\t\t\"index_stats\": {
\t\t\t\"series_max_size\": 20
\t\t}
\t}
}";

    #[test]
    fn reads_and_writes_what_mimir_writes() {
        let meta = Meta::decode(MIMIR.as_bytes()).expect("reads");
        assert_eq!((meta.stats.num_samples, meta.compaction.level), (960, 1));
        assert_eq!(meta.compaction.hints, [FROM_OUT_OF_ORDER]);
        let thanos = meta.thanos.as_ref().expect("Mimir's part");
        assert_eq!((thanos.source.as_str(), thanos.files.len()), ("receive", 2));
        assert_eq!(String::from_utf8(meta.encode().expect("writes")).expect("text"), MIMIR);
    }

    #[test]
    fn refuses_other_versions_names_and_ranges() {
        for (from, to) in [
            ("\"version\": 1,\n\t\"thanos\"", "\"version\": 2,\n\t\"thanos\""),
            ("\"ulid\": \"01ARYZ6S410000000000000000\"", "\"ulid\": \"../etc\""),
            ("1700007200000", "1600007200000"),
            ("1700007200000", "1e40"),
        ] {
            assert!(MIMIR.contains(from));
            assert!(Meta::decode(MIMIR.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        assert!(Meta::decode(b"{}").is_err() && Meta::decode(&MIMIR.as_bytes()[..300]).is_err());
    }
}
