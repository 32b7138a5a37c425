//! Native histograms that grow, reset and change layout.

use std::collections::BTreeMap;

use super::random::Random;

/// Schema of histograms with custom buckets.
pub const CUSTOM: i32 = -53;
/// What a stale marker's bits are.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One histogram sample: bucket counts by index.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Exponential schema or [`CUSTOM`].
    pub schema: i32,
    /// Whether counts are floats.
    pub float: bool,
    /// Whether it is a gauge.
    pub gauge: bool,
    /// Sum of observations.
    pub sum: f64,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Positive (or custom) buckets.
    pub positive: BTreeMap<i32, f64>,
    /// Negative buckets.
    pub negative: BTreeMap<i32, f64>,
    /// Upper bounds of custom buckets.
    pub bounds: Vec<f64>,
}

impl Histogram {
    /// Count of all observations.
    pub fn count(&self) -> f64 {
        self.zero_count + self.positive.values().sum::<f64>() + self.negative.values().sum::<f64>()
    }

    /// A stale marker in the same flavour.
    pub fn stale(&self) -> Self {
        Self {
            sum: f64::from_bits(STALE),
            zero_count: 0.0,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            ..self.clone()
        }
    }

    fn empty(schema: i32, float: bool, gauge: bool) -> Self {
        Self {
            schema,
            float,
            gauge,
            sum: 0.0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            bounds: Vec::new(),
        }
    }
}

/// How a family's histograms look.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Float counts.
    pub float: bool,
    /// Gauge instead of counter.
    pub gauge: bool,
    /// Custom bounds instead of a schema.
    pub custom: bool,
    /// Negative observations too.
    pub negative: bool,
}

const BOUNDS: &[&[f64]] =
    &[&[1.0, 2.0, 5.0, 10.0], &[1.0, 2.0, 4.0, 10.0], &[-1.0, 0.0, 0.5, 1.0, 10.0], &[2.0, 10.0]];

/// Histograms of one series, one after another.
pub struct Process {
    model: Model,
    now: Histogram,
    /// Whether all buckets are there from the beginning. Only then may two neighbours be equal: when
    /// a bucket appears, older samples of the same chunk get it too, and where chunks begin is each
    /// server's own choice, but it decides what `==` and `changes` find equal, and which buckets of
    /// negated gauges `resets` and quantiles see.
    whole: bool,
}

impl Process {
    /// A new series.
    pub fn new(model: Model, random: &mut Random) -> Self {
        let schema = if model.custom { CUSTOM } else { random.pick(&[0, 0, 1, 2, 3, -1]) };
        let mut now = Histogram::empty(schema, model.float, model.gauge);
        if model.custom {
            now.bounds = random.pick(&[BOUNDS[0], BOUNDS[0], BOUNDS[1], BOUNDS[2], BOUNDS[3]]).to_vec();
        } else {
            now.zero_threshold = random.pick(&[0.0, 0.001, 0.001, 0.5, 2.938_735_877_055_719e-39]);
        }
        let mut process = Self { model, now, whole: model.negative || model.gauge || random.chance(50) };
        process.fill();
        process
    }

    fn fill(&mut self) {
        if !self.whole {
            return;
        }
        let indices = if self.model.custom { 0..=self.now.bounds.len() as i32 } else { -3..=8 };
        for index in indices {
            self.now.positive.insert(index, 1.0);
            if self.model.negative {
                self.now.negative.insert(index, 1.0);
            }
        }
    }

    /// The next sample.
    pub fn next(&mut self, random: &mut Random) -> Histogram {
        if self.model.gauge || random.chance(3) {
            self.now.positive.clear();
            self.now.negative.clear();
            self.now.zero_count = 0.0;
            self.now.sum = 0.0;
            self.fill();
        }
        if !self.model.custom && random.chance(1) {
            // A narrower layout may only come with a reset; a wider one comes alone.
            self.now = Histogram {
                schema: random.pick(&[0, 1, 2]),
                ..Histogram::empty(0, self.model.float, self.model.gauge)
            };
            self.fill();
        }
        for _ in 0..random.below(5).max(usize::from(!self.whole)) {
            self.observe(random);
        }
        self.now.clone()
    }

    fn observe(&mut self, random: &mut Random) {
        let n = if self.model.float && random.chance(50) {
            random.unit() * 3.0
        } else {
            random.between(1, 4) as f64
        };
        if self.model.custom {
            let index = random.below(self.now.bounds.len() + 1);
            *self.now.positive.entry(index as i32).or_default() += n;
            self.now.sum += n * self.now.bounds.get(index).copied().unwrap_or(12.0);
            return;
        }
        if random.chance(15) {
            self.now.zero_count += n;
            return;
        }
        let index = random.between(-3, 8) as i32;
        let sign = if self.model.negative && random.chance(40) { -1.0 } else { 1.0 };
        let buckets = if sign < 0.0 { &mut self.now.negative } else { &mut self.now.positive };
        *buckets.entry(index).or_default() += n;
        self.now.sum += sign * n * f64::from(index + 4);
    }
}
