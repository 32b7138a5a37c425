#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use norn_contract::log::{IngestLog, Record, RecordKind};
use norn_log::EmbeddedLog;
use norn_log::options::Options;
use norn_model::histogram::{Histogram, ResetHint, Span};
use norn_model::metadata::MetricType;
use norn_model::sample::stale_nan;
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;
use serde_json::{Value, json};

use super::*;

fn open(dir: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(Options::new(dir), Arc::new(Disk)).unwrap()
}

/// Settings, a record with one of everything, and three with a sample each.
fn fill(log: &EmbeddedLog) {
    let append = |kind, timestamp, value| {
        let tenant = Tenant::admit("team-a").unwrap();
        block_on(log.append(0, Record { tenant, kind, timestamp, value })).unwrap();
    };
    append(
        RecordKind::Settings,
        1,
        FoldSettings { max_series: 7, ..FoldSettings::default() }.encode().into(),
    );
    let mut builder = Builder::new();
    let histogram = Histogram {
        reset_hint: ResetHint::Gauge,
        schema: 1,
        count: 3,
        sum: 1.5,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive_buckets: vec![2, -1],
        ..Histogram::default()
    };
    builder
        .series([("__name__", "m"), ("job", "é")])
        .sample(1000, 0.5)
        .sample(2000, stale_nan())
        .histogram(3000, norn_wire::histogram::HistogramRef::Int(&histogram))
        .exemplar([("trace_id", "t")], 2.5, 1001)
        .created(17)
        .metadata(MetricType::Counter, "help", "seconds");
    append(RecordKind::Write(2), 2, builder.finish());
    for i in 0..3 {
        builder.series([("__name__", "up")]).sample(1000 + i, i as f64);
        append(RecordKind::Write(2), 3 + i, builder.finish());
    }
    append(RecordKind::Write(2), 9, bytes::Bytes::from_static(b"\xff"));
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("00000000000000000000.log")
}

fn flip(path: &Path, needle: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

type Command = fn(&Path, &mut dyn Write) -> Result<bool>;

fn said(command: Command, dir: &Path) -> (bool, String) {
    let mut out = Vec::new();
    let whole = command(dir, &mut out).unwrap();
    (whole, String::from_utf8(out).unwrap())
}

fn dump(dir: &Path, samples: bool) -> (bool, Vec<Value>) {
    let mut out = Vec::new();
    let whole = dump::run(dir, samples, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (whole, text.lines().map(|l| serde_json::from_str(l).unwrap()).collect())
}

#[test]
fn inspect_counts_frames_and_offsets_beside_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log);
    let (whole, text) = said(inspect::run, dir.path());
    assert!(whole, "{text}");
    for line in ["1 segments", "partition 0: offsets 0..6", "settings: 1 frames", "0 spare files", "in order"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    let held = mend(dir.path(), &mut Vec::new()).unwrap_err().to_string();
    assert!(held.contains("another process has"), "{held}");
    drop(log);
    let (whole, text) = said(inspect::run, dir.path());
    assert!(whole && text.contains("closed: 1 frames"), "{text}");
}

#[test]
fn dump_tells_all_of_a_record() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()));
    let (whole, lines) = dump(dir.path(), false);
    assert!(whole);
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0]["settings"]["max_series"], 7);
    assert_eq!((&lines[1]["tenant"], &lines[1]["offset"]), (&json!("team-a"), &json!(1)));
    assert_eq!((&lines[1]["samples"], &lines[1]["histograms"]), (&json!(2), &json!(1)));
    assert!(lines[1].get("content").is_none());
    assert!(lines[5]["error"].as_str().unwrap().contains("malformed"), "{}", lines[5]);
    let (_, lines) = dump(dir.path(), true);
    let content = &lines[1]["content"];
    assert_eq!(
        content["metadata"][0],
        json!({ "family": "m", "type": "counter", "help": "help", "unit": "seconds" })
    );
    let series = &content["series"][0];
    assert_eq!(series["labels"], json!({ "__name__": "m", "job": "é" }));
    assert_eq!(series["samples"], json!([[1000, "0.5"], [2000, "stale"]]));
    assert_eq!(
        series["exemplars"],
        json!([{ "labels": { "trace_id": "t" }, "timestamp": 1001, "value": "2.5" }])
    );
    assert_eq!(series["created"], 17);
    let histogram = &series["histograms"][0];
    assert_eq!((&histogram["count"], &histogram["sum"]), (&json!(3), &json!("1.5")));
    assert_eq!(histogram["positive_spans"], json!([[-1, 2]]));
    assert_eq!(histogram["positive_buckets"], json!([2, -1]));
}

#[test]
fn repair_shows_first_and_saves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()));
    let (whole, text) = said(preview, dir.path());
    assert!(whole && text.contains("nothing to repair"), "{text}");
    flip(&segment(dir.path()), b"trace_id");
    let damaged = std::fs::read(segment(dir.path())).unwrap();
    let refused = EmbeddedLog::open(Options::new(dir.path()), Arc::new(Disk)).err().unwrap().to_string();
    let remedy = format!("nornctl log repair {}", dir.path().display());
    assert!(refused.contains("00000.log at byte 4") && refused.contains(&remedy), "{refused}");

    let (whole, text) = said(inspect::run, dir.path());
    assert!(
        !whole && text.contains("record 1 of partition 0 is damaged") && text.contains(&remedy),
        "{text}"
    );
    let (whole, lines) = dump(dir.path(), false);
    assert!(!whole && lines.len() == 5);
    let (whole, text) = said(preview, dir.path());
    assert!(
        !whole && text.contains("partition 0 offset 1") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(std::fs::read(segment(dir.path())).unwrap(), damaged);

    let (whole, text) = said(mend, dir.path());
    let copy = segment(dir.path()).with_extension("log.damaged");
    assert!(whole && text.contains(&copy.display().to_string()) && text.contains("repaired"), "{text}");
    assert_eq!(std::fs::read(&copy).unwrap(), damaged);
    let (whole, lines) = dump(dir.path(), false);
    assert!(whole && lines.len() == 6);
    assert_eq!((&lines[1]["form"], &lines[1]["series"]), (&json!("lost"), &json!(0)));
    assert_eq!(open(dir.path()).range(0), 0..6);
}

#[test]
fn arguments_are_checked() {
    let refused = |action: &str, arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|a| (*a).to_owned()).collect();
        run(action, &arguments).unwrap_err().to_string()
    };
    assert!(refused("mend", &[]).contains("unknown command"));
    assert!(refused("inspect", &[]).contains("one directory"));
    assert!(refused("inspect", &["/", "--yes"]).contains("unknown flag --yes"));
    assert!(refused("repair", &["/nowhere/at/all"]).contains("no directory"));
}
