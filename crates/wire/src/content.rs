//! Content encodings, decompressed under a cap into a buffer that is reused.

use std::io::Read;

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Decompressed it is larger than allowed. `size` is what the body declares, or where a
    /// decoder that was not told stopped.
    #[error("decompressed size {size} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not in the encoding it claims.
    #[error("body can not be decompressed: {0}")]
    Corrupt(String),
}

fn corrupt(e: impl std::fmt::Display) -> ContentError {
    ContentError::Corrupt(e.to_string())
}

/// Replaces `out` with the content of a snappy block. The length it declares is checked before
/// anything is allocated.
pub fn snappy(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ContentError> {
    out.clear();
    let size = match snap::raw::decompress_len(body) {
        Ok(size) => size,
        Err(snap::Error::TooBig { given, .. }) => return Err(ContentError::TooLarge { size: given, limit }),
        Err(e) => return Err(corrupt(e)),
    };
    if size > limit {
        return Err(ContentError::TooLarge { size: size as u64, limit });
    }
    out.resize(size, 0);
    let written = snap::raw::Decoder::new().decompress(body, out).map_err(corrupt);
    out.truncate(written.clone().unwrap_or(0));
    written.map(drop)
}

/// `content` as a snappy block.
///
/// # Errors
///
/// Content of 4 GiB or more has no such form.
pub fn pack_snappy(content: &[u8]) -> Result<Vec<u8>, ContentError> {
    snap::raw::Encoder::new().compress_vec(content).map_err(corrupt)
}

/// Replaces `out` with the content of a Zstandard stream (one frame or more). A declared size is
/// checked first; in any case decoding stops one byte beyond the limit, and the decoder's window
/// is bounded too.
pub fn zstd(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ContentError> {
    out.clear();
    if let Ok(Some(size)) = zstd::zstd_safe::get_frame_content_size(body)
        && size > limit as u64
    {
        return Err(ContentError::TooLarge { size, limit });
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(corrupt)?;
    decoder.window_log_max(window_log(limit)).map_err(corrupt)?;
    let read = decoder.take(limit as u64 + 1).read_to_end(out);
    let size = out.len();
    if read.is_ok() && size <= limit {
        return Ok(());
    }
    out.clear();
    match read {
        Ok(_) => Err(ContentError::TooLarge { size: size as u64, limit }),
        Err(e) => Err(corrupt(e)),
    }
}

/// Smallest window that holds `limit` bytes, but not below the 8 MiB that every decoder should
/// support (streaming encoders declare more than they fill), nor above the customary 128 MiB.
fn window_log(limit: usize) -> u32 {
    limit.max(1).checked_next_power_of_two().map_or(27, usize::ilog2).clamp(23, 27)
}

/// Replaces `out` with `body` as it is.
pub fn identity(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ContentError> {
    out.clear();
    if body.len() > limit {
        return Err(ContentError::TooLarge { size: body.len() as u64, limit });
    }
    out.extend_from_slice(body);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMIT: usize = 100_000;

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i / 7 % 61) as u8).collect()
    }

    fn pack_snappy(content: &[u8]) -> Vec<u8> {
        super::pack_snappy(content).unwrap()
    }

    fn pack_zstd(content: &[u8]) -> Vec<u8> {
        ::zstd::bulk::compress(content, 1).unwrap()
    }

    /// Without a declared size.
    fn stream_zstd(content: &[u8]) -> Vec<u8> {
        ::zstd::stream::encode_all(content, 3).unwrap()
    }

    type Unpack = fn(&[u8], usize, &mut Vec<u8>) -> Result<(), ContentError>;
    type Pack = fn(&[u8]) -> Vec<u8>;
    const CODINGS: [(&str, Pack, Unpack); 4] = [
        ("snappy", pack_snappy, snappy),
        ("zstd", pack_zstd, zstd),
        ("zstd stream", stream_zstd, zstd),
        ("identity", <[u8]>::to_vec, identity),
    ];

    #[test]
    fn content_up_to_the_limit_is_taken() {
        for (name, pack, unpack) in CODINGS {
            let mut out = b"from before".to_vec();
            for len in [0, 1, 1000, LIMIT] {
                let content = text(len);
                assert_eq!(unpack(&pack(&content), LIMIT, &mut out), Ok(()), "{name} {len}");
                assert_eq!(out, content, "{name} {len}");
            }
        }
    }

    #[test]
    fn content_beyond_the_limit_is_refused_before_it_is_allocated() {
        for (name, pack, unpack) in CODINGS {
            for len in [LIMIT + 1, 50_000_000] {
                let mut out = Vec::new();
                let outcome = unpack(&pack(&vec![0; len]), LIMIT, &mut out);
                assert!(matches!(outcome, Err(ContentError::TooLarge { .. })), "{name} {len} {outcome:?}");
                assert!(out.is_empty() && out.capacity() <= 4 * LIMIT, "{name} {len} {}", out.capacity());
            }
        }
    }

    #[test]
    fn two_frames_may_not_sum_up_beyond_the_limit() {
        let frame = pack_zstd(&text(LIMIT));
        let mut out = Vec::new();
        let outcome = zstd(&[frame.clone(), frame].concat(), LIMIT, &mut out);
        assert_eq!(outcome, Err(ContentError::TooLarge { size: LIMIT as u64 + 1, limit: LIMIT }));
    }

    #[test]
    fn a_declared_length_alone_allocates_nothing() {
        let mut out = Vec::new();
        let declared = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        let outcome = snappy(&declared, LIMIT, &mut out);
        assert_eq!(outcome, Err(ContentError::TooLarge { size: u64::from(u32::MAX), limit: LIMIT }));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn broken_bodies_are_corrupt_and_leave_nothing() {
        for (name, pack, unpack) in &CODINGS[..3] {
            let good = pack(&text(5000));
            let mut out = Vec::new();
            let outcome = unpack(&good[..good.len() - 1], LIMIT, &mut out);
            assert!(matches!(outcome, Err(ContentError::Corrupt(_))), "{name} {outcome:?}");
            assert!(out.is_empty(), "{name}");
            assert!(matches!(unpack(b"\x30no", LIMIT, &mut out), Err(ContentError::Corrupt(_))), "{name}");
        }
        assert!(snappy(b"", LIMIT, &mut Vec::new()).is_err());
    }
}
