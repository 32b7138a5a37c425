//! Snapshots of heads.

use norn_contract::log::{Record, RecordKind};
use norn_model::metadata::MetricType;
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::Builder;
use norn_wire::settings::FoldSettings;

use crate::targets::snapshot::options;

/// An empty head, and one with a bit of everything.
pub fn snapshots() -> Vec<Vec<u8>> {
    let records = [settings(), write()];
    [&records[..0], &records[..]]
        .into_iter()
        .flat_map(|records| [0, 1].map(|flags| snapshot(flags, records)))
        .collect()
}

fn record(kind: RecordKind, value: bytes::Bytes) -> Record {
    let Ok(tenant) = Tenant::admit("team-a") else { panic!("a good name") };
    Record { tenant, kind, timestamp: 0, value }
}

fn settings() -> Record {
    let settings = FoldSettings {
        out_of_order_window: 600_000,
        native_histograms: true,
        max_exemplars: 5,
        ..FoldSettings::default()
    };
    record(RecordKind::Settings, settings.encode().into())
}

fn write() -> Record {
    let mut builder = Builder::new();
    for i in 0..3i64 {
        let number = i.to_string();
        let mut series = builder.series([("__name__", "up"), ("i", &number)]);
        for t in 0..10 {
            series.sample(120_000 + t * 10_000, (t * i) as f64);
        }
        series.sample(130_500, 7.0).exemplar([("trace", "x")], 1.5, 120_000 + i);
    }
    builder.metadata("up", MetricType::Gauge, "help", "");
    record(RecordKind::Write(2), builder.finish())
}

fn snapshot(flags: u8, records: &[Record]) -> Vec<u8> {
    let (mut writer, _) = norn_head::new(options());
    for (offset, record) in (0..).zip(records) {
        assert!(writer.apply(offset, record, &mut Refused::default()).is_ok());
    }
    let Some(mut encoder) = writer.begin_snapshot() else { panic!("nothing else was begun") };
    let mut out = vec![flags];
    while let Some(piece) = writer.next_piece() {
        let Ok(bytes) = encoder.encode(&piece) else { panic!("everything is in memory") };
        out.extend_from_slice(bytes);
    }
    out
}
