//! Blocks of ours under a real `promtool`, and blocks of `promtool` under our reader.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures::executor::block_on;
use norn_block::ulid::Ulid;
use norn_block::{Block, Builder, Options};
use norn_codec::histogram::{Floats, Integers, OpenChunk};
use norn_codec::xor::{self, XorState};
use norn_contract::source::{ChunkBuf, Need, SelectRequest, SeriesSource};
use norn_log::disk::Disk;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, Span};
use norn_model::labels::Labels;
use norn_model::sample::stale_nan;

const START: i64 = 1_699_999_200_000;
const BLOCK_MILLIS: i64 = 7_200_000;

/// A series and its floats.
type Series = (Labels, Vec<(i64, f64)>);

/// `promtool` lies beside the Prometheus that tests use.
pub fn promtool() -> Option<PathBuf> {
    let Some(prometheus) = std::env::var_os("NORN_PROMETHEUS") else {
        println!("NOT RUN: NORN_PROMETHEUS is not set; run through `cargo xtask test`");
        return None;
    };
    let path = Path::new(&prometheus).with_file_name("promtool");
    if !path.is_file() {
        println!("NOT RUN: there is no promtool beside {}", Path::new(&prometheus).display());
        return None;
    }
    Some(path)
}

pub fn run(program: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn labels(name: &str, instance: usize) -> Labels {
    let pairs = [("__name__", name), ("instance", &format!("host-{instance:03}:9100")), ("a.b", "q\"\\é")];
    Labels::from_pairs(pairs)
}

/// A value that is not the same twice in a row, now and then an odd one.
fn value(series: usize, i: i64) -> f64 {
    match (series as i64 * 31 + i) % 97 {
        0 => f64::NAN,
        1 => f64::NEG_INFINITY,
        2 => stale_nan(),
        3 => -0.0,
        n => (n * i) as f64 / 7.0 - series as f64 * 1e-9,
    }
}

fn integers(i: i64) -> Histogram {
    Histogram {
        count: 4 * i as u64 + 1,
        sum: i as f64 / 3.0,
        zero_count: 1,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![i, 0],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        negative_buckets: vec![2 * i],
        ..Histogram::default()
    }
}

fn floats(i: i64) -> FloatHistogram {
    FloatHistogram {
        count: i as f64 + 0.5,
        sum: -1.5,
        zero_count: i as f64 + 0.5,
        ..FloatHistogram::default()
    }
}

/// What `promtool tsdb dump` says of the histograms above.
fn integers_text(i: i64) -> String {
    let (count, sum) = (4 * i + 1, i as f64 / 3.0);
    let zero = "[-0.001,0.001]:1";
    if i == 0 {
        return format!("{{count:{count}, sum:{sum}, {zero}}}");
    }
    format!("{{count:{count}, sum:{sum}, [-2,-1):{}, {zero}, (0.5,1]:{i}, (1,2]:{i}}}", 2 * i)
}

fn floats_text(i: i64) -> String {
    format!("{{count:{0}, sum:-1.5, [-0,0]:{0}}}", i as f64 + 0.5)
}

fn times(block: i64) -> impl Iterator<Item = (i64, i64)> {
    (block * 480..(block + 1) * 480).map(|i| (i, START + i * 15_000))
}

fn write_ours(dir: &Path, block: i64) -> Result<()> {
    let range = START + block * BLOCK_MILLIS..START + (block + 1) * BLOCK_MILLIS;
    let mut builder =
        Builder::create(Arc::new(Disk), dir, Options::new(Ulid::new(range.end, [7; 10]), range))?;
    let mut buf = ChunkBuf::default();
    for series in 0..60 {
        buf.clear();
        for part in times(block).collect::<Vec<_>>().chunks(120) {
            let (mut state, mut bytes) = (XorState::new(), Vec::new());
            for &(i, t) in part {
                state.append(&mut bytes, t, value(series, i))?;
            }
            state.finish(&mut bytes, 0);
            buf.push(ChunkEncoding::Xor, part[0].1, state.last_timestamp(), &bytes);
        }
        builder.add(&labels("gauge", series), &buf)?;
    }
    for series in [Kind::Integers, Kind::Floats] {
        histogram_chunk(block, series, &mut buf)?;
        builder.add(&labels(series.name(), 0), &buf)?;
    }
    let meta = builder.finish()?.context("no samples")?;
    ensure!(meta.stats.num_histogram_samples == 960 && meta.stats.num_series == 62, "{:?}", meta.stats);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integers,
    Floats,
}

impl Kind {
    fn name(self) -> &'static str {
        if self == Self::Integers { "histogram" } else { "histogram_of_floats" }
    }
}

