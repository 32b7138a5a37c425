//! Remote-write decoders, ingest-log records, content encodings with caps.
//!
//! Every input here is hostile: lengths are checked before they are used, nothing is allocated
//! from a declared count, and what a decoder may hold is bounded by a [`Budget`]. Decoders are
//! flat and reusable: one set of vectors serves request after request, labels are offsets.
//! Names, order and UTF-8 of labels are not judged here (a record's texts are checked to be UTF-8).
//!
//! | module | subject | format |
//! |---|---|---|
//! | [`content`] | snappy, zstd and identity, decompressed under a cap | |
//! | [`remote_write`] | remote write 1 and 2 into one flat shape | `docs/formats/remote-write.md` |
//! | [`record`] | records of the ingest log: builder and view | `docs/formats/record.md` |
//! | [`settings`] | settings records | `docs/formats/settings.md` |
//! | [`histogram`] | native histogram messages, pooled | `docs/formats/remote-write.md` |
//! | [`proto`] | prost structs of the same messages: for load generators and as the tests' oracle | |
//!
//! Inside: `protobuf` is the wire format, `fields` the submessages that several formats share.

pub mod content;
mod fields;
pub mod histogram;
pub mod proto;
mod protobuf;
pub mod record;
pub mod remote_write;
pub mod settings;
#[cfg(test)]
mod testing;

pub use fields::Budget;
pub use protobuf::FormError;
