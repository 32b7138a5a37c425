//! Load generator: the same bytes for Norn and for any other server.
//!
//! | module | subject |
//! |---|---|
//! | [`fleet`] | many copies of one recorded node_exporter, at any scrape |
//! | [`body`] | remote-write bodies, protocol 1 and 2 |
//! | [`http`] | a keep-alive HTTP/1.1 client that costs little |
//! | [`process`] | CPU and memory of another process |
//! | [`ingest`] | the ingest benchmark |
//! | [`query`] | the query benchmark |
//! | [`latency`] | acknowledgements at a steady rate, with and without queries |
//! | [`requests`] | series, label names, label values |

pub mod body;
pub mod fleet;
pub mod http;
pub mod ingest;
pub mod latency;
pub mod process;
pub mod query;
pub mod requests;
