//! What must hold whatever the bytes are. A target panics where it does not.

pub mod block;
pub mod checkpoint;
pub mod chunk;
pub mod columns;
pub mod content;
pub mod histogram;
pub mod log;
pub mod matcher;
pub mod promql;
pub mod record;
pub mod record_columns;
pub mod remote_write;
pub mod settings;
pub mod snapshot;
