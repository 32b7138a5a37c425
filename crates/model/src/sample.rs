//! Float samples, stale markers and exemplars.

use crate::Millis;
use crate::labels::Labels;

/// Bits of the NaN that marks a series as ended (Prometheus' stale marker).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// Bits of the NaN that Prometheus writes for an ordinary not-a-number.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The stale marker as a float.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `v` is the stale marker. Compares bits: no other NaN is one.
pub fn is_stale_nan(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// One float at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub timestamp: Millis,
    /// The value; may be any NaN.
    pub value: f64,
}

/// A sample that points at a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels, such as `trace_id`.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: Millis,
}
