//! The answer as one message with all samples.

use std::sync::Arc;
use std::time::Instant;

use norn_contract::source::ChunkBuf;
use norn_http::axum::http::header;
use norn_http::axum::response::{IntoResponse, Response};
use norn_model::Millis;
use norn_model::histogram::{FloatHistogram, Histogram, Span};
use norn_model::tenant::Tenant;
use norn_promql::ledger::{Charge, Ledger};
use norn_promql::{Cancel, QueryError};
use norn_wire::proto::read::{QueryResult, ReadResponse};
use norn_wire::proto::v1::TimeSeries;
use norn_wire::proto::{self, BucketSpan, Count, Message, Sample, ZeroCount};

use super::column::{Column, Value};
use super::{Admitted, Found, labels};
use crate::Api;
use crate::error::ApiError;

/// Decodes all samples on the pool.
pub(super) async fn respond(api: &Api, tenant: &Tenant, admitted: Admitted) -> Result<Response, ApiError> {
    let limits = api.limits.for_tenant(tenant);
    let ledger = Ledger::new(limits.max_estimated_memory_consumption_per_query);
    let cancel = Cancel::new();
    let _guard = cancel.guard();
    let Admitted { found, deadline, running } = admitted;
    let max_samples = api.engine.options().max_samples;
    let job = Job { cancel: cancel.clone(), deadline, ledger, samples: 0, max_samples };
    let body = api.pool.run(move || job.run(&found)).await;
    drop(running);
    let body = body.map_err(|e| QueryError::Internal(e.to_string()))?;
    let body = body.inspect_err(|error| api.metrics.failed(tenant, &error.to_string()))?;
    let headers = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
    Ok((headers, body).into_response())
}

struct Job {
    cancel: Cancel,
    deadline: Instant,
    ledger: Arc<Ledger>,
    samples: usize,
    max_samples: usize,
}

impl Job {
    fn run(mut self, found: &[Found]) -> Result<Vec<u8>, QueryError> {
        let mut charge = self.ledger.charge(0)?;
        let results = found.iter().map(|found| self.read(found, &mut charge));
        let response = ReadResponse { results: results.collect::<Result<_, _>>()? };
        charge.grow(response.encoded_len())?;
        let raw = response.encode_to_vec();
        drop(response);
        norn_wire::content::pack_snappy(&raw).map_err(|e| QueryError::execution(e.to_string()))
    }

    fn read(&mut self, found: &Found, charge: &mut Charge) -> Result<QueryResult, QueryError> {
        let mut timeseries = Vec::new();
        let (mut chunks, mut column) = (ChunkBuf::default(), Column::default());
        for (i, series) in found.selection.labels.iter().enumerate() {
            self.check()?;
            chunks.clear();
            found.selection.data.read(i, &mut chunks)?;
            column.read(&chunks, found.mint, found.maxt)?;
            if column.samples.is_empty() {
                continue;
            }
            self.samples += column.samples.len();
            if self.samples > self.max_samples {
                return Err(QueryError::BadData(format!("exceeded sample limit ({})", self.max_samples)));
            }
            let next = one_series(labels(series), &column.samples);
            charge.grow(size_of::<TimeSeries>() + 2 * next.encoded_len())?;
            timeseries.push(next);
        }
        Ok(QueryResult { timeseries })
    }

    fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Canceled);
        }
        if Instant::now() > self.deadline { Err(QueryError::Timeout) } else { Ok(()) }
    }
}

fn one_series(labels: Vec<proto::v1::Label>, samples: &[(Millis, Value)]) -> TimeSeries {
    let mut series = TimeSeries { labels, ..TimeSeries::default() };
    for (t, value) in samples {
        match value {
            Value::Float(value) => series.samples.push(Sample { value: *value, timestamp: *t }),
            Value::Int(h) => series.histograms.push(int(*t, h)),
            Value::FloatHistogram(h) => series.histograms.push(float(*t, h)),
        }
    }
    series
}

fn int(timestamp: Millis, h: &Histogram) -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::Int(h.count)),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(ZeroCount::Int(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_deltas: h.negative_buckets.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_deltas: h.positive_buckets.clone(),
        reset_hint: h.reset_hint as i32,
        timestamp,
        custom_values: h.custom_values.clone(),
        ..proto::Histogram::default()
    }
}

fn float(timestamp: Millis, h: &FloatHistogram) -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::Float(h.count)),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(ZeroCount::Float(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_buckets.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_buckets.clone(),
        reset_hint: h.reset_hint as i32,
        timestamp,
        custom_values: h.custom_values.clone(),
        ..proto::Histogram::default()
    }
}

fn spans(spans: &[Span]) -> Vec<BucketSpan> {
    spans.iter().map(|s| BucketSpan { offset: s.offset, length: s.length }).collect()
}
