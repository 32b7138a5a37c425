//! What a tenant's limits leave of a source, for one request.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use norn_contract::source::{
    ExemplarsRequest, LabelsRequest, MetadataRequest, MetricMetadata, Need, SelectRequest, Selection,
    SeriesExemplars, SeriesSource, SourceError,
};
use norn_limits::Limits;
use norn_model::Millis;
use norn_model::labels::Labels;
use norn_model::rejection::Rejection;
use parking_lot::Mutex;

/// A source that goes no further than a tenant may.
pub(crate) struct Limited {
    source: Arc<dyn SeriesSource>,
    limits: Arc<Limits>,
    /// Nothing before is seen.
    oldest: Millis,
    /// Hashes of the series read so far, where they are limited.
    series: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Limited {
    /// `source` for one request at `now`.
    pub(crate) fn new(source: Arc<dyn SeriesSource>, limits: Arc<Limits>, now: Millis) -> Self {
        let oldest = oldest(&limits, now);
        Self { source, limits, oldest, series: Mutex::default(), hasher: RandomState::new() }
    }

    fn check_length(&self, request: &SelectRequest) -> Result<(), SourceError> {
        let limit = self.limits.max_partial_query_length;
        let length = request.maxt.saturating_sub(request.mint);
        if request.need == Need::Labels || limit.is_zero() || length as u128 <= limit.as_millis() {
            return Ok(());
        }
        let message = format!(
            "a selector of the query covers too much time (query range: {:?}, limit: {limit:?})",
            Duration::from_millis(length as u64)
        );
        Err(rejected("max-query-length", &message, "querier.max-partial-query-length"))
    }

    /// Counts each series of the request once.
    fn count(&self, labels: &[Labels]) -> Result<(), SourceError> {
        let limit = self.limits.max_fetched_series_per_query;
        if limit == 0 {
            return Ok(());
        }
        let mut series = self.series.lock();
        for labels in labels {
            series.insert(self.hasher.hash_one(labels));
            if series.len() > limit {
                return Err(too_many_series(limit));
            }
        }
        Ok(())
    }

    fn clamp_labels(&self, request: LabelsRequest) -> LabelsRequest {
        LabelsRequest { mint: request.mint.max(self.oldest), ..request }
    }
}

/// The first millisecond that may be seen at `now`.
pub(crate) fn oldest(limits: &Limits, now: Millis) -> Millis {
    let bounds = [limits.max_query_lookback, limits.compactor_blocks_retention_period];
    match bounds.into_iter().filter(|bound| !bound.is_zero()).min() {
        Some(bound) => now.saturating_sub(Millis::try_from(bound.as_millis()).unwrap_or(Millis::MAX)),
        None => Millis::MIN,
    }
}

impl SeriesSource for Limited {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        async move {
            let mint = request.mint.max(self.oldest);
            if mint > request.maxt {
                return Ok(Selection::empty());
            }
            let mut request = SelectRequest { mint, ..request };
            self.check_length(&request)?;
            if request.need == Need::Labels {
                return self.source.select(request).await;
            }
            request.max_series = self.limits.max_fetched_series_per_query;
            let selection = match self.source.select(request).await {
                Err(SourceError::TooManySeries { limit }) => return Err(too_many_series(limit)),
                other => other?,
            };
            self.count(&selection.labels)?;
            Ok(selection)
        }
        .boxed()
    }

    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        self.source.label_names(self.clamp_labels(request))
    }

    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        self.source.label_values(name, self.clamp_labels(request))
    }

    fn metadata(&self, request: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
        self.source.metadata(request)
    }

    fn exemplars(
        &self,
        request: ExemplarsRequest,
    ) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        let mint = request.mint.max(self.oldest);
        self.source.exemplars(ExemplarsRequest { mint, ..request })
    }
}

fn too_many_series(limit: usize) -> SourceError {
    let message = format!("the query reads more series than a single query may (limit: {limit} series)");
    rejected("max-series-per-query", &message, "querier.max-fetched-series-per-query")
}

fn rejected(id: &'static str, message: &str, flag: &str) -> SourceError {
    SourceError::Limit(Rejection::new(id, "", message).with_tenant_flags(&[flag]).text)
}
