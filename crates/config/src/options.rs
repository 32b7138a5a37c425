//! The options of every part.

pub mod limits;
