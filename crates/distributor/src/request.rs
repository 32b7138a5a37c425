//! One request: body in, log records out.

use bytes::Bytes;
use norn_contract::append::{AppendError, Compression, Protocol, Push, Written};
use norn_contract::holdings::Holdings;
use norn_kit::cpu_time::Stopwatch;
use norn_kit::stage::{Stage, StageCpu};
use norn_limits::Limits;
use norn_model::Millis;
use norn_model::rejection::{Parts, Rejection};
use norn_model::tenant::Tenant;
use norn_wire::content::{self as wire, ContentError};
use norn_wire::histogram::HistogramRef;
use norn_wire::record::Builder;
use norn_wire::remote_write::{self, Request, View};

use crate::check::{Checker, parts_of};
use crate::content;
use crate::refusal::Label;

/// A record is closed when it reaches this size.
const RECORD_FULL: usize = 8 << 20;
/// Largest record: Mimir's 16,000,000 bytes less 16 KiB.
const MAX_ITEM: usize = 15_983_616;
/// Buffers of a request above this size are not kept.
const KEEP: usize = 4 << 20;
/// A decoded form above this size is not kept.
const KEEP_DECODED: usize = 32 << 20;
/// Reason of what no record can hold.
const ITEM_TOO_LARGE: &str = "item_too_large";
/// What a record needs besides its texts for a metadata entry.
const METADATA: usize = 64;

/// What the work on one request looks at.
pub struct Context<'a> {
    /// Limits of the tenant.
    pub limits: &'a Limits,
    /// The time.
    pub now: Millis,
    /// Largest body, compressed or not.
    pub max_size: usize,
    /// Largest record the log takes, in bytes.
    pub max_record: usize,
    /// CPU by stage.
    pub stages: &'a StageCpu,
    /// What is in memory, if there is no room for more series.
    pub full: Option<&'a dyn Holdings>,
    /// Whose request it is.
    pub tenant: &'a Tenant,
    /// The request.
    pub push: &'a Push,
}

/// A request after everything that happens before the log.
#[derive(Default)]
pub struct Prepared {
    /// Values of version 2 records.
    pub records: Vec<Bytes>,
    /// What the records hold, and what was refused.
    pub written: Written,
    /// Metadata entries in the records.
    pub metadata: u32,
    /// Whether there are new series though there is no room for any. The rest is not complete then.
    pub has_new_series: bool,
    /// Histograms that were left out because the tenant does not take any.
    pub dropped_histograms: u32,
    /// Newest sample; 0 when there is none.
    pub latest: Millis,
    /// What came in: samples, histograms, exemplars, metadata.
    pub received: [usize; 4],
}

impl Context<'_> {
    /// Bytes of one series or metadata entry, and of a record, at most.
    fn max_item(&self) -> usize {
        self.max_record.min(MAX_ITEM)
    }

    /// A record is closed beyond this size.
    fn record_full(&self) -> usize {
        RECORD_FULL.min(self.max_record / 2)
    }
}

impl Prepared {
    /// What passed validation.
    pub fn parts(&self) -> Parts {
        let Written { samples, histograms, exemplars, .. } = self.written;
        Parts { samples, histograms, exemplars, metadata: self.metadata }
    }

    /// What the tenant's ingestion rate is charged for.
    pub fn items(&self) -> u64 {
        let Parts { samples, histograms, exemplars, metadata } = self.parts();
        [samples, histograms, exemplars, metadata].into_iter().map(u64::from).sum()
    }
}

/// Memory that is reused from request to request.
#[derive(Default)]
pub struct Scratch {
    body: Vec<u8>,
    view: View,
    builder: Builder,
}

impl Scratch {
    /// Gives back what an unusually large request took.
    pub fn shrink(&mut self) {
        if self.body.capacity() > KEEP || self.view.kept_bytes() > KEEP_DECODED {
            *self = Self::default();
        }
    }

