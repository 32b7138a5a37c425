//! A tenant's local blocks as one source of series.

use std::sync::Arc;

use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt, ready};
use norn_contract::merge::Merged;
use norn_contract::source::{
    ExemplarsRequest, LabelsRequest, MetadataRequest, MetricMetadata, SelectRequest, Selection,
    SeriesExemplars, SeriesSource, SourceError,
};
use norn_model::Millis;
use norn_model::tenant::Tenant;

use super::{LocalBlock, LocalBlocks};

/// Blocks of one tenant; which ones is looked up for each question.
pub struct TenantBlocks {
    blocks: Arc<LocalBlocks>,
    tenant: Tenant,
}

impl TenantBlocks {
    pub(super) fn new(blocks: Arc<LocalBlocks>, tenant: Tenant) -> Self {
        Self { blocks, tenant }
    }

    /// Asks the blocks that overlap `mint..=maxt`, on the pool.
    async fn ask<T: Send + 'static>(
        &self,
        (mint, maxt): (Millis, Millis),
        question: impl FnOnce(Arc<dyn SeriesSource>) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<Option<T>, SourceError> {
        let list = self.blocks.of(&self.tenant);
        let asked: Vec<Arc<LocalBlock>> = list.iter().filter(|b| b.overlaps(mint, maxt)).cloned().collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let fs = Arc::clone(&self.blocks.fs);
        let job = move || {
            let mut sources: Vec<Arc<dyn SeriesSource>> = Vec::with_capacity(asked.len());
            for block in asked {
                if let Some(block) = block.get(&*fs)? {
                    sources.push(Arc::new(block));
                }
            }
            question(Merged::of(sources)).map(Some)
        };
        let failed = |e| SourceError::Unavailable(format!("local blocks can not be read: {e}"));
        self.blocks.pool.run(job).await.map_err(failed)?
    }
}

impl SeriesSource for TenantBlocks {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        async move {
            let range = (request.mint, request.maxt);
            let found = self.ask(range, |source| block_on(source.select(request))).await?;
            Ok(found.unwrap_or_else(Selection::empty))
        }
        .boxed()
    }

    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async move {
            let range = (request.mint, request.maxt);
            let names = self.ask(range, |source| block_on(source.label_names(request))).await?;
            Ok(names.unwrap_or_default())
        }
        .boxed()
    }

    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        async move {
            let range = (request.mint, request.maxt);
            let values = self.ask(range, |source| block_on(source.label_values(name, request))).await?;
            Ok(values.unwrap_or_default())
        }
        .boxed()
    }

    /// Blocks hold none.
    fn metadata(&self, _: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Blocks hold none.
    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        ready(Ok(Vec::new())).boxed()
    }
}
