//! Native histograms at query time: arithmetic, comparison, quantiles.
//!
//! Everything works on [`FloatHistogram`](norn_model::histogram::FloatHistogram) and takes layouts
//! as they come: spans that do not fit the buckets give useless results but no panic. What the
//! user must be told is returned as flags; texts are the engine's.
//!
//! | module | subject |
//! |---|---|
//! | [`bounds`] | where buckets begin and end |
//! | [`buckets`] | buckets in order, with bounds |
//! | [`layout`] | spans: compacting, reducing resolution, merging |
//! | [`arithmetic`] | add, subtract, scale |
//! | [`accumulate`] | compensated sums and means |
//! | [`compare`] | equality, counter resets |
//! | [`trim`] | the operators `</` and `>/` |
//! | [`native`] | quantile, fraction and variance of native histograms |
//! | [`classic`] | quantile and fraction of classic buckets |
//! | [`text`] | text form, size |

pub mod accumulate;
pub mod arithmetic;
pub mod bounds;
pub mod buckets;
pub mod classic;
pub mod compare;
#[cfg(test)]
mod golden;
pub mod layout;
pub mod native;
#[cfg(test)]
mod properties;
pub mod text;
pub mod trim;
mod zero;
