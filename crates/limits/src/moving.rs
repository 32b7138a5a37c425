//! How fast something happens, smoothed over the last seconds.
//!
//! Each second counts a fifth, the one before it a fifth of the rest, and so on. The caller says
//! what time it is.

use norn_model::Millis;
use parking_lot::Mutex;

/// Length of a tick.
const TICK: Millis = 1000;
/// What the newest tick counts.
const SHARE: f64 = 0.2;
/// After this many ticks without anything the rate is zero.
const FADED: Millis = 200;

/// Events a second.
#[derive(Debug, Default)]
pub struct MovingRate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Start of the tick that is being counted; `None` before the first event.
    since: Option<Millis>,
    count: u64,
    rate: Option<f64>,
}

impl MovingRate {
    /// Counts `n` events.
    pub fn add(&self, n: u64, now: Millis) {
        let mut state = self.state.lock();
        state.advance(now);
        state.count = state.count.saturating_add(n);
    }

    /// Events a second; 0 until the first second is over.
    pub fn per_second(&self, now: Millis) -> f64 {
        let mut state = self.state.lock();
        state.advance(now);
        state.rate.unwrap_or(0.0)
    }
}

impl State {
    fn advance(&mut self, now: Millis) {
        let since = *self.since.get_or_insert(now);
        let ticks = now.saturating_sub(since) / TICK;
        if ticks < 0 {
            // The clock went back.
            self.since = Some(now);
        } else if ticks > FADED {
            *self = Self { since: Some(now), count: 0, rate: Some(0.0) };
        } else if ticks > 0 {
            self.since = Some(since.saturating_add(ticks * TICK));
            for _ in 0..ticks {
                let second = std::mem::take(&mut self.count) as f64 * 1000.0 / TICK as f64;
                self.rate = Some(self.rate.map_or(second, |rate| rate + SHARE * (second - rate)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_happens() {
        let rate = MovingRate::default();
        rate.add(100, 5000);
        assert_eq!(rate.per_second(5999), 0.0);
        assert_eq!(rate.per_second(6000), 100.0);
        rate.add(200, 6500);
        assert_eq!(rate.per_second(7000), 120.0);
        assert_eq!(rate.per_second(8999), 96.0);
        assert!(rate.per_second(30_000) < 1.0);
        assert_eq!(rate.per_second(Millis::MAX), 0.0);
    }

    #[test]
    fn survives_a_clock_that_goes_back() {
        let rate = MovingRate::default();
        rate.add(100, 50_000);
        rate.add(50, 1000);
        assert_eq!(rate.per_second(1500), 0.0);
        assert_eq!(rate.per_second(2000), 150.0);
        assert_eq!(rate.per_second(Millis::MIN), 150.0);
    }
}
