//! PromQL evaluation over any [`SeriesSource`](norn_contract::source::SeriesSource).
//!
//! Knows no storage, HTTP or tenant.

pub mod histogram;
pub mod numeric;
pub mod value;
