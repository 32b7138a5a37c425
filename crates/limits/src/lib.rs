//! What a tenant may do: its limits, and the rate limiters that enforce those that have a rate.
//!
//! | module | subject |
//! |---|---|
//! | [`tenant`] | which limits hold for which tenant |
//! | [`moving`] | how fast something happens |
//! | [`rate`] | token buckets, one a tenant; time comes from the caller |

pub mod moving;
pub mod rate;
pub mod tenant;

pub use moving::MovingRate;
pub use norn_config::options::limits::{Limits, NameValidationScheme};
pub use rate::{Rate, RateLimiter, Refusal};
pub use tenant::TenantLimits;
