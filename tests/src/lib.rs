//! What integration tests share: real processes on free loopback ports, and a way to compare two
//! servers' answers.
//!
//! | module | subject |
//! |---|---|
//! | [`process`] | a child process that never outlives its test |
//! | [`norn`] | the server under test |
//! | [`prometheus`] | the oracle and sender, and its node_exporter |
//! | [`api`] | queries over HTTP |
//! | [`push`] | remote-write requests by hand |
//! | [`disk`] | small real file systems that can be made to fail |
//! | [`read`] | remote read by hand |
//! | [`ledger`] | what was acknowledged, held against what is there |
//! | [`trace`] | system calls of a process, in order |
//! | [`compare`] | two JSON answers, value by value |
//! | [`generator`] | data and queries made from a seed |
//! | [`differential`] | generated queries asked of both servers |

pub mod api;
pub mod compare;
pub mod differential;
pub mod disk;
pub mod generator;
pub mod ledger;
pub mod norn;
pub mod process;
pub mod prometheus;
pub mod push;
pub mod read;
pub mod trace;
