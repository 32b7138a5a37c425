//! Families of series: what they are called and which values they take.
//!
//! More than half of all samples are small integers, whose sums are exact in any order.

use super::histogram::{Histogram, Model, Process, STALE};
use super::random::Random;

/// Time of the earliest samples, Unix milliseconds.
pub const START: i64 = 1_760_000_000_000;
/// Samples of one request lie within this many milliseconds: the reference takes a request that is
/// no more than an hour behind its newest sample.
pub const SLICE: i64 = 1_200_000;
/// Requests.
pub const SLICES: i64 = 4;
const INTERVAL: i64 = 15_000;

/// A float or a native histogram.
#[derive(Clone, Debug)]
pub enum Sample {
    /// A float; stale markers are floats too.
    Float(f64),
    /// A native histogram.
    Histogram(Histogram),
}

/// A series with samples in time order.
#[derive(Clone, Debug)]
pub struct Series {
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    /// Unix milliseconds and value.
    pub samples: Vec<(i64, Sample)>,
}

/// What a family's samples are; each kind is one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Small integers that go up and down.
    Integer,
    /// Floats with random mantissas.
    Float,
    /// Integers that grow and reset.
    Counter,
    /// Floats that grow and reset.
    FloatCounter,
    /// NaN, ±Inf, ±0 and stale markers between small numbers.
    Special,
    /// Numbers whose sum overflows.
    Huge,
    /// Integers with long holes, some of which begin with a stale marker.
    Gaps,
    /// Classic histogram buckets with integer counts.
    Classic,
    /// Classic histogram buckets that are not monotonic.
    Crooked,
    /// Native histograms, integer counts.
    Histogram,
    /// Native histograms, float counts, negative buckets.
    FloatHistogram,
    /// Native gauge histograms.
    GaugeHistogram,
    /// Native histograms with custom buckets.
    CustomHistogram,
    /// Floats for a while, then native histograms.
    Mixed,
    /// A recorded rule, always written in quotes.
    Quoted,
    /// One series for each value of `a`.
    One,
    /// Labels for `info`.
    Info,
}

use Kind::*;

/// All kinds.
pub const KINDS: &[Kind] = &[
    Integer,
    Float,
    Counter,
    FloatCounter,
    Special,
    Huge,
    Gaps,
    Classic,
    Crooked,
    Histogram,
    FloatHistogram,
    GaugeHistogram,
    CustomHistogram,
    Mixed,
    Quoted,
    One,
    Info,
];

impl Kind {
    /// The metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Integer => "g",
            Float => "gf",
            Counter => "c_total",
            FloatCounter => "cf_total",
            Special => "special",
            Huge => "huge",
            Gaps => "gaps",
            Classic => "lat_bucket",
            Crooked => "crooked_bucket",
            Histogram => "nh",
            FloatHistogram => "nhf",
            GaugeHistogram => "nhg",
            CustomHistogram => "nhc",
            Mixed => "mixed",
            Quoted => "job:quoted:rate",
            One => "one",
            Info => "target_info",
        }
    }

    /// Names of the metric's labels.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Counter | FloatCounter => &["a", "instance", "job"],
            Classic | Crooked => &["a", "instance", "le"],
            One => &["a", "s"],
            Info => &["env", "instance", "job", "version"],
            Quoted => &["a", "q"],
            _ => &["a", "b"],
        }
    }

    /// Whether samples are native histograms.
    pub fn is_histogram(self) -> bool {
        matches!(self, Histogram | FloatHistogram | GaugeHistogram | CustomHistogram | Mixed)
    }

    fn values(self, label: &str) -> &'static [&'static str] {
        match (self, label) {
            (Counter, "instance") => &["i0", "i1", "i2", "i3"],
            (_, "instance") => &["i0", "i1"],
            (_, "job") => &["j0"],
            (_, "le") => &["0.1", "0.5", "1", "2.5", "10", "+Inf"],
            (Classic | Crooked, "a") => &["x", "y"],
            (_, "a") => &["x", "y", "z"],
            (Integer | Float, "b") => &["0", "1", "2", "10"],
            (_, "q") => &["0", "1", "日本 \"ü\""],
            (_, "b") => &["0", "1"],
            (_, "s") => &["small"],
            (_, "env") => &["prod"],
            (_, "version") => &["1.2"],
            _ => &[],
        }
    }
}

/// All series of a seed, in label order.
pub fn series(seed: u64) -> Vec<Series> {
    let mut random = Random::new(seed, u64::MAX);
    let mut all = Vec::new();
    for &kind in KINDS {
        for labels in label_sets(kind) {
            all.push(one_series(kind, labels, &mut random));
        }
    }
    all.sort_by(|x: &Series, y: &Series| x.labels.cmp(&y.labels));
    all
}

/// The samples of request `slice`; all series are in the first one, so that both servers create
/// them in label order.
pub fn slice(series: &[Series], slice: i64) -> Vec<Series> {
    let from = START + slice * SLICE;
    let within = |time: i64| time >= from && time < from + SLICE;
    let part = |s: &Series| Series {
        labels: s.labels.clone(),
        samples: s.samples.iter().filter(|(t, _)| within(*t)).cloned().collect(),
    };
    series.iter().map(part).filter(|s| !s.samples.is_empty()).collect()
}

