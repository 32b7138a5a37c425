//! Settings records: limits that decide how later records of a tenant fold.
//!
//! Drawn in `docs/formats/settings.md`.

use norn_model::Millis;

use crate::fields::whole;
use crate::protobuf::{FormError, put_uint_field, varint_key};

/// The version that is written, and the highest that is read.
pub const VERSION: u32 = 1;
/// Longest settings record in bytes.
pub const MAX_LEN: usize = 4096;

/// What a head needs to know of a tenant's limits to fold records the same way at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldSettings {
    /// How far behind the series' newest sample a sample may be; 0 = not at all.
    pub out_of_order_window: Millis,
    /// Active series of the tenant; 0 = no limit.
    pub max_series: u64,
    /// Active series of one metric name; 0 = no limit.
    pub max_series_per_metric: u64,
    /// Exemplars kept; 0 = none.
    pub max_exemplars: u64,
    /// Whether native histograms are taken.
    pub native_histograms: bool,
    /// Metrics of the tenant with metadata; 0 = no limit.
    pub max_metadata: u64,
    /// Different metadata of one metric; 0 = no limit.
    pub max_metadata_per_metric: u64,
    /// Whether exemplars older than their series' newest are left out without an error.
    pub ignore_late_exemplars: bool,
    /// Whether a zero sample is stored where a series says that it began to count.
    pub zero_samples: bool,
}

/// A settings record that can not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not the message it should be.
    #[error("settings record is malformed: {0}")]
    Malformed(#[from] FormError),
    /// Written by a newer version whose meaning is not known here, or by none (0).
    #[error("settings record version {0} is not known")]
    BadVersion(u32),
    /// Longer than [`MAX_LEN`].
    #[error("settings record of {0} bytes exceeds {MAX_LEN} bytes")]
    TooLarge(usize),
}

impl FoldSettings {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        put_uint_field(&mut out, 1, u64::from(VERSION));
        put_uint_field(&mut out, 2, self.out_of_order_window as u64);
        put_uint_field(&mut out, 3, self.max_series);
        put_uint_field(&mut out, 4, self.max_series_per_metric);
        put_uint_field(&mut out, 5, self.max_exemplars);
        put_uint_field(&mut out, 6, u64::from(self.native_histograms));
        put_uint_field(&mut out, 7, self.max_metadata);
        put_uint_field(&mut out, 8, self.max_metadata_per_metric);
        put_uint_field(&mut out, 9, u64::from(self.ignore_late_exemplars));
        put_uint_field(&mut out, 10, u64::from(self.zero_samples));
        out
    }

    /// Reads a record's value.
    pub fn decode(value: &[u8]) -> Result<Self, SettingsError> {
        const VERSION_KEY: u32 = varint_key(1);
        const OUT_OF_ORDER_WINDOW: u32 = varint_key(2);
        const MAX_SERIES: u32 = varint_key(3);
        const MAX_SERIES_PER_METRIC: u32 = varint_key(4);
        const MAX_EXEMPLARS: u32 = varint_key(5);
        const NATIVE_HISTOGRAMS: u32 = varint_key(6);
        const MAX_METADATA: u32 = varint_key(7);
        const MAX_METADATA_PER_METRIC: u32 = varint_key(8);
        const IGNORE_LATE_EXEMPLARS: u32 = varint_key(9);
        const ZERO_SAMPLES: u32 = varint_key(10);
        if value.len() > MAX_LEN {
            return Err(SettingsError::TooLarge(value.len()));
        }
        let mut r = whole(value)?;
        let (mut settings, mut version) = (Self::default(), 0);
        while !r.is_empty() {
            match r.key()? {
                VERSION_KEY => version = r.varint()? as u32,
                OUT_OF_ORDER_WINDOW => settings.out_of_order_window = r.varint()? as i64,
                MAX_SERIES => settings.max_series = r.varint()?,
                MAX_SERIES_PER_METRIC => settings.max_series_per_metric = r.varint()?,
                MAX_EXEMPLARS => settings.max_exemplars = r.varint()?,
                NATIVE_HISTOGRAMS => settings.native_histograms = r.varint()? != 0,
                MAX_METADATA => settings.max_metadata = r.varint()?,
                MAX_METADATA_PER_METRIC => settings.max_metadata_per_metric = r.varint()?,
                IGNORE_LATE_EXEMPLARS => settings.ignore_late_exemplars = r.varint()? != 0,
                ZERO_SAMPLES => settings.zero_samples = r.varint()? != 0,
                key => r.skip(key, 0b111_1111_1110)?,
            }
        }
        if version == VERSION { Ok(settings) } else { Err(SettingsError::BadVersion(version)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: FoldSettings = FoldSettings {
        out_of_order_window: 300_000,
        max_series: 150_000,
        max_series_per_metric: u64::MAX,
        max_exemplars: 1,
        native_histograms: true,
        max_metadata: 3,
        max_metadata_per_metric: 4,
        ignore_late_exemplars: true,
        zero_samples: true,
    };

    #[test]
    fn bytes_are_as_drawn() {
        let bytes = FoldSettings { max_series_per_metric: 0, ..SETTINGS }.encode();
        let drawn =
            b"\x08\x01\x10\xe0\xa7\x12\x18\xf0\x93\x09\x28\x01\x30\x01\x38\x03\x40\x04\x48\x01\x50\x01";
        assert_eq!(bytes, drawn);
    }

    #[test]
    fn settings_round_trip_and_unknown_fields_are_skipped() {
        for settings in [SETTINGS, FoldSettings::default()] {
            let mut bytes = settings.encode();
            assert_eq!(FoldSettings::decode(&bytes), Ok(settings.clone()));
            bytes.extend_from_slice(b"\x5a\x02hi\x60\x05");
            assert_eq!(FoldSettings::decode(&bytes), Ok(settings));
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        assert_eq!(FoldSettings::decode(b""), Err(SettingsError::BadVersion(0)));
        assert_eq!(FoldSettings::decode(b"\x08\x02"), Err(SettingsError::BadVersion(2)));
        assert_eq!(FoldSettings::decode(b"\x08"), Err(FormError::Truncated.into()));
        assert_eq!(FoldSettings::decode(b"\x0a\x00"), Err(FormError::WireType(1).into()));
        assert_eq!(FoldSettings::decode(&[0; MAX_LEN + 1]), Err(SettingsError::TooLarge(MAX_LEN + 1)));
    }
}
