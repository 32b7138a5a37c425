//! What a valid series is, and the texts of refusals.
//!
//! Order of the checks and ids are Mimir's. The first failure of a series is its reason.

use std::collections::HashSet;

use norn_limits::Limits;
use norn_model::Millis;
use norn_model::histogram::{CUSTOM_BUCKETS_SCHEMA, MAX_SCHEMA, MIN_SCHEMA};
use norn_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use norn_model::metadata::MetricType;
use norn_model::rejection::{Refused, Rejection};
use norn_wire::histogram::{HistogramRef, HistogramSample};
use norn_wire::remote_write::{Exemplar, FamilyMetadata, Request, Sample, Series};

use crate::refusal::{self, Label, Problem};

/// Characters of an exemplar's names and values together.
const MAX_EXEMPLAR_RUNES: usize = 128;
/// Exemplars older than the request's oldest sample by more than this are left out.
const EXEMPLAR_AGE: Millis = 5 * 60 * 1000;

/// Checks the series of one request.
pub struct Checker<'a> {
    limits: &'a Limits,
    latest: Millis,
    earliest: Option<Millis>,
    /// Exemplars before this time are left out.
    exemplars_from: Millis,
    labels: Vec<Label<'a>>,
    /// Names found valid at each position: senders repeat them from series to series.
    known: Vec<&'a [u8]>,
    /// The metric name found valid last.
    metric: &'a [u8],
    /// Family of the last metadata taken from a series.
    described: &'a [u8],
}

impl<'a> Checker<'a> {
    /// A checker for `request`, at the time `now`. What a request itself says of
    /// skipping checks is not listened to: it would lift the tenant's limits.
    pub fn new(limits: &'a Limits, now: Millis, request: &Request<'a>) -> Self {
        let millis = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let past = (!limits.past_grace_period.is_zero()).then(|| {
            now.saturating_sub(millis(limits.past_grace_period))
                .saturating_sub(millis(limits.out_of_order_time_window))
        });
        Self {
            limits,
            latest: now.saturating_add(millis(limits.creation_grace_period)),
            earliest: past,
            exemplars_from: oldest_sample(request).map_or(Millis::MIN, |t| t.saturating_sub(EXEMPLAR_AGE)),
            labels: Vec::new(),
            known: Vec::new(),
            metric: b"",
            described: b"",
        }
    }

    /// The labels of the series that was checked last: sorted, unique, none empty.
    pub fn labels(&self) -> &[Label<'a>] {
        &self.labels
    }

    /// Whether the series can be stored; otherwise notes why not.
    pub fn check(&mut self, series: &Series<'a>, refused: &mut Refused) -> bool {
        if let Some(e) = series.error() {
            refused.note(|| refusal::bad_reference(&e));
            return false;
        }
        self.collect(series);
        if let Err(problem) = self.check_labels(series) {
            refused.note(|| refusal::label(problem, &self.labels, self.limits));
            return false;
        }
        if let Some(timestamp) = self.first_bad_time(series) {
            refused.note(|| refusal::time(timestamp, timestamp > self.latest, &self.labels, self.limits));
            return false;
        }
        true
    }

    /// Takes over the labels, sorted by name and without empty values.
    fn collect(&mut self, series: &Series<'a>) {
        self.labels.clear();
        self.labels.extend(series.labels().filter(|(_, value)| !value.is_empty()));
        if !self.labels.is_sorted_by(|a, b| a.0 <= b.0) {
            self.labels.sort_by(|a, b| a.0.cmp(b.0));
        }
    }

    fn check_labels(&mut self, series: &Series<'a>) -> Result<(), Problem> {
        let name = self.labels.iter().find(|l| l.0 == METRIC_NAME.as_bytes()).ok_or(Problem::NoMetricName)?.1;
        let utf8 = series.is_ascii() || self.labels.iter().all(|(n, v)| is_utf8(n) && is_utf8(v));
        if self.metric != name {
            if !is_legacy_metric_name(name) {
                return Err(Problem::MetricName);
            }
            self.metric = name;
        }
        self.check_count(name)?;
        let mut previous: &[u8] = b"";
        for i in 0..self.labels.len() {
            let (name, value) = self.labels[i];
            self.check_name(i, name)?;
            if !utf8 && !is_utf8(value) {
                return Err(Problem::ValueNotUtf8(i));
            }
            if value.len() > self.limits.max_label_value_length {
                return Err(Problem::ValueTooLong(i));
            }
            if i > 0 && previous == name {
                return Err(Problem::Duplicate(i));
            }
            previous = name;
        }
        Ok(())
    }

    fn check_count(&self, metric: &[u8]) -> Result<(), Problem> {
        let info = metric.ends_with(b"_info");
        let limit = match info {
            true => self.limits.max_label_names_per_info_series,
            false => self.limits.max_label_names_per_series,
        };
        match self.labels.len() > limit {
            true => Err(Problem::TooMany { info }),
            false => Ok(()),
        }
    }

    #[inline]
    fn check_name(&mut self, i: usize, name: &'a [u8]) -> Result<(), Problem> {
        if self.known.get(i).is_some_and(|k| *k == name) {
            return Ok(());
        }
        if !is_legacy_label_name(name) {
            return Err(Problem::LabelName(i));
        }
        if name.len() > self.limits.max_label_name_length {
            return Err(Problem::NameTooLong(i));
        }
        self.known.truncate(i);
        if self.known.len() == i {
            self.known.push(name);
        }
        Ok(())
    }

    fn first_bad_time(&self, series: &Series<'a>) -> Option<Millis> {
        let bad = |t: &Millis| *t > self.latest || self.earliest.is_some_and(|e| *t < e);
        let floats = series.samples().iter().map(|s| s.timestamp);
        floats.chain(series.histograms().map(|h| h.timestamp)).find(bad)
    }

