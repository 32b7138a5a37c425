//! Prometheus HTTP API over series sources.
