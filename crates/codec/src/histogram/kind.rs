//! The number streams of the two encodings.

use norn_model::chunk::ChunkEncoding;
use norn_model::histogram::{FloatHistogram, Histogram, ResetHint, Span};

use crate::DecodeError;
use crate::bits::{Reader, Writer};
use crate::varbit;
use crate::window::Window;

/// One number per sample, coded against the numbers before it.
pub trait Stream: Clone + Default + std::fmt::Debug {
    /// The number.
    type Value: Copy + Default + PartialOrd;
    /// The last number.
    fn value(&self) -> Self::Value;
    /// Writes the first number.
    fn put_first(&mut self, writer: &mut Writer, value: Self::Value);
    /// Writes a later number.
    fn put_later(&mut self, writer: &mut Writer, value: Self::Value);
    /// Writes what a stale sample has in this place.
    fn put_stale(&mut self, writer: &mut Writer);
    /// Reads the first number.
    fn take_first(&mut self, reader: &mut Reader<'_>);
    /// Reads a later number.
    fn take_later(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError>;
    /// As a float.
    fn to_float(value: Self::Value) -> f64;
}

/// A histogram taken apart.
pub struct Parts<'h, K: Kind> {
    pub(super) hint: ResetHint,
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) count: Count<K>,
    pub(super) zero_count: Count<K>,
    pub(super) sum: f64,
    /// Positive, negative.
    pub(super) spans: [&'h [Span]; 2],
    /// Positive, negative; as stored.
    pub(super) buckets: [&'h [Bucket<K>]; 2],
    pub(super) custom_values: &'h [f64],
}

impl<K: Kind> Default for Parts<'_, K> {
    fn default() -> Self {
        Self {
            hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            count: Count::<K>::default(),
            zero_count: Count::<K>::default(),
            sum: 0.0,
            spans: [&[], &[]],
            buckets: [&[], &[]],
            custom_values: &[],
        }
    }
}

pub(super) type Count<K> = <<K as Kind>::Count as Stream>::Value;
pub(super) type Bucket<K> = <<K as Kind>::Bucket as Stream>::Value;

/// Integer or float counts. Closed: [`Integers`] and [`Floats`].
pub trait Kind: Clone + std::fmt::Debug + sealed::Sealed {
    /// Number of the encoding.
    const ENCODING: ChunkEncoding;
    /// Number of the encoding that also holds start timestamps.
    const ENCODING_WITH_STARTS: ChunkEncoding;
    /// What a sample is.
    type Histogram;
    /// Counts of all observations and of those in the zero bucket.
    type Count: Stream;
    /// Counts of buckets, as stored.
    type Bucket: Stream;
    /// Takes a histogram apart.
    fn parts(histogram: &Self::Histogram) -> Parts<'_, Self>;
    /// Puts a histogram together; buckets positive, then negative.
    fn build(parts: Parts<'_, Self>) -> Self::Histogram;
    /// The count of a bucket from what is stored and the count of the bucket before.
    fn absolute(before: Bucket<Self>, stored: Bucket<Self>) -> Bucket<Self>;
    /// The inverse of [`Kind::absolute`].
    fn stored(before: Bucket<Self>, absolute: Bucket<Self>) -> Bucket<Self>;
    /// The sum of two bucket counts.
    fn add(a: Bucket<Self>, b: Bucket<Self>) -> Bucket<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Integers {}
    impl Sealed for super::Floats {}
}

/// Encodings 2 and 5.
#[derive(Clone, Copy, Debug)]
pub enum Integers {}

/// Encodings 3 and 6.
#[derive(Clone, Copy, Debug)]
pub enum Floats {}

macro_rules! take_apart {
    () => {
        fn parts(h: &Self::Histogram) -> Parts<'_, Self> {
            Parts {
                hint: h.reset_hint,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                count: h.count,
                zero_count: h.zero_count,
                sum: h.sum,
                spans: [&h.positive_spans, &h.negative_spans],
                buckets: [&h.positive_buckets, &h.negative_buckets],
                custom_values: &h.custom_values,
            }
        }

        fn build(parts: Parts<'_, Self>) -> Self::Histogram {
            Self::Histogram {
                reset_hint: parts.hint,
                schema: parts.schema,
                zero_threshold: parts.zero_threshold,
                count: parts.count,
                zero_count: parts.zero_count,
                sum: parts.sum,
                positive_spans: parts.spans[0].to_vec(),
                negative_spans: parts.spans[1].to_vec(),
                positive_buckets: parts.buckets[0].to_vec(),
                negative_buckets: parts.buckets[1].to_vec(),
                custom_values: parts.custom_values.to_vec(),
            }
        }
    };
}

impl Kind for Integers {
    const ENCODING: ChunkEncoding = ChunkEncoding::Histogram;
    const ENCODING_WITH_STARTS: ChunkEncoding = ChunkEncoding::HistogramStarts;
    type Histogram = Histogram;
    type Count = Total;
    type Bucket = Delta;