fn histogram_chunk(block: i64, kind: Kind, buf: &mut ChunkBuf) -> Result<()> {
    buf.clear();
    let all: Vec<_> = times(block).collect();
    let ((i, mint), mut bytes) = (all[0], Vec::new());
    match kind {
        Kind::Integers => {
            let mut open = OpenChunk::<Integers>::begin(None, mint, &integers(i))?;
            all[1..].iter().try_for_each(|&(i, t)| open.append(t, &integers(i)))?;
            open.finish(&mut bytes);
            buf.push(ChunkEncoding::Histogram, mint, open.last_timestamp(), &bytes);
        }
        Kind::Floats => {
            let mut open = OpenChunk::<Floats>::begin(None, mint, &floats(i))?;
            all[1..].iter().try_for_each(|&(i, t)| open.append(t, &floats(i)))?;
            open.finish(&mut bytes);
            buf.push(ChunkEncoding::FloatHistogram, mint, open.last_timestamp(), &bytes);
        }
    }
    Ok(())
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Checks the lines of one series.
fn compare_gauge<'a>(mut lines: impl Iterator<Item = &'a str>, series: usize) -> Result<()> {
    let prefix = format!("{} ", labels("gauge", series));
    for (i, t) in (0..2).flat_map(times) {
        let line = lines.next().context("lines are missing")?;
        let sample = line.strip_prefix(&prefix).and_then(|s| s.split_once(' '));
        let (got, at) = sample.with_context(|| format!("{line:?} is not of {prefix}"))?;
        let got: f64 = got.replace("Inf", "inf").parse()?;
        ensure!(
            at == t.to_string() && same(got, value(series, i)),
            "{line:?}: {} is wanted",
            value(series, i)
        );
    }
    Ok(())
}

/// `promtool tsdb dump` looks for floats, then for float histograms, then for integer ones, and each
/// look swallows the sample it stops at.
fn compare_histogram<'a>(mut lines: impl Iterator<Item = &'a str>, kind: Kind) -> Result<()> {
    let labels = labels(kind.name(), 0);
    let swallowed = if kind == Kind::Integers { 2 } else { 1 };
    for (i, t) in (0..2).flat_map(times).skip(swallowed) {
        let text = if kind == Kind::Integers { integers_text(i) } else { floats_text(i) };
        let line = lines.next().context("lines are missing")?;
        let want = format!("{labels} {text} {t}");
        ensure!(line == want, "got    {line}\nwanted {want}");
    }
    Ok(())
}

#[test]
fn promtool_reads_ours() -> Result<()> {
    let Some(promtool) = promtool() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let path = dir.path().to_str().context("a path")?;
    write_ours(dir.path(), 0)?;
    write_ours(dir.path(), 1)?;
    fs::create_dir(dir.path().join("wal"))?;
    let list = run(&promtool, &["tsdb", "list", path])?;
    ensure!(list.lines().count() == 3 && list.lines().skip(1).all(|l| l.contains(" 29760 ")), "{list}");
    let last = Ulid::new(START + 2 * BLOCK_MILLIS, [7; 10]).to_string();
    let analysis = run(&promtool, &["tsdb", "analyze", "--extended", path, &last])?;
    for line in ["Total Series: 62", "Label names: 3", "Postings (unique label pairs): 64"] {
        ensure!(analysis.contains(line), "{analysis}");
    }
    let dump = run(&promtool, &["tsdb", "dump", path])?;
    let mut lines = dump.lines();
    for series in 0..60 {
        compare_gauge(&mut lines, series)?;
    }
    compare_histogram(&mut lines, Kind::Integers)?;
    compare_histogram(&mut lines, Kind::Floats)?;
    ensure!(lines.next().is_none(), "more lines than samples");
    println!("promtool read {} samples of ours", dump.lines().count());
    let some = run(&promtool, &["tsdb", "dump", "--match={instance=~\"host-05.+\",__name__!=\"x\"}", path])?;
    ensure!(some.lines().count() == 10 * 960, "{} lines", some.lines().count());
    Ok(())
}

