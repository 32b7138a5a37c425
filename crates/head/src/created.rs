//! A zero sample where a series began to count.
//!
//! A series may say when it began: at that time it was zero. With a sample there the first increase
//! is not lost. It is stored only where it fits in order before the sample that says so; a beginning
//! that is known already, or that lies too far back, is no error: senders repeat it for ever.
//! `docs/decisions/start-timestamps.md` says why it is decided here.

use norn_model::histogram::{FloatHistogram, Histogram, ResetHint};
use norn_model::sample::is_stale_nan;
use norn_wire::histogram::HistogramRef;
use norn_wire::record::Series;
use norn_wire::settings::FoldSettings;

use crate::fold::Fold;
use crate::folder::{Taken, validate};
use crate::page::Page;

/// Stores the zero sample of a series whose first sample comes next.
pub(crate) fn begin(
    page: &mut Page,
    row: usize,
    series: &Series<'_>,
    settings: &FoldSettings,
    fold: &mut Fold<'_>,
    taken: &mut Taken,
) {
    let created = series.created();
    let float = series.samples().first();
    let histogram = series.histograms().next().filter(|_| settings.native_histograms);
    let times = float.map(|s| s.timestamp).into_iter().chain(histogram.map(|h| h.timestamp));
    let Some(first) = times.min() else { return };
    let known = page.newest(row).is_some_and(|newest| created <= newest);
    if known || created >= first || created < fold.bounds.min_valid {
        return;
    }
    // Where it can not be stored the sample can not either, and says so.
    match (float, histogram) {
        (Some(sample), _) if sample.timestamp == first => {
            let stored = !is_stale_nan(sample.value) && page.append_float(row, created, 0.0, fold).is_ok();
            taken.samples += u64::from(stored);
        }
        (_, Some(sample)) if validate(sample.histogram).is_ok() => {
            let stored = match sample.histogram {
                HistogramRef::Int(h) => {
                    !h.is_stale()
                        && page.append_histogram(row, created, HistogramRef::Int(&zero(h)), fold).is_ok()
                }
                HistogramRef::Float(h) => {
                    let zero = HistogramRef::Float(&zero_float(h));
                    !h.is_stale() && page.append_histogram(row, created, zero, fold).is_ok()
                }
            };
            taken.histograms += u64::from(stored);
        }
        _ => {}
    }
}

/// A histogram without observations that goes into one chunk with `h`.
fn zero(h: &Histogram) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Reset,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        custom_values: h.custom_values.clone(),
        ..Histogram::default()
    }
}

/// As [`zero`].
fn zero_float(h: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        reset_hint: ResetHint::Reset,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        custom_values: h.custom_values.clone(),
        ..FloatHistogram::default()
    }
}