    /// Hands out samples; of equal timestamps only the first. Returns how many.
    #[inline]
    pub fn samples(&self, series: &Series<'a>, mut take: impl FnMut(&Sample)) -> u32 {
        let samples = series.samples();
        if samples.is_sorted_by(|a, b| a.timestamp < b.timestamp) {
            samples.iter().for_each(take);
            return samples.len() as u32;
        }
        let mut seen = HashSet::with_capacity(samples.len());
        samples.iter().filter(|s| seen.insert(s.timestamp)).map(&mut take).count() as u32
    }

    /// Hands out histograms that can be stored. Returns how many.
    pub fn histograms(
        &self,
        series: &Series<'a>,
        refused: &mut Refused,
        mut take: impl FnMut(&HistogramSample<'a>),
    ) -> u32 {
        if !self.limits.native_histograms_ingestion_enabled {
            return 0;
        }
        let mut taken = 0;
        let mut seen = HashSet::new();
        for sample in series.histograms() {
            if !seen.insert(sample.timestamp) {
                continue;
            }
            match check_histogram(&sample, &self.labels, self.limits) {
                Ok(()) => {
                    take(&sample);
                    taken += 1;
                }
                Err(rejection) => {
                    refused.histograms += 1;
                    refused.note(|| rejection);
                }
            }
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
        let mut taken = 0;
        for exemplar in series.exemplars() {
            if !(self.exemplars_from..=self.latest).contains(&exemplar.timestamp) {
                continue;
            }
            match check_exemplar(&exemplar) {
                Ok(()) => {
                    take(&exemplar);
                    taken += 1;
                }
                Err(id) => {
                    refused.exemplars += 1;
                    refused.note(|| refusal::exemplar(id, exemplar.timestamp, &self.labels));
                }
            }
        }
        taken
    }

    /// What the series says of its family, where it is new in this request.
    pub fn series_metadata(&mut self, series: &Series<'a>) -> Option<(MetricType, &'a str, &'a str)> {
        let metadata = series.metadata()?;
        let name = self.labels.iter().find(|l| l.0 == METRIC_NAME.as_bytes())?.1;
        if self.described == name || metadata.unit.len() > self.limits.max_metadata_length {
            return None;
        }
        self.described = name;
        let help = cut(std::str::from_utf8(metadata.help).ok()?, self.limits.max_metadata_length);
        let unit = std::str::from_utf8(metadata.unit).ok()?;
        let says_something = metadata.kind != MetricType::Unknown || !help.is_empty() || !unit.is_empty();
        says_something.then_some((metadata.kind, help, unit))
    }
}

/// Time of the oldest sample or histogram of a request with exemplars; only they depend on it.
fn oldest_sample(request: &Request<'_>) -> Option<Millis> {
    if request.exemplar_count() == 0 {
        return None;
    }
    let times = |s: Series<'_>| {
        let floats = s.samples().iter().map(|s| s.timestamp).min();
        floats.into_iter().chain(s.histograms().map(|h| h.timestamp)).min()
    };
    request.series().filter_map(times).min()
}

fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// At most `limit` bytes of `text`, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

fn check_histogram(
    sample: &HistogramSample<'_>,
    labels: &[Label<'_>],
    limits: &Limits,
) -> Result<(), Rejection> {
    let (schema, buckets) = match sample.histogram {
        HistogramRef::Int(h) => (h.schema, h.positive_buckets.len() + h.negative_buckets.len()),
        HistogramRef::Float(h) => (h.schema, h.positive_buckets.len() + h.negative_buckets.len()),
    };
    if schema != CUSTOM_BUCKETS_SCHEMA && !(MIN_SCHEMA..=MAX_SCHEMA).contains(&schema) {
        return Err(refusal::schema(schema));
    }
    if limits.max_native_histogram_buckets > 0 && buckets > limits.max_native_histogram_buckets {
        return Err(refusal::too_many_buckets(sample.timestamp, buckets, labels, limits));
    }
    Ok(())
}

/// The id of what is wrong with an exemplar.
fn check_exemplar(exemplar: &Exemplar<'_>) -> Result<(), &'static str> {
    if exemplar.labels.len() == 0 {
        return Err("exemplar-labels-missing");
    }
    if exemplar.timestamp == 0 {
        return Err("exemplar-timestamp-invalid");
    }
    let mut runes = 0;
    for (name, value) in exemplar.labels.clone() {
        for text in [name, value] {
            runes += std::str::from_utf8(text).map_err(|_| "exemplar-labels-missing")?.chars().count();
        }
    }
    if runes > MAX_EXEMPLAR_RUNES { Err("exemplar-labels-too-long") } else { Ok(()) }
}

/// Family, help and unit of a metadata entry; `None` where it is to be left out silently.
pub fn metadata<'a>(
    entry: &FamilyMetadata<'a>,
    limits: &Limits,
) -> Result<Option<(&'a str, &'a str, &'a str)>, Rejection> {
    let text = std::str::from_utf8;
    let (Ok(family), Ok(help), Ok(unit)) = (text(entry.family), text(entry.help), text(entry.unit)) else {
        return Err(refusal::metadata("metadata-missing-metric-name", "", limits));
    };
    if family.is_empty() {
        return match limits.enforce_metadata_metric_name {
            true => Err(refusal::metadata("metadata-missing-metric-name", family, limits)),
            false => Ok(None),
        };
    }
    if family.len() > limits.max_metadata_length {
        return Err(refusal::metadata("metric-name-too-long", family, limits));
    }
    if unit.len() > limits.max_metadata_length {
        return Err(refusal::metadata("unit-too-long", family, limits));
    }
    Ok(Some((family, cut(help, limits.max_metadata_length), unit)))
}
