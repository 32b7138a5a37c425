//! Spans and bucket counts of one side of a histogram.

use norn_model::histogram::{FloatHistogram, Span};

use super::buckets::indexed;
use crate::numeric::sum::Sum;

/// Spans and counts under construction; indices come in ascending order.
#[derive(Debug, Default)]
pub struct SideBuilder {
    /// Spans so far.
    pub spans: Vec<Span>,
    /// Counts so far.
    pub counts: Vec<f64>,
    next: i32,
}

impl SideBuilder {
    /// Room for `buckets` buckets.
    pub fn with_capacity(buckets: usize) -> Self {
        Self { spans: Vec::with_capacity(4), counts: Vec::with_capacity(buckets), next: 0 }
    }

    /// Appends a bucket.
    pub fn push(&mut self, index: i32, count: f64) {
        match self.spans.last_mut() {
            Some(span) if index == self.next => span.length += 1,
            _ => self.spans.push(Span { offset: index.wrapping_sub(self.next), length: 1 }),
        }
        self.next = index.wrapping_add(1);
        self.counts.push(count);
    }
}

/// Removes empty buckets and empty spans, and joins spans without a gap.
pub fn compact(h: &mut FloatHistogram) {
    compact_side(&mut h.positive_spans, &mut h.positive_buckets);
    compact_side(&mut h.negative_spans, &mut h.negative_buckets);
}

fn compact_side(spans: &mut Vec<Span>, counts: &mut Vec<f64>) {
    let loose = |(i, s): (usize, &Span)| s.length == 0 || (i > 0 && s.offset == 0);
    if !counts.contains(&0.0) && !spans.iter().enumerate().any(loose) {
        return;
    }
    let mut side = SideBuilder::with_capacity(counts.len());
    for (index, count) in indexed(spans, counts) {
        if count != 0.0 {
            side.push(index, count);
        }
    }
    *spans = side.spans;
    *counts = side.counts;
}

/// The index of a bucket when `by` levels of resolution are given up.
pub fn reduced_index(index: i32, by: i32) -> i32 {
    (index.wrapping_sub(1) >> by.clamp(0, 31)).wrapping_add(1)
}

/// Brings an exponential histogram down to `schema`.
pub fn reduce_schema(h: &mut FloatHistogram, schema: i32) {
    let by = h.schema.saturating_sub(schema);
    if by <= 0 {
        return;
    }
    for (spans, counts) in
        [(&mut h.positive_spans, &mut h.positive_buckets), (&mut h.negative_spans, &mut h.negative_buckets)]
    {
        let mut side = SideBuilder::with_capacity(counts.len());
        for (index, count) in reduced(spans, counts, by) {
            side.push(index, count);
        }
        *spans = side.spans;
        *counts = side.counts;
    }
    h.schema = schema;
}

/// Index and count of each bucket after giving up `by` levels of resolution.
pub fn reduced<'a>(spans: &'a [Span], counts: &'a [f64], by: i32) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut fine = indexed(spans, counts).map(move |(i, c)| (reduced_index(i, by), c)).peekable();
    std::iter::from_fn(move || {
        let (index, mut count) = fine.next()?;
        while let Some((_, more)) = fine.next_if(|(i, _)| *i == index) {
            count += more;
        }
        Some((index, count))
    })
}

/// As [`reduced`], with compensated sums: `[count, compensation]` of each bucket.
pub fn reduced_compensated<'a>(
    spans: &'a [Span],
    counts: &'a [f64],
    compensations: Option<&'a [f64]>,
    by: i32,
) -> impl Iterator<Item = (i32, [f64; 2])> + 'a {
    let compensation = move |i: usize| compensations.and_then(|c| c.get(i)).copied().unwrap_or(0.0);
    let mut fine = indexed(spans, counts)
        .enumerate()
        .map(move |(i, (index, count))| (reduced_index(index, by), [count, compensation(i)]))
        .peekable();
    std::iter::from_fn(move || {
        let (index, [count, compensation]) = fine.next()?;
        let mut sum = Sum { sum: count, compensation };
        while let Some((_, more)) = fine.next_if(|(i, _)| *i == index) {
            more.into_iter().for_each(|part| sum.add(part));
        }
        Some((index, [sum.sum, sum.compensation]))
    })
}

/// Whether both have the same buckets, spans that are split or empty aside.
pub fn same_spans(a: &[Span], b: &[Span]) -> bool {
    normal(a).eq(normal(b))
}

/// Spans as `(start, length)`, joined where nothing lies between.
fn normal(spans: &[Span]) -> impl Iterator<Item = (i64, u64)> + '_ {
    let mut end = 0i64;
    let mut runs = spans.iter().filter_map(move |s| {
        let start = end + i64::from(s.offset);
        end = start + i64::from(s.length);
        (s.length > 0).then_some((start, u64::from(s.length)))
    });
    let mut pending: Option<(i64, u64)> = None;
    std::iter::from_fn(move || {
        loop {
            match (pending, runs.next()) {
                (Some((start, length)), Some((s, l))) if start + length as i64 == s => {
                    pending = Some((start, length + l));
                }
                (None, Some(run)) => pending = Some(run),
                (Some(done), next) => {
                    pending = next;
                    return Some(done);
                }
                (None, None) => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn compacting_drops_what_is_empty() {
        let mut h = FloatHistogram {
            positive_spans: vec![span(-2, 3), span(0, 1), span(5, 0), span(1, 2)],
            positive_buckets: vec![0.0, 1.0, 0.0, 2.0, 0.0, 3.0],
            ..FloatHistogram::default()
        };
        compact(&mut h);
        assert_eq!(h.positive_spans, [span(-1, 1), span(1, 1), span(7, 1)]);
        assert_eq!(h.positive_buckets, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn reducing_adds_neighbours() {
        let mut h = FloatHistogram {
            schema: 2,
            positive_spans: vec![span(-2, 4), span(3, 2)],
            positive_buckets: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            ..FloatHistogram::default()
        };
        reduce_schema(&mut h, 1);
        // Indices −2 −1 0 1 5 6 become −1 0 0 1 3 3.
        assert_eq!(h.schema, 1);
        assert_eq!(h.positive_spans, [span(-1, 3), span(1, 1)]);
        assert_eq!(h.positive_buckets, [1.0, 5.0, 4.0, 11.0]);
    }

    #[test]
    fn spans_are_compared_by_what_they_cover() {
        assert!(same_spans(&[span(1, 2), span(0, 1), span(2, 0)], &[span(1, 3)]));
        assert!(same_spans(&[span(1, 0), span(2, 3), span(0, 0), span(4, 1)], &[span(3, 3), span(4, 1)]));
        assert!(!same_spans(&[span(1, 2)], &[span(1, 2), span(1, 1)]));
    }
}
