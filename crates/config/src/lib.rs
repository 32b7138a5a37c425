//! One flag table for flags, YAML, help and reference.

pub mod options;
