//! Remote write: the decoders against prost, series by series.

use norn_wire::FormError;
use norn_wire::histogram::{HistogramRef, HistogramSample};
use norn_wire::proto::{self, Message, v1, v2};
use norn_wire::remote_write::{Labels, Options, Request, Series, View, WriteError};

/// Bytes: a `prometheus.WriteRequest`.
pub fn v1(data: &[u8]) {
    let mut view = View::new();
    let theirs = v1::WriteRequest::decode(data);
    match (view.decode_v1(data, Options::default()), theirs) {
        (Ok(ours), Ok(theirs)) => same_v1(ours, &theirs),
        (ours, theirs) => differs(ours.err(), theirs.err()),
    }
}

/// Bytes: an `io.prometheus.write.v2.Request`.
pub fn v2(data: &[u8]) {
    let mut view = View::new();
    let theirs = v2::Request::decode(data);
    match (view.decode_v2(data, Options::default()), theirs) {
        (Ok(ours), Ok(theirs)) => same_v2(ours, &theirs),
        (Err(WriteError::FirstSymbol), Ok(theirs)) => assert_ne!(theirs.symbols[0], ""),
        (ours, theirs) => differs(ours.err(), theirs.err()),
    }
}

/// One of the two refused: only for reasons that are documented.
fn differs(ours: Option<WriteError>, theirs: Option<prost::DecodeError>) {
    match (ours, theirs) {
        // Texts are judged later, and Mimir's two flags mean nothing in another form.
        (None, Some(theirs)) => {
            let text = theirs.to_string();
            assert!(text.contains("UTF-8") || text.contains("skip_label_"), "{text}");
        }
        // Fields 3 of a sample and 17 of a histogram are not in every version of the message.
        (Some(WriteError::Malformed(ours)), None) => assert!(
            matches!(ours, FormError::WireType(3 | 17) | FormError::TooDeep | FormError::TooLarge),
            "{ours}"
        ),
        (Some(ours), None) => panic!("{ours}"),
        _ => {}
    }
}

fn same_v1(ours: Request<'_>, theirs: &v1::WriteRequest) {
    assert_eq!(ours.len(), theirs.timeseries.len());
    assert_eq!(ours.metadata().len(), theirs.metadata.len());
    for (m, n) in ours.metadata().zip(&theirs.metadata) {
        let texts = [&n.metric_family_name, &n.help, &n.unit].map(|t| t.as_bytes());
        assert_eq!([m.family, m.help, m.unit], texts);
    }
    for (s, t) in ours.series().zip(&theirs.timeseries) {
        same_labels(s.labels(), &t.labels);
        let samples = t.samples.iter().map(|s| (s.timestamp, s.value.to_bits()));
        assert!(s.samples().iter().map(|s| (s.timestamp, s.value.to_bits())).eq(samples));
        same_histograms(s, &t.histograms);
        assert_eq!((s.created(), s.exemplars().len()), (t.created_timestamp, t.exemplars.len()));
        for (e, f) in s.exemplars().zip(&t.exemplars) {
            same_labels(e.labels.clone(), &f.labels);
            assert_eq!((e.timestamp, e.value.to_bits()), (f.timestamp, f.value.to_bits()));
        }
        check_raw(s);
    }
}

fn same_labels(ours: Labels<'_>, theirs: &[v1::Label]) {
    assert!(ours.eq(theirs.iter().map(|l| (l.name.as_bytes(), l.value.as_bytes()))));
}

/// The raw bytes of a series' labels are its labels, and the test for ASCII is never wrong.
fn check_raw(series: Series<'_>) {
    let ascii = series.labels().all(|(n, v)| n.is_ascii() && v.is_ascii());
    assert!(ascii || !series.is_ascii());
    if let Some(raw) = series.raw_labels() {
        match v1::TimeSeries::decode(raw) {
            Ok(t) => same_labels(series.labels(), &t.labels),
            Err(e) => panic!("raw labels: {e}"),
        }
    }
}

fn same_v2(ours: Request<'_>, theirs: &v2::Request) {
    assert_eq!(ours.len(), theirs.timeseries.len());
    let text = |r: &u32| theirs.symbols.get(*r as usize).map(|s| s.as_bytes());
    for (s, t) in ours.series().zip(&theirs.timeseries) {
        let texts: Option<Vec<_>> = t.labels_refs.iter().map(text).collect();
        match (s.error(), texts) {
            (None, Some(texts)) => {
                let pairs = texts.chunks_exact(2).map(|p| (p[0], p[1]));
                assert!(texts.len() % 2 == 0 && s.labels().eq(pairs));
                assert_eq!(s.exemplars().len(), t.exemplars.len());
            }
            (None, None) => panic!("a reference out of range was taken"),
            (Some(_), _) => assert_eq!(s.labels().len(), 0),
        }
        let samples = t.samples.iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp));
        let got = s.samples().iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp));
        assert!(got.eq(samples));
        same_histograms(s, &t.histograms);
        assert_eq!(s.created(), t.created_timestamp);
        let ascii = s.labels().all(|(n, v)| n.is_ascii() && v.is_ascii());
        assert!(ascii || !s.is_ascii());
    }
}

fn same_histograms(ours: Series<'_>, theirs: &[proto::Histogram]) {
    assert_eq!(ours.histograms().len(), theirs.len());
    for (h, t) in ours.histograms().zip(theirs) {
        same_histogram(h, t);
        // Validation meets what nobody has judged yet.
        let _ = match h.histogram {
            HistogramRef::Int(h) => h.validate(),
            HistogramRef::Float(h) => h.validate(),
        };
    }
}

/// Compares what of a histogram has one meaning.
pub fn same_histogram(h: HistogramSample<'_>, t: &proto::Histogram) {
    assert_eq!(h.timestamp, t.timestamp);
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let (schema, sum, threshold) = match h.histogram {
        HistogramRef::Int(h) => {
            assert!(!matches!(t.count, Some(proto::Count::Float(_))));
            assert_eq!((&h.positive_buckets, &h.negative_buckets), (&t.positive_deltas, &t.negative_deltas));
            assert_eq!(bits(&h.custom_values), bits(&t.custom_values));
            (h.schema, h.sum, h.zero_threshold)
        }
        HistogramRef::Float(h) => {
            assert!(matches!(t.count, Some(proto::Count::Float(_))));
            assert_eq!(bits(&h.positive_buckets), bits(&t.positive_counts));
            assert_eq!(bits(&h.negative_buckets), bits(&t.negative_counts));
            (h.schema, h.sum, h.zero_threshold)
        }
    };
    assert_eq!(
        (schema, sum.to_bits(), threshold.to_bits()),
        (t.schema, t.sum.to_bits(), t.zero_threshold.to_bits())
    );
}
