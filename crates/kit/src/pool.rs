//! The CPU pool: named threads for work that computes and never waits.
//!
//! Handing work over costs 11–15 µs, so a job should be worth 100 µs or more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

/// A third of the CPU that a thread of normal priority gets when both want it.
const YIELDING_NICENESS: i32 = 5;

/// A job that gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The job panicked; the panic was logged.
    #[error("a job on the CPU pool panicked")]
    Panicked,
}

/// A pool of threads. Cloning copies a pointer; the threads end with the last clone.
#[derive(Clone, Debug)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
}

impl Pool {
    /// A pool of `threads` threads called `<name>-<n>`; 0 takes one a core.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads.
    pub fn new(name: &'static str, threads: usize) -> std::io::Result<Self> {
        Self::start(name, threads, |_| {})
    }

    /// As [`Pool::new`], of threads that yield to all others of the process and the machine: what
    /// they compute may come later, but must not make short work wait.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads.
    pub fn yielding(name: &'static str, threads: usize) -> std::io::Result<Self> {
        Self::start(name, threads, |_| {
            // On Linux this is the niceness of the calling thread alone.
            if let Err(error) = rustix::process::nice(YIELDING_NICENESS) {
                tracing::warn!(%error, "the priority of a thread can not be lowered");
            }
        })
    }

    fn start(
        name: &'static str,
        threads: usize,
        begin: impl Fn(usize) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |i| format!("{name}-{i}"))
            .start_handler(begin)
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self { threads: Arc::new(pool) })
    }

    /// Runs `job` on the pool and waits for its result without blocking the caller's thread.
    ///
    /// A caller that stops waiting does not stop the job.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (tx, rx) = oneshot::channel();
        self.threads.spawn(move || {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(job)) {
                // The caller may have gone; then nobody wants the result.
                let _ = tx.send(result);
            }
        });
        rx.await.map_err(|_| PoolError::Panicked)
    }

    /// The rayon pool, for parallel loops inside of a job.
    pub fn rayon(&self) -> &rayon::ThreadPool {
        &self.threads
    }

    /// The rayon pool, to be kept by someone who hands jobs over by other means.
    pub fn shared(&self) -> Arc<rayon::ThreadPool> {
        self.threads.clone()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_yielding_pool_lowers_its_own_threads_alone() -> std::io::Result<()> {
        let niceness = || rustix::process::getpriority_process(None).ok();
        let before = niceness();
        let inside = Pool::yielding("yielding", 1)?.run(niceness).await;
        assert_eq!(inside, Ok(before.map(|n| (n + YIELDING_NICENESS).min(19))));
        assert_eq!(niceness(), before);
        Ok(())
    }

    #[tokio::test]
    async fn runs_jobs_on_named_threads_and_survives_panics() -> std::io::Result<()> {
        let pool = Pool::new("cpu", 2)?;
        assert_eq!(pool.threads(), 2);
        let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await;
        assert!(matches!(&name, Ok(Some(n)) if n.starts_with("cpu-")), "{name:?}");
        assert_eq!(pool.run(|| panic!("boom")).await, Err::<(), _>(PoolError::Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
        Ok(())
    }
}
