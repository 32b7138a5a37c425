//! Recent samples of a partition: series, postings, chunks, readers.
