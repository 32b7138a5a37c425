//! How the bytes of a chunk are encoded.

/// Encodings of the Prometheus TSDB, by their number on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChunkEncoding {
    /// Floats, XOR.
    Xor = 1,
    /// Integer histograms.
    Histogram = 2,
    /// Float histograms.
    FloatHistogram = 3,
    /// Floats, XOR2 with optional start timestamps.
    Xor2 = 4,
    /// Integer histograms with start timestamps.
    HistogramStarts = 5,
    /// Float histograms with start timestamps.
    FloatHistogramStarts = 6,
}

impl ChunkEncoding {
    /// From the number on disk.
    pub fn from_number(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Xor),
            2 => Some(Self::Histogram),
            3 => Some(Self::FloatHistogram),
            4 => Some(Self::Xor2),
            5 => Some(Self::HistogramStarts),
            6 => Some(Self::FloatHistogramStarts),
            _ => None,
        }
    }
}
