//! What a valid series is: its labels and its times.
//!
//! Order of the checks and ids are Mimir's. The first failure of a series is its reason, and all of
//! the series goes with it.

use norn_limits::{Limits, NameValidationScheme};
use norn_model::Millis;
use norn_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use norn_model::rejection::{Parts, Refused};
use norn_wire::remote_write::{Request, Series};

use crate::refusal::{self, Label, Problem};

/// Exemplars older than the request's oldest sample by more than this are left out.
const EXEMPLAR_AGE: Millis = 5 * 60 * 1000;

/// Checks the series of one request.
pub struct Checker<'a> {
    pub(crate) limits: &'a Limits,
    /// Latest time of a sample or exemplar.
    pub(crate) latest: Millis,
    earliest: Option<Millis>,
    /// Exemplars before this time are left out.
    pub(crate) exemplars_from: Millis,
    pub(crate) labels: Vec<Label<'a>>,
    /// Names found valid at each position: senders repeat them from series to series.
    known: Vec<&'a [u8]>,
    /// The metric name found valid last.
    metric: &'a [u8],
    /// Family of the last metadata taken from a series.
    pub(crate) described: &'a [u8],
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

    /// Whether the series can be stored; otherwise it is counted as refused.
    pub fn check(&mut self, series: &Series<'a>, refused: &mut Refused) -> bool {
        if let Some(e) = series.error() {
            let rejection = || refusal::bad_reference(&e);
            refused.refuse(refusal::BAD_REFERENCE, parts_of(series), rejection);
            return false;
        }
        self.collect(series);
        if let Err(problem) = self.check_labels(series) {
            let rejection = || refusal::label(problem, &self.labels, self.limits);
            refused.refuse(problem.reason(), parts_of(series), rejection);
            return false;
        }
        if let Some(timestamp) = self.first_bad_time(series) {
            let future = timestamp > self.latest;
            let rejection = || refusal::time(timestamp, future, &self.labels, self.limits);
            refused.refuse(refusal::time_reason(future), parts_of(series), rejection);
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
            if !self.is_metric_name(name) {
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
        let (limit, info_limit) =
            (self.limits.max_label_names_per_series, self.limits.max_label_names_per_info_series);
        // A lower limit of info series holds for nothing.
        let info = info_limit > limit && metric.ends_with(b"_info");
        match self.labels.len() > if info { info_limit } else { limit } {
            true => Err(Problem::TooMany { info }),
            false => Ok(()),
        }
    }

    #[inline]
    fn check_name(&mut self, i: usize, name: &'a [u8]) -> Result<(), Problem> {
        if self.known.get(i).is_some_and(|k| *k == name) {
            return Ok(());
        }
        if !self.is_label_name(name) {
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

    fn is_metric_name(&self, name: &[u8]) -> bool {
        match self.limits.name_validation_scheme {
            NameValidationScheme::Legacy => is_legacy_metric_name(name),
            NameValidationScheme::Utf8 => !name.is_empty() && is_utf8(name),
        }
    }

    fn is_label_name(&self, name: &[u8]) -> bool {
        match self.limits.name_validation_scheme {
            NameValidationScheme::Legacy => is_legacy_label_name(name),
            NameValidationScheme::Utf8 => !name.is_empty() && is_utf8(name),
        }
    }

    fn first_bad_time(&self, series: &Series<'a>) -> Option<Millis> {
        let bad = |t: &Millis| *t > self.latest || self.earliest.is_some_and(|e| *t < e);
        let floats = series.samples().iter().map(|s| s.timestamp);
        floats.chain(series.histograms().map(|h| h.timestamp)).find(bad)
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

/// All that a series brings.
pub fn parts_of(series: &Series<'_>) -> Parts {
    Parts {
        samples: series.samples().len() as u32,
        histograms: series.histograms().len() as u32,
        exemplars: series.exemplars().len() as u32,
        metadata: 0,
    }
}
