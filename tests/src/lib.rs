//! Integration tests against real parts.
