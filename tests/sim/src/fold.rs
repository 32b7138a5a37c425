//! The naive head: what a partition's records come to, in maps.

use std::collections::BTreeMap;

use norn_model::Millis;
use norn_model::histogram::Histogram;
use norn_model::sample::stale_nan;
use norn_wire::settings::FoldSettings;

use crate::traffic::{Content, Item, Part, Sent, metric};
use crate::value::{Value, histogram};

/// Samples of a series by time.
pub type Samples = BTreeMap<Millis, Value>;

/// Length of a window; half of it behind a tenant's newest sample nothing is taken in order.
pub const RANGE: Millis = 2 * 60 * 60 * 1000;

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
    /// Newest time of the tenant, before the first record none.
    newest: Option<Millis>,
    series: BTreeMap<u8, Series>,
}

#[derive(Clone, Debug, Default)]
struct Series {
    /// Newest time that came in order.
    newest: Option<Millis>,
    samples: Samples,
}

/// Which times a record is taken for.
#[derive(Clone, Copy)]
struct Bounds {
    min_valid: Millis,
    min_late: Millis,
    window: Millis,
}

impl Bounds {
    fn admit_late(&self, t: Millis) -> Result<(), &'static str> {
        match self.window {
            0 if t < self.min_valid => Err("sample-timestamp-too-old"),
            0 => Err("sample-out-of-order"),
            _ if t < self.min_late => Err("sample-timestamp-too-old"),
            _ => Ok(()),
        }
    }

    fn admit_first(&self, t: Millis) -> Result<(), &'static str> {
        if t >= self.min_valid { Ok(()) } else { self.admit_late(t) }
    }
}

impl Default for TenantFold {
    fn default() -> Self {
        let settings = FoldSettings { native_histograms: true, ..FoldSettings::default() };
        Self { settings, newest: None, series: BTreeMap::new() }
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
        series.map(|(number, series)| (*number, &series.samples))
    }
}

impl TenantFold {
    /// Takes samples; gives the ids of refusals in order.
    fn write(&mut self, parts: &[Part]) -> Vec<&'static str> {
        let Some(first) = parts.first() else { return Vec::new() };
        let (newest, window) = (self.newest.unwrap_or(first.t), self.settings.out_of_order_window);
        let bounds = Bounds { min_valid: newest - RANGE / 2, min_late: newest - window, window };
        let parts: Vec<&Part> = parts.iter().filter(|p| self.counts(p)).collect();
        let (mut limited, mut refused) = (Vec::new(), Vec::new());
        let mut targets = Vec::new();
        for part in &parts {
            let known = self.series.contains_key(&part.series);
            let target = match bounds.admit_first(part.t) {
                _ if known => Ok(()),
                Err(id) => Err(Some(id)),
                Ok(()) => self.limit(part.series).map_or(Ok(()), |id| {
                    limited.push(id);
                    Err(None)
                }),
            };
            if target.is_ok() {
                self.series.entry(part.series).or_default();
            }
            targets.push(target);
        }
        for (part, target) in parts.into_iter().zip(targets) {
            refused.extend(match target {
                Ok(()) => self.append(part, bounds),
                Err(id) => id,
            });
        }
        limited.into_iter().chain(refused).collect()
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

    fn append(&mut self, part: &Part, bounds: Bounds) -> Option<&'static str> {
        let t = part.t;
        let Series { newest, samples } = self.series.entry(part.series).or_default();
        let value = value(part.item, newest.and_then(|newest| samples.get(&newest)));
        let in_order = t >= bounds.min_valid && newest.is_none_or(|newest| t > newest);
        let is_newest = t >= bounds.min_valid && *newest == Some(t);
        if !in_order
            && !is_newest
            && let Err(id) = bounds.admit_late(t)
        {
            return Some(id);
        }
        match samples.get(&t) {
            Some(stored) if *stored == value => return None,
            Some(_) => return Some("sample-duplicate-timestamp"),
            None => _ = samples.insert(t, value),
        }
        if in_order {
            *newest = Some(t);
        }
        self.newest = self.newest.max(Some(t));
        None
    }
}

/// Every value that may be stored of a sample.
pub fn variants(item: Item) -> Vec<Value> {
    let one = value(item, None);
    match item {
        Item::Stale => {
            [Value::int(Histogram::default()), Value::float_histogram(Histogram::default().to_float())]
                .iter()
                .map(|newest| value(item, Some(newest)))
                .chain([one])
                .collect()
        }
        _ => vec![one],
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
