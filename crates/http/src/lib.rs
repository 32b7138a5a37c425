//! The door: connections in, requests out, and everything that holds for every request.
//!
//! ```text
//! socket → server (limits, deadlines, drain) → router: observe → [tenant] → guard body → handler
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`server`] | accept loop, HTTP/1.1 and h2c on one port, graceful drain |
//! | [`router`] | puts the routes of all roles together with the layers they need |
//! | [`tenant`] | who a request belongs to |
//! | [`body`] | bodies capped in bytes and time |
//! | [`observe`] | metrics, panics, one log line a failure, trace ids |
//! | [`pages`] | `/ready`, `/services`, `/config`, `/metrics` and the index |

pub mod body;
mod deadline;
pub mod observe;
pub mod pages;
pub mod router;
pub mod server;
pub mod tenant;

pub use axum;
pub use router::{Routes, assemble};
pub use server::{Listener, serve};
