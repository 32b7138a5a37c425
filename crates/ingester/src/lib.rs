//! Consumes log partitions into heads, answers for recent data.
