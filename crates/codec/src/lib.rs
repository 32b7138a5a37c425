//! Bit streams and chunk encodings of the Prometheus TSDB, checksums.
