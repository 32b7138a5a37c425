//! PromQL evaluation over any [`SeriesSource`](norn_contract::source::SeriesSource).
//!
//! Knows no storage, HTTP or tenant.

pub mod histogram;
pub mod numeric;
#[cfg(any(test, feature = "testing"))]
pub mod script;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod value;
