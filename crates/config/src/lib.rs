//! Configuration: one table of options makes flags, YAML, help and `/config`.
//!
//! Flags win over YAML, YAML wins over defaults. Names are Mimir's where Mimir has the option;
//! options of Mimir that Norn does not have are accepted, ignored and reported, so that a
//! Mimir command line and file start Norn unchanged. A name that neither knows is an error.
//!
//! | module | subject |
//! |---|---|
//! | [`load`] | command line and environment in, configuration out |
//! | [`options`] | the options of every part, and the root that holds them |
//! | [`table`] | the macros that declare options, and the rows they make |
//! | [`value`] | types of options, Go's durations among them |
//! | [`render`] | help texts and `/config` |

mod env;
mod flags;
mod known;
pub mod load;
pub mod options;
pub mod render;
pub mod table;
pub mod value;
mod yaml;

pub use load::{ConfigError, Loaded, Run};
pub use options::Config;
