//! Histogram chunks: exact and float readers agree, an opened chunk holds what it held.

use norn_codec::histogram::{Floats, Integers, Iter, Kind, OpenChunk, decode, decode_float};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, MAX_SCHEMA};

/// Bytes: 0 or 1 for the encoding, then a chunk of it.
pub fn target(data: &[u8]) {
    match data.split_first() {
        Some((kind, chunk)) if kind % 2 == 0 => check::<Integers>(chunk, ChunkEncoding::Histogram),
        Some((_, chunk)) => check::<Floats>(chunk, ChunkEncoding::FloatHistogram),
        None => {}
    }
}

/// What both kinds of histogram can do.
trait Checked: std::fmt::Debug + Clone {
    fn as_float(&self) -> Option<FloatHistogram>;
    fn is_valid(&self) -> bool;
}

impl Checked for Histogram {
    fn as_float(&self) -> Option<FloatHistogram> {
        // Only sound histograms are ever turned into floats.
        self.is_valid().then(|| self.to_float())
    }

    fn is_valid(&self) -> bool {
        self.validate().is_ok()
    }
}

impl Checked for FloatHistogram {
    fn as_float(&self) -> Option<FloatHistogram> {
        Some(self.clone())
    }

    fn is_valid(&self) -> bool {
        self.validate().is_ok()
    }
}

fn check<K: Kind>(chunk: &[u8], encoding: ChunkEncoding)
where
    K::Histogram: Checked,
{
    let (mut t, mut h) = (Vec::new(), Vec::new());
    let exact = decode::<K>(chunk, Millis::MIN, Millis::MAX, &mut t, &mut h);
    let (mut ft, mut fh) = (Vec::new(), Vec::new());
    let float = decode_float(encoding, chunk, Millis::MIN, Millis::MAX, &mut ft, &mut fh);
    assert_eq!((exact, &t), (float, &ft));
    assert!(t.len() == h.len() && t.len() == fh.len());
    for (exact, float) in h.iter().zip(&fh) {
        // Where buckets were joined, counts that overflow do so differently in integers and floats.
        if let Some(exact) = exact.as_float().filter(|h| h.schema < MAX_SCHEMA) {
            assert_eq!(format!("{exact:?}"), format!("{float:?}"));
        }
    }
    if exact.is_ok() && !t.is_empty() {
        open_again::<K>(chunk, &t, &h);
    }
}

/// What was read can be written; the histograms come back as they were.
fn open_again<K: Kind>(chunk: &[u8], t: &[Millis], h: &[K::Histogram])
where
    K::Histogram: Checked,
{
    let open = match OpenChunk::<K>::resume(chunk) {
        Ok(open) => open,
        Err(e) => panic!("resume: {e}"),
    };
    let mut bytes = Vec::new();
    open.finish(&mut bytes);
    assert_eq!(bytes.len(), open.size_bytes());
    let count = Iter::<K>::new(&bytes).map(|i| i.count());
    assert_eq!(count, Ok(t.len()));
    let (mut t2, mut h2) = (Vec::new(), Vec::new());
    let read = decode::<K>(&bytes, Millis::MIN, Millis::MAX, &mut t2, &mut h2);
    assert_eq!((read, &t2[..]), (Ok(()), t));
    // A threshold or bound of zero loses its sign, as with Prometheus.
    let text = |h: &[K::Histogram]| format!("{h:?}").replace("-0.0", "0.0");
    assert_eq!(text(&h2), text(h));
    append_all::<K>(t, h);
}

/// Appending what was read, chunk after chunk, never fails for a sound histogram.
fn append_all<K: Kind>(t: &[Millis], h: &[K::Histogram])
where
    K::Histogram: Checked,
{
    let mut open: Option<OpenChunk<K>> = None;
    for (t, h) in t.iter().zip(h) {
        if open.as_mut().is_some_and(|open| open.append(*t, h).is_ok()) {
            continue;
        }
        match OpenChunk::begin(open.as_ref(), *t, h) {
            Ok(begun) => open = Some(begun),
            Err(e) => assert!(!h.is_valid(), "a sound histogram was refused: {e}"),
        }
    }
}
