//! CPU clocks: how long a thread or the process has been computing.
//!
//! Reading a thread's clock costs a system call (about 0.2 µs): measure a batch, not a sample.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time the calling thread has used.
pub fn thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// CPU time the whole process has used.
pub fn process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let t = clock_gettime(clock);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Measures the CPU time of one thread between two points. Start and read it on one thread.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(thread())
    }

    /// CPU time since the start.
    pub fn elapsed(&self) -> Duration {
        thread().saturating_sub(self.0)
    }

    /// CPU time since the start or the last lap; starts the next lap.
    pub fn lap(&mut self) -> Duration {
        let now = thread();
        let lap = now.saturating_sub(self.0);
        self.0 = now;
        lap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_work_and_not_sleep() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(30));
        let asleep = watch.elapsed();
        let mut n = 1u64;
        while watch.elapsed() < asleep + Duration::from_millis(5) {
            n = std::hint::black_box(n.wrapping_mul(3));
        }
        assert!(asleep < Duration::from_millis(20), "{asleep:?} of CPU while asleep");
        assert!(process() >= Duration::from_millis(5));
    }
}
