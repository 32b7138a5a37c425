//! Reading a decoded request: a view and the body it points into.

use norn_model::Millis;
use norn_model::metadata::MetricType;

use super::{Label, Sample, SeriesError, SeriesRow, View};
use crate::histogram::HistogramSample;

/// A decoded request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) view: &'a View,
    pub(super) body: &'a [u8],
}

/// A series of a request.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    request: Request<'a>,
    row: &'a SeriesRow,
}

/// An exemplar of a series.
#[derive(Clone, Debug)]
pub struct Exemplar<'a> {
    /// Its own labels.
    pub labels: Labels<'a>,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: Millis,
}

/// What a remote write 2 series says of its metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesMetadata<'a> {
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: &'a [u8],
    /// Unit.
    pub unit: &'a [u8],
}

/// What a remote write 1 request says of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyMetadata<'a> {
    /// Name of the family.
    pub family: &'a [u8],
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: &'a [u8],
    /// Unit.
    pub unit: &'a [u8],
}

/// Labels as name and value, in the order of the message.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    body: &'a [u8],
    labels: std::slice::Iter<'a, Label>,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let label = self.labels.next()?;
        Some((label.name.of(self.body), label.value.of(self.body)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.labels.size_hint()
    }
}

impl ExactSizeIterator for Labels<'_> {}

impl<'a> Request<'a> {
    /// Number of series.
    pub fn len(&self) -> usize {
        self.view.series.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.view.series.is_empty()
    }

    /// Series in the order of the message.
    pub fn series(&self) -> impl ExactSizeIterator<Item = Series<'a>> + use<'a> {
        let request = *self;
        self.view.series.iter().map(move |row| Series { request, row })
    }

    /// The series at `index` of [`Request::series`].
    pub fn get(&self, index: usize) -> Option<Series<'a>> {
        self.view.series.get(index).map(|row| Series { request: *self, row })
    }

    /// Metadata of the request; remote write 2 has none here but in its series.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = FamilyMetadata<'a>> + use<'a> {
        let body = self.body;
        self.view.metadata.iter().map(move |m| FamilyMetadata {
            family: m.family.of(body),
            kind: m.kind,
            help: m.help.of(body),
            unit: m.unit.of(body),
        })
    }

    /// Float samples of all series.
    pub fn sample_count(&self) -> usize {
        self.view.samples.len()
    }

    /// Histograms of all series.
    pub fn histogram_count(&self) -> usize {
        self.view.histograms.len()
    }

    /// Exemplars of all series; 0 where they were not wanted.
    pub fn exemplar_count(&self) -> usize {
        self.view.exemplars.len()
    }

    /// Whether the sender asks (Mimir's extension of remote write 1) for names not to be checked.
    pub fn skip_label_validation(&self) -> bool {
        self.view.skip_name_validation
    }

    /// Whether the sender asks for the number of labels not to be checked.
    pub fn skip_label_count_validation(&self) -> bool {
        self.view.skip_count_validation
    }
}

impl<'a> Series<'a> {
    /// What makes this series unusable. It has no labels then.
    pub fn error(&self) -> Option<SeriesError> {
        self.row.error
    }

    /// Labels in the order of the message.
    #[inline]
    pub fn labels(&self) -> Labels<'a> {
        Labels { body: self.request.body, labels: self.row.labels.of(&self.request.view.labels).iter() }
    }

    /// The bytes of all label messages of a remote write 1 series, keys and lengths included,
    /// where they lie side by side as every known sender puts them. The same labels in the same
    /// order from the same sender give the same bytes.
    #[inline]
    pub fn raw_labels(&self) -> Option<&'a [u8]> {
        let raw = self.row.raw;
        (raw.len != 0).then(|| raw.of(self.request.body))
    }

    /// Whether it is certain that names and values are ASCII, and with that valid UTF-8. Looks at
    /// all labels at once: texts of 128 bytes or more make it say no.
    #[inline]
    pub fn is_ascii(&self) -> bool {
        match self.raw_labels() {
            Some(raw) => raw.is_ascii(),
            None => {
                self.request.view.symbols_ascii || self.labels().all(|(n, v)| n.is_ascii() && v.is_ascii())
            }
        }
    }

    /// Float samples.
    #[inline]
    pub fn samples(&self) -> &'a [Sample] {
        self.row.samples.of(&self.request.view.samples)
    }

    /// Histograms.
    pub fn histograms(&self) -> impl ExactSizeIterator<Item = HistogramSample<'a>> + use<'a> {
        let view = self.request.view;
        self.row.histograms.of(&view.histograms).iter().map(|row| view.pool.get(row))
    }

    /// Exemplars.
    pub fn exemplars(&self) -> impl ExactSizeIterator<Item = Exemplar<'a>> + use<'a> {
        let Request { view, body } = self.request;
        self.row.exemplars.of(&view.exemplars).iter().map(move |row| Exemplar {
            labels: Labels { body, labels: row.labels.of(&view.exemplar_labels).iter() },
            value: row.value,
            timestamp: row.timestamp,
        })
    }

    /// Metadata of the series' family; only remote write 2 has it.
    pub fn metadata(&self) -> Option<SeriesMetadata<'a>> {
        let body = self.request.body;
        self.row.metadata.map(|m| SeriesMetadata {
            kind: m.kind,
            help: m.help.of(body),
            unit: m.unit.of(body),
        })
    }

    /// When the series began to count, in Unix milliseconds; 0 = not known.
    pub fn created(&self) -> Millis {
        self.row.created
    }
}
