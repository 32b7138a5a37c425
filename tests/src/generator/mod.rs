//! Data and queries made from a seed: the same seed makes the same bytes everywhere.
//!
//! | module | subject |
//! |---|---|
//! | [`random`] | the source of all choices |
//! | [`data`] | families of series: what they are called and which values they take |
//! | [`histogram`] | native histograms that grow, reset and change layout |
//! | [`encode`] | series as remote write 1 and 2 |
//! | [`grammar`] | valid queries |
//! | [`call`] | function calls: one entry a function |
//! | [`operator`] | aggregations and binary operators |
//! | [`scalar`] | numbers, strings and durations |
//! | [`invalid`] | queries with an error in them |

pub mod call;
pub mod data;
pub mod encode;
pub mod grammar;
pub mod histogram;
pub mod invalid;
pub mod operator;
pub mod random;
pub mod scalar;
