//! Prometheus TSDB blocks on local disk: written whole, read in place.
//!
//! Files are drawn in `docs/formats/block.md`. A [`Builder`] writes the series of one time range
//! and makes the block visible at the end; a [`Block`] answers as a
//! [`norn_contract::source::SeriesSource`].
//!
//! ```text
//! labels, chunks ─ Builder ┬ splice: chunks in the range, without overlap
//!                          ├ chunks::Writer ─ chunks/000001 …
//!                          ├ index::Writer ─ spool ─ index
//!                          └ tombstones, meta.json, rename
//! matchers ─ Block ─ index::Reader: lists → series → chunk refs ─ chunks::Reader
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`index`] | series, symbols, postings |
//! | [`chunks`] | chunk bytes and their files |
//! | [`meta`], [`ulid`] | what a block is, and its name |
//! | [`tombstones`] | deletions |
//! | `builder`, `splice` | a block's way to disk |
//! | `block`, `source` | reading |
//! | [`file`] | bytes at a position, bytes one behind the other |
//!
//! Everything read from disk is hostile: lengths are checked before memory is taken, checksums
//! before bytes are believed. Reads block the calling thread.

mod block;
mod builder;
pub mod chunks;
mod error;
pub mod file;
pub mod index;
pub mod meta;
mod source;
mod splice;
pub mod tombstones;
pub mod ulid;

pub use block::Block;
pub use builder::{Builder, Options, REMOVED, UNFINISHED, is_leftover, remove, remove_leftover};
pub use error::Error;
