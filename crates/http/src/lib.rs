//! Accept loop, tenant extraction, limits, drain, error bodies.
