//! What one query holds in memory.
//!
//! Buffers are charged when they are taken and given back when their [`Charge`] is dropped, so
//! that an error path can not leak.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::QueryError;

/// The account of one query.
#[derive(Debug, Default)]
pub struct Ledger {
    limit: u64,
    held: AtomicU64,
    peak: AtomicU64,
}

/// Bytes that are given back on drop.
#[derive(Debug, Default)]
pub struct Charge {
    ledger: Option<Arc<Ledger>>,
    bytes: u64,
}

impl Ledger {
    /// An account with a limit in bytes; 0 = none.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, ..Self::default() })
    }

    /// Takes `bytes`.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, QueryError> {
        let mut charge = Charge { ledger: Some(self.clone()), bytes: 0 };
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// The most that was held at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), QueryError> {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
        if self.limit > 0 && held > self.limit {
            return Err(QueryError::TooMuchMemory { limit: self.limit });
        }
        Ok(())
    }
}

impl Charge {
    /// Takes `bytes` more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.bytes += bytes as u64;
        match &self.ledger {
            Some(ledger) => ledger.take(bytes as u64),
            None => Ok(()),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_a_failed_charge_took() {
        let ledger = Ledger::new(100);
        let first = ledger.charge(80).expect("fits");
        assert!(ledger.charge(30).is_err());
        drop(first);
        assert!(ledger.charge(100).is_ok());
        assert_eq!(ledger.peak(), 110);
    }
}
