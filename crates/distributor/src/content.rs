//! What a valid series brings: which samples, histograms, exemplars and metadata can be stored.
//!
//! What is left out without an error is counted all the same, under Mimir's reasons.

use std::borrow::Cow;
use std::collections::HashSet;

use norn_limits::Limits;
use norn_model::Millis;
use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Irreducible};
use norn_model::histogram::{MAX_SCHEMA, MIN_SCHEMA};
use norn_model::labels::METRIC_NAME;
use norn_model::metadata::MetricType;
use norn_model::rejection::{Parts, Refused};
use norn_wire::histogram::{HistogramRef, HistogramSample};
use norn_wire::remote_write::{Exemplar, FamilyMetadata, Sample, Series};

use crate::check::Checker;
use crate::refusal::{self, BadExemplar, BadHistogram, BadMetadata};

/// Characters of an exemplar's names and values together.
const MAX_EXEMPLAR_RUNES: usize = 128;

impl<'a> Checker<'a> {
    /// Hands out samples; of equal timestamps only the first. Returns how many.
    #[inline]
    pub fn samples(&self, series: &Series<'a>, refused: &mut Refused, mut take: impl FnMut(&Sample)) -> u32 {
        let samples = series.samples();
        if samples.is_sorted_by(|a, b| a.timestamp < b.timestamp) {
            samples.iter().for_each(take);
            return samples.len() as u32;
        }
        let mut seen = HashSet::with_capacity(samples.len());
        let taken = samples.iter().filter(|s| seen.insert(s.timestamp)).map(&mut take).count() as u32;
        let samples = samples.len() as u32 - taken;
        if samples > 0 {
            refused.leave_out(refusal::DUPLICATE, Parts { samples, ..Parts::default() });
        }
        taken
    }

