//! PromQL evaluation over any [`SeriesSource`](norn_contract::source::SeriesSource).
//!
//! Knows no storage, HTTP or tenant.
//!
//! ```text
//! text ──parse──▶ Expr ──plan──▶ Plan ──select──▶ Query ──open──▶ Table ──▶ Output
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`engine`] | runs queries |
//! | [`plan`] | what a query does, with all times known |
//! | [`query`] | what all operators of a running query share |
//! | [`operator`] | from plan to rows |
//! | [`window`] | functions over ranges of samples |
//! | [`block`] | columns of results |
//! | [`series`] | labels of results |
//! | [`decode`] | from chunks to columns of samples |
//! | [`result`](mod@result) | from rows to the result |
//! | [`annotation`] | warnings and infos |
//! | [`ledger`], [`cancel`] | memory account, stopping from outside |
//! | [`grid`] | evaluation times |
//! | [`histogram`], [`numeric`] | arithmetic with the reference's bits |
//! | [`value`], [`error`] | what a query yields, or why it does not |

pub mod annotation;
pub mod block;
pub mod cancel;
pub mod decode;
pub mod engine;
pub mod error;
pub mod grid;
pub mod histogram;
pub mod ledger;
pub mod numeric;
pub mod operator;
pub mod plan;
pub mod query;
pub mod result;
#[cfg(any(test, feature = "testing"))]
pub mod script;
pub mod series;
mod stack;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod value;
pub mod window;

/// The language's text and tree.
pub use norn_promql_syntax as syntax;

pub use cancel::Cancel;
pub use engine::{Engine, Options, Request};
pub use error::QueryError;

#[cfg(test)]
mod tests;
