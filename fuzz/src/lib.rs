//! Fuzz targets: functions that take any bytes and panic only where the code under test is wrong.
//!
//! | module | subject |
//! |---|---|
//! | [`targets`] | one function per format, with what must hold whatever the bytes are |
//! | [`seeds`] | small valid inputs to start from |
//! | [`mutate`] | random changes to inputs, by a seed |
//! | [`corpus`] | inputs kept as files |
//!
//! Two drivers share them: `norn-fuzz` on stable Rust, and `norn-libfuzzer` with coverage; see
//! `README.md`.

pub mod corpus;
pub mod mutate;
pub mod seeds;
pub mod targets;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its corpus directory.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words worth inserting.
    pub dictionary: &'static [&'static str],
    /// Longest input worth trying, in bytes.
    pub max_len: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds, dictionary: &[], max_len: 4096 }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("remote_write_1", targets::remote_write::v1, seeds::wire::remote_write_1),
    target("remote_write_2", targets::remote_write::v2, seeds::wire::remote_write_2),
    target("content", targets::content::target, seeds::wire::content),
    target("checkpoint", targets::checkpoint::target, seeds::head::checkpoints),
    target("record", targets::record::target, seeds::wire::record),
    target("record_columns", targets::record_columns::target, seeds::wire::record_columns),
    target("settings", targets::settings::target, seeds::wire::settings),
    Target { max_len: 24 << 10, ..target("log", targets::log::target, seeds::log::segments) },
    Target { max_len: 16 << 10, ..target("snapshot", targets::snapshot::target, seeds::snapshot::snapshots) },
    target("block_index", targets::block::index, seeds::block::indexes),
    target("block_chunks", targets::block::chunk_file, seeds::block::chunk_files),
    target("block_meta", targets::block::meta, seeds::block::metas),
    target("block_tombstones", targets::block::deletions, seeds::block::deletions),
    target("xor", targets::chunk::xor, seeds::chunk::xor),
    target("xor2", targets::chunk::xor2, seeds::chunk::xor2),
    target("columns", targets::columns::target, seeds::columns::frames),
    target("histogram", targets::histogram::target, seeds::chunk::histogram),
    Target {
        dictionary: seeds::text::PROMQL,
        ..target("promql", targets::promql::target, seeds::text::promql)
    },
    Target {
        dictionary: seeds::text::REGEX,
        max_len: 512,
        ..target("matcher", targets::matcher::target, seeds::text::regex)
    },
];

/// The target of a name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_kept_inputs_pass() {
        for target in super::TARGETS {
            let kept = super::corpus::load(target).unwrap_or_else(|e| panic!("{}: {e}", target.name));
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty());
            seeds.iter().chain(&kept).for_each(|input| (target.run)(input));
        }
    }
}