    /// Hands out histograms that can be stored. Returns how many.
    pub fn histograms(
        &self,
        series: &Series<'a>,
        refused: &mut Refused,
        mut take: impl FnMut(Millis, HistogramRef<'_>),
    ) -> u32 {
        let mut taken = 0;
        let mut seen = HashSet::new();
        for sample in series.histograms() {
            let t = sample.timestamp;
            if !seen.insert(t) {
                refused.leave_out(refusal::DUPLICATE, Parts::HISTOGRAM);
                continue;
            }
            match fit(&sample, self.limits) {
                Ok(Fitting::Int(h)) => take(t, HistogramRef::Int(&h)),
                Ok(Fitting::Float(h)) => take(t, HistogramRef::Float(&h)),
                Err(bad) => {
                    let rejection = || refusal::histogram(bad, t, &self.labels, self.limits);
                    refused.refuse(bad.reason(), Parts::HISTOGRAM, rejection);
                    continue;
                }
            }
            taken += 1;
        }
        taken
    }

    /// Hands out exemplars that can be stored. Returns how many.
    pub fn exemplars(
        &self,
        series: &Series<'a>,
        refused: &mut Refused,
        mut take: impl FnMut(&Exemplar<'a>),
    ) -> u32 {
        let limit = match self.limits.max_exemplars_per_series_per_request {
            0 => usize::MAX,
            limit => limit,
        };
        let mut taken = 0;
        for (i, exemplar) in series.exemplars().enumerate() {
            if i >= limit {
                refused.leave_out("too_many_exemplars_per_series_per_request", Parts::EXEMPLAR);
                continue;
            }
            let outcome =
                check_exemplar(&exemplar).and_then(|()| self.check_exemplar_time(exemplar.timestamp));
            match outcome {
                Ok(()) => {
                    take(&exemplar);
                    taken += 1;
                }
                Err(bad) if bad.is_silent() => refused.leave_out(bad.reason(), Parts::EXEMPLAR),
                Err(bad) => {
                    let rejection = || refusal::exemplar(bad, exemplar.timestamp, &self.labels);
                    refused.refuse(bad.reason(), Parts::EXEMPLAR, rejection);
                }
            }
        }
        taken
    }

    fn check_exemplar_time(&self, timestamp: Millis) -> Result<(), BadExemplar> {
        if timestamp < self.exemplars_from {
            Err(BadExemplar::TooOld)
        } else if timestamp > self.latest {
            Err(BadExemplar::TooFarInFuture)
        } else {
            Ok(())
        }
    }

    /// What the series says of its family, where it is new in this request.
    pub fn series_metadata(
        &mut self,
        series: &Series<'a>,
        refused: &mut Refused,
    ) -> Option<(MetricType, &'a str, &'a str)> {
        let metadata = series.metadata()?;
        let name = self.labels.iter().find(|l| l.0 == METRIC_NAME.as_bytes())?.1;
        if self.described == name {
            return None;
        }
        self.described = name;
        let help = cut(std::str::from_utf8(metadata.help).ok()?, self.limits.max_metadata_length);
        let unit = std::str::from_utf8(metadata.unit).ok()?;
        if metadata.kind == MetricType::Unknown && help.is_empty() && unit.is_empty() {
            return None;
        }
        let family = std::str::from_utf8(name).ok()?;
        match check_metadata(family, unit, self.limits) {
            Ok(()) => Some((metadata.kind, help, unit)),
            Err(bad) => {
                refuse_metadata(bad, family, self.limits, refused);
                None
            }
        }
    }
}

/// A histogram that may be stored.
enum Fitting<'a> {
    Int(Cow<'a, Histogram>),
    Float(Cow<'a, FloatHistogram>),
}

/// The histogram with no more buckets than allowed.
fn fit<'a>(sample: &HistogramSample<'a>, limits: &Limits) -> Result<Fitting<'a>, BadHistogram> {
    let (schema, buckets) = match sample.histogram {
        HistogramRef::Int(h) => (h.schema, h.bucket_count()),
        HistogramRef::Float(h) => (h.schema, h.bucket_count()),
    };
    if schema != CUSTOM_BUCKETS_SCHEMA && !(MIN_SCHEMA..=MAX_SCHEMA).contains(&schema) {
        return Err(BadHistogram::Schema(schema));
    }
    let max = limits.max_native_histogram_buckets;
    let fits = max == 0 || buckets <= max;
    if !fits && !limits.reduce_native_histogram_over_max_buckets {
        return Err(BadHistogram::TooManyBuckets(buckets));
    }
    let irreducible = |why| match why {
        Irreducible::CustomBuckets => BadHistogram::CustomBucketsNotReducible(buckets),
        Irreducible::Resolution => BadHistogram::NotReducible(buckets),
    };
    match sample.histogram {
        // One that contradicts itself is refused by the head, in its own words.
        HistogramRef::Int(h) if fits || h.validate().is_err() => Ok(Fitting::Int(Cow::Borrowed(h))),
        HistogramRef::Float(h) if fits || h.validate().is_err() => Ok(Fitting::Float(Cow::Borrowed(h))),
        HistogramRef::Int(h) => h.reduced_to(max).map(|h| Fitting::Int(Cow::Owned(h))).map_err(irreducible),
        HistogramRef::Float(h) => {
            h.reduced_to(max).map(|h| Fitting::Float(Cow::Owned(h))).map_err(irreducible)
        }
    }
}

fn check_exemplar(exemplar: &Exemplar<'_>) -> Result<(), BadExemplar> {
    if exemplar.labels.len() == 0 {
        return Err(BadExemplar::LabelsMissing);
    }
    if exemplar.timestamp == 0 {
        return Err(BadExemplar::TimestampInvalid);
    }
    let (mut runes, mut blank) = (0, true);
    for (name, value) in exemplar.labels.clone() {
        for text in [name, value] {
            runes += std::str::from_utf8(text).map_err(|_| BadExemplar::LabelsMissing)?.chars().count();
        }
        blank &= name.is_empty() || value.is_empty();
    }
    match (runes > MAX_EXEMPLAR_RUNES, blank) {
        (true, _) => Err(BadExemplar::LabelsTooLong),
        (false, true) => Err(BadExemplar::LabelsBlank),
        (false, false) => Ok(()),
    }
}

/// Family, help and unit of a metadata entry that can be stored.
pub fn metadata<'a>(
    entry: &FamilyMetadata<'a>,
    limits: &Limits,
    refused: &mut Refused,
) -> Option<(&'a str, &'a str, &'a str)> {
    let text = std::str::from_utf8;
    let (Ok(family), Ok(help), Ok(unit)) = (text(entry.family), text(entry.help), text(entry.unit)) else {
        refuse_metadata(BadMetadata::NoName, "", limits, refused);
        return None;
    };
    match check_metadata(family, unit, limits) {
        Ok(()) if family.is_empty() => None,
        Ok(()) => Some((family, cut(help, limits.max_metadata_length), unit)),
        Err(bad) => {
            refuse_metadata(bad, family, limits, refused);
            None
        }
    }
}

fn check_metadata(family: &str, unit: &str, limits: &Limits) -> Result<(), BadMetadata> {
    if family.is_empty() && limits.enforce_metadata_metric_name {
        Err(BadMetadata::NoName)
    } else if family.len() > limits.max_metadata_length {
        Err(BadMetadata::NameTooLong)
    } else if unit.len() > limits.max_metadata_length {
        Err(BadMetadata::UnitTooLong)
    } else {
        Ok(())
    }
}

fn refuse_metadata(bad: BadMetadata, family: &str, limits: &Limits, refused: &mut Refused) {
    refused.refuse(bad.reason(), Parts::METADATA, || refusal::metadata(bad, family, limits));
}

/// At most `limit` bytes of `text`, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