fn label_sets(kind: Kind) -> Vec<Vec<(String, String)>> {
    let mut sets = vec![vec![("__name__".to_owned(), kind.name().to_owned())]];
    for label in kind.labels() {
        sets = sets
            .into_iter()
            .flat_map(|set| {
                kind.values(label).iter().map(move |value| {
                    let mut set = set.clone();
                    set.push(((*label).to_owned(), (*value).to_owned()));
                    set
                })
            })
            .collect();
    }
    sets
}

fn one_series(kind: Kind, labels: Vec<(String, String)>, random: &mut Random) -> Series {
    let offset = random.between(0, INTERVAL - 1);
    let jitter = random.pick(&[0, 0, 7, 400]);
    let mut values = Values::new(kind, &labels, random);
    let mut samples = Vec::new();
    let mut hole = 0usize;
    for n in 0..SLICE * SLICES / INTERVAL {
        let time = START + n * INTERVAL + (offset + random.between(0, jitter)).min(INTERVAL - 1);
        let sample = values.next((n * INTERVAL / SLICE) % 2 == 1, random);
        if hole > 0 {
            hole -= 1;
            continue;
        }
        let (often, long) = if matches!(kind, Gaps | Special) { (4, 50) } else { (1, 12) };
        if random.chance(often) && n > 0 {
            hole = random.below(long);
            // A float stale marker right behind a histogram does not end the series in the reference.
            if random.chance(50) && kind != Mixed {
                samples.push((time, stale(&sample)));
            }
            continue;
        }
        samples.push((time, sample));
    }
    Series { labels, samples }
}

fn stale(sample: &Sample) -> Sample {
    match sample {
        Sample::Float(_) => Sample::Float(f64::from_bits(STALE)),
        Sample::Histogram(h) => Sample::Histogram(h.stale()),
    }
}

struct Values {
    kind: Kind,
    now: f64,
    /// How much a counter grows at most: buckets with a higher bound grow faster.
    growth: i64,
    histograms: Process,
}

impl Values {
    fn new(kind: Kind, labels: &[(String, String)], random: &mut Random) -> Self {
        let model = Model {
            float: kind == FloatHistogram,
            gauge: kind == GaugeHistogram,
            custom: kind == CustomHistogram,
            negative: kind == FloatHistogram,
        };
        let bound = labels
            .iter()
            .find(|(n, _)| n == "le")
            .map(|(_, le)| kind.values("le").iter().position(|v| v == le).map_or(0, |i| i as i64 + 1));
        Self {
            kind,
            now: random.between(-5, 20).max(if kind == Integer { -5 } else { 0 }) as f64,
            growth: bound.unwrap_or(9),
            histograms: Process::new(model, random),
        }
    }

    fn next(&mut self, odd_slice: bool, random: &mut Random) -> Sample {
        let value = match self.kind {
            Histogram | FloatHistogram | GaugeHistogram | CustomHistogram => {
                return Sample::Histogram(self.histograms.next(random));
            }
            Mixed if odd_slice => return Sample::Histogram(self.histograms.next(random)),
            Integer | Gaps | Mixed | Quoted => self.walk(random),
            Float => (random.unit() - 0.3) * 10f64.powi(random.between(-3, 6) as i32),
            Counter => self.grow(random.below(10) as f64, random.chance(2)),
            FloatCounter => self.grow(random.unit() * 7.0, random.chance(2)),
            Classic => self.grow(self.growth as f64, false),
            Crooked => self.grow(random.below(self.growth as usize + 2) as f64, random.chance(1)),
            Special => random.pick(&[
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.5,
                2.0,
                3.0,
                7.0,
                f64::from_bits(STALE),
            ]),
            Huge => random.pick(&[1e308, -1e308, 1.5e308, 1.0, -1.7e308]),
            One => random.between(1, 5) as f64,
            Info => 1.0,
        };
        Sample::Float(value)
    }

    fn walk(&mut self, random: &mut Random) -> f64 {
        self.now = (self.now + random.between(-4, 4) as f64).clamp(-20.0, 40.0);
        self.now
    }

    fn grow(&mut self, by: f64, reset: bool) -> f64 {
        self.now = if reset { by } else { self.now + by };
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_reproducible_and_mostly_integers() {
        let (x, y) = (series(1), series(1));
        assert_eq!(format!("{x:?}"), format!("{y:?}"));
        assert_ne!(format!("{x:?}"), format!("{:?}", series(2)));
        assert!(x.is_sorted_by(|x, y| x.labels < y.labels));
        assert_eq!(slice(&x, 0).len(), x.len());
        let samples = || x.iter().flat_map(|s| &s.samples);
        let integers = samples().filter(|(_, s)| matches!(s, Sample::Float(v) if v.fract() == 0.0)).count();
        assert!(integers * 2 > samples().count());
    }
}
