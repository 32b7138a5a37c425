//! Remote write 1 and 2, decoded into one flat shape without copying a text.
//!
//! A [`View`] owns the vectors and is reused; decoding lends it together with the body as a
//! [`Request`], so that whoever handles a request has one path for both protocols. Texts are
//! `&[u8]` slices of the body: whether they are UTF-8, sorted, or allowed is not judged here. The
//! forms taken and refused are listed in `docs/formats/remote-write.md`.

mod request;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use crate::fields::Sample;
pub use request::{Exemplar, FamilyMetadata, Labels, Request, Series, SeriesMetadata};

use norn_model::Millis;
use norn_model::metadata::MetricType;

use crate::fields::{self, Budget, Range32};
use crate::histogram::{Pool, Row};
use crate::protobuf::{FormError, Reader, Span};

/// A request that can not be read: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Not the message it should be, or too large for the memory limit.
    #[error("remote write request is malformed: {0}")]
    Malformed(#[from] FormError),
    /// Remote write 2 reserves symbol 0 for the empty string.
    #[error("remote write request is malformed: symbols must start with an empty string")]
    FirstSymbol,
}

/// What is wrong with one series while the others are fine: it is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// A label name without a value.
    #[error("labels_refs has an odd number of references")]
    OddReferences,
    /// A reference to a symbol that the request does not have.
    #[error("symbol reference {0} is out of range")]
    BadReference(u32),
}

/// How to decode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the decoded form may occupy; by default [`Budget::for_message`].
    pub budget: Option<Budget>,
    /// Whether exemplars are wanted; otherwise they are stepped over unread.
    pub exemplars: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { budget: None, exemplars: true }
    }
}

/// The decoded form of a request, to be reused.
#[derive(Debug)]
pub struct View {
    budget: Budget,
    peak: usize,
    exemplars_wanted: bool,
    series: Vec<SeriesRow>,
    labels: Vec<Label>,
    samples: Vec<Sample>,
    histograms: Vec<Row>,
    pool: Pool,
    exemplars: Vec<ExemplarRow>,
    exemplar_labels: Vec<Label>,
    metadata: Vec<fields::FamilyMetadata>,
    symbols: Vec<Span>,
    symbols_ascii: bool,
    /// References of the series or exemplar at hand.
    refs: Vec<u32>,
    skip_name_validation: bool,
    skip_count_validation: bool,
}

#[derive(Clone, Copy, Debug)]
struct Label {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug)]
struct SeriesRow {
    labels: Range32,
    /// The label messages where they lie side by side; empty otherwise.
    raw: Span,
    samples: Range32,
    histograms: Range32,
    exemplars: Range32,
    created: Millis,
    metadata: Option<MetadataRow>,
    error: Option<SeriesError>,
}

#[derive(Clone, Copy, Debug)]
struct MetadataRow {
    kind: MetricType,
    help: Span,
    unit: Span,
}

#[derive(Clone, Copy, Debug)]
struct ExemplarRow {
    labels: Range32,
    value: f64,
    timestamp: Millis,
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

impl View {
    /// A view without memory.
    pub fn new() -> Self {
        Self {
            budget: Budget::new(0),
            peak: 0,
            exemplars_wanted: true,
            series: Vec::new(),
            labels: Vec::new(),
            samples: Vec::new(),
            histograms: Vec::new(),
            pool: Pool::default(),
            exemplars: Vec::new(),
            exemplar_labels: Vec::new(),
            metadata: Vec::new(),
            symbols: Vec::new(),
            symbols_ascii: false,
            refs: Vec::new(),
            skip_name_validation: false,
            skip_count_validation: false,
        }
    }

    /// Decodes a `prometheus.WriteRequest`.
    pub fn decode_v1<'a>(&'a mut self, body: &'a [u8], options: Options) -> Result<Request<'a>, WriteError> {
        self.clear(body, options);
        let outcome = self.read_v1(fields::whole(body)?);
        self.peak = self.peak.max(self.budget.spent());
        outcome?;
        Ok(Request { view: self, body })
    }

    /// Decodes an `io.prometheus.write.v2.Request`.
    pub fn decode_v2<'a>(&'a mut self, body: &'a [u8], options: Options) -> Result<Request<'a>, WriteError> {
        self.clear(body, options);
        let outcome = self.read_v2(fields::whole(body)?);
        self.peak = self.peak.max(self.budget.spent());
        outcome?;
        Ok(Request { view: self, body })
    }

    /// About how many bytes the view keeps for reuse: what its largest request took, and histograms.
    /// Whoever pools views drops one that grew too large.
    pub fn kept_bytes(&self) -> usize {
        self.peak + self.pool.kept_bytes()
    }

    fn clear(&mut self, body: &[u8], options: Options) {
        self.budget = options.budget.unwrap_or_else(|| Budget::for_message(body.len()));
        self.exemplars_wanted = options.exemplars;
        self.series.clear();
        self.labels.clear();
        self.samples.clear();
        self.histograms.clear();
        self.pool.clear();
        self.exemplars.clear();
        self.exemplar_labels.clear();
        self.metadata.clear();
        self.symbols.clear();
        self.symbols_ascii = false;
        (self.skip_name_validation, self.skip_count_validation) = (false, false);
    }

    /// Starts a series; [`View::finish_series`] sets the ends.
    #[inline]
    fn start_series(&self) -> SeriesRow {
        SeriesRow {
            labels: Range32::since(self.labels.len(), &self.labels),
            raw: Span::default(),
            samples: Range32::since(self.samples.len(), &self.samples),
            histograms: Range32::since(self.histograms.len(), &self.histograms),
            exemplars: Range32::since(self.exemplars.len(), &self.exemplars),
            created: 0,
            metadata: None,
            error: None,
        }
    }

    #[inline]
    fn finish_series(&mut self, mut row: SeriesRow) -> Result<(), FormError> {
        row.labels.end = self.labels.len() as u32;
        row.samples.end = self.samples.len() as u32;
        row.histograms.end = self.histograms.len() as u32;
        row.exemplars.end = self.exemplars.len() as u32;
        self.budget.take::<SeriesRow>()?;
        self.series.push(row);
        Ok(())
    }

    #[inline]
    fn push_sample(&mut self, r: &mut Reader<'_>) -> Result<(), FormError> {
        self.budget.take::<Sample>()?;
        let sample = fields::sample(r)?;
        self.samples.push(sample);
        Ok(())
    }

    fn push_histogram(&mut self, r: &mut Reader<'_>) -> Result<(), FormError> {
        let row = self.pool.read(r, &mut self.budget)?;
        self.histograms.push(row);
        Ok(())
    }
}
