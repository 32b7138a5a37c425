//! The nouns of Norn: labels, samples, histograms, matchers, tenants and times.
//!
//! This crate is pure: no sockets, no files, no clock. Everything here is a value that
//! crosses a contract between roles, so the definitions say shapes and units and nothing about
//! who makes or keeps them.
//!
//! | module | subject |
//! |---|---|
//! | [`labels`] | a series' identity: sorted name/value pairs in one allocation |
//! | [`sample`] | float samples, stale markers, exemplars |
//! | [`histogram`] | native histograms, integer and float |
//! | [`chunk`] | numbers of chunk encodings |
//! | [`metadata`] | type, help and unit of a metric |
//! | [`matcher`] | label matchers with Go's regular-expression dialect |
//! | `pattern`, `dialect` | what a pattern matches, and how Go writes patterns |
//! | [`shortest`] | shortest decimals of floats, as Go picks them |
//! | [`quote`] | texts in double quotes, as Go writes them |
//! | [`tenant`] | the tenant capability |
//! | [`rejection`] | what a write was refused for, with Mimir's error ids |

pub mod chunk;
mod dialect;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod metadata;
mod pattern;
pub mod quote;
pub mod rejection;
pub mod sample;
pub mod shortest;
pub mod tenant;

/// Unix time in milliseconds.
pub type Millis = i64;
