//! Generated queries asked of both servers, as instant and as range query.
//!
//! | module | subject |
//! |---|---|
//! | [`servers`] | both servers with the data of a seed |
//! | [`times`] | at which times a query is asked |
//! | [`answer`] | an answer in a form that can be compared |
//! | [`difference`] | the first difference between two answers |
//! | [`stepwise`] | a range without the reference's own randomness |
//! | [`check`] | one query, instant and range |
//! | [`report`] | many queries, counts and coverage |

pub mod answer;
pub mod check;
pub mod difference;
pub mod report;
pub mod servers;
pub mod stepwise;
pub mod times;