/// An input of `promtool` and what it says: 40 series in label order.
fn open_metrics() -> (String, Vec<Series>) {
    let mut text = "# TYPE gauge gauge\n".to_owned();
    let mut all = Vec::new();
    for series in 0..40 {
        let pairs = [("__name__", "gauge"), ("path", &format!("/{series:02}/é")), ("z", "1")];
        let mut samples = Vec::new();
        for i in 0..900i64 {
            let (t, v) = (START + i * 15_000 + series % 7, (i * i % 1009) as f64 / 8.0);
            let (seconds, millis) = (t / 1000, t % 1000);
            let _ = writeln!(text, "gauge{{path=\"/{series:02}/é\",z=\"1\"}} {v} {seconds}.{millis:03}");
            samples.push((t, v));
        }
        all.push((Labels::from_pairs(pairs), samples));
    }
    text.push_str("# EOF\n");
    (text, all)
}

fn everything() -> Result<SelectRequest> {
    let matchers: Arc<[_]> = Arc::new([]);
    Ok(SelectRequest { matchers, mint: i64::MIN, maxt: i64::MAX, need: Need::Samples, max_series: 0 })
}

/// Writes a block again and compares the files; appends its samples to those of each series.
fn rewrite(from: &Path, to: &Path, got: &mut [Series]) -> Result<()> {
    let block = Block::open(&Disk, from)?;
    let meta = block.meta();
    let options = Options::new(meta.ulid, meta.min_time..meta.max_time);
    let mut builder = Builder::create(Arc::new(Disk), to, options)?;
    let selection = block_on(block.select(everything()?))?;
    ensure!(selection.labels.len() == got.len(), "{} series", selection.labels.len());
    let mut buf = ChunkBuf::default();
    for (i, labels) in selection.labels.iter().enumerate() {
        buf.clear();
        selection.data.read(i, &mut buf)?;
        builder.add(labels, &buf)?;
        ensure!(got[i].0 == *labels, "{labels}");
        for chunk in &buf.chunks {
            for sample in xor::iter(buf.slice(chunk))? {
                got[i].1.push(sample?);
            }
        }
    }
    let written = builder.finish()?.context("no samples")?;
    ensure!(written == *meta, "{written:?}\n{meta:?}");
    for file in ["meta.json", "index", "chunks/000001", "tombstones"] {
        let to = to.join(meta.ulid.to_string()).join(file);
        ensure!(fs::read(from.join(file))? == fs::read(to)?, "{file} differs");
    }
    Ok(())
}

#[test]
fn we_read_promtools_and_write_the_same() -> Result<()> {
    let Some(promtool) = promtool() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (text, want) = open_metrics();
    let (input, theirs, ours) = (dir.path().join("in"), dir.path().join("theirs"), dir.path().join("ours"));
    fs::write(&input, text)?;
    fs::create_dir(&ours)?;
    let paths = [&input, &theirs].map(|p| p.to_string_lossy().into_owned());
    run(&promtool, &["tsdb", "create-blocks-from", "openmetrics", &paths[0], &paths[1]])?;
    let mut blocks: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&theirs)? {
        blocks.push(entry?.path());
    }
    blocks.sort();
    if blocks.len() < 2 {
        bail!("{} blocks", blocks.len());
    }
    let mut got: Vec<_> = want.iter().map(|(labels, _)| (labels.clone(), Vec::new())).collect();
    for block in &blocks {
        rewrite(block, &ours, &mut got)?;
    }
    ensure!(got == want, "samples differ");
    println!("{} blocks of promtool read and written again, byte for byte", blocks.len());
    Ok(())
}
