//! Content encodings: nothing above the cap, and every encoder's output is taken.

use norn_wire::content::{ContentError, identity, snappy, zstd as unzstd};

const LIMIT: usize = 64 << 10;

/// Bytes: a compressed body.
pub fn target(data: &[u8]) {
    let mut out = Vec::new();
    for decode in [snappy, unzstd, identity] {
        match decode(data, LIMIT, &mut out) {
            Ok(()) => assert!(out.len() <= LIMIT),
            Err(ContentError::TooLarge { size, limit }) => {
                assert!(limit == LIMIT && size > LIMIT as u64 && out.is_empty());
            }
            Err(ContentError::Corrupt(_)) => assert!(out.is_empty()),
        }
        assert!(out.capacity() <= 4 * LIMIT, "{} bytes were taken", out.capacity());
    }
    let packed = snap::raw::Encoder::new().compress_vec(data).unwrap_or_default();
    assert!(snappy(&packed, data.len(), &mut out).is_ok() && out == data);
    let packed = zstd::bulk::compress(data, 1).unwrap_or_default();
    assert!(unzstd(&packed, data.len(), &mut out).is_ok() && out == data);
    if let Some(less) = data.len().checked_sub(1) {
        assert!(matches!(unzstd(&packed, less, &mut out), Err(ContentError::TooLarge { .. })));
    }
}
