//! Where roles meet: object-safe traits, and the plain data that crosses them.
//!
//! Roles never import each other. In one process the node hands a role the local
//! implementation of a contract; spread over machines it hands the remote one. Each contract
//! says what it refuses to do.
//!
//! | module | contract | local implementation |
//! |---|---|---|
//! | [`append`] | take one remote-write request | distributor |
//! | [`log`] | keep records durably and in order | log |
//! | [`applied`] | tell what a consumed record's content was refused for | ingester |
//! | [`holdings`] | tell what is in memory | ingester |
//! | [`source`] | give back series, labels and metadata | ingester, querier's merge |
//! | [`cardinality`] | count series by label values | ingester |
//! | [`merge`] | several sources as one | here |
//! | [`clock`] | tell the time | kit |
//! | [`rng`] | give random bits | here |
//! | [`fs`] | files and directories | log |

pub mod append;
pub mod applied;
pub mod cardinality;
pub mod clock;
pub mod fs;
pub mod holdings;
pub mod log;
pub mod merge;
pub mod rng;
pub mod source;