    take_apart!();

    fn absolute(before: i64, stored: i64) -> i64 {
        before.wrapping_add(stored)
    }

    fn stored(before: i64, absolute: i64) -> i64 {
        absolute.wrapping_sub(before)
    }

    fn add(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}

impl Kind for Floats {
    const ENCODING: ChunkEncoding = ChunkEncoding::FloatHistogram;
    const ENCODING_WITH_STARTS: ChunkEncoding = ChunkEncoding::FloatHistogramStarts;
    type Histogram = FloatHistogram;
    type Count = Float;
    type Bucket = Float;

    take_apart!();

    fn absolute(_: f64, stored: f64) -> f64 {
        stored
    }

    fn stored(_: f64, absolute: f64) -> f64 {
        absolute
    }

    fn add(a: f64, b: f64) -> f64 {
        a + b
    }
}

/// An unsigned integer that goes by the change of its change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total(Delta);

impl Stream for Total {
    type Value = u64;

    fn value(&self) -> u64 {
        self.0.value as u64
    }

    fn put_first(&mut self, writer: &mut Writer, value: u64) {
        self.0.value = value as i64;
        varbit::put_uint(writer, value);
    }

    fn put_later(&mut self, writer: &mut Writer, value: u64) {
        self.0.put_later(writer, value as i64);
    }

    fn put_stale(&mut self, writer: &mut Writer) {
        self.0.put_stale(writer);
    }

    fn take_first(&mut self, reader: &mut Reader<'_>) {
        self.0.value = varbit::take_uint(reader) as i64;
    }

    fn take_later(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.0.take_later(reader)
    }

    fn to_float(value: u64) -> f64 {
        value as f64
    }
}

/// A signed integer that goes by the change of its change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delta {
    value: i64,
    change: i64,
}

impl Stream for Delta {
    type Value = i64;

    fn value(&self) -> i64 {
        self.value
    }

    fn put_first(&mut self, writer: &mut Writer, value: i64) {
        self.value = value;
        varbit::put_int(writer, value);
    }

    fn put_later(&mut self, writer: &mut Writer, value: i64) {
        let change = value.wrapping_sub(self.value);
        varbit::put_int(writer, change.wrapping_sub(self.change));
        *self = Self { value, change };
    }

    fn put_stale(&mut self, writer: &mut Writer) {
        varbit::put_int(writer, 0);
        // Where whoever reads it gets to.
        self.value = self.value.wrapping_add(self.change);
    }

    fn take_first(&mut self, reader: &mut Reader<'_>) {
        self.value = varbit::take_int(reader);
    }

    fn take_later(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.change = self.change.wrapping_add(varbit::take_int(reader));
        self.value = self.value.wrapping_add(self.change);
        Ok(())
    }

    fn to_float(value: i64) -> f64 {
        value as f64
    }
}

/// A float that goes by its changed bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Float {
    bits: u64,
    window: Window,
}

impl Stream for Float {
    type Value = f64;

    fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    fn put_first(&mut self, writer: &mut Writer, value: f64) {
        self.bits = value.to_bits();
        writer.put(self.bits, 64);
    }

    fn put_later(&mut self, writer: &mut Writer, value: f64) {
        writer.put_xor(&mut self.window, value.to_bits() ^ self.bits);
        self.bits = value.to_bits();
    }

    fn put_stale(&mut self, writer: &mut Writer) {
        self.put_later(writer, 0.0);
    }

    fn take_first(&mut self, reader: &mut Reader<'_>) {
        self.bits = reader.take(64);
    }

    fn take_later(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.bits ^= self.window.take(reader)?;
        Ok(())
    }

    fn to_float(value: f64) -> f64 {
        value
    }
}
