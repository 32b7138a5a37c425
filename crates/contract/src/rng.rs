//! Randomness, so that tests and simulations can own it.

use std::hash::{BuildHasher, RandomState};

/// Gives random bits. Refuses to be a secret: names need to differ, not to be unguessable.
pub trait Rng: Send + Sync {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

/// The machine's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        // Keys are drawn from the system once a thread and change with each state.
        RandomState::new().hash_one(std::thread::current().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ() {
        let mut seen: Vec<u64> = (0..1000).map(|_| SystemRng.next_u64()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}
