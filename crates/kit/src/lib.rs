//! Service lifecycle, CPU pool, memory ledger, metrics registry, logging.
