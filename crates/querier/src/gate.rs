//! How many queries are evaluated at once, and which they are.
//!
//! A query waits in order of arrival; the wait counts into its timeout and ends when the client
//! leaves.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use norn_contract::fs::FileSystem;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::active::{ActiveQueries, LeftOver, Slot};
use crate::error::ApiError;

/// Name of the file in the data directory.
const ACTIVE_FILE: &str = "queries.active";

/// Where queries wait until they may run.
pub struct Gate {
    permits: Arc<Semaphore>,
    active: Option<Arc<ActiveQueries>>,
}

/// A query that may run. Dropped when it ended.
pub(crate) struct Running {
    _slot: Option<Slot>,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    /// Lets `max_concurrent` queries run at once, at least 1.
    pub fn new(max_concurrent: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(bounded(max_concurrent))), active: None }
    }

    /// The same, and keeps a file in `dir` that names the queries that run. What it names from
    /// the last time is logged and given back.
    ///
    /// # Errors
    ///
    /// When the file can not be read or written.
    pub fn with_file(
        max_concurrent: usize,
        fs: &dyn FileSystem,
        dir: &Path,
    ) -> io::Result<(Self, Vec<LeftOver>)> {
        fs.create_dir_all(dir)?;
        let (active, left) = ActiveQueries::open(fs, &dir.join(ACTIVE_FILE), bounded(max_concurrent))?;
        Ok((Self { active: Some(Arc::new(active)), ..Self::new(max_concurrent) }, left))
    }

    /// Waits until `query` may run.
    pub(crate) async fn enter(
        &self,
        tenant: &Tenant,
        query: &str,
        now: Millis,
        deadline: Instant,
    ) -> Result<Running, ApiError> {
        let permit = tokio::time::timeout_at(deadline.into(), self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            // The semaphore is never closed.
            return Err(ApiError::Told("timeout", "query timed out in query queue".to_owned()));
        };
        let slot = self.active.as_ref().and_then(|active| active.enter(tenant, query, now));
        Ok(Running { _slot: slot, _permit: permit })
    }
}

fn bounded(max_concurrent: usize) -> usize {
    max_concurrent.clamp(1, Semaphore::MAX_PERMITS)
}