    /// Decompresses, decodes, checks and builds records.
    pub fn prepare(&mut self, context: &Context<'_>) -> Result<Prepared, AppendError> {
        let mut watch = Stopwatch::start();
        let Push { protocol, compression, body } = context.push;
        let unpacked = unpack(*compression, body, context.max_size, &mut self.body);
        context.stages.add(Stage::Decompress, watch.lap());
        unpacked.map_err(|e| body_error(&e, context.max_size))?;

        let exemplars = context.limits.max_global_exemplars_per_user > 0;
        let options = remote_write::Options { exemplars, ..Default::default() };
        let decoded = match protocol {
            Protocol::RemoteWrite1 => self.view.decode_v1(&self.body, options),
            Protocol::RemoteWrite2 => self.view.decode_v2(&self.body, options),
        };
        context.stages.add(Stage::Decode, watch.lap());
        let request = decoded.map_err(|e| AppendError::Malformed(e.to_string()))?;

        self.builder.clear();
        let mut work = Work { context, builder: &mut self.builder, out: Prepared::default() };
        work.run(request);
        let prepared = work.out;
        context.stages.add(Stage::Validate, watch.lap());
        Ok(prepared)
    }
}

fn unpack(
    compression: Compression,
    body: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), ContentError> {
    match compression {
        Compression::Snappy => wire::snappy(body, limit, out),
        Compression::Zstd => wire::zstd(body, limit, out),
        Compression::None => wire::identity(body, limit, out),
    }
}

fn body_error(error: &ContentError, limit: usize) -> AppendError {
    match error {
        ContentError::TooLarge { size, .. } => AppendError::TooLarge(too_large(*size, limit)),
        ContentError::Corrupt(_) => AppendError::Malformed(error.to_string()),
    }
}

/// The refusal of a body of `size` bytes.
pub fn too_large(size: u64, limit: usize) -> Rejection {
    let text = format!(
        "the incoming push request has been rejected because its message size of {size} bytes is larger than the allowed limit of {limit} bytes"
    );
    Rejection::new("distributor-max-write-message-size", "message_too_large", text)
        .with_tenant_flags(&["distributor.max-recv-msg-size"])
}

struct Work<'a, 'b> {
    context: &'a Context<'a>,
    builder: &'b mut Builder,
    out: Prepared,
}

impl Work<'_, '_> {
    fn run(&mut self, request: Request<'_>) {
        self.out.received = [
            request.sample_count(),
            request.histogram_count(),
            request.exemplar_count(),
            request.metadata().len(),
        ];
        let mut checker = Checker::new(self.context.limits, self.context.now, &request);
        for series in request.series() {
            self.series(&mut checker, &series);
            if self.out.has_new_series {
                return;
            }
        }
        for entry in request.metadata() {
            self.metadata(&entry);
        }
        self.close_record();
    }

