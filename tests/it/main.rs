//! Integration tests: real processes, real sockets, one binary.

mod prometheus_agrees;
