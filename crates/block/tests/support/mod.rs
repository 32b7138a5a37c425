//! What the tests of this crate share.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use norn_block::meta::Meta;
use norn_block::ulid::Ulid;
use norn_block::{Block, Builder, Error, Options};
use norn_codec::xor::{self, XorState};
use norn_contract::fs::FileSystem;
use norn_contract::source::{ChunkBuf, Need, SelectRequest, Selection, SeriesSource};
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::labels::Labels;
use norn_model::matcher::{MatchOp, Matcher};

/// A series and its floats.
pub type Floats = (Labels, Vec<(i64, f64)>);

/// A float chunk.
pub fn push_floats(samples: &[(i64, f64)], out: &mut ChunkBuf) {
    let (mut state, mut bytes) = (XorState::new(), Vec::new());
    for &(t, v) in samples {
        state.append(&mut bytes, t, v).unwrap();
    }
    state.finish(&mut bytes, 0);
    out.push(ChunkEncoding::Xor, samples[0].0, samples[samples.len() - 1].0, &bytes);
}

/// Samples of all float chunks.
pub fn floats(buf: &ChunkBuf) -> Vec<(i64, f64)> {
    buf.chunks.iter().flat_map(|c| xor::iter(buf.slice(c)).unwrap().map(Result::unwrap)).collect()
}

/// Writes a block with chunks of 50 samples.
pub fn write(
    fs: Arc<dyn FileSystem>,
    dir: &Path,
    options: Options,
    series: &[Floats],
) -> Result<Option<Meta>, Error> {
    let mut builder = Builder::create(fs, dir, options)?;
    for (labels, samples) in series {
        let mut buf = ChunkBuf::default();
        samples.chunks(50).for_each(|part| push_floats(part, &mut buf));
        builder.add(labels, &buf)?;
    }
    builder.finish()
}

/// The id of the tests' blocks.
pub fn ulid(n: u8) -> Ulid {
    Ulid::new(1_700_000_000_000, [n; 10])
}

/// A block as [`write`] makes it, opened.
pub fn block(dir: &Path, n: u8, range: std::ops::Range<i64>, series: &[Floats]) -> Block {
    write(Arc::new(Disk), dir, Options::new(ulid(n), range), series).unwrap().unwrap();
    Block::open(&Disk, &dir.join(ulid(n).to_string())).unwrap()
}

/// Matchers in a short form: `name=value`, `name!=value`, `name=~pattern`, `name!~pattern`.
pub fn matchers(texts: &[&str]) -> Arc<[Matcher]> {
    let parse = |text: &&str| {
        let at = text.find(['=', '!']).unwrap();
        let ops = [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal];
        let op = ops.into_iter().find(|op| text[at..].starts_with(op.as_str())).unwrap();
        Matcher::new(op, &text[..at], &text[at + op.as_str().len()..]).unwrap()
    };
    texts.iter().map(parse).collect()
}

/// A request for samples of all times.
pub fn request(texts: &[&str]) -> SelectRequest {
    let matchers = matchers(texts);
    SelectRequest { matchers, mint: i64::MIN, maxt: i64::MAX, need: Need::Samples, max_series: 0 }
}

/// Selected series with all their floats.
pub fn read(source: &dyn SeriesSource, request: SelectRequest) -> Vec<Floats> {
    let selection = block_on(source.select(request)).unwrap();
    let mut buf = ChunkBuf::default();
    let mut series = |i: usize, selection: &Selection| {
        buf.clear();
        selection.data.read(i, &mut buf).unwrap();
        floats(&buf)
    };
    (0..selection.labels.len()).map(|i| (selection.labels[i].clone(), series(i, &selection))).collect()
}
