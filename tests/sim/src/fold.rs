//! The naive head: what a partition's records come to, in maps.

use std::collections::BTreeMap;

use norn_model::Millis;
use norn_model::histogram::Histogram;
use norn_model::sample::stale_nan;
use norn_wire::settings::FoldSettings;

use crate::traffic::{Content, Item, Part, Sent, metric};
use crate::value::{Value, histogram};

/// Samples by tenant, series and time.
pub type Samples = BTreeMap<Millis, Value>;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was folded; so many samples were refused, the first with this id.
    Folded(u32, Option<&'static str>),
    /// It could not be read.
    Undecodable,
}

/// State after some records.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    tenants: BTreeMap<u8, TenantFold>,
}

#[derive(Clone, Debug)]
struct TenantFold {
    settings: FoldSettings,
    newest: Millis,
    series: BTreeMap<u8, Samples>,
}

impl Default for TenantFold {
    fn default() -> Self {
        let settings = FoldSettings { native_histograms: true, ..FoldSettings::default() };
        Self { settings, newest: Millis::MIN, series: BTreeMap::new() }
    }
}

impl Fold {
    /// Takes the next record.
    pub fn take(&mut self, sent: &Sent) -> Verdict {
        let tenant = self.tenants.entry(sent.tenant);
        match &sent.content {
            Content::Garbage => Verdict::Undecodable,
            Content::Settings(settings) => {
                tenant.or_default().settings = settings.clone();
                Verdict::Folded(0, None)
            }
            Content::Write(parts) => {
                let refused = tenant.or_default().write(parts);
                Verdict::Folded(refused.len() as u32, refused.first().copied())
            }
        }
    }

    /// The series of a tenant.
    pub fn series(&self, tenant: u8) -> impl Iterator<Item = (u8, &Samples)> {
        let series = self.tenants.get(&tenant).into_iter().flat_map(|t| &t.series);
        series.map(|(number, samples)| (*number, samples))
    }
}

impl TenantFold {
    /// Takes samples; gives the ids of refusals in order.
    fn write(&mut self, parts: &[Part]) -> Vec<&'static str> {
        let mut refused = Vec::new();
        let parts: Vec<&Part> = parts.iter().filter(|p| self.counts(p)).collect();
        for part in &parts {
            if self.series.contains_key(&part.series) {
                continue;
            }
            match self.limit(part.series) {
                Some(id) => refused.push(id),
                None => _ = self.series.insert(part.series, Samples::new()),
            }
        }
        for part in parts {
            if self.series.contains_key(&part.series) {
                refused.extend(self.append(part));
            }
        }
        refused
    }

    /// Whether a sample is looked at.
    fn counts(&self, part: &Part) -> bool {
        self.settings.native_histograms || matches!(part.item, Item::Float(_) | Item::Stale)
    }

    fn limit(&self, series: u8) -> Option<&'static str> {
        let (all, metric_limit) = (self.settings.max_series, self.settings.max_series_per_metric);
        if all > 0 && self.series.len() as u64 >= all {
            return Some("max-series-per-user");
        }
        let same = self.series.keys().filter(|s| metric(**s) == metric(series)).count();
        (metric_limit > 0 && same as u64 >= metric_limit).then_some("max-series-per-metric")
    }

    fn append(&mut self, part: &Part) -> Option<&'static str> {
        let (t, window) = (part.t, self.settings.out_of_order_window);
        let samples = self.series.entry(part.series).or_default();
        let newest = samples.last_key_value();
        let value = value(part.item, newest.map(|(_, value)| value));
        if newest.is_some_and(|(newest, _)| t < *newest) {
            if window == 0 {
                return Some("sample-out-of-order");
            }
            if t < self.newest - window {
                return Some("sample-timestamp-too-old");
            }
        }
        match samples.get(&t) {
            Some(stored) if *stored == value => return None,
            Some(_) => return Some("sample-duplicate-timestamp"),
            None => {}
        }
        samples.insert(t, value);
        self.newest = self.newest.max(t);
        None
    }
}

/// A float stale marker after a histogram ends the series as a histogram.
fn value(item: Item, newest: Option<&Value>) -> Value {
    let stale = || Histogram { sum: stale_nan(), ..Histogram::default() };
    match (item, newest) {
        (Item::Stale, Some(Value::Int(_))) => Value::int(stale()),
        (Item::Stale, Some(Value::FloatHistogram(_))) => Value::float_histogram(stale().to_float()),
        (Item::Stale, _) => Value::float(stale_nan()),
        (Item::Float(bits), _) => Value::Float(bits),
        (Item::Int(n), _) => Value::int(histogram(n)),
        (Item::FloatHistogram(n), _) => Value::float_histogram(histogram(n).to_float()),
    }
}
