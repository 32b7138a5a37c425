//! Write road: validate, limit, shard, append to the ingest log.
