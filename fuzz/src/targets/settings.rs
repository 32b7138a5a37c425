//! Settings records: what was read is written and read again alike.

use norn_wire::settings::FoldSettings;

/// Bytes: the record's value.
pub fn target(data: &[u8]) {
    if let Ok(settings) = FoldSettings::decode(data) {
        assert_eq!(FoldSettings::decode(&settings.encode()), Ok(settings));
    }
}
