//! Time, so that tests and simulations can own it.

use norn_model::Millis;

/// Tells the time. Refuses to sleep: waiting belongs to the runtime.
pub trait Clock: Send + Sync {
    /// Unix milliseconds now.
    fn now(&self) -> Millis;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(d) => d.as_millis() as Millis,
            Err(e) => -(e.duration().as_millis() as Millis),
        }
    }
}
