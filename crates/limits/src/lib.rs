//! Per-tenant limits and rate limiters.
