//! Log records: what was read can be written and comes back alike; a view is empty after an error.

use norn_wire::proto::Message;
use norn_wire::proto::record::WriteRequest;
use norn_wire::record::{Builder, RecordError, Series, VERSION, View};

/// Bytes: the version (0 to 3), then the record's value.
pub fn target(data: &[u8]) {
    let Some((version, value)) = data.split_first() else { return };
    let version = version % 4;
    let mut view = View::new();
    match view.decode(version, value) {
        Ok(()) => {
            assert!(version <= VERSION);
            against_prost(&view, version, value);
            write_again(&view);
        }
        Err(e) => {
            assert!(version <= VERSION || e == RecordError::BadVersion(version));
            assert!(view.is_empty() && view.metadata().next().is_none());
            assert_eq!(view.symbol(1), "__name__");
        }
    }
}

/// Series with content, where prost can read the message at all: it also judges the fields that a
/// version does not read.
fn against_prost(view: &View, version: u8, value: &[u8]) {
    let Ok(theirs) = WriteRequest::decode(value) else { return };
    let samples: Vec<usize> = match version {
        2 => {
            let series = theirs.timeseries_rw2.iter();
            let full = series.filter(|s| s.samples.len() + s.histograms.len() + s.exemplars.len() > 0);
            full.map(|s| s.samples.len()).collect()
        }
        _ => {
            let series = theirs.timeseries.iter();
            let full = series.filter(|s| s.samples.len() + s.histograms.len() + s.exemplars.len() > 0);
            full.map(|s| s.samples.len()).collect()
        }
    };
    assert!(view.series().map(|s| s.samples().len()).eq(samples));
}

fn write_again(view: &View) {
    let mut builder = Builder::new();
    for series in view.series() {
        let mut out = builder.series(series.labels());
        for s in series.samples() {
            out.sample(s.timestamp, s.value);
        }
        for h in series.histograms() {
            out.histogram(h.timestamp, h.histogram);
        }
        for e in series.exemplars() {
            let pairs = e.label_refs.chunks_exact(2);
            out.exemplar(pairs.map(|p| (view.symbol(p[0]), view.symbol(p[1]))), e.value, e.timestamp);
        }
        out.created(series.created());
    }
    for m in view.metadata() {
        builder.metadata(m.family, m.kind, m.help, m.unit);
    }
    let value = builder.finish();
    let mut again = View::new();
    if let Err(e) = again.decode(VERSION, &value) {
        // The decoded form may weigh more than the budget of the shorter message.
        assert!(matches!(e, RecordError::Malformed(norn_wire::FormError::TooLarge)), "{e}");
        return;
    }
    assert_eq!(again.len(), view.len());
    for (a, b) in again.series().zip(view.series()) {
        same(a, b);
    }
    // A family named by an empty text can not be told from none.
    let named = |v: &View| v.metadata().filter(|m| !m.family.is_empty()).count();
    assert_eq!(named(&again), named(view));
}

fn same(a: Series<'_>, b: Series<'_>) {
    assert!(a.labels().eq(b.labels()));
    let samples =
        |s: Series<'_>| s.samples().iter().map(|s| (s.timestamp, s.value.to_bits())).collect::<Vec<_>>();
    assert_eq!(samples(a), samples(b));
    let histograms = |s: Series<'_>| {
        s.histograms().map(|h| format!("{} {:?}", h.timestamp, h.histogram)).collect::<Vec<_>>()
    };
    assert_eq!(histograms(a), histograms(b));
    let exemplars = |s: Series<'_>| {
        s.exemplars().map(|e| (e.timestamp, e.value.to_bits(), e.label_refs.len())).collect::<Vec<_>>()
    };
    assert_eq!((exemplars(a), a.created()), (exemplars(b), b.created()));
}
