//! Wires roles from configuration.
