//! Columns of records: a record of the length asked for, or none; any bytes can be split.

use norn_wire::record::columns::{Splitter, join};

/// Bytes: a length (2, little-endian), then columns; the same bytes are a record, too.
pub fn target(data: &[u8]) {
    check(data);
    let Some((len, columns)) = data.split_first_chunk::<2>() else { return };
    let len = usize::from(u16::from_le_bytes(*len));
    if let Ok(value) = join(columns, len) {
        assert_eq!(value.len(), len);
        check(&value);
    }
}

fn check(value: &[u8]) {
    let mut columns = Vec::new();
    Splitter::new().split(value, &mut columns);
    assert!(join(&columns, value.len()).is_ok_and(|v| v == value));
}
