//! A block as a source of series. Everything is read in the calling thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{BoxFuture, ready};
use norn_contract::source::{
    ChunkBuf, Coverage, ExemplarsRequest, LabelsRequest, MetadataRequest, MetricMetadata, Need,
    SelectRequest, Selection, SeriesData, SeriesExemplars, SeriesSource, SourceError,
};
use norn_model::Millis;
use norn_model::labels::Labels;

use crate::Error;
use crate::block::{Block, Parts};
use crate::index::{Series, SeriesRef};

/// Series of a selection; entries are read again when their chunks are asked for.
struct Selected {
    parts: Arc<Parts>,
    series: Vec<SeriesRef>,
    mint: Millis,
    maxt: Millis,
}

impl SeriesData for Selected {
    fn read(&self, index: usize, out: &mut ChunkBuf) -> Result<(), SourceError> {
        let Some(&series) = self.series.get(index) else { return Ok(()) };
        self.read_series(series, out).map_err(|e| self.parts.failed(e))
    }
}

impl Selected {
    fn read_series(&self, series: SeriesRef, out: &mut ChunkBuf) -> Result<(), Error> {
        let mut cursor = self.parts.index.series();
        let mut wanted = Vec::new();
        for chunk in cursor.read(series)?.chunks()? {
            let chunk = chunk?;
            if chunk.mint > self.maxt {
                break;
            }
            if chunk.maxt >= self.mint {
                wanted.push(chunk);
            }
        }
        self.parts.chunks.read(&wanted, out)
    }
}

impl Parts {
    fn failed(&self, e: Error) -> SourceError {
        e.within(&format!("block {}", self.meta.ulid)).into()
    }

    /// Gives each of `series` that has a chunk in the range to `f`, until that answers false.
    fn each_within(
        &self,
        series: &[SeriesRef],
        (mint, maxt): (Millis, Millis),
        mut f: impl FnMut(SeriesRef, &mut Series<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut cursor = self.index.series();
        for &series in series {
            let mut entry = cursor.read(series)?;
            if entry.overlaps(mint, maxt)? && !f(series, &mut entry)? {
                break;
            }
        }
        Ok(())
    }

    /// Series that pass any of the sets of matchers.
    fn any_of(&self, request: &LabelsRequest) -> Result<Vec<SeriesRef>, Error> {
        let mut all = Vec::new();
        for matchers in &request.matchers {
            all.extend(self.index.select(matchers)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

impl Block {
    fn select_now(&self, request: &SelectRequest) -> Result<Selection, SourceError> {
        let parts = &self.parts;
        let range = (request.mint, request.maxt);
        let found = if self.overlaps(range.0, range.1) {
            parts.index.select(&request.matchers).map_err(|e| parts.failed(e))?
        } else {
            Vec::new()
        };
        let limit = if request.max_series == 0 { usize::MAX } else { request.max_series };
        let mut labels: Vec<Labels> = Vec::new();
        let mut series = Vec::new();
        let visited = parts.each_within(&found, range, |at, entry| {
            let of = entry.labels()?;
            if labels.last().is_some_and(|last| *last >= of) {
                return Err(Error::corrupt(format!("index: series {of} is out of order")));
            }
            labels.push(of);
            series.push(at);
            Ok(labels.len() <= limit)
        });
        visited.map_err(|e| parts.failed(e))?;
        if labels.len() > limit {
            return Err(SourceError::TooManySeries { limit });
        }
        if request.need == Need::Labels {
            series = Vec::new();
        }
        let data = Selected { parts: Arc::clone(parts), series, mint: range.0, maxt: range.1 };
        Ok(Selection { labels, data: Arc::new(data), coverage: self.coverage() })
    }

    /// The block's whole range.
    fn coverage(&self) -> Coverage {
        let meta = self.meta();
        Coverage { mint: meta.min_time, maxt: meta.max_time.saturating_sub(1) }
    }

    fn names_now(&self, request: &LabelsRequest) -> Result<Vec<String>, Error> {
        let index = self.index();
        if request.matchers.is_empty() {
            return Ok(limited(index.label_names(), request.limit));
        }
        let mut names = BTreeSet::new();
        self.parts.each_within(&self.parts.any_of(request)?, (request.mint, request.maxt), |_, entry| {
            entry.each_label(|name, _| {
                names.insert(name);
                Ok(())
            })?;
            Ok(true)
        })?;
        Ok(limited(names.into_iter().map(|name| index.symbol(name)), request.limit))
    }

    fn values_now(&self, name: &str, request: &LabelsRequest) -> Result<Vec<String>, Error> {
        let index = self.index();
        if request.matchers.is_empty() {
            return Ok(limited(index.label_values(name), request.limit));
        }
        let mut values = BTreeSet::new();
        self.parts.each_within(&self.parts.any_of(request)?, (request.mint, request.maxt), |_, entry| {
            entry.each_label(|of, value| {
                if index.symbol(of) == name {
                    values.insert(value);
                }
                Ok(())
            })?;
            Ok(true)
        })?;
        Ok(limited(values.into_iter().map(|value| index.symbol(value)), request.limit))
    }
}

/// At most `limit` texts; 0 = all.
fn limited<'a>(texts: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    texts.take(limit).map(str::to_owned).collect()
}

impl SeriesSource for Block {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selection, SourceError>> {
        Box::pin(async move { self.select_now(&request) })
    }

    /// Without matchers: all names of the block, if it overlaps the range at all.
    fn label_names(&self, request: LabelsRequest) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            if !self.overlaps(request.mint, request.maxt) {
                return Ok(Vec::new());
            }
            self.names_now(&request).map_err(|e| self.parts.failed(e))
        })
    }

    /// Without matchers: all values of the block, if it overlaps the range at all.
    fn label_values(
        &self,
        name: String,
        request: LabelsRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            if !self.overlaps(request.mint, request.maxt) {
                return Ok(Vec::new());
            }
            self.values_now(&name, &request).map_err(|e| self.parts.failed(e))
        })
    }

    /// Blocks hold none.
    fn metadata(&self, _: MetadataRequest) -> BoxFuture<'_, Result<Vec<MetricMetadata>, SourceError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// Blocks hold none.
    fn exemplars(&self, _: ExemplarsRequest) -> BoxFuture<'_, Result<Vec<SeriesExemplars>, SourceError>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}
