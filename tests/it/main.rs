//! Integration tests: real processes, real sockets, one binary.

mod active_queries;
mod blocks;
mod cut;
mod exemplars;
mod faults;
mod generated_queries;
mod hostile_queries;
mod hostile_writes;
mod newcomer;
mod prometheus_agrees;
mod remote_read;
mod shipped_bugs;
mod support;
mod tenants;
mod write_edges;
mod write_load;
mod write_rules;
