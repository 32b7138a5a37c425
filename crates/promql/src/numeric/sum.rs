//! Compensated sums, means and variances.
//!
//! Every operation is in the reference's order; see the reference for why `avg` changes its method
//! when the plain sum overflows.

/// One step of the Kahan–Neumaier sum: adds `x` to `sum` with compensation `c`.
#[inline]
pub fn kahan_add(x: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + x;
    let c = if t.is_infinite() {
        0.0
    } else if sum.abs() >= x.abs() {
        c + ((sum - t) + x)
    } else {
        c + ((x - t) + sum)
    };
    (t, c)
}

/// A compensated sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// Without compensation.
    pub sum: f64,
    /// What rounding took.
    pub compensation: f64,
}

impl Sum {
    /// A sum that starts at its first value (`sum`) or at 0 (`sum_over_time`).
    pub fn new(first: f64) -> Self {
        Self { sum: first, compensation: 0.0 }
    }

    /// Adds `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        (self.sum, self.compensation) = kahan_add(x, self.sum, self.compensation);
    }

    /// The sum; an infinite one without compensation.
    pub fn value(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }
}

/// A compensated mean that survives a sum beyond the range of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The sum, or once it overflowed the mean itself.
    sum: f64,
    compensation: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    pub fn new(first: f64) -> Self {
        Self { sum: first, compensation: 0.0, count: 1.0, incremental: false }
    }

    /// Takes in `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, compensation) = kahan_add(x, self.sum, self.compensation);
            if !sum.is_infinite() {
                (self.sum, self.compensation) = (sum, compensation);
                return;
            }
            self.incremental = true;
            self.sum /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        (self.sum, self.compensation) = kahan_add(x / self.count, kept * self.sum, kept * self.compensation);
    }

    /// The mean.
    pub fn value(&self) -> f64 {
        if self.incremental {
            self.sum + self.compensation
        } else {
            self.sum / self.count + self.compensation / self.count
        }
    }
}

/// Population variance by Welford's method, without compensation (`stdvar`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variance {
    mean: f64,
    squares: f64,
    count: f64,
}

impl Variance {
    /// The variance of one value: 0, NaN where it is not finite.
    pub fn new(first: f64) -> Self {
        Self { mean: first, squares: if first.is_finite() { 0.0 } else { f64::NAN }, count: 1.0 }
    }

    /// Takes in `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (x - self.mean);
    }

    /// The variance.
    pub fn value(&self) -> f64 {
        self.squares / self.count
    }
}

/// Population variance by Welford's method with both sums compensated (`stdvar_over_time`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CompensatedVariance {
    mean: Sum,
    squares: Sum,
    count: f64,
}

impl CompensatedVariance {
    /// Takes in `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - (self.mean.sum + self.mean.compensation);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (x - (self.mean.sum + self.mean.compensation)));
    }

    /// The variance; NaN of no values.
    pub fn value(&self) -> f64 {
        (self.squares.sum + self.squares.compensation) / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64]) -> f64 {
        let mut mean = Mean::new(values[0]);
        values[1..].iter().for_each(|v| mean.add(*v));
        mean.value()
    }

    #[test]
    fn keeps_what_plain_addition_loses() {
        let mut sum = Sum::new(1e100);
        [1.0, 1.0, -1e100].iter().for_each(|v| sum.add(*v));
        assert_eq!(sum.value(), 2.0);
        sum.add(f64::INFINITY);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn negative_zero_becomes_positive() {
        assert!(Sum::new(-0.0).value().is_sign_positive());
        assert!(mean(&[-0.0]).is_sign_positive());
    }

    #[test]
    fn mean_survives_overflow() {
        assert!((mean(&[1e308, 1.1e308, 1.2e308]) / 1.1e308 - 1.0).abs() < 1e-15);
        assert_eq!(mean(&[1e308, 1e308, -1e308, -1e308]), 0.0);
        assert_eq!(mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn variances() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let mut plain = Variance::new(values[0]);
        values[1..].iter().for_each(|v| plain.add(*v));
        let mut compensated = CompensatedVariance::default();
        values.iter().for_each(|v| compensated.add(*v));
        assert_eq!((plain.value(), compensated.value()), (4.0, 4.0));
        assert!(Variance::new(f64::INFINITY).value().is_nan());
        assert!(CompensatedVariance::default().value().is_nan());
    }
}
