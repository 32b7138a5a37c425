//! Histogram chunks: exact and float readers agree, an opened chunk holds what it held.

use norn_codec::histogram::{
    Floats, Integers, Iter, Kind, OpenChunk, decode, decode_float, decode_float_with_starts,
    decode_with_starts,
};
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, MAX_SCHEMA};

/// Bytes: 0 or 1 for the kind, 2 more where there are start timestamps, then a chunk of that encoding.
pub fn target(data: &[u8]) {
    let Some((kind, chunk)) = data.split_first() else { return };
    match kind % 4 {
        0 => check::<Integers>(chunk, ChunkEncoding::Histogram),
        1 => check::<Floats>(chunk, ChunkEncoding::FloatHistogram),
        2 => check_started::<Integers>(chunk),
        _ => check_started::<Floats>(chunk),
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

/// Both readers give the same starts, and so does a chunk that was opened again.
fn check_started<K: Kind>(chunk: &[u8])
where
    K::Histogram: Checked,
{
    let (mut t, mut h, mut s) = (Vec::new(), Vec::new(), Vec::new());
    let exact = decode_with_starts::<K>(chunk, Millis::MIN, Millis::MAX, &mut t, &mut h, &mut s);
    let (mut ft, mut fh, mut fs) = (Vec::new(), Vec::new(), Vec::new());
    let (encoding, all) = (K::ENCODING_WITH_STARTS, (Millis::MIN, Millis::MAX));
    let float = decode_float_with_starts(encoding, chunk, all.0, all.1, &mut ft, &mut fh, &mut fs);
    assert_eq!((exact, &t, &s), (float, &ft, &fs));
    assert!(t.len() == h.len() && t.len() == fh.len() && t.len() == s.len());
    if exact.is_err() || t.is_empty() {
        return;
    }
    let open = match OpenChunk::<K>::resume_with_starts(chunk) {
        Ok(open) => open,
        Err(e) => panic!("resume: {e}"),
    };
    let mut bytes = Vec::new();
    open.finish(&mut bytes);
    assert_eq!(bytes.len(), open.size_bytes());
    let (mut t2, mut h2, mut s2) = (Vec::new(), Vec::new(), Vec::new());
    let read = decode_with_starts::<K>(&bytes, all.0, all.1, &mut t2, &mut h2, &mut s2);
    assert_eq!((read, t2, s2), (Ok(()), t.clone(), s.clone()));
    let mut open: Option<OpenChunk<K>> = None;
    for ((t, h), s) in t.iter().zip(&h).zip(&s) {
        if open.as_mut().is_some_and(|open| open.append_with_start(*t, *s, h).is_ok()) {
            continue;
        }
        match OpenChunk::begin_with_start(open.as_ref(), *t, *s, h) {
            Ok(begun) => open = Some(begun),
            Err(e) => assert!(!h.is_valid(), "a sound histogram was refused: {e}"),
        }
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
