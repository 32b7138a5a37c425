//! Named services: started in order, watched while they run, stopped in reverse.
//!
//! A service is one future. It calls [`Context::running`] when it is ready for work, waits for
//! [`Context::stopped`], cleans up and returns:
//!
//! ```text
//! New → Starting → Running → Stopping → Terminated
//!          └──────────┴──────────┴────→ Failed
//! ```
//!
//! [`Manager::run`] starts them one after the other, so a service finds everything that was added
//! before it running. When one fails or ends by itself, the others are stopped and the failure is
//! the result.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a service returns when it can not go on.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where a service is in its life. The names are those of `/services`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    New,
    /// Its future runs but it is not ready.
    Starting,
    /// Ready.
    Running,
    /// Asked to stop.
    Stopping,
    /// Ended in order.
    Terminated,
    /// Ended with an error.
    Failed,
}

impl State {
    fn is_over(self) -> bool {
        matches!(self, State::Terminated | State::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The first service that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("service {service} failed: {reason}")]
pub struct Failure {
    /// Name of the service.
    pub service: &'static str,
    /// Its error, in words.
    pub reason: String,
}

struct Cell {
    name: &'static str,
    state: watch::Sender<State>,
    /// Shared by all services of a manager: what went wrong first.
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Cell {
    /// Moves on, but never out of an end state and never back.
    fn advance(&self, to: State) {
        self.state.send_if_modified(|state| {
            let forward = !state.is_over() && (*state as u8) < (to as u8);
            if forward {
                *state = to;
            }
            forward
        });
    }

    fn fail(&self, reason: String) {
        self.failure.lock().get_or_insert(Failure { service: self.name, reason });
        self.advance(State::Failed);
    }
}

/// What a running service is given.
pub struct Context {
    cell: Arc<Cell>,
    stop: watch::Receiver<bool>,
}

impl Context {
    /// Says that the service is ready. Without it the services after this one never start.
    pub fn running(&self) {
        self.cell.advance(State::Running);
    }

    /// Resolves when the service should stop.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // An error means that the manager is gone: stop then, too.
        let _ = stop.wait_for(|s| *s).await;
    }

    /// Whether the service should stop.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

type Body = Box<dyn FnOnce(Context) -> BoxFuture<'static, Result<(), Error>> + Send>;

struct Entry {
    cell: Arc<Cell>,
    stop: watch::Sender<bool>,
    body: Body,
}

/// The services of a process.
#[derive(Default)]
pub struct Manager {
    entries: Vec<Entry>,
    failure: Arc<Mutex<Option<Failure>>>,
}

/// A view on the states of a manager's services. Cheap to clone.
#[derive(Clone, Default)]
pub struct States {
    cells: Arc<[Arc<Cell>]>,
}

impl States {
    /// Every service and its state, in the order they start.
    pub fn list(&self) -> Vec<(&'static str, State)> {
        self.cells.iter().map(|c| (c.name, *c.state.borrow())).collect()
    }

    /// Whether every service runs.
    pub fn all_running(&self) -> bool {
        self.cells.iter().all(|c| *c.state.borrow() == State::Running)
    }
}

impl Manager {
    /// A manager without services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service. It starts after those that were added before and stops before them.
    pub fn add<F>(&mut self, name: &'static str, body: impl FnOnce(Context) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let cell = Cell { name, state: watch::Sender::new(State::New), failure: self.failure.clone() };
        self.entries.push(Entry {
            cell: Arc::new(cell),
            stop: watch::Sender::new(false),
            body: Box::new(move |ctx| Box::pin(body(ctx))),
        });
    }

    /// The states of the services added so far.
    pub fn states(&self) -> States {
        States { cells: self.entries.iter().map(|e| e.cell.clone()).collect() }
    }

    /// Starts the services, runs them until `until` resolves or one ends, and stops them. All
    /// of them together have about `grace` to stop; what still runs then is dropped.
    ///
    /// # Errors
    ///
    /// The first failure: an error, a panic, an end without being asked, or not stopping in time.
    pub async fn run(self, until: impl Future<Output = ()>, grace: Duration) -> Result<(), Failure> {
        let mut tasks = JoinSet::new();
        let mut started = Vec::with_capacity(self.entries.len());
        tokio::pin!(until);
        let mut ended = false;
        for entry in self.entries {
            let running = start(entry, &mut tasks);
            let mut state = running.cell.state.subscribe();
            started.push(running);
            tokio::select! {
                () = &mut until => ended = true,
                _ = state.wait_for(|s| *s != State::Starting) => {}
                _ = tasks.join_next() => {}
            }
            if ended || started.iter().any(|s| s.is_over()) {
                ended = true;
                break;
            }
        }
        if !ended {
            tokio::select! {
                () = &mut until => {}
                _ = tasks.join_next() => {}
            }
        }
        stop_all(&started, grace).await;
        tasks.shutdown().await;
        match self.failure.lock().take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

struct Started {
    cell: Arc<Cell>,
    stop: watch::Sender<bool>,
}

impl Started {
    fn is_over(&self) -> bool {
        self.cell.state.borrow().is_over()
    }
}

/// Fails the service when its future is dropped before it ended, as a panic does.
struct PanicGuard(Arc<Cell>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if !self.0.state.borrow().is_over() {
            let reason = if std::thread::panicking() { "panicked" } else { "was cut off" };
            self.0.fail(reason.to_owned());
        }
    }
}

fn start(entry: Entry, tasks: &mut JoinSet<()>) -> Started {
    let Entry { cell, stop, body } = entry;
    cell.advance(State::Starting);
    tracing::debug!(service = cell.name, "starting service");
    let context = Context { cell: cell.clone(), stop: stop.subscribe() };
    let asked = stop.subscribe();
    let future = body(context);
    let guard = PanicGuard(cell.clone());
    tasks.spawn(async move {
        let result = future.await;
        let cell = &guard.0;
        match result {
            Ok(()) if *asked.borrow() => cell.advance(State::Terminated),
            Ok(()) => cell.fail("ended without being asked to".to_owned()),
            Err(e) => cell.fail(e.to_string()),
        }
    });
    Started { cell, stop }
}

/// Stops in reverse. A service that uses up the grace leaves a tenth of it to each other one.
async fn stop_all(started: &[Started], grace: Duration) {
    let end = Instant::now() + grace;
    for service in started.iter().rev() {
        if service.is_over() {
            continue;
        }
        tracing::debug!(service = service.cell.name, "stopping service");
        service.cell.advance(State::Stopping);
        service.stop.send_replace(true);
        let mut state = service.cell.state.subscribe();
        let deadline = end.max(Instant::now() + grace / 10);
        if tokio::time::timeout_at(deadline, state.wait_for(|s| s.is_over())).await.is_err() {
            service.cell.fail("did not stop in time".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    type Events = Arc<Mutex<Vec<String>>>;

    fn well_behaved(manager: &mut Manager, name: &'static str, events: &Events) {
        let events = events.clone();
        manager.add(name, move |ctx| async move {
            events.lock().push(format!("start {name}"));
            ctx.running();
            ctx.stopped().await;
            events.lock().push(format!("stop {name}"));
            Ok(())
        });
    }

    #[tokio::test]
    async fn starts_in_order_and_stops_in_reverse() {
        let events = Events::default();
        let mut manager = Manager::new();
        well_behaved(&mut manager, "log", &events);
        well_behaved(&mut manager, "ingester", &events);
        let states = manager.states();
        assert_eq!(states.list(), [("log", State::New), ("ingester", State::New)]);
        let seen = states.clone();
        manager
            .run(
                async move {
                    while !seen.all_running() {
                        tokio::task::yield_now().await;
                    }
                },
                GRACE,
            )
            .await
            .unwrap();
        assert_eq!(*events.lock(), ["start log", "start ingester", "stop ingester", "stop log"]);
        assert_eq!(states.list(), [("log", State::Terminated), ("ingester", State::Terminated)]);
    }

    #[tokio::test]
    async fn a_failure_stops_the_others_and_is_the_result() {
        let events = Events::default();
        let mut manager = Manager::new();
        well_behaved(&mut manager, "log", &events);
        manager.add("ingester", |ctx| async move {
            ctx.running();
            Err("disk is gone".into())
        });
        let states = manager.states();
        let error = manager.run(std::future::pending(), GRACE).await.unwrap_err();
        assert_eq!(error.to_string(), "service ingester failed: disk is gone");
        assert_eq!(states.list(), [("log", State::Terminated), ("ingester", State::Failed)]);
        assert_eq!(*events.lock(), ["start log", "stop log"]);
    }

    #[tokio::test]
    async fn a_failure_while_starting_keeps_later_services_new() {
        let events = Events::default();
        let mut manager = Manager::new();
        manager.add("log", |_| async { Err("no space".into()) });
        well_behaved(&mut manager, "ingester", &events);
        let states = manager.states();
        let error = manager.run(std::future::pending(), GRACE).await.unwrap_err();
        assert_eq!(error.service, "log");
        assert_eq!(states.list(), [("log", State::Failed), ("ingester", State::New)]);
        assert!(events.lock().is_empty());
    }

    #[tokio::test]
    async fn panics_and_early_ends_are_failures() {
        let mut manager = Manager::new();
        manager.add("a", |_| async { panic!("boom") });
        let error = manager.run(std::future::pending(), GRACE).await.unwrap_err();
        assert_eq!(error.reason, "panicked");

        let mut manager = Manager::new();
        manager.add("b", |ctx| async move {
            ctx.running();
            Ok(())
        });
        let error = manager.run(std::future::pending(), GRACE).await.unwrap_err();
        assert_eq!(error.reason, "ended without being asked to");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_is_cut_off() {
        let events = Events::default();
        let mut manager = Manager::new();
        well_behaved(&mut manager, "log", &events);
        manager.add("stuck", |ctx| async move {
            ctx.running();
            std::future::pending().await
        });
        let error = manager.run(tokio::time::sleep(Duration::from_secs(1)), GRACE).await.unwrap_err();
        assert_eq!(error.to_string(), "service stuck failed: did not stop in time");
        assert_eq!(*events.lock(), ["start log", "stop log"]);
    }
}
