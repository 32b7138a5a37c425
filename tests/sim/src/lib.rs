//! Deterministic simulation of the write side.
//!
//! A seed decides everything that happens to a real log, real heads and a file system in memory:
//! which records come, which thread takes a step, when the power goes and what the disk keeps. A
//! model knows what was acknowledged; after every fault the answers are compared with it. See the
//! README for what is covered.
//!
//! | module | subject |
//! |---|---|
//! | [`world`] | events, and the run of a seed |
//! | [`traffic`] | records as clients send them |
//! | [`process`] | the real parts, without threads |
//! | [`ledger`] | what was acknowledged, and the comparison |
//! | [`fold`] | a naive head |
//! | [`value`] | values as they are compared |

pub mod fold;
pub mod ledger;
pub mod process;
pub mod traffic;
pub mod value;
pub mod world;
