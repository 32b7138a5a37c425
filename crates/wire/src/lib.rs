//! Remote-write decoders, ingest-log records, content encodings with caps.
