//! Builds version 2 records.

use bytes::Bytes;
use norn_model::Millis;
use norn_model::metadata::MetricType;

use super::symbols::{METRIC_NAME, Previous, Symbols};
use crate::histogram::{self, HistogramRef};
use crate::protobuf::{close, open, put_double_field, put_message, put_uint_field, put_varint};

/// Builds one record after the other in the same memory.
///
/// Symbols and series grow in two buffers; [`Builder::finish`] puts one behind the other.
#[derive(Debug)]
pub struct Builder {
    symbols: Symbols<true>,
    previous: Previous,
    series: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty record.
    pub fn new() -> Self {
        let mut symbols = Symbols::new();
        symbols.index_fixed();
        Self { symbols, previous: Previous::default(), series: Vec::new() }
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.symbols.index_fixed();
        self.previous.clear();
        self.series.clear();
    }

    /// Length of the record so far, in bytes. Callers that must stay below a size compare after
    /// each series; records must stay below 4 GiB.
    pub fn len(&self) -> usize {
        self.symbols.text.len() - self.symbols.fixed_len() + self.series.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds a series. Labels are UTF-8, sorted by name, unique and without empty values: the
    /// caller has checked that. Samples, histograms and exemplars go to what is returned; the
    /// series is complete when that is dropped.
    #[inline]
    pub fn series<N, V>(&mut self, labels: impl IntoIterator<Item = (N, V)>) -> SeriesBuilder<'_>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let start = open(&mut self.series, 5);
        let refs = open(&mut self.series, 1);
        for (i, (name, value)) in labels.into_iter().enumerate() {
            let (name, value) = self.previous.intern(&mut self.symbols, i, name.as_ref(), value.as_ref());
            put_varint(&mut self.series, u64::from(name));
            put_varint(&mut self.series, u64::from(value));
        }
        close(&mut self.series, refs);
        SeriesBuilder { symbols: &mut self.symbols, out: &mut self.series, start }
    }

    /// Adds metadata of a metric family that no series of this record carries.
    pub fn metadata(&mut self, family: &str, kind: MetricType, help: &str, unit: &str) {
        let family = self.symbols.intern(family.as_bytes());
        let start = open(&mut self.series, 5);
        put_message(&mut self.series, 1, |out| {
            put_varint(out, u64::from(METRIC_NAME));
            put_varint(out, u64::from(family));
        });
        SeriesBuilder { symbols: &mut self.symbols, out: &mut self.series, start }.metadata(kind, help, unit);
    }

    /// The record, and an empty builder again.
    pub fn finish(&mut self) -> Bytes {
        let own = &self.symbols.text[self.symbols.fixed_len()..];
        let mut value = Vec::with_capacity(self.len());
        value.extend_from_slice(own);
        value.extend_from_slice(&self.series);
        self.clear();
        Bytes::from(value)
    }
}

/// Adds to one series; dropped, the series is complete.
#[derive(Debug)]
pub struct SeriesBuilder<'a> {
    symbols: &'a mut Symbols<true>,
    out: &'a mut Vec<u8>,
    start: usize,
}

impl SeriesBuilder<'_> {
    /// Adds a float sample.
    #[inline]
    pub fn sample(&mut self, timestamp: Millis, value: f64) -> &mut Self {
        put_message(self.out, 2, |out| {
            put_double_field(out, 1, value);
            put_uint_field(out, 2, timestamp as u64);
        });
        self
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, timestamp: Millis, histogram: HistogramRef<'_>) -> &mut Self {
        put_message(self.out, 3, |out| histogram::put(out, timestamp, histogram));
        self
    }

    /// Adds an exemplar with its own labels, which are UTF-8.
    pub fn exemplar<N, V>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
        value: f64,
        timestamp: Millis,
    ) -> &mut Self
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let symbols = &mut *self.symbols;
        put_message(self.out, 4, |out| {
            let refs = open(out, 1);
            for (name, v) in labels {
                put_varint(out, u64::from(symbols.intern(name.as_ref())));
                put_varint(out, u64::from(symbols.intern(v.as_ref())));
            }
            close(out, refs);
            put_double_field(out, 2, value);
            put_uint_field(out, 3, timestamp as u64);
        });
        self
    }

    /// Says what the series' metric family is. Once in a record is enough for a family.
    pub fn metadata(&mut self, kind: MetricType, help: &str, unit: &str) -> &mut Self {
        let help = self.symbols.intern(help.as_bytes());
        let unit = self.symbols.intern(unit.as_bytes());
        put_message(self.out, 5, |out| {
            put_uint_field(out, 1, kind as u64);
            put_uint_field(out, 3, u64::from(help));
            put_uint_field(out, 4, u64::from(unit));
        });
        self
    }

    /// Says when the series began to count; 0 = not known.
    pub fn created(&mut self, timestamp: Millis) -> &mut Self {
        put_uint_field(self.out, 6, timestamp as u64);
        self
    }
}

impl Drop for SeriesBuilder<'_> {
    fn drop(&mut self) {
        close(self.out, self.start);
    }
}
