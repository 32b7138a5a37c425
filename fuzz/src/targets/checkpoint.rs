//! Checkpoints: what was read is written and read again alike; a head takes it or says why not.

use norn_codec::crc::crc32c;
use norn_head::{Checkpoint, Options};

/// Bytes: the file, its checksum made right.
pub fn target(data: &[u8]) {
    let mut bytes = data.to_vec();
    if let Some((content, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32c(content).to_le_bytes();
    }
    if let Ok(checkpoint) = Checkpoint::decode(&bytes) {
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).as_ref(), Ok(&checkpoint));
        let (mut writer, _) = norn_head::new(Options::default());
        if writer.restore(&checkpoint).is_ok() {
            assert_eq!(writer.next_offset(), checkpoint.offset);
            assert!(writer.checkpoint().is_some());
        }
    }
}
