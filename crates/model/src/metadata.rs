//! Type, help and unit of a metric.

/// The type a metric was exposed with. Numbers are those of remote write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetricType {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Only goes up.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Classic or native histogram.
    Histogram = 3,
    /// Histogram whose buckets go up and down.
    GaugeHistogram = 4,
    /// Quantiles computed by the client.
    Summary = 5,
    /// Labels are the content.
    Info = 6,
    /// A set of booleans.
    StateSet = 7,
}

impl MetricType {
    /// From remote write's number; unknown numbers are [`MetricType::Unknown`].
    pub fn from_number(n: u64) -> Self {
        match n {
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::GaugeHistogram,
            5 => Self::Summary,
            6 => Self::Info,
            7 => Self::StateSet,
            _ => Self::Unknown,
        }
    }

    /// The name in `/api/v1/metadata`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// What a target said of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Metadata {
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: String,
    /// Unit, such as `seconds`.
    pub unit: String,
}
