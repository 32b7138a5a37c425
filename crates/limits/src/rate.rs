//! Token buckets, one a tenant.
//!
//! A bucket holds up to `burst` tokens and gains `per_second`. Taking is all or nothing. The
//! caller says what time it is; a clock that goes back adds nothing and takes nothing away.

use hashbrown::HashMap;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::Mutex;

/// How fast and how much at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens gained a second.
    pub per_second: f64,
    /// Tokens the bucket holds; what may be taken at once.
    pub burst: u64,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not enough tokens now; later there may be.
    Empty,
    /// More than the bucket ever holds.
    AboveBurst,
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    tokens: f64,
    at: Millis,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Millis) -> Self {
        Self { tokens: rate.burst as f64, at: now }
    }

    /// Takes `n` tokens or none. `rate` may differ from call to call.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says whether waiting can help.
    pub fn take(&mut self, n: u64, rate: Rate, now: Millis) -> Result<(), Refusal> {
        self.refill(rate, now);
        if n > rate.burst {
            return Err(Refusal::AboveBurst);
        }
        let n = n as f64;
        if n > self.tokens {
            return Err(Refusal::Empty);
        }
        self.tokens -= n;
        Ok(())
    }

    fn refill(&mut self, rate: Rate, now: Millis) {
        let elapsed = now.saturating_sub(self.at).max(0) as f64 / 1000.0;
        self.tokens = (self.tokens + elapsed * rate.per_second.max(0.0)).min(rate.burst as f64);
        self.at = now;
    }

    fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.refill(rate, now);
        self.tokens >= rate.burst as f64
    }
}

/// Buckets of all tenants. A bucket that is full again is forgotten now and then, so idle
/// tenants cost nothing.
#[derive(Debug, Default)]
pub struct RateLimiter {
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    by_tenant: HashMap<Tenant, (TokenBucket, Rate), foldhash::fast::RandomState>,
    sweep_at: usize,
}

/// Below this many tenants nothing is swept.
const SWEEP_MIN: usize = 1024;

impl RateLimiter {
    /// A limiter that has seen no one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `n` tokens of `tenant` or none.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says whether waiting can help.
    pub fn take(&self, tenant: &Tenant, n: u64, rate: Rate, now: Millis) -> Result<(), Refusal> {
        let mut buckets = self.buckets.lock();
        if let Some((bucket, last)) = buckets.by_tenant.get_mut(tenant) {
            *last = rate;
            return bucket.take(n, rate, now);
        }
        buckets.make_room(now);
        let mut bucket = TokenBucket::new(rate, now);
        let result = bucket.take(n, rate, now);
        buckets.by_tenant.insert(tenant.clone(), (bucket, rate));
        result
    }

    /// Lets the bucket of `tenant` go; it has a full one if it comes again.
    pub fn forget(&self, tenant: &Tenant) {
        self.buckets.lock().by_tenant.remove(tenant);
    }
}

impl Buckets {
    /// Forgets full buckets when there are twice as many as were left by the last sweep.
    fn make_room(&mut self, now: Millis) {
        if self.by_tenant.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.by_tenant.retain(|_, (bucket, rate)| !bucket.is_full(*rate, now));
        self.sweep_at = self.by_tenant.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RATE: Rate = Rate { per_second: 10.0, burst: 100 };

    #[test]
    fn takes_all_or_nothing() {
        let mut bucket = TokenBucket::new(RATE, 0);
        assert_eq!(bucket.take(101, RATE, 0), Err(Refusal::AboveBurst));
        assert_eq!(bucket.take(100, RATE, 0), Ok(()));
        assert_eq!(bucket.take(1, RATE, 99), Err(Refusal::Empty));
        assert_eq!(bucket.take(1, RATE, 100), Ok(()));
        assert_eq!(bucket.take(6, RATE, 600), Err(Refusal::Empty));
        assert_eq!(bucket.take(5, RATE, 600), Ok(()));
    }

    #[test]
    fn never_holds_more_than_the_burst_and_survives_odd_clocks() {
        let mut bucket = TokenBucket::new(RATE, 1000);
        assert_eq!(bucket.take(100, RATE, Millis::MAX), Ok(()));
        assert_eq!(bucket.take(1, RATE, Millis::MIN), Err(Refusal::Empty));
        assert_eq!(bucket.take(1, RATE, Millis::MIN + 100), Ok(()));
        assert_eq!(bucket.take(100, RATE, Millis::MAX), Ok(()));
    }

    #[test]
    fn a_changed_limit_holds_at_once() {
        let mut bucket = TokenBucket::new(RATE, 0);
        let lower = Rate { per_second: 1.0, burst: 10 };
        assert_eq!(bucket.take(11, lower, 0), Err(Refusal::AboveBurst));
        assert_eq!(bucket.take(10, lower, 0), Ok(()));
        assert_eq!(bucket.take(1, RATE, 0), Err(Refusal::Empty));
        let zero = Rate { per_second: 0.0, burst: 0 };
        assert_eq!(bucket.take(0, zero, 5), Ok(()));
        assert_eq!(bucket.take(1, zero, 5), Err(Refusal::AboveBurst));
    }

    #[test]
    fn tenants_do_not_share_and_idle_ones_are_forgotten() {
        let limiter = RateLimiter::new();
        for i in 0..SWEEP_MIN {
            let tenant = Tenant::admit(&format!("t{i}")).unwrap();
            assert_eq!(limiter.take(&tenant, 100, RATE, 0), Ok(()));
        }
        let first = Tenant::admit("t0").unwrap();
        assert_eq!(limiter.take(&first, 1, RATE, 1), Err(Refusal::Empty));
        let late = Tenant::admit("late").unwrap();
        assert_eq!(limiter.take(&late, 100, RATE, 10_000), Ok(()));
        assert_eq!(limiter.buckets.lock().by_tenant.len(), 1);
    }
}
