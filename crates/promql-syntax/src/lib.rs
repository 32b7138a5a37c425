//! PromQL text to syntax tree and back.

pub mod ast;
pub mod function;
