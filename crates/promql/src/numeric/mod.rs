//! Arithmetic whose results must have the reference's bits.
//!
//! The reference is compiled from Go for amd64. Go's mathematical functions are not the C
//! library's, so they are computed here by the same published methods (FreeBSD msun, Cephes,
//! Shibata's SIMD exponential) with every operation in the same order. Nothing in here may be
//! reassociated, and `mul_add` stands exactly where Go's assembly fuses.
//! `testdata/gomath.go` makes the table of Go's results that the tests compare with.
//!
//! | module | subject |
//! |---|---|
//! | [`power`] | `exp`, `exp2`, `pow`, `frexp`, `ldexp` |
//! | [`logarithm`] | `log`, `log2`, `log10`, `log1p` |
//! | [`trigonometry`] | `sin`, `cos`, `tan` and their inverses |
//! | [`hyperbolic`] | `sinh`, `cosh`, `tanh` and their inverses |
//! | [`arithmetic`] | Go's `Min`, `Max`, `Mod`, `Hypot`, float to integer, PromQL's `round` |
//! | [`sum`] | compensated sums, means and variances |
//! | [`quantile`](mod@quantile) | quantiles of a slice |
//! | [`format`](mod@format) | floats as text |
//! | [`duration`] | durations as text |
//! | [`natural`] | the order of `sort_by_label` |

// Constants stand as they were published.
#![allow(clippy::excessive_precision)]

pub mod arithmetic;
pub mod duration;
pub mod format;
pub mod hyperbolic;
pub mod logarithm;
pub mod natural;
pub mod power;
pub mod quantile;
pub mod sum;
pub mod trigonometry;

#[cfg(test)]
mod golden;

/// Value of a polynomial by Horner's rule; the coefficient of the highest power comes first.
fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut value = 0.0;
    for (i, c) in coefficients.into_iter().enumerate() {
        value = if i == 0 { c } else { value * x + c };
    }
    value
}

/// `-x` where `negative`.
fn with_sign(x: f64, negative: bool) -> f64 {
    if negative { -x } else { x }
}