    fn series<'a>(&mut self, checker: &mut Checker<'a>, series: &remote_write::Series<'a>) {
        let (weight, max) = (weight(series), self.context.max_item());
        let refused = &mut self.out.written.refused;
        if weight > max {
            return refused.refuse(ITEM_TOO_LARGE, parts_of(series), || item_too_large(weight, max));
        }
        if !checker.check(series, refused) {
            return;
        }
        if let Some(holdings) = self.context.full
            && !is_known(holdings, self.context.tenant, checker.labels())
        {
            self.out.has_new_series = true;
            return;
        }
        self.make_room(weight);
        let mut out = self.builder.series(checker.labels().iter().copied());
        let written = &mut self.out.written;
        written.samples += checker.samples(series, &mut written.refused, |s| {
            out.sample(s.timestamp, s.value);
        });
        if self.context.limits.native_histograms_ingestion_enabled {
            written.histograms += checker.histograms(series, &mut written.refused, |t, h| {
                out.histogram(t, h);
            });
        } else {
            self.out.dropped_histograms += series.histograms().len() as u32;
        }
        written.exemplars += checker.exemplars(series, &mut written.refused, |e| {
            out.exemplar(e.labels.clone(), e.value, e.timestamp);
        });
        self.out.latest = self.out.latest.max(series.samples().last().map_or(0, |s| s.timestamp));
        let created = created(series);
        if created != 0 {
            out.created(created);
        }
        if let Some((kind, help, unit)) = checker.series_metadata(series, &mut written.refused) {
            out.metadata(kind, help, unit);
            self.out.metadata += 1;
        }
        drop(out);
        self.close_full_record();
    }

    fn metadata(&mut self, entry: &remote_write::FamilyMetadata<'_>) {
        let refused = &mut self.out.written.refused;
        let Some((family, help, unit)) = content::metadata(entry, self.context.limits, refused) else {
            return;
        };
        let weight = METADATA + family.len() + help.len() + unit.len();
        let max = self.context.max_item();
        if weight > max {
            return refused.refuse(ITEM_TOO_LARGE, Parts::METADATA, || item_too_large(weight, max));
        }
        self.make_room(weight);
        self.builder.metadata(family, entry.kind, help, unit);
        self.out.metadata += 1;
        self.close_full_record();
    }

    /// Closes the record if `weight` bytes more could be too many.
    fn make_room(&mut self, weight: usize) {
        if self.builder.len() + weight > self.context.max_item() {
            self.close_record();
        }
    }

    fn close_full_record(&mut self) {
        if self.builder.len() > self.context.record_full() {
            self.close_record();
        }
    }

    fn close_record(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        let value = self.builder.finish();
        self.out.records.push(value);
    }
}

/// Whether a series, whose labels were checked, is in memory.
fn is_known(holdings: &dyn Holdings, tenant: &Tenant, labels: &[Label<'_>]) -> bool {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let labels: Option<Vec<_>> = labels.iter().map(|(n, v)| text(n).zip(text(v))).collect();
    labels.is_some_and(|labels| holdings.has_series(tenant, &labels))
}

/// When the series began to count; 0 = not known. Remote write 2 says it of each sample, a record of
/// the series: the first one known holds.
fn created(series: &remote_write::Series<'_>) -> Millis {
    let samples = series.samples().iter().map(|s| s.start_timestamp);
    let histograms = series.histograms().map(|h| h.start_timestamp);
    std::iter::once(series.created()).chain(samples).chain(histograms).find(|t| *t != 0).unwrap_or(0)
}

/// An upper bound of the bytes a series takes in a record.
fn weight(series: &remote_write::Series<'_>) -> usize {
    const SAMPLE: usize = 24;
    const HISTOGRAM: usize = 256;
    let labels = match series.raw_labels() {
        // Each label message has at least four bytes beside its texts; a reference has five.
        Some(raw) => 4 * raw.len(),
        None => series.labels().map(|(n, v)| n.len() + v.len() + 16).sum(),
    };
    let buckets = |h: HistogramRef<'_>| match h {
        HistogramRef::Int(h) => {
            h.positive_buckets.len()
                + h.negative_buckets.len()
                + h.custom_values.len()
                + 2 * (h.positive_spans.len() + h.negative_spans.len())
        }
        HistogramRef::Float(h) => {
            h.positive_buckets.len()
                + h.negative_buckets.len()
                + h.custom_values.len()
                + 2 * (h.positive_spans.len() + h.negative_spans.len())
        }
    };
    let histograms: usize = series.histograms().map(|h| HISTOGRAM + 10 * buckets(h.histogram)).sum();
    let exemplars: usize =
        series.exemplars().map(|e| 256 + e.labels.map(|(n, v)| n.len() + v.len()).sum::<usize>()).sum();
    let metadata = series.metadata().map_or(0, |m| METADATA + m.help.len() + m.unit.len());
    labels + SAMPLE * series.samples().len() + histograms + exemplars + metadata
}

fn item_too_large(size: usize, max: usize) -> Rejection {
    let text = format!(
        "a series or metadata entry of the request has been rejected because it needs about {size} bytes, more than the {max} bytes that one log record may hold"
    );
    Rejection::new("distributor-max-write-request-data-item-size", ITEM_TOO_LARGE, text)
}
