//! The functions of the language: names and types, not what they compute.

use crate::ast::ValueType;

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Name as written.
    pub name: &'static str,
    /// Types of arguments.
    pub args: &'static [ValueType],
    /// 0: exactly `args`; n > 0: the last n arguments are optional; −1: the last argument may be
    /// repeated any number of times, or left out.
    pub variadic: i32,
    /// What it yields.
    pub returns: ValueType,
    /// Whether it needs `promql-experimental-functions`.
    pub experimental: bool,
}
