//! Float chunks: the decoders agree with each other, and what was read is written alike.

use norn_codec::xor::{self, XorState};
use norn_codec::{DecodeError, xor2};
use norn_model::Millis;

type Samples = Vec<(Millis, u64)>;
type Columns = (Vec<Millis>, Vec<f64>);

fn columns(
    decode: impl FnOnce(&mut Vec<Millis>, &mut Vec<f64>) -> Result<(), DecodeError>,
) -> Result<Samples, DecodeError> {
    let (mut t, mut v): Columns = (vec![7], vec![7.0]);
    let done = decode(&mut t, &mut v);
    assert!(t.len() == v.len() && (t[0], v[0]) == (7, 7.0));
    assert!(done.is_ok() || t.len() == 1);
    done.map(|()| t[1..].iter().zip(&v[1..]).map(|(t, v)| (*t, v.to_bits())).collect())
}

fn all<'a>(
    iter: Result<impl Iterator<Item = Result<(Millis, f64), DecodeError>> + 'a, DecodeError>,
) -> Result<Samples, DecodeError> {
    iter?.map(|s| s.map(|(t, v)| (t, v.to_bits()))).collect()
}

/// Bytes: a chunk of encoding 1.
pub fn xor(data: &[u8]) {
    let whole = columns(|t, v| xor::decode(data, Millis::MIN, Millis::MAX, t, v));
    assert_eq!(whole, all(xor::iter(data)));
    let Ok(samples) = whole else {
        assert!(XorState::resume(data, &mut Vec::new()).is_err());
        return;
    };
    let (mut state, mut bytes) = (XorState::new(), Vec::new());
    for (t, v) in &samples {
        assert!(state.append(&mut bytes, *t, f64::from_bits(*v)).is_ok());
    }
    state.finish(&mut bytes, 0);
    assert_eq!(columns(|t, v| xor::decode(&bytes, Millis::MIN, Millis::MAX, t, v)), Ok(samples.clone()));
    resume(data, samples);
}

/// A chunk that others wrote, perhaps in another way than ours, can be appended to.
fn resume(data: &[u8], mut samples: Samples) {
    let mut bytes = Vec::new();
    let mut state = match XorState::resume(data, &mut bytes) {
        Ok(state) => state,
        Err(e) => panic!("resume: {e}"),
    };
    assert_eq!(XorState::from_words(state.to_words()), Ok(state));
    if state.append(&mut bytes, 1, 2.5).is_ok() {
        samples.push((1, 2.5f64.to_bits()));
    }
    state.finish(&mut bytes, 0);
    assert_eq!(all(xor::iter(&bytes)), Ok(samples));
}

/// Bytes: a chunk of encoding 4.
pub fn xor2(data: &[u8]) {
    let whole = columns(|t, v| xor2::decode(data, Millis::MIN, Millis::MAX, t, v));
    assert_eq!(whole, all(xor2::iter(data)));
    let Ok(samples) = whole else { return };
    let some = columns(|t, v| xor2::decode(data, 0, 1 << 40, t, v));
    let end = samples.iter().position(|(t, _)| *t > 1 << 40).unwrap_or(samples.len());
    let want: Samples = samples[..end].iter().filter(|(t, _)| *t >= 0).copied().collect();
    assert_eq!(some, Ok(want));
    xor2_again(data);
}

/// What was read can be written, starts included.
fn xor2_again(data: &[u8]) {
    let read = |bytes: &[u8]| {
        let (mut t, mut v, mut s) = (Vec::new(), Vec::new(), Vec::new());
        let read = xor2::decode_with_starts(bytes, Millis::MIN, Millis::MAX, &mut t, &mut v, &mut s);
        assert_eq!(read, Ok(()));
        (t, v, s)
    };
    let (t, v, s) = read(data);
    let (mut open, mut bytes) = (xor2::OpenChunk::new(), Vec::new());
    for ((t, v), s) in t.iter().zip(&v).zip(&s) {
        assert_eq!(open.append(*t, *v, *s), Ok(()));
    }
    open.finish(&mut bytes);
    assert_eq!(bytes.len(), open.size_bytes());
    let (t2, v2, s2) = read(&bytes);
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!((t2, bits(&v2), s2), (t, bits(&v), s));
}
