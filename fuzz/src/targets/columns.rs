//! Columns of integers: any come back, and damaged frames are refused.

use norn_codec::columns::{Encoder, take};

/// Bytes: a frame; and, eight by eight, integers and steps.
pub fn target(data: &[u8]) {
    let mut read = vec![7];
    let mut rest = data;
    if take(&mut rest, 1 << 16, &mut read).is_ok() {
        round_trip(&read[1..]);
    } else {
        assert!(read == [7] && rest == data);
    }
    let values: Vec<i64> =
        data.chunks_exact(8).filter_map(|c| Some(i64::from_le_bytes(*c.first_chunk()?))).collect();
    round_trip(&values);
    let small: Vec<i64> = data.iter().map(|b| i64::from(*b as i8)).collect();
    round_trip(&small);
}

fn round_trip(values: &[i64]) {
    let (mut bytes, mut read) = (Vec::new(), Vec::new());
    assert!(Encoder::default().put(values, &mut bytes).is_ok());
    let mut rest = &bytes[..];
    assert!(take(&mut rest, values.len(), &mut read).is_ok());
    assert!(rest.is_empty() && read == values);
}
