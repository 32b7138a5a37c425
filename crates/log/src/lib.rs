//! Embedded ingest log: segments, group commit, torn-tail repair.
