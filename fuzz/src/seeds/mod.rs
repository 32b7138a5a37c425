//! Small valid inputs to start from, one module per kind of format.

pub mod block;
pub mod chunk;
pub mod columns;
pub mod head;
pub mod log;
pub mod snapshot;
pub mod text;
pub mod wire;
