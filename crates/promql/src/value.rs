//! What a query yields.

use std::sync::Arc;

use norn_model::Millis;
use norn_model::histogram::FloatHistogram;
use norn_model::labels::Labels;

use crate::plan::explain::Operator;

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One float at one time.
    Scalar {
        /// Evaluation time.
        timestamp: Millis,
        /// The number.
        value: f64,
    },
    /// A text at one time.
    String {
        /// Evaluation time.
        timestamp: Millis,
        /// The text.
        value: String,
    },
    /// One sample for each series, in the engine's order.
    Vector(Vec<VectorElement>),
    /// Many samples for each series, sorted by labels.
    Matrix(Vec<SeriesPoints>),
}

/// One series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorElement {
    /// Labels.
    pub labels: Labels,
    /// Evaluation time.
    pub timestamp: Millis,
    /// Float or histogram.
    pub value: PointValue,
}

/// A sample's value.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One series of a matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesPoints {
    /// Labels.
    pub labels: Labels,
    /// Float samples by time.
    pub floats: Vec<(Millis, f64)>,
    /// Histogram samples by time.
    pub histograms: Vec<(Millis, Arc<FloatHistogram>)>,
}

/// A finished query.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The result.
    pub value: Value,
    /// Warnings, each a whole text with position, in no promised order.
    pub warnings: Vec<String>,
    /// Infos, likewise.
    pub infos: Vec<String>,
    /// What it cost.
    pub stats: Stats,
    /// What each operator cost; empty unless that was asked for.
    pub operators: Vec<Operator>,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Samples presented to functions and operators, as Prometheus counts them.
    pub total_samples: u64,
    /// Most samples held at once.
    pub peak_samples: u64,
    /// Series selected.
    pub series: u64,
    /// Bytes of chunks read.
    pub chunk_bytes: u64,
    /// Most memory held at once, in bytes, as far as it is accounted for.
    pub peak_memory_bytes: u64,
}
